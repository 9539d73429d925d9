/*
 * CoDel (RFC 8289): decides by the time that packets have waited which of one
 * flow's packets are dropped or marked.  The owner of the flow supplies the
 * queue through callbacks, so that the decision can be tested alone.
 */
#ifndef MLVPN_TUNNEL_CODEL_H
#define MLVPN_TUNNEL_CODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/pktbuf.h"

struct codel_params {
	mono_t target;	  /* sojourn that is accepted */
	mono_t interval;  /* for how long more is accepted */
	size_t mtu_bytes; /* a queue of no more than this is left alone */
};

/* One flow's state; all zero at first. */
struct codel {
	uint32_t count;	     /* drops and marks since dropping began */
	uint32_t last_count; /* count when it began */
	bool dropping;
	mono_t first_above_at; /* when an interval above target is over; 0 */
	mono_t drop_next_at;
};

struct codel_queue {
	/* The oldest packet or NULL, and the bytes that remain behind it. */
	struct pktbuf *(*take)(void *ctx, size_t *left_bytes);
	/* Marks instead of dropping; false: it cannot be marked. */
	bool (*mark)(void *ctx, struct pktbuf *pb);
	/* That packet or one behind it; false: none may go.  Unless it went, it
	 * is the next to be taken. */
	bool (*drop)(void *ctx, struct pktbuf *pb);
	void *ctx;
};

/* The next packet to send, or NULL when the queue is empty. */
struct pktbuf *codel_dequeue(struct codel *c, const struct codel_params *p,
    const struct codel_queue *q, mono_t now);
/* interval / sqrt(count) in ns: the gap between two drops. */
mono_t codel_gap(mono_t interval, uint32_t count);

#endif
