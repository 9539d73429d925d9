/*
 * Which link carries the next packet.  Links pull: only those whose pacer has
 * credit are asked.  Among them the one that has done the least work in
 * proportion to its rate is next, which is weighted round-robin by bytes
 * (stride scheduling, Waldspurger 1995).
 */
#include "config.h"

#include "tunnel/link.h"
#include "tunnel/pacer.h"
#include "tunnel/peer.h"
#include "tunnel/tunnel.h"

#define FULL_PACKET 1500 /* bytes; the usual longest */
/* Work is bytes x this / weight: fine at 10 Gbit/s, good for 30 years. */
#define WORK_SCALE (UINT64_C(1) << 34)
/* A link may lag by this much work before it loses its claim to catch up. */
#define LAG_BYTES (16 * FULL_PACKET)
/* Priority packets may borrow this much of the line's time. */
#define PRIORITY_DEBT_MAX (1 * NSEC_PER_SEC)
/* Then none may, until it is down to this. */
#define PRIORITY_DEBT_LOW (PRIORITY_DEBT_MAX - 20 * NSEC_PER_MSEC)
/* Resends and sparse flows borrow less. */
#define DEBT_MAX (5 * NSEC_PER_MSEC)
/* A line that lost a packet is used for it again if it is so much faster. */
#define AGAIN_DETOUR (20 * NSEC_PER_MSEC)
/* A wake-up is worth a few packets: sleep until there is this much credit. */
#define WAKE_CREDIT (250 * NSEC_PER_USEC)

int
sched_fitness(const struct tunnel *t, const struct link *l)
{
	/* The peer has no keys of a link on which it has not begun anew. */
	if (!l->used || !l->up || peer_is_gone(t, l))
		return 0;
	return 1 + (health_is_suspect(l) ? 0 : 2) +
	       (l->conf.fallback_only ? 0 : 1);
}

static uint64_t
work(const struct link *l, size_t len)
{
	return len * WORK_SCALE / l->pacer.rate_Bps;
}

/*
 * May the queue use this link?  What leaves by it now has to arrive before its
 * flow's turn has long come, so enough has to wait (ECF, Lim et al. 2017); and
 * the queue has to have room for that.
 */
bool
sched_is_worth_it(const struct tunnel *t, const struct link *l)
{
	const struct fq_stats *waiting = fq_stats(t->fq);

	return !l->starved &&
	       link_delay(l) - t->delay_min <= SCHED_SPREAD_MAX &&
	       l->ahead_of.bytes <= t->queue_bytes &&
	       waiting->bytes + waiting->again_bytes >= l->ahead_of.least_bytes;
}

struct link *
sched_next(struct tunnel *t, mono_t now)
{
	struct link *best = NULL;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->in_use || !pacer_ready(&l->pacer, now) ||
		    !sched_is_worth_it(t, l))
			continue;
		if (best == NULL || l->vtime < best->vtime)
			best = l;
	}
	return best;
}

void
sched_charge(struct tunnel *t, struct link *l, size_t len)
{
	uint64_t lag = work(l, LAG_BYTES);

	if (l->vtime + lag < t->vtime)
		l->vtime = t->vtime - lag;
	if (l->vtime > t->vtime)
		t->vtime = l->vtime;
	l->vtime += work(l, len);
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
	if (m->debt > PRIORITY_DEBT_MAX)
		m->demoted = true;
	else if (m->debt <= PRIORITY_DEBT_LOW)
		m->demoted = false;
}

/* May a packet that goes ahead of the queue still use this link? */
static bool
leaves_room(struct link *l, mono_t now)
{
	drain(&l->priority, now);
	return !l->priority.demoted;
}

/* A resend may borrow a little, so that it is in time. */
static mono_t
debt_max(const struct link *l)
{
	return mono_later(pacer_cost(&l->pacer, FULL_PACKET), DEBT_MAX);
}

/* A sparse flow's packet, so that it takes no far line instead: where a full
 * one has just left, and a small one before it. */
static bool
is_nearly_ready(struct link *l, mono_t now)
{
	mono_t some = pacer_cost(&l->pacer, 3 * FULL_PACKET / 2);

	return pacer_debt(&l->pacer, now) <= mono_later(some, DEBT_MAX);
}

/* What keeps a link from carrying a packet, and what makes it a detour. */
struct choice {
	bool (*is_fit)(struct link *, mono_t); /* NULL: all are */
	const struct link *except;
	uint16_t carriers; /* mask of slots that have lost the packet */
};

/* Of the links in use that are fit, that on which a packet arrives first. */
static struct link *
earliest(struct tunnel *t, const struct choice *c, mono_t now)
{
	struct link *best = NULL;
	mono_t best_delay = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];
		mono_t delay;

		if (!l->in_use || l == c->except ||
		    (c->is_fit != NULL && !c->is_fit(l, now)))
			continue;
		delay = link_delay(l) + pacer_debt(&l->pacer, now);
		if ((c->carriers & 1U << l->slot) != 0)
			delay += AGAIN_DETOUR;
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
	return earliest(t, &(struct choice){ .is_fit = leaves_room }, now);
}

struct link *
sched_sparse(struct tunnel *t, mono_t now)
{
	return earliest(t, &(struct choice){ .is_fit = is_nearly_ready }, now);
}

struct link *
sched_again(struct tunnel *t, const struct pktbuf *pb, mono_t now)
{
	struct link *l =
	    earliest(t, &(struct choice){ .carriers = pb->carriers }, now);

	if (l == NULL || pacer_debt(&l->pacer, now) > debt_max(l))
		return NULL;
	return l;
}

mono_t
sched_again_at(struct tunnel *t, const struct pktbuf *pb, mono_t now)
{
	const struct link *l =
	    earliest(t, &(struct choice){ .carriers = pb->carriers }, now);

	if (l == NULL)
		return MONO_NEVER;
	return pacer_ready_at(&l->pacer) - debt_max(l) + WAKE_CREDIT;
}

struct link *
sched_soonest(struct tunnel *t, const struct link *except, mono_t now)
{
	return earliest(t, &(struct choice){ .except = except }, now);
}

void
sched_charge_priority(struct link *l, size_t len, mono_t now)
{
	drain(&l->priority, now);
	l->priority.debt += pacer_cost(&l->pacer, len);
}

mono_t
sched_ready_at(const struct tunnel *t)
{
	mono_t first = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (l->in_use && sched_is_worth_it(t, l) &&
		    pacer_ready_at(&l->pacer) < first)
			first = pacer_ready_at(&l->pacer);
	}
	return first == MONO_NEVER ? first : first + WAKE_CREDIT;
}
