/*
 * A packet's delay counts from its stamp, when the peer gave it to a line, to
 * its turn here.  The offset between the clocks does not matter, as delays are
 * only compared.  The usual one is the smoothed least of short spans, so
 * those that waited for one that was lost do not count, but the variation of
 * the lines does, and what all wait for each other.  It is valid for longer
 * than BBR's PROBE_RTT, in which the flow sends next to nothing and looks for
 * the least round trip.
 */
#include "config.h"

#include <stdlib.h>

#include "tunnel/fq.h"
#include "tunnel/playout.h"
#include "tunnel/wire.h"

#define SPAN (25 * NSEC_PER_MSEC)
#define SPAN_PACKETS 8 /* a flow that has fewer in each span is not bulk */
#define GAIN 64	       /* 1/64 for each span */
/* Where all were faster for so long, the path is shorter. */
#define SHORTER_AFTER (300 * NSEC_PER_MSEC)
/* Without such a span for so long that begins anew. */
#define PAUSE_MIN (4 * SPAN)
#define USUAL_AGE_MAX (1 * NSEC_PER_SEC)
/* What is early by less is let through. */
#define EARLY_MIN (1 * NSEC_PER_MSEC)
/* What it may cost to be wrong. */
#define EARLY_MAX (100 * NSEC_PER_MSEC)
/* So many packets of a TCP flow are its beginning, and so many after a pause:
 * BBR remembers the least round trip for that time. */
#define BEGIN_PACKETS 32
#define BEGIN_PAUSE (10 * NSEC_PER_SEC)
/* Packets may wait longer by so much, to serve many at once. */
#define RUN_GAP (1 * NSEC_PER_MSEC)

struct bucket {
	TAILQ_ENTRY(bucket) entry; /* of those in which packets wait */
	struct pktbuf_list held;   /* due_at does not fall */
	uint32_t usual;		   /* see wire_delay */
	mono_t usual_at;	   /* of the last span of it; 0: never */
	mono_t slow_at;		   /* of the last one that was no faster */
	uint32_t least, most;	   /* of the running span */
	uint32_t n;		   /* packets of it */
	mono_t span_at;		   /* when it began */
	uint32_t span_stamp;	   /* of the first one */
	mono_t oldest, newest;	   /* stamps of it, from that */
	unsigned begun;		   /* packets since a pause */
	mono_t came_at;		   /* the latest one */
};

TAILQ_HEAD(bucket_list, bucket);

struct playout {
	struct pktbuf_pool *pool;
	playout_deliver_fn *deliver;
	void *ctx;
	struct bucket_list waiting;
	mono_t due_at; /* nothing is due earlier */
	struct playout_stats stats;
	struct bucket buckets[FQ_BUCKETS];
};

struct playout *
playout_new(struct pktbuf_pool *pool, playout_deliver_fn *deliver, void *ctx)
{
	struct playout *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->pool = pool;
	p->deliver = deliver;
	p->ctx = ctx;
	p->due_at = MONO_NEVER;
	TAILQ_INIT(&p->waiting);
	for (size_t i = 0; i < FQ_BUCKETS; i++)
		TAILQ_INIT(&p->buckets[i].held);
	return p;
}

/* --- what is usual --- */

static bool
knows_usual(const struct bucket *b, mono_t now)
{
	return b->usual_at != 0 && now - b->usual_at <= USUAL_AGE_MAX;
}

/* Lines that hold packets back make clumps, and some flows send bursts: so
 * both the time in which the peer sent them and that until the next one count.
 */
static bool
is_bulk(const struct bucket *b, mono_t now)
{
	mono_t sent_in = b->newest - b->oldest;

	return b->n >= SPAN_PACKETS &&
	       b->n * SPAN >=
		   SPAN_PACKETS * mono_later(sent_in, now - b->span_at);
}

static void
end_span(struct bucket *b, mono_t now)
{
	if (!is_bulk(b, now))
		return;
	if (wire_delay_diff(b->most, b->usual) >= 0 ||
	    b->span_at - b->usual_at >= PAUSE_MIN)
		b->slow_at = b->span_at;
	if (!knows_usual(b, b->span_at))
		b->usual = b->least;
	else if (b->span_at - b->slow_at >= SHORTER_AFTER)
		b->usual = b->most;
	else
		b->usual = wire_delay_mean(b->usual, b->least, GAIN);
	b->usual_at = b->span_at;
}

static void
begin_span(struct bucket *b, uint32_t stamp, mono_t now)
{
	b->span_at = now;
	b->span_stamp = stamp;
	b->oldest = b->newest = 0;
	b->n = 0;
}

static void
learn(struct bucket *b, uint32_t stamp, uint32_t delay, mono_t now)
{
	mono_t sent;

	if (now - b->span_at >= SPAN) {
		end_span(b, now);
		begin_span(b, stamp, now);
	}
	sent = wire_stamp_diff(stamp, b->span_stamp);
	b->oldest = mono_earlier(b->oldest, sent);
	b->newest = mono_later(b->newest, sent);
	if (b->n == 0)
		b->least = b->most = delay;
	if (wire_delay_diff(delay, b->least) < 0)
		b->least = delay;
	if (wire_delay_diff(delay, b->most) > 0)
		b->most = delay;
	b->n++;
}

