/*
 * The state machine of RFC 8289, section 5, in its order and with its
 * numbers.  Two additions of RFC 8290: a packet that can be marked is sent
 * marked, and the backlog test looks at the flow, not at the whole queue.
 */
#include "config.h"

#include "tunnel/codel.h"

#define INTERVAL_MAX INT64_C(4000000000) /* its square fits 64 bits */

/* The floor of the square root, by Newton's method from above. */
static uint64_t
isqrt(uint64_t v)
{
	uint64_t x, next;
	unsigned bits;

	if (v < 2)
		return v;
	bits = 64 - (unsigned)__builtin_clzll(v);
	next = UINT64_C(1) << ((bits + 1) / 2);
	do {
		x = next;
		next = (x + v / x) / 2;
	} while (next < x);
	return x;
}

mono_t
codel_gap(mono_t interval, uint32_t count)
{
	uint64_t i = (uint64_t)interval;

	if (interval > INTERVAL_MAX)
		i = INTERVAL_MAX;
	return (mono_t)isqrt(i * i / (count > 0 ? count : 1));
}

/* "dodequeue" of the RFC: takes one and notes whether it may be dropped. */
static struct pktbuf *
take(struct codel *c, const struct codel_params *p, const struct codel_queue *q,
    mono_t now, bool *ok_to_drop)
{
	size_t left = 0;
	struct pktbuf *pb = q->take(q->ctx, &left);

	*ok_to_drop = false;
	if (pb == NULL || now - pb->queued_at < p->target ||
	    left <= p->mtu_bytes)
		c->first_above_at = 0;
	else if (c->first_above_at == 0)
		c->first_above_at = now + p->interval;
	else
		*ok_to_drop = now >= c->first_above_at;
	return pb;
}

/* Dropping: as many as are due, each a little sooner after the last. */
static struct pktbuf *
continue_dropping(struct codel *c, const struct codel_params *p,
    const struct codel_queue *q, mono_t now, struct pktbuf *pb)
{
	bool ok_to_drop, dropped;

	while (c->dropping && now >= c->drop_next_at) {
		if (c->count < UINT32_MAX)
			c->count++;
		if (q->mark(q->ctx, pb)) {
			c->drop_next_at += codel_gap(p->interval, c->count);
			break;
		}
		dropped = q->drop(q->ctx, pb);
		pb = take(c, p, q, now, &ok_to_drop);
		if (!dropped) {
			c->count--; /* it remains due */
			break;
		}
		if (ok_to_drop)
			c->drop_next_at += codel_gap(p->interval, c->count);
		else
			c->dropping = false;
	}
	return pb;
}

static struct pktbuf *
begin_dropping(struct codel *c, const struct codel_params *p,
    const struct codel_queue *q, mono_t now, struct pktbuf *pb)
{
	uint32_t delta = c->count - c->last_count;
	bool ignored, dropped;

	if (!q->mark(q->ctx, pb)) {
		dropped = q->drop(q->ctx, pb);
		pb = take(c, p, q, now, &ignored);
		if (!dropped)
			return pb;
	}
	c->dropping = true;
	/* Soon after the last time: its rate of drops was about right. */
	if (delta > 1 && now - c->drop_next_at < 16 * p->interval)
		c->count = delta;
	else
		c->count = 1;
	c->drop_next_at = now + codel_gap(p->interval, c->count);
	c->last_count = c->count;
	return pb;
}

struct pktbuf *
codel_dequeue(struct codel *c, const struct codel_params *p,
    const struct codel_queue *q, mono_t now)
{
	bool ok_to_drop;
	struct pktbuf *pb = take(c, p, q, now, &ok_to_drop);

	if (pb == NULL) {
		c->dropping = false;
		return NULL;
	}
	if (!c->dropping)
		return ok_to_drop ? begin_dropping(c, p, q, now, pb) : pb;
	if (!ok_to_drop) {
		c->dropping = false;
		return pb;
	}
	return continue_dropping(c, p, q, now, pb);
}
