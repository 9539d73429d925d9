/*
 * Which link carries the next packet.  Links pull: only those whose pacer has
 * credit are asked.  Among them the one that has done the least work in
 * proportion to its rate is next, which is weighted round-robin by bytes
 * (stride scheduling, Waldspurger 1995).
 */
#include "config.h"

#include "tunnel/link.h"
#include "tunnel/pacer.h"
#include "tunnel/tunnel.h"

/* Work is bytes x this / weight: fine at 10 Gbit/s, good for 30 years. */
#define WORK_SCALE (UINT64_C(1) << 34)
#define WORK_PER_PACKET 1024 /* where no link has a rate */
/* A link may lag by this much work before it loses its claim to catch up. */
#define LAG_BYTES (16 * 1500)
/* Priority packets may borrow this much of the line's time. */
#define AHEAD_DEBT_MAX (1 * NSEC_PER_SEC)
#define AHEAD_HYSTERESIS (20 * NSEC_PER_MSEC)
/* A wake-up is worth a few packets: sleep until there is this much credit. */
#define WAKE_CREDIT (250 * NSEC_PER_USEC)

static bool
ordinary_is_up(const struct tunnel *t)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (l->used && l->up && !l->conf.fallback_only)
			return true;
	}
	return false;
}

bool
sched_in_use(const struct tunnel *t, const struct link *l)
{
	if (!l->used || !l->up)
		return false;
	return !l->conf.fallback_only || !ordinary_is_up(t);
}

/* A link without a rate counts as much as the fastest that has one. */
static uint64_t
weight(const struct tunnel *t, const struct link *l)
{
	uint64_t most = 0;

	if (l->pacer.rate_Bps != 0)
		return l->pacer.rate_Bps;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *o = &t->links[i];

		if (o->used && o->up && o->pacer.rate_Bps > most)
			most = o->pacer.rate_Bps;
	}
	return most;
}

static uint64_t
work(const struct tunnel *t, const struct link *l, size_t len)
{
	uint64_t w = weight(t, l);

	/* No rates at all: plain round-robin, packet by packet. */
	return w == 0 ? WORK_PER_PACKET : len * WORK_SCALE / w;
}

/*
 * May a backlogged flow use this link?  Its packets wait at the other end for
 * those that it carries, so it has to bring them there before they would have
 * left by the fastest link (ECF, Lim et al. 2017), or at least within the time
 * that the flow's packets take anyway.
 */
static bool
is_worth_it(const struct tunnel *t, const struct link *l)
{
	mono_t later = link_delay(l) - t->delay_min;

	/* Where no rate holds packets back, the wait says nothing. */
	if (t->unpaced)
		return true;
	return later <= 2 * t->delay_min + fq_stats(t->fq)->sojourn;
}

struct link *
sched_next(struct tunnel *t, mono_t now)
{
	struct link *best = NULL;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->in_use || !pacer_ready(&l->pacer, now) ||
		    !is_worth_it(t, l))
			continue;
		if (best == NULL || l->vtime < best->vtime)
			best = l;
	}
	return best;
}

void
sched_charge(struct tunnel *t, struct link *l, size_t len)
{
	uint64_t lag = work(t, l, LAG_BYTES);

	if (l->vtime + lag < t->vtime)
		l->vtime = t->vtime - lag;
	if (l->vtime > t->vtime)
		t->vtime = l->vtime;
	l->vtime += work(t, l, len);
}

void
sched_join(struct tunnel *t, struct link *l)
{
	l->vtime = t->vtime;
}

void
sched_restart(struct tunnel *t)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		sched_join(t, &t->links[i]);
}

static void
drain(struct priority_meter *m, mono_t now)
{
	mono_t drained = (now - m->drained_at) / 2;

	m->drained_at = now;
	m->debt = m->debt > drained ? m->debt - drained : 0;
	if (m->debt > AHEAD_DEBT_MAX)
		m->demoted = true;
	else if (m->debt <= AHEAD_DEBT_MAX - AHEAD_HYSTERESIS)
		m->demoted = false;
}

/* May a packet that goes ahead of the queue still use this link? */
static bool
leaves_room(struct link *l, mono_t now)
{
	drain(&l->ahead, now);
	return !l->ahead.demoted;
}

/* A sparse flow's packet does not wait for credit, but for no more than a
 * packet's worth or the pacer's depth. */
static bool
is_nearly_ready(struct link *l, mono_t now)
{
	mono_t packet = pacer_cost(&l->pacer, 1500);

	return pacer_debt(&l->pacer, now) <=
	       (packet > PACER_DEPTH ? packet : PACER_DEPTH);
}

/* Of the links that are fit, that on which a packet arrives first. */
static struct link *
earliest(struct tunnel *t, bool (*is_fit)(struct link *, mono_t), mono_t now)
{
	struct link *best = NULL;
	mono_t best_delay = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];
		mono_t delay;

		if (!l->in_use || !is_fit(l, now))
			continue;
		delay = link_delay(l) + pacer_debt(&l->pacer, now);
		if (delay < best_delay) {
			best = l;
			best_delay = delay;
		}
	}
	return best;
}

struct link *
sched_first(struct tunnel *t, mono_t now)
{
	return earliest(t, leaves_room, now);
}

struct link *
sched_sparse(struct tunnel *t, mono_t now)
{
	return earliest(t, is_nearly_ready, now);
}

void
sched_charge_ahead(struct link *l, size_t len, mono_t now)
{
	drain(&l->ahead, now);
	l->ahead.debt += pacer_cost(&l->pacer, len);
}

mono_t
sched_ready_at(const struct tunnel *t)
{
	mono_t first = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (l->in_use && is_worth_it(t, l) &&
		    pacer_ready_at(&l->pacer) < first)
			first = pacer_ready_at(&l->pacer);
	}
	return first == MONO_NEVER ? first : first + WAKE_CREDIT;
}
