/*
 * The watch over a world, see watch.h.
 */
#include "config.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

/* The engine wakes for a quarter of a ms of credit, a deadline is met within
 * one, and what it knows of delays is a little old. */
#define IDLE_MAX (2 * MSEC)
#define HOLD_SLACK (3 * MSEC)
#define ALIKE (10 * MSEC)

static struct watch *current; /* of callbacks that know only the flow */

void
watch_fails(const struct watch *w, const char *what)
{
	ck_abort_msg("world %llu, %.3f s: not true: %s",
	    (unsigned long long)w->seed,
	    (double)(w->s->now - w->s->start) / (double)SEC, what);
}

/* --- the lines --- */

static struct watch_packet *
packet_of(struct watch *w, uint64_t id)
{
	if (id >= w->npackets) {
		size_t n = (size_t)id * 2 + 1024;

		w->packets = reallocarray(w->packets, n, sizeof(*w->packets));
		SIM_MUST(w->packets != NULL);
		memset(w->packets + w->npackets, 0,
		    (n - w->npackets) * sizeof(*w->packets));
		w->npackets = n;
	}
	return &w->packets[id];
}

static uint64_t
rate_of(const struct watch *w, int end, unsigned line)
{
	const struct sim_setup *su = &w->s->setup;

	return end == CLIENT ? su->up_Bps[line] : su->down_Bps[line];
}

static uint64_t
number_of(bool priority, uint16_t bucket, uint32_t seq)
{
	return (uint64_t)priority << 32 | (uint64_t)bucket << 22 | seq;
}

static void
note_skips(struct watch *w, const struct sim_dgram *d)
{
	int end = d->from;

	for (size_t at = SIM_FRONT; at + ARQ_SKIP_LEN <= d->len;
	     at += ARQ_SKIP_LEN) {
		if (w->nskips[end] == w->skips_size[end]) {
			w->skips_size[end] = w->skips_size[end] * 2 + 64;
			w->skips[end] = reallocarray(w->skips[end],
			    w->skips_size[end], sizeof(uint64_t));
			SIM_MUST(w->skips[end] != NULL);
		}
		w->skips[end][w->nskips[end]++] = (uint64_t)(d->data[at] != 0)
						      << 32 |
						  get_be32(d->data + at + 1);
	}
}

static void
note_data(struct watch *w, const struct sim_dgram *d)
{
	struct watch_packet *p = packet_of(w, sim_dgram_id(d));
	struct wire_inner in = sim_dgram_inner(d);
	uint64_t len = d->len - WIRE_CLEAR_OVERHEAD;
	mono_t now = w->s->now;

	p->last_at = now;
	/* What a link gets that is not in use is a copy. */
	if (!sim_link(w->s, d->from, d->line)->in_use)
		return;
	if (p->sends++ == 0) {
		p->first_at = now;
		p->priority = (in.flags & WIRE_F_PRIORITY) != 0;
		p->ahead = (in.flags & WIRE_F_AHEAD) != 0;
		p->bucket = in.bucket;
		p->seq = in.bucket_seq;
		w->first_bytes[d->from] += len;
	} else {
		w->again_bytes[d->from] += len;
		w->urgent_bytes[d->from] += p->priority ? len : 0;
	}
	WATCH_MUST(w, p->sends <= ARQ_SENDS_MAX);
	WATCH_MUST(w, now - p->first_at <= ARQ_AGE_MAX);
}

static bool
on_line(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct watch *w = ctx;
	mono_t *busy = &w->busy_until[d->from][d->line];
	uint64_t rate = rate_of(w, d->from, d->line);

	if (*busy < s->now - PACER_DEPTH)
		*busy = s->now - PACER_DEPTH;
	/* A link may send 1/64 less, so that no queue is left (rate.c). */
	if (rate != 0)
		*busy += (mono_t)((d->len + SIM_OUTER) * (uint64_t)SEC /
				  (rate - rate / 64));
	if (d->data[0] == WIRE_DATA)
		note_data(w, d);
	else if (d->data[0] == WIRE_CONTROL &&
		 sim_dgram_inner(d).control == WIRE_SKIP)
		note_skips(w, d);
	return true;
}

