/*
 * A world of a row: its lines with their real rates, bulk flows and a sparse
 * one, and the figures of a period.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench_sim.h"

#define MBIT 125000.0 /* bytes */
#define PAYLOAD (SIM_MTU - 40)
#define SPARSE_LEN 200
#define SPARSE_GAP (20 * MSEC)
#define QUEUE_MS 100
#define START_S 4
#define UP_LIMIT (30 * SEC)
#define SLOW (50 * MSEC) /* over the fastest line: it took the wrong one */

static double
rate_Bps(const struct bench_line *l, int from)
{
	if (from == SERVER && l->down_mbit != 0)
		return l->down_mbit * MBIT;
	return l->up_mbit * MBIT;
}

static struct sim_setup
setup_of(struct bench_world *w)
{
	struct sim_setup su = sim_setup(0);

	su.seed = w->opts->seed;
	su.timeout_ms = 60000;
	w->fastest = MONO_NEVER;
	for (unsigned i = 0; i < w->row->n; i++) {
		const struct bench_line *l = &w->row->line[i];
		unsigned n = su.lines;

		if ((w->mask & 1U << i) == 0)
			continue;
		su.delay[n] = (mono_t)(l->delay_ms * (double)MSEC);
		w->fastest = mono_earlier(w->fastest, su.delay[n]);
		su.up_Bps[n] = (uint64_t)rate_Bps(l, CLIENT);
		su.down_Bps[n] = (uint64_t)rate_Bps(l, SERVER);
		if (w->row->percent != 0) {
			su.up_Bps[n] = su.up_Bps[n] * w->row->percent / 100;
			su.down_Bps[n] = su.down_Bps[n] * w->row->percent / 100;
		}
		if (w->row->no_rates)
			su.up_Bps[n] = su.down_Bps[n] = 0;
		w->line_of[su.lines++] = i;
	}
	return su;
}

static void
shape(struct bench_world *w, unsigned n, int from)
{
	const struct bench_line *l = &w->row->line[w->line_of[n]];
	struct sim_dir *d = &w->s->line[n].dir[from];
	unsigned queue_ms = w->row->queue_ms == 0 ? QUEUE_MS : w->row->queue_ms;
	double loss = l->loss / 100;

	d->rate_Bps = (uint64_t)rate_Bps(l, from);
	d->queue_bytes = (size_t)d->rate_Bps * queue_ms / 1000;
	d->sigma = (mono_t)(l->sigma_ms * (double)MSEC);
	if (l->burst > 1) {
		d->burst = loss / (l->burst * (1 - loss));
		d->burst_end = 1 / l->burst;
	} else
		d->loss = loss;
}

static void
on_sparse(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct bench_world *w = f->ctx;

	(void)at;
	if (w->event_at != 0 && p->sent_at >= w->event_at &&
	    s->now - p->sent_at > w->fastest + SLOW)
		w->slow_until = p->sent_at - w->event_at;
}

static bool
is_loaded(const struct bench_world *w, int end)
{
	return w->row->both || end == w->opts->from;
}

static void
begin(struct bench_world *w)
{
	w->begun_at = w->s->now;
	for (int end = 0; end < 2; end++) {
		if (!is_loaded(w, end))
			continue;
		for (unsigned i = 0; i < w->opts->flows; i++)
			w->bulk[end][i] = sim_bulk_cc(w->s, end, w->opts->cc);
		w->sparse[end] =
		    sim_stream(w->s, end, SPARSE_LEN, SPARSE_GAP, MONO_NEVER);
		w->sparse[end]->on_packet = on_sparse;
		w->sparse[end]->ctx = w;
	}
	bench_reset(w);
}

/* --- figures --- */

static uint64_t
line_bytes(const struct bench_world *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->s->setup.lines; i++)
		n += w->s->line[i].dir[0].bytes + w->s->line[i].dir[1].bytes;
	return n;
}

/* Outer bytes of each inner packet, sent once. */
static uint64_t
first_bytes(const struct bench_world *w)
{
	uint64_t n = 0;

	for (int end = 0; end < 2; end++) {
		const struct tunnel_stats *st = &w->s->end[end].t->stats;

		n += st->tx_bytes + st->tx_packets * BENCH_OUTER;
	}
	return n;
}

