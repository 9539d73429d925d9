/*
 * Lost packets go again, by another link where there is one, as long as they
 * can be of use.  The budget bounds what a lossy line, or a peer that lies, may
 * cost the others; beyond it a packet goes again in the turn of its own flow.
 * What is not sent again is named to the peer, so that nobody waits for it.
 */
#ifndef MLVPN_TUNNEL_ARQ_H
#define MLVPN_TUNNEL_ARQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/pktbuf.h"
#include "tunnel/retain.h"

#define ARQ_SENDS_MAX 4 /* the first one and three resends */
/* After so long nobody waits for it any more. */
#define ARQ_AGE_MAX (1 * NSEC_PER_SEC)
#define ARQ_BUDGET_SHARE 15	   /* per cent of what is sent */
#define ARQ_BUDGET_MAX (64 * 1024) /* bytes saved up */
#define ARQ_SKIPS 128
/* Bytes: 1 priority, then 10 bits bucket and 22 bits its sequence. */
#define ARQ_SKIP_LEN 5

struct arq_stats {
	uint64_t lost;	  /* data packets that were lost, or seemed so */
	uint64_t resent;  /* packets sent again */
	uint64_t skipped; /* given up */
	uint64_t over;	  /* beyond the budget, sent in their flow's turn */
};

struct arq {
	struct pktbuf_list again; /* before all else, oldest loss first */
	uint32_t nagain;
	int64_t budget; /* bytes; urgent packets may overdraw it */
	uint8_t skips[ARQ_SKIPS * ARQ_SKIP_LEN];
	uint32_t nskips;
	struct arq_stats stats;
};

struct tunnel;

void arq_init(struct tunnel *t);
/* Forgets what waits to be sent again. */
void arq_purge(struct tunnel *t);
/* Counts data of len bytes that was sent for the first time. */
void arq_earn(struct tunnel *t, size_t len);
/* A packet of a link is lost: callback for retain.h, whose ctx is this. */
struct arq_loss {
	struct tunnel *t;
	mono_t now;
	bool inject; /* the line is gone: outside the budget */
};
void arq_lost(void *ctx, const struct retain_entry *e);
/* Is it to be sent again, and nobody waits for it any more? */
bool arq_is_late(const struct pktbuf *pb, mono_t now);
/* pb will not be sent: nobody is to wait for it. */
void arq_skip(struct tunnel *t, const struct pktbuf *pb);
/* Everything in flight on l goes by other links. */
void arq_inject(struct tunnel *t, struct link *l, mono_t now);
/* Is there something to be sent again at once? */
bool arq_waits(struct tunnel *t);
/* Sends the first that waits, if a link is ready for it, or gives it up. */
bool arq_send(struct tunnel *t, mono_t now);
/* Tells the peer what it need not wait for; what cannot leave now is kept. */
void arq_flush_skips(struct tunnel *t, mono_t now);
/* The peer told us. */
void arq_input_skips(
    struct tunnel *t, const uint8_t *payload, size_t len, mono_t now);

#endif
