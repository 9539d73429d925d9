/*
 * The playout buffer: the packets of a flow that comes in bulk and that are
 * faster than its packets usually are wait for the usual delay.  A sender in
 * the tunnel that takes the least round trip for the length of the path (BBR)
 * keeps too little in flight where delays vary, and slows down more and more.
 * A flow that sends little waits for nothing.
 */
#ifndef MLVPN_TUNNEL_PLAYOUT_H
#define MLVPN_TUNNEL_PLAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/pktbuf.h"

struct playout_stats {
	uint64_t held;	       /* packets that waited */
	uint64_t no_memory;    /* let go earlier, for want of room */
	size_t bytes, packets; /* waiting now */
};

struct playout; /* opaque */

/* Takes over a packet whose time has come. */
typedef void playout_deliver_fn(void *ctx, struct pktbuf *pb);

/* NULL when out of memory.  The pool outlives it. */
struct playout *playout_new(
    struct pktbuf_pool *pool, playout_deliver_fn *deliver, void *ctx);
void playout_free(struct playout *p);
/* The peer's stamps begin anew: delivers what waits, forgets the rest. */
void playout_reset(struct playout *p);
/* Takes over a packet that the resequencer passes on, with bucket, priority,
 * ahead, stamp and resent.  The order within a bucket stays. */
void playout_input(struct playout *p, struct pktbuf *pb, mono_t now);
/* Delivers what is due, give or take a millisecond; returns when to call again
 * at the latest. */
mono_t playout_run(struct playout *p, mono_t now);
const struct playout_stats *playout_stats(const struct playout *p);

#endif