void
bench_reset(struct bench_world *w)
{
	w->reset_at = w->s->now;
	w->line_bytes = line_bytes(w);
	w->first_bytes = first_bytes(w);
	for (int end = 0; end < 2; end++) {
		w->reseq[end] = *reseq_stats(w->s->end[1 - end].t->reseq);
		for (unsigned i = 0; i < w->opts->flows; i++)
			if (w->bulk[end][i] != NULL)
				sim_bulk_reset(w->bulk[end][i]);
		if (w->sparse[end] != NULL)
			sim_flow_reset(w->sparse[end]);
	}
}

static double
seconds_since(const struct bench_world *w, mono_t at)
{
	return (double)(w->s->now - at) / (double)SEC;
}

static uint64_t
ack_bytes(const struct bench_world *w, int end)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->opts->flows; i++)
		if (w->bulk[end][i] != NULL)
			n += sim_bulk_stats(w->bulk[end][i])->acks *
			     (SIM_PACKET_MIN + BENCH_OUTER);
	return n;
}

/* What the lines can carry now, as they are and not as configured. */
static double
ceiling(const struct bench_world *w, int end)
{
	double Bps = 0;

	for (unsigned i = 0; i < w->s->setup.lines; i++)
		if (!w->s->line[i].dir[end].cut)
			Bps += (double)w->s->line[i].dir[end].rate_Bps;
	if (w->row->both)
		Bps -= (double)ack_bytes(w, 1 - end) /
		       seconds_since(w, w->reset_at);
	return Bps / MBIT * PAYLOAD / (SIM_MTU + BENCH_OUTER);
}

static void
collect_bulk(struct bench_world *w, int end)
{
	struct bench_way *way = &w->out->way[end];
	double Bps = 0;

	for (unsigned i = 0; i < w->opts->flows; i++) {
		const struct sim_bulk_stats *st =
		    sim_bulk_stats(w->bulk[end][i]);
		double gap_ms = (double)st->gap_max / (double)MSEC;

		Bps += (double)st->bytes / seconds_since(w, w->reset_at);
		way->resent += st->resent;
		way->spurious += st->spurious;
		way->timeouts += st->timeouts;
		way->reordered += st->reordered[end];
		way->reordered_acks += st->reordered[1 - end];
		way->gap_ms = gap_ms > way->gap_ms ? gap_ms : way->gap_ms;
	}
	way->goodput = Bps / MBIT;
	way->ceiling = ceiling(w, end);
}

static void
collect_sparse(struct bench_world *w, int end)
{
	struct bench_way *way = &w->out->way[end];
	struct sim_flow *f = w->sparse[end];

	way->sparse_lost = f->sent > f->got ? f->sent - f->got : 0;
	way->p50 = way->p99 = -1;
	if (f->ndelays == 0)
		return;
	way->p50 = (double)(sim_flow_delay(f, 0.5) - w->fastest) / (double)MSEC;
	way->p99 =
	    (double)(sim_flow_delay(f, 0.99) - w->fastest) / (double)MSEC;
}

static void
collect_reseq(struct bench_world *w, int end)
{
	struct reseq_stats *out = &w->out->way[end].reseq;
	const struct reseq_stats *st = reseq_stats(w->s->end[1 - end].t->reseq);
	const struct reseq_stats *was = &w->reseq[end];

	out->held = st->held - was->held;
	out->late = st->late - was->late;
	out->holes = st->holes - was->holes;
	out->deadlines = st->deadlines - was->deadlines;
	out->no_memory = st->no_memory - was->no_memory;
}

void
bench_collect(struct bench_world *w)
{
	uint64_t first = first_bytes(w) - w->first_bytes;

	for (int end = 0; end < 2; end++) {
		if (!is_loaded(w, end))
			continue;
		memset(&w->out->way[end], 0, sizeof(w->out->way[end]));
		collect_bulk(w, end);
		collect_sparse(w, end);
		collect_reseq(w, end);
	}
	w->out->overhead =
	    first == 0 ? 0
		       : 100 * ((double)(line_bytes(w) - w->line_bytes) /
				       (double)first -
				   1);
	w->out->valid = true;
}