/* Is it one of those that its flow begins with? */
static bool
note_beginning(struct bucket *b, const struct pktbuf *pb, mono_t now)
{
	if (!pb->tcp)
		return false;
	if (pb->syn || now - b->came_at > BEGIN_PAUSE)
		b->begun = 0;
	b->came_at = now;
	if (b->begun == BEGIN_PACKETS)
		return false;
	b->begun++;
	return true;
}

/* By how much a packet is faster than usual; negative: slower. */
static mono_t
early_by(const struct bucket *b, bool begins, const struct pktbuf *pb,
    uint32_t delay, mono_t now)
{
	uint32_t usual = knows_usual(b, now) ? b->usual : pb->line_delay;

	if (!knows_usual(b, now) && !begins)
		return 0;
	return mono_earlier(wire_delay_diff(usual, delay), EARLY_MAX);
}

/* --- what waits --- */

static struct pktbuf *
take_first(struct playout *p, struct bucket *b)
{
	struct pktbuf *pb = TAILQ_FIRST(&b->held);

	TAILQ_REMOVE(&b->held, pb, entry);
	if (TAILQ_EMPTY(&b->held))
		TAILQ_REMOVE(&p->waiting, b, entry);
	p->stats.packets--;
	p->stats.bytes -= pb->len;
	pktbuf_set_use(p->pool, pb, PKTBUF_IO);
	return pb;
}

static void
release(struct playout *p, struct bucket *b, mono_t until)
{
	const struct pktbuf *pb;

	while ((pb = TAILQ_FIRST(&b->held)) != NULL && pb->due_at <= until)
		p->deliver(p->ctx, take_first(p, b));
}

static void
hold(struct playout *p, struct bucket *b, struct pktbuf *pb, mono_t due_at)
{
	const struct pktbuf *last = TAILQ_LAST(&b->held, pktbuf_list);

	/* Those behind the first one make nothing due earlier. */
	if (last == NULL) {
		TAILQ_INSERT_TAIL(&p->waiting, b, entry);
		p->due_at = mono_earlier(p->due_at, due_at);
	} else
		due_at = mono_later(due_at, last->due_at);
	pb->due_at = due_at;
	TAILQ_INSERT_TAIL(&b->held, pb, entry);
	p->stats.held++;
	p->stats.packets++;
	p->stats.bytes += pb->len;
	while (pktbuf_set_use(p->pool, pb, PKTBUF_PLAYOUT) == -1) {
		struct pktbuf *first = take_first(p, b);

		p->stats.no_memory++;
		p->deliver(p->ctx, first);
		if (first == pb)
			break;
	}
}

void
playout_input(struct playout *p, struct pktbuf *pb, mono_t now)
{
	struct bucket *b = &p->buckets[pb->bucket % FQ_BUCKETS];
	uint32_t delay = wire_delay(pb->stamp, now);
	mono_t early = 0;
	bool begins;

	if (pb->priority) {
		p->deliver(p->ctx, pb);
		return;
	}
	begins = note_beginning(b, pb, now);
	/* What left before its turn came early on purpose, and waited.  What
	 * was sent again has a new stamp, and is later than it looks. */
	if (!pb->ahead && !pb->resent) {
		learn(b, pb->stamp, delay, now);
		early = early_by(b, begins, pb, delay, now);
	}
	if (early >= EARLY_MIN)
		hold(p, b, pb, now + early);
	else if (!TAILQ_EMPTY(&b->held))
		hold(p, b, pb, now);
	else
		p->deliver(p->ctx, pb);
}

mono_t
playout_run(struct playout *p, mono_t now)
{
	struct bucket *b, *next;

	if (now < p->due_at)
		return p->due_at;
	p->due_at = MONO_NEVER;
	TAILQ_FOREACH_SAFE(b, &p->waiting, entry, next) {
		release(p, b, now);
		if (!TAILQ_EMPTY(&b->held))
			p->due_at = mono_earlier(
			    p->due_at, TAILQ_FIRST(&b->held)->due_at);
	}
	p->due_at = mono_later(p->due_at, now + RUN_GAP);
	return p->due_at;
}

/* --- an end --- */

void
playout_reset(struct playout *p)
{
	while (!TAILQ_EMPTY(&p->waiting))
		release(p, TAILQ_FIRST(&p->waiting), MONO_NEVER);
	for (size_t i = 0; i < FQ_BUCKETS; i++) {
		p->buckets[i].usual_at = p->buckets[i].span_at = 0;
		p->buckets[i].n = 0;
		p->buckets[i].begun = 0;
	}
}

void
playout_free(struct playout *p)
{
	if (p == NULL)
		return;
	while (!TAILQ_EMPTY(&p->waiting))
		pktbuf_free(p->pool, take_first(p, TAILQ_FIRST(&p->waiting)));
	free(p);
}

const struct playout_stats *
playout_stats(const struct playout *p)
{
	return &p->stats;
}
