/*
 * Parity: behind some packets of a lossy line goes one that is all of them
 * xored, so that the peer makes the one that is lost of the others, without the
 * round trip that a resend takes (as ULP FEC, RFC 5109).  It leaves at once,
 * and is paid for with time in which the line was idle before.
 */
#ifndef MLVPN_TUNNEL_PARITY_H
#define MLVPN_TUNNEL_PARITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/pktbuf.h"
#include "tunnel/wire.h"

/* A line that loses less needs none. */
#define PARITY_LOSS_MIN 0.002
/* Losses in a group, at most, on average: two cannot be made good. */
#define PARITY_LOSSES 0.15
/* The earliest end of a group that is not full. */
#define PARITY_AGE_MIN (1 * NSEC_PER_MSEC)
/* After so many losses in what was covered at least a quarter of them has to be
 * restored, or there is none for a while. */
#define PARITY_JUDGED 8
#define PARITY_PAUSE (10 * NSEC_PER_SEC)
/* Without any for so long the peer sends none. */
#define PARITY_IDLE (2 * NSEC_PER_SEC)

struct link;
struct link_arrival;
struct tunnel;

/* The group that is being sent. */
struct parity_tx {
	struct pktbuf *sum;   /* NULL: there is no group */
	struct wire_inner in; /* of its headers, but for the stamp */
	uint64_t first;	      /* link sequence of its first packet */
	unsigned n;	      /* DATA packets in it */
	mono_t began_at;
};

/* What the peer could do with it: nothing where packets are lost in a row, or
 * because the line is full. */
struct parity_worth {
	uint64_t covered;  /* packets in groups of late */
	uint64_t restored; /* in all, as told when that began */
	double expected;   /* losses among them, when there were enough */
	mono_t judged_at;  /* when the peer knows; 0: not enough yet */
	mono_t paused_until;
};

/* A number of the link that has come. */
struct parity_slot {
	uint64_t seq;
	struct pktbuf *pb; /* NULL: no DATA */
	uint8_t *data;	   /* as it came */
	uint32_t len;
	struct wire_inner in;
};

/* The latest ones, as long as the peer sends parity. */
struct parity_rx {
	mono_t heard_at; /* the latest parity; 0: none of late */
	struct parity_slot slots[WIRE_PARITY_SPAN + 1];
};

/* out */

/* A DATA packet was the last that the link has sent. */
void parity_sent(struct tunnel *t, struct link *l, const struct wire_inner *in,
    const struct pktbuf *pb, mono_t now);
/* Ends groups that are old enough; returns when to call again. */
mono_t parity_run(struct tunnel *t, mono_t now);
/* How many packets of the link the peer has restored in all. */
void parity_told(struct link *l, uint64_t restored, mono_t now);
/* The group is of no use any more. */
void parity_drop(struct parity_tx *p, struct pktbuf_pool *pool);

/* in */

/* An authentic packet has come; pb: of DATA, or NULL. */
void parity_heard(struct parity_rx *p, struct pktbuf_pool *pool,
    const struct link_arrival *a, struct pktbuf *pb, mono_t now);
/*
 * A parity packet has come: returns the packet of its group that was not kept,
 * with its inner header in a->in, or NULL if there is none, there are several,
 * or it cannot be told.  It may have come all the same.
 */
struct pktbuf *parity_restore(struct parity_rx *p, struct pktbuf_pool *pool,
    struct link_arrival *a, bool tap, mono_t now);
/* Forgets what came. */
void parity_forget(struct parity_rx *p, struct pktbuf_pool *pool);

#endif