void
bench_note(struct bench_world *w, const char *fmt, ...)
{
	va_list ap;
	size_t len = strlen(w->out->note);

	va_start(ap, fmt);
	vsnprintf(w->out->note + len, sizeof(w->out->note) - len, fmt, ap);
	va_end(ap);
}

/* --- the run --- */

static void
show_lines(struct bench_world *w, int end, const uint64_t *before)
{
	for (unsigned i = 0; i < w->s->setup.lines; i++) {
		const struct sim_dir *d = &w->s->line[i].dir[end];
		const struct link *l = sim_link(w->s, end, i);

		printf("      line %u: %6.2f Mbit/s, %llu queue drops, srtt "
		       "%.1f ms, credit for %.2f Mbit/s%s; lost %llu, parity "
		       "%llu, restored %llu\n",
		    w->line_of[i], (double)(d->bytes - before[i]) / MBIT,
		    (unsigned long long)d->queue_drops,
		    (double)l->srtt / (double)MSEC,
		    (double)l->pacer.rate_Bps / MBIT, l->up ? "" : ", down",
		    (unsigned long long)l->stats.lost,
		    (unsigned long long)l->stats.parity,
		    (unsigned long long)sim_link(w->s, !end, i)
			->stats.restored);
	}
}

static void
show_second(struct bench_world *w, int end, uint64_t bytes_before)
{
	const struct fq_stats *q = fq_stats(w->s->end[end].t->fq);
	char text[256];

	sim_bulk_text(w->bulk[end][0], text, sizeof(text));
	printf("%5.1f s %6.2f Mbit/s, queue %zu packets %.1f ms, dropped "
	       "%llu; %s\n",
	    seconds_since(w, w->begun_at),
	    (double)(sim_bulk_bytes(w->bulk[end][0]) - bytes_before) / MBIT,
	    q->packets, (double)q->sojourn / (double)MSEC,
	    (unsigned long long)(q->codel_drops + q->overload_drops), text);
}

static void
run_verbosely(struct bench_world *w, mono_t at)
{
	while (w->s->now < at) {
		uint64_t was[2], lines[2][BENCH_LINES];
		mono_t next = w->s->now + SEC;

		for (int end = 0; end < 2; end++) {
			if (!is_loaded(w, end))
				continue;
			was[end] = sim_bulk_bytes(w->bulk[end][0]);
			for (unsigned i = 0; i < w->s->setup.lines; i++)
				lines[end][i] = w->s->line[i].dir[end].bytes;
		}
		sim_until(w->s, mono_earlier(next, at) - w->s->start);
		for (int end = 0; end < 2; end++) {
			if (!is_loaded(w, end))
				continue;
			show_second(w, end, was[end]);
			show_lines(w, end, lines[end]);
		}
	}
}

void
bench_until(struct bench_world *w, double at_s)
{
	mono_t at = w->begun_at + (mono_t)(at_s * (double)SEC);

	if (w->opts->verbose)
		run_verbosely(w, at);
	else
		sim_until(w->s, at - w->s->start);
}

static void
measure(struct bench_world *w)
{
	unsigned start_s = w->row->start_s;

	start_s = start_s == 0 ? START_S : start_s;
	if (w->opts->start_s != 0)
		start_s = w->opts->start_s;
	bench_until(w, start_s);
	bench_reset(w);
	bench_until(w, start_s + w->opts->seconds);
	bench_collect(w);
}

void
bench_run(const struct bench_row *row, unsigned mask,
    const struct bench_opts *opts, struct bench_result *out)
{
	struct bench_world w = {
		.row = row, .opts = opts, .mask = mask, .out = out
	};
	struct sim_setup su = setup_of(&w);

	w.s = sim_new(&su);
	for (unsigned i = 0; i < su.lines; i++) {
		shape(&w, i, CLIENT);
		shape(&w, i, SERVER);
	}
	SIM_MUST(sim_wait_up(w.s, su.lines, UP_LIMIT));
	begin(&w);
	if (row->scenario != NULL && mask == (1U << row->n) - 1)
		row->scenario(&w);
	else
		measure(&w);
	sim_free(w.s);
	for (int end = 0; end < 2; end++)
		for (unsigned i = 0; i < opts->flows; i++)
			sim_bulk_free(w.bulk[end][i]);
}