static void
on_arrival(struct sim *s, void *ctx, const struct sim_dgram *d)
{
	struct watch *w = ctx;
	struct watch_packet *p;

	if (d->data[0] != WIRE_DATA)
		return;
	p = packet_of(w, sim_dgram_id(d));
	if (p->arrived_at == 0)
		p->arrived_at = s->now;
}

/* --- what comes out --- */

static bool
was_skipped(const struct watch *w, int end, const struct watch_packet *p)
{
	uint64_t number = number_of(p->priority, p->bucket, p->seq);

	for (size_t i = w->nskips[end]; i > 0; i--)
		if (w->skips[end][i - 1] == number)
			return true;
	return false;
}

/* Urgent packets beyond their share queue; those before do not wait. */
static bool
is_demoted(const struct watch *w, int from, const struct sim_flow *f)
{
	return ((f->tos & ~3) != 0 || f->proto == IPPROTO_ICMP) &&
	       w->s->end[from].t->stats.demoted > 0;
}

/* Behind a later one: nobody waited for it any more, or had room to, or knew
 * that there was one before the first that came. */
static void
check_late(struct watch *w, const struct sim_flow *f, int at, uint64_t id)
{
	const struct watch_packet *p = packet_of(w, id);

	w->reordered++;
	if (w->anew || id < w->flows[f->id].first[at] ||
	    is_demoted(w, 1 - at, f) ||
	    reseq_stats(w->s->end[at].t->reseq)->no_memory > 0)
		return;
	WATCH_MUST(w, !w->in_order);
	WATCH_MUST(w,
	    w->s->now - p->first_at >= RESEQ_HOLD || was_skipped(w, 1 - at, p));
}

/* A packet of a slower line may leave before those before it. */
static void
note_sent(struct watch *w, struct watch_flow *wf, int at, uint64_t id)
{
	const struct watch_packet *p = packet_of(w, id);

	for (uint64_t i = wf->highest[at] + 1; i <= id; i++) {
		const struct watch_packet *o = packet_of(w, i);

		if (o->bucket == p->bucket && o->priority == p->priority &&
		    o->first_at > wf->sent_at[at])
			wf->sent_at[at] = o->first_at;
	}
}

/* It could come when it had arrived, and what was missing before it could
 * come by the slowest line, or when the one before it had come out. */
static void
check_wait(struct watch *w, struct watch_flow *wf, int at,
    const struct watch_packet *p)
{
	mono_t now = w->s->now, left = p->last_at;
	mono_t from = p->arrived_at + w->spread;
	mono_t hold = p->ahead ? RESEQ_UNSENT_MAX : w->hold;

	if (left < wf->sent_at[at])
		left = wf->sent_at[at];
	if (now - left > w->waited)
		w->waited = now - left;
	if (from < wf->got_at[at])
		from = wf->got_at[at];
	if (from < wf->sent_at[at] + w->delay_max)
		from = wf->sent_at[at] + w->delay_max;
	if (now - from > w->hole_waits)
		w->hole_waits = now - from;
	WATCH_MUST(w, now - from <= hold + HOLD_SLACK);
}

