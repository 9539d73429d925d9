/*
 * The shape of the bond: which links carry packets, how their delays compare,
 * and what follows for the queue, the resequencer and the packets' length.
 */
#include "config.h"

#include <string.h>

#include "base/util.h"
#include "tunnel/tunnel.h"

#define CODEL_TARGET (5 * NSEC_PER_MSEC)
/* BBR remembers the old rate for ten round trips, which are long now. */
#define SHRUNK_PATIENCE (2 * NSEC_PER_SEC)
#define SHRUNK_GAP (10 * NSEC_PER_SEC)
#define LOSSY 0.002
#define ROOM_MAX (100 * NSEC_PER_MSEC)
#define REPAIR_TIME (5 * NSEC_PER_MSEC) /* of a loss, beyond a round trip */
#define CODEL_INTERVAL (100 * NSEC_PER_MSEC)
#define QUEUE_MIN (128 * 1024) /* bytes, however slow the lines are */

/* The least and the greatest delay of the links in use, and their rates. */
struct bond_shape {
	mono_t delay_min, delay_max;
	mono_t late; /* by what a byte comes later than by the fastest line */
	uint64_t rate_Bps;
	mono_t jitter;	    /* the greatest deviation of a delay */
	bool lossy;	    /* packets have to be sent again all the time */
	uint64_t total_Bps; /* with those that may be again */
	mono_t looks_until; /* for what a line carries; 0: none does */
	size_t links;
	uint32_t up; /* mask of the wire numbers of links that are up */
};

/* The fittest links carry packets. */
static void
choose_links(struct tunnel *t)
{
	int best = 1;

	t->trials = false;
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (sched_fitness(t, &t->links[i]) > best)
			best = sched_fitness(t, &t->links[i]);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		l->in_use = sched_fitness(t, l) == best;
		t->trials |= l->used && l->up && health_is_suspect(l);
	}
}

/*
 * Where the peer reports one-way delays, these tell how links compare, exactly;
 * the fastest one's own is half its round trip.
 */
static void
compare_delays(struct tunnel *t)
{
	const struct link *fastest = NULL;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		l->delay_est = l->srtt / 2;
		if (l->in_use && l->delay.known &&
		    (fastest == NULL ||
			delay_diff(&l->delay, &fastest->delay) < 0))
			fastest = l;
	}
	for (unsigned i = 0; fastest != NULL && i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used && l->delay.known)
			l->delay_est = fastest->srtt / 2 +
				       delay_diff(&l->delay, &fastest->delay);
	}
}

/* rate x span, in bytes; rates up to 1 TB/s and spans up to 10 s fit. */
static uint64_t
bytes_in(uint64_t rate_Bps, mono_t span)
{
	return rate_Bps * (uint64_t)(span / NSEC_PER_USEC) / 1000000;
}

/* What faster links bring to the peer in the time that a packet takes by l. */
static uint64_t
brought_before(const struct tunnel *t, const struct link *l, mono_t delay)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *o = &t->links[i];

		if (o->in_use && o != l && link_delay(o) < delay)
			sum +=
			    bytes_in(o->pacer.rate_Bps, delay - link_delay(o));
	}
	return sum;
}

/* When a slower link is worth it, see doc/engine.rst. */
static void
tune_ahead(const struct tunnel *t, struct link *l, mono_t delay_min)
{
	mono_t delay = link_delay(l);

	l->ahead_of.later = delay - delay_min;
	l->ahead_of.bytes = brought_before(t, l, delay);
	l->ahead_of.least_bytes =
	    brought_before(t, l, delay - l->delay.var) * 3 / 4;
}

/* Of the links that are not too late for the queue. */
static void
spread_of(const struct tunnel *t, struct bond_shape *b)
{
	uint64_t bytes = 0, rate_Bps = 0;

	b->delay_max = b->delay_min;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];
		mono_t later = link_delay(l) - b->delay_min;

		if (!l->in_use)
			continue;
		if (later > SCHED_SPREAD_MAX) {
			b->total_Bps -= l->pacer.rate_Bps;
			continue;
		}
		if (link_delay(l) > b->delay_max)
			b->delay_max = link_delay(l);
		b->looks_until =
		    mono_later(b->looks_until, rate_looks_until(&l->rate));
		rate_Bps += l->pacer.rate_Bps;
		bytes += bytes_in(l->pacer.rate_Bps, later);
	}
	if (rate_Bps > 0)
		b->late = (mono_t)(bytes * 1000000 / rate_Bps) * NSEC_PER_USEC;
}

