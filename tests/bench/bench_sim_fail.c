/*
 * Something happens to a line while a bulk flow and a sparse one run.
 */
#include "config.h"

#include "bench_sim.h"

#define BAD 0 /* the line that it happens to */

static double
ms(mono_t t)
{
	return (double)t / (double)MSEC;
}

static void
happened(struct bench_world *w)
{
	w->event_at = w->s->now;
	bench_reset(w);
}

static unsigned
busiest(struct bench_world *w, double at_s)
{
	uint64_t was[BENCH_LINES], most = 0;
	unsigned line = 0;
	int from = w->opts->from;

	bench_until(w, at_s - 1);
	for (unsigned i = 0; i < w->row->n; i++)
		was[i] = sim_data_bytes(w->s, from, i);
	bench_until(w, at_s);
	for (unsigned i = 0; i < w->row->n; i++) {
		uint64_t n = sim_data_bytes(w->s, from, i) - was[i];

		if (n > most) {
			most = n;
			line = i;
		}
	}
	return line;
}

/* Waits for what is on its way, so that the rest is lost. */
static void
count_lost(struct bench_world *w, double at_s)
{
	w->sparse[w->opts->from]->stop_at = w->s->now;
	bench_until(w, at_s);
}

void
bench_blackhole(struct bench_world *w)
{
	bench_until(w, 4);
	sim_cut(w->s, busiest(w, 6), true);
	happened(w);
	bench_until(w, 10);
	count_lost(w, 11);
	bench_collect(w);
	bench_note(w, "sparse slow for %.0f ms", ms(w->slow_until));
}

/* How long from now until half of it is used again in 100 ms; -1: never. */
static double
used_again_ms(struct bench_world *w, unsigned line, double limit_s)
{
	const struct sim_dir *d = &w->s->line[line].dir[w->opts->from];
	uint64_t half = d->rate_Bps / 10 / 2, was;
	mono_t from = w->s->now;

	while (w->s->now < from + (mono_t)(limit_s * (double)SEC)) {
		was = d->data_bytes;
		sim_for(w->s, 100 * MSEC);
		if (d->data_bytes - was >= half)
			return ms(w->s->now - from) - 100;
	}
	return -1;
}

static double
worst_goodput(struct bench_world *w, double span_s)
{
	struct sim_bulk *b = w->bulk[w->opts->from][0];
	mono_t until = w->s->now + (mono_t)(span_s * (double)SEC);
	double least = 1e9, got;

	while (w->s->now < until) {
		uint64_t was = sim_bulk_bytes(b);

		sim_for(w->s, 200 * MSEC);
		got = (double)(sim_bulk_bytes(b) - was) * 8 / 0.2 / 1e6;
		least = got < least ? got : least;
	}
	return least;
}

void
bench_heal(struct bench_world *w)
{
	unsigned line = busiest(w, 6);
	double before, dip, used;

	sim_cut(w->s, line, true);
	bench_until(w, 8);
	before = worst_goodput(w, 1);
	sim_cut(w->s, line, false);
	happened(w);
	used = used_again_ms(w, line, 10);
	dip = worst_goodput(w, 2);
	bench_reset(w);
	sim_for(w->s, 6 * SEC);
	bench_collect(w);
	bench_note(w, "used after %.0f ms, worst 200 ms %.1f, was %.1f Mbit/s",
	    used, dip, before);
}

void
bench_slow(struct bench_world *w)
{
	bench_until(w, 5);
	for (int end = 0; end < 2; end++)
		w->s->line[BAD].dir[end].delay += 200 * MSEC;
	happened(w);
	bench_until(w, 6);
	bench_collect(w);
	bench_note(w, "first second %.1f Mbit/s, gap %.0f ms; ",
	    w->out->way[w->opts->from].goodput,
	    w->out->way[w->opts->from].gap_ms);
	bench_reset(w);
	bench_until(w, 6 + w->opts->seconds);
	bench_collect(w);
	bench_note(w, "sparse slow for %.0f ms", ms(w->slow_until));
}

static void
fall(struct bench_world *w, unsigned line, double part)
{
	for (int end = 0; end < 2; end++) {
		struct sim_dir *d = &w->s->line[line].dir[end];

		d->rate_Bps = (uint64_t)((double)d->rate_Bps * part);
		d->queue_bytes = (size_t)((double)d->queue_bytes * part);
	}
}

static void
fallen(struct bench_world *w)
{
	happened(w);
	bench_until(w, 7);
	bench_reset(w);
	bench_until(w, 7 + w->opts->seconds);
	bench_collect(w);
	bench_note(w, "sparse slow for %.0f ms, %llu queue drops",
	    ms(w->slow_until),
	    (unsigned long long)w->s->line[BAD].dir[w->opts->from].queue_drops);
}

void
bench_halved(struct bench_world *w)
{
	bench_until(w, 5);
	fall(w, BAD, 0.5);
	fallen(w);
}

void
bench_tenth(struct bench_world *w)
{
	bench_until(w, 5);
	fall(w, BAD, 0.1);
	fallen(w);
}

void
bench_optimist(struct bench_world *w)
{
	bench_until(w, 5);
	for (unsigned n = 0; n < w->row->n; n++)
		fall(w, n, 0.95);
	fallen(w);
}

void
bench_edge(struct bench_world *w)
{
	uint64_t was[2];

	bench_until(w, 5);
	for (int end = 0; end < 2; end++)
		w->s->line[BAD].dir[end].loss = 0.5;
	sim_log_clear(w->s);
	was[CLIENT] = sim_link(w->s, CLIENT, BAD)->stats.trials;
	was[SERVER] = sim_link(w->s, SERVER, BAD)->stats.trials;
	happened(w);
	bench_until(w, 6);
	bench_reset(w);
	bench_until(w, 6 + w->opts->seconds);
	bench_collect(w);
	/* A line that loses half is on trial; that is how it would flap. */
	for (int end = 0; end < 2; end++)
		bench_note(w,
		    "%s %llu trials, %zu used again, %zu up, %zu down",
		    end == CLIENT ? "client" : "; server",
		    (unsigned long long)sim_link(w->s, end, BAD)->stats.trials -
			was[end],
		    sim_log_count(w->s, end, "used again"),
		    sim_log_count(w->s, end, "up,"),
		    sim_log_count(w->s, end, "down,"));
}
