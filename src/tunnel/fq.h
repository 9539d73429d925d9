/*
 * The shared queue: FQ-CoDel (RFC 8290) over 1024 buckets, 8-way
 * set-associative so that flows rarely share one.  Links pull from it; a
 * packet gets its number in its bucket when it or one behind it leaves, and is
 * not dropped any more, so a drop leaves no hole in the numbering.
 */
#ifndef MLVPN_TUNNEL_FQ_H
#define MLVPN_TUNNEL_FQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/flowq.h" /* FQ_SEQ_MASK */
#include "tunnel/pktbuf.h"

#define FQ_BUCKETS 1024

struct fq_params {
	mono_t target;		/* sojourn that CoDel accepts */
	mono_t interval;	/* for how long it accepts more */
	size_t limit_bytes;	/* of all packets together */
	uint32_t quantum_bytes; /* of the deficit round-robin */
	/* CoDel lets all pass until then: the links have just become fewer, and
	 * what they would have carried needs a moment to drain. */
	mono_t patient_until;
	uint32_t mtu_bytes; /* CoDel leaves a flow so much; 0: the quantum */
};

/* What leaves by faster lines before a packet of this line is there. */
struct fq_ahead {
	uint64_t bytes;	      /* of all flows */
	uint64_t least_bytes; /* that have to wait, or the line is not used */
	mono_t later;	      /* than by the fastest line; 0: it is that */
};

struct fq_stats {
	uint64_t enqueued, dequeued;	   /* packets */
	uint64_t codel_drops, marks;	   /* packets */
	uint64_t overload_drops;	   /* packets; from the fattest flow */
	uint64_t requeued;		   /* packets, to be sent once more */
	size_t bytes, packets;		   /* waiting for the first time now */
	size_t again_bytes, again_packets; /* waiting once more now */
	size_t flows;			   /* with something waiting now */
	mono_t sojourn; /* of the packet that left last in its turn */
};

struct fq; /* opaque */

/* NULL when out of memory. The pool outlives the queue. */
struct fq *fq_new(struct pktbuf_pool *pool, const struct fq_params *params);
void fq_free(struct fq *fq);
void fq_set_params(struct fq *fq, const struct fq_params *params);
/*
 * Takes over a classified packet.  When the limit or the pool's quota is full
 * it drops half of the fattest flow's bytes, at most 64 packets (RFC 8290,
 * 4.1.3), but never a flow's last packet.  0, or -1 if pb itself had to go (it
 * is freed), which happens only when no flow has one to spare beside the first
 * and those that have their numbers.  A packet that
 * comes while nothing waits is taken whatever the limit.
 */
int fq_enqueue(struct fq *fq, struct pktbuf *pb, mono_t now);
/*
 * Takes over a reference to a packet that was dequeued before (no priority
 * packet has been) and is to be sent once more: it goes ahead of what its
 * bucket has not sent yet, in the order of bucket_seq, and takes part in the
 * round like that, so that its own flow pays for it.  It keeps number and use,
 * does not count to the limit, and CoDel does not look at it.  While again is
 * set, which is done here, it must not be given a second time.
 */
void fq_requeue(struct fq *fq, struct pktbuf *pb);
/*
 * The next packet, with bucket, bucket_seq and sparse set and its use
 * PKTBUF_IO, or NULL when nothing waits.  One that was requeued comes as it is,
 * with again cleared; if it is acked by then, it is freed instead.
 */
struct pktbuf *fq_dequeue(struct fq *fq, mono_t now);
/*
 * The same for a line by which a packet arrives later than by others: a packet
 * whose turn will have come by then, so that nothing waits for it.  It is the
 * last one of a flow that has not so many waiting, and the first one where
 * turns have not come as expected.  NULL if no flow has what that takes; it may
 * when more is enqueued or others have left.  What its flow has before it gets
 * its numbers now, and is not dropped any more.
 */
struct pktbuf *fq_dequeue_ahead(
    struct fq *fq, const struct fq_ahead *ahead, mono_t now);
bool fq_empty(const struct fq *fq);
/* The peer began anew: drops what was requeued, and numbers that it would look
 * for are not used. */
void fq_forget_peer(struct fq *fq);
/* Drops everything that waits, requeued packets too, uncounted; the numbering
 * continues. */
void fq_purge(struct fq *fq);
const struct fq_stats *fq_stats(const struct fq *fq);

#endif
