/*
 * Parity: behind some packets of a lossy line goes one that is all of them
 * xored, so that the peer makes the one that is lost of the others, without the
 * round trip that a resend takes (as ULP FEC, RFC 5109).  It is sent only when
 * the line has nothing else to do.
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
/* Without any for so long the peer sends none. */
#define PARITY_IDLE (2 * NSEC_PER_SEC)

struct tunnel;
struct link;

/* The group that is being sent. */
struct parity_tx {
	struct pktbuf *sum;   /* NULL: there is no group */
	struct wire_inner in; /* of its headers, but for the stamp */
	uint64_t first;	      /* link sequence of its first packet */
	unsigned n;	      /* DATA packets in it */
	mono_t began_at;
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

/* A DATA packet has been sent by the link, as seq. */
void parity_sent(struct tunnel *t, struct link *l, uint64_t seq,
    const struct wire_inner *in, const struct pktbuf *pb, mono_t now);
/* Sends what is due where lines are idle; returns when to call again. */
mono_t parity_run(struct tunnel *t, mono_t now);
/* The group is of no use any more. */
void parity_drop(struct parity_tx *p, struct pktbuf_pool *pool);

/* in */

/* An authentic packet has come; pb: of DATA, or NULL. */
void parity_heard(struct parity_rx *p, struct pktbuf_pool *pool, uint64_t seq,
    const struct wire_inner *in, struct pktbuf *pb, mono_t now);
/*
 * A parity packet, seq with len bytes at sum, has come: returns the packet of
 * its group that is missing, with its inner header, or NULL if there is none,
 * more than one is missing, or it cannot be told.
 */
struct pktbuf *parity_restore(struct parity_rx *p, struct pktbuf_pool *pool,
    uint64_t seq, struct wire_inner *in, const uint8_t *sum, size_t len,
    bool tap, mono_t now);
/* Forgets what came. */
void parity_forget(struct parity_rx *p, struct pktbuf_pool *pool);

#endif
