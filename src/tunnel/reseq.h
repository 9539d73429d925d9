/*
 * The resequencer: passes packets on in the order in which they left the peer's
 * queue, bucket by bucket, so that one flow's hole never delays another.  A
 * packet without a hole ahead of it waits for nothing here.
 */
#ifndef MLVPN_TUNNEL_RESEQ_H
#define MLVPN_TUNNEL_RESEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "conf/conf.h"
#include "tunnel/pktbuf.h"

/*
 * A hole is given up when the sender says so, or when nothing has come in its
 * turn for so long after the missing packet could have come by its line.
 */
#define RESEQ_HOLD (150 * NSEC_PER_MSEC)
/* Longer where a resend takes longer, but not longer than this. */
#define RESEQ_HOLD_MAX (600 * NSEC_PER_MSEC)
/* However slow that line is. */
#define RESEQ_EXPECT_MAX (1 * NSEC_PER_SEC)
/* What is not known to have been sent at all is waited for so long. */
#define RESEQ_UNSENT_MAX (2 * NSEC_PER_SEC)
/* A packet of a hole that was given up is of use for so long; so is one from
 * before the first that came of its bucket. */
#define RESEQ_LATE_MAX (1 * NSEC_PER_SEC)

struct reseq_stats {
	uint64_t held; /* packets that waited */
	uint64_t late; /* packets that came after their hole was given up */
	uint64_t duplicates;   /* packets that had come before, dropped */
	uint64_t holes;	       /* packets that something had to wait for */
	uint64_t skipped;      /* given up as the sender said so */
	uint64_t deadlines;    /* given up by the deadline */
	uint64_t no_memory;    /* passed on, holes and all, for want of room */
	size_t bytes, packets; /* waiting now */
	uint32_t packets_of[LINKS_MAX]; /* ... by the link that brought them */
};

/* What became of a packet at once. */
enum reseq_fate {
	RESEQ_PASSED, /* delivered */
	RESEQ_HELD,
	RESEQ_LATE, /* delivered, after its hole was given up */
	RESEQ_DUPLICATE
};

struct reseq; /* opaque */

/* Takes over a packet whose turn has come. */
typedef void reseq_deliver_fn(void *ctx, struct pktbuf *pb, mono_t now);

/* NULL when out of memory. The pool outlives it. */
struct reseq *reseq_new(
    struct pktbuf_pool *pool, reseq_deliver_fn *deliver, void *ctx);
void reseq_free(struct reseq *r);
/* The peer's numbers start anew: delivers what waits, forgets the rest. */
void reseq_reset(struct reseq *r, mono_t now);
/*
 * Takes over a packet with bucket, bucket_seq, priority (which has a bucket
 * space of its own), ahead, stamp, link (which brought it) and prev_link
 * (which carried the last one of the bucket that left in its turn).  Sets
 * resent where that can be seen.
 */
enum reseq_fate reseq_input(struct reseq *r, struct pktbuf *pb, mono_t now);
/* The sender will not send that packet again.  Takes effect in its turn, unless
 * the packet comes by then. */
void reseq_skip(struct reseq *r, bool priority, uint16_t bucket,
    uint32_t bucket_seq, mono_t now);
/* Any packet that a link brought, sent at stamp: shows how long it takes.
 * Comes before reseq_input for the same packet. */
void reseq_heard(struct reseq *r, unsigned link, uint32_t stamp, mono_t now);
/* Mask of the links that are up; where the carrier of what is
 * missing is not known, the slowest of them is waited for. */
void reseq_set_links(struct reseq *r, uint32_t mask);
/* How long a hole is waited for: RESEQ_HOLD at least. */
void reseq_set_hold(struct reseq *r, mono_t hold);
/* Gives up what is past its deadline, give or take a millisecond; returns when
 * to call again at the latest. */
mono_t reseq_run(struct reseq *r, mono_t now);
const struct reseq_stats *reseq_stats(const struct reseq *r);

#endif