static void
on_packet(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct watch *w = current;
	struct watch_flow *wf = &w->flows[f->id];
	struct watch_packet *wp = packet_of(w, p->id);

	WATCH_MUST(w, wp->sends > 0);
	if (wp->arrived_at == 0) {
		wp->arrived_at = s->now;
		WATCH_MUST(w, ++w->restored[at] <= sim_restored(&s->end[at]));
	}
	if (wf->got_at[at] == 0)
		wf->first[at] = p->id;
	if (p->id < wf->highest[at])
		check_late(w, f, at, p->id);
	else {
		note_sent(w, wf, at, p->id);
		wf->highest[at] = p->id;
		check_wait(w, wf, at, wp);
	}
	if (wf->got_at[at] != 0 && s->now - wf->got_at[at] > wf->gap[at])
		wf->gap[at] = s->now - wf->got_at[at];
	wf->got_at[at] = s->now;
	if (wf->inner != NULL)
		wf->inner(s, f, at, p);
}

/* --- at any instant --- */

/* What lines drain in a second that are faster, or seem so by their jitter. */
static uint64_t
faster(const struct watch *w, int end, unsigned line)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->s->setup.lines; i++)
		if (i != line && w->s->line[i].dir[end].delay - ALIKE <
				     w->s->line[line].dir[end].delay)
			sum += rate_of(w, end, i);
	return sum;
}

/* Would a packet of the queue be there by this line before it had left by the
 * faster ones?  Beyond doubt: the engine measures delays. */
static bool
is_due(const struct watch *w, int end, unsigned line)
{
	const struct sim *s = w->s;
	const struct sim_dir *dir = &s->line[line].dir[end];
	mono_t least = MONO_NEVER, later;
	uint64_t queued = fq_stats(s->end[end].t->fq)->bytes;

	for (unsigned i = 0; i < s->setup.lines; i++)
		if (s->line[i].dir[end].delay < least)
			least = s->line[i].dir[end].delay;
	if (faster(w, end, line) == 0)
		return queued > 0;
	later = dir->delay - least + 2 * ALIKE;
	return later <= SCHED_SPREAD_MAX &&
	       queued * 1000 / faster(w, end, line) >= (uint64_t)(later / MSEC);
}

bool
watch_is_idle(const struct watch *w, int end, unsigned line)
{
	return w->s->now - w->busy_until[end][line] > IDLE_MAX &&
	       is_due(w, end, line);
}

static void
check_end(struct watch *w, int end)
{
	const struct sim *s = w->s;
	const struct tunnel *t = s->end[end].t;

	sim_check_memory(t);
	WATCH_MUST(w, t->arq.budget >= -ARQ_BUDGET_MAX);
	WATCH_MUST(w, t->arq.budget <= ARQ_BUDGET_MAX);
	/* Urgent packets are outside the budget, the rest took its turn. */
	WATCH_MUST(
	    w, w->anew || w->again_bytes[end] - w->urgent_bytes[end] <=
			      w->first_bytes[end] * ARQ_BUDGET_SHARE / 100 +
				  ARQ_BUDGET_MAX +
				  fq_stats(t->fq)->requeued * SIM_MTU);
	/* It may just be about to run. */
	if (!w->paced || s->end[end].run_at == s->now)
		return;
	for (unsigned i = 0; i < s->setup.lines; i++) {
		const struct link *l = sim_link(w->s, end, i);

		if (!s->line[i].dir[end].cut && l->in_use)
			WATCH_MUST(w, !watch_is_idle(w, end, i));
	}
}

void
watch_check(struct watch *w)
{
	check_end(w, CLIENT);
	check_end(w, SERVER);
}

/* --- birth and death --- */

void
watch_start(struct watch *w, struct sim *s, uint64_t seed)
{
	current = w;
	w->s = s;
	w->seed = seed;
	w->hold = RESEQ_HOLD_MAX;
	s->filter = on_line;
	s->arrival = on_arrival;
	s->filter_ctx = w;
}

void
watch_flow(struct watch *w, struct sim_flow *f)
{
	SIM_MUST(f->id < WATCH_FLOWS);
	w->flows[f->id].inner = f->on_packet;
	f->on_packet = on_packet;
}

void
watch_end(struct watch *w)
{
	free(w->packets);
	free(w->skips[CLIENT]);
	free(w->skips[SERVER]);
}