static void
shape_of(struct tunnel *t, struct bond_shape *b)
{
	memset(b, 0, sizeof(*b));
	b->delay_min = MONO_NEVER;
	t->path_mtu_bytes = t->mtu_bytes;
	choose_links(t);
	compare_delays(t);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used)
			b->total_Bps += l->pacer.rate_Bps;
		if (l->used && l->up)
			b->up |= UINT32_C(1) << l->wire_id;
		if (!l->in_use)
			continue;
		b->links++;
		if (l->peer_mtu != 0 && l->peer_mtu < t->path_mtu_bytes)
			t->path_mtu_bytes = l->peer_mtu;
		b->rate_Bps += l->pacer.rate_Bps;
		if (l->delay.var > b->jitter)
			b->jitter = l->delay.var;
		b->lossy |= loss_meter_value(&l->tx_loss) > LOSSY;
		if (link_delay(l) < b->delay_min)
			b->delay_min = link_delay(l);
	}
	if (b->links == 0)
		b->delay_min = 0;
	spread_of(t, b);
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].in_use)
			tune_ahead(t, &t->links[i], b->delay_min);
}

void
tunnel_shrunk(struct tunnel *t, mono_t now)
{
	/* A line that comes and goes must not switch CoDel off. */
	if (t->shrunk_at == 0 || now - t->shrunk_at >= SHRUNK_GAP)
		t->shrunk_at = now;
}

/*
 * What packets wait beyond the fastest line's delay: in the queue, so that
 * slower lines are worth it, and for others that are late or sent again.  A
 * flow's round trip is longer by that.
 * Where packets are lost it is the wait for two of them: it varies so much that
 * CUBIC, when it gives way, would leave the lines empty with less.
 */
static mono_t
wait_of(const struct bond_shape *b)
{
	mono_t wait = b->delay_max - b->delay_min +
		      mono_earlier(2 * b->late, ROOM_MAX) + 2 * b->jitter;

	return b->lossy ? wait + 4 * b->delay_min + 2 * REPAIR_TIME : wait;
}

/*
 * What may stand if nothing waits for anything: 5 % of a round trip, as RFC
 * 8289 has it, empty the lines when CUBIC gives way by 30 %.  A quarter does
 * not; it is the flow's own delay, as the queue is a fair one.
 */
static mono_t
room_of(const struct bond_shape *b)
{
	mono_t packet =
	    (mono_t)(1500 * (uint64_t)NSEC_PER_SEC * 3 / 2 / b->rate_Bps);
	mono_t round_trip = 2 * b->delay_min;
	mono_t quarter = mono_earlier(round_trip / 4, ROOM_MAX);

	return mono_later(mono_later(packet, CODEL_TARGET), quarter);
}

static void
tune_queue(struct tunnel *t, const struct bond_shape *b)
{
	struct fq_params p = { .quantum_bytes = 1514 };
	uint64_t bytes, most = t->conf->memory_bytes / 4;

	p.target = room_of(b) + wait_of(b);
	p.interval = mono_later(CODEL_INTERVAL, 2 * b->delay_min) + wait_of(b);
	p.patient_until =
	    mono_later(t->shrunk_at + SHRUNK_PATIENCE, b->looks_until);
	/* Not less when a line fails: what it would have carried waits. */
	bytes = bytes_in(b->total_Bps, p.interval + 2 * b->delay_max);
	if (bytes < QUEUE_MIN)
		bytes = QUEUE_MIN;
	/* Slow start is ahead of the rate that it makes us find. */
	if (bytes > most || b->looks_until != 0)
		bytes = most;
	p.limit_bytes = t->queue_bytes = (size_t)bytes;
	fq_set_params(t->fq, &p);
}

void
tunnel_retune(struct tunnel *t)
{
	struct bond_shape b;

	t->untuned = false;
	shape_of(t, &b);
	reseq_set_links(t->reseq, b.up);
	if (b.links == 0)
		return;
	t->delay_min = b.delay_min;
	t->delay_max = b.delay_max;
	t->rate_Bps = b.rate_Bps;
	tune_queue(t, &b);
	/* Two resends, each after a report.  The delays are those of what we
	 * send; those of what comes are like them, as far as anybody knows. */
	reseq_set_hold(t->reseq, 4 * b.delay_max + 8 * b.jitter);
}

void
tunnel_retune_soon(struct tunnel *t)
{
	t->untuned = true;
}
