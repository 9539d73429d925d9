/*
 * Packet buffers from one bounded pool.  A buffer holds one inner packet, up
 * to a 64 KiB super-packet with its segmentation description, with headroom
 * for what is written before it.  Sizes come in classes so that a 64-byte
 * packet does not pin 64 KiB, and each use of memory has its own quota so that
 * no peer can starve another use.  Slabs are allocated when the pool grows,
 * never per packet.
 */
#ifndef MLVPN_TUNNEL_PKTBUF_H
#define MLVPN_TUNNEL_PKTBUF_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define PKTBUF_HEADROOM 64   /* bytes kept free before the packet */
#define PKTBUF_LEN_MAX 65535 /* longest packet, super-packets included */

/* Who holds the memory; each has a quota in the pool. */
enum pktbuf_use {
	PKTBUF_IO,	/* being read, sealed or delivered */
	PKTBUF_QUEUE,	/* waiting for a link */
	PKTBUF_RETAIN,	/* sent, not yet acknowledged */
	PKTBUF_RESEQ,	/* received, waiting for its turn */
	PKTBUF_PLAYOUT, /* received, early, waiting for its time */
	PKTBUF_USES
};

/* What the virtio header says of a packet; all zero for a plain packet. */
struct pktbuf_gso {
	uint8_t flags; /* VIRTIO_NET_HDR_F_* */
	uint8_t type;  /* VIRTIO_NET_HDR_GSO_* */
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};

struct pktbuf {
	TAILQ_ENTRY(pktbuf) entry; /* of the queue that holds it */
	uint8_t *data;		   /* first byte of the packet */
	uint32_t len;		   /* bytes of the packet */
	uint32_t size; /* bytes that fit at data with full headroom */
	uint8_t class; /* of the pool */
	uint8_t use;   /* enum pktbuf_use */
	uint8_t refs;  /* freed when it reaches 0 */
	bool priority; /* goes ahead of the queue */
	bool placed;   /* waits, and has its number as a later one left */
	bool ahead;    /* left before those before it in its bucket */
	bool resent;   /* received: its stamp is not the first */
	bool tcp, syn; /* received: of a TCP flow, the first of its way */
	bool sparse; /* its flow had not used up a quantum, given at dequeue */
	uint8_t l3_offset;  /* of the IP header; 14-22 with tap */
	uint8_t ip_version; /* 4, 6; 0: neither */
	uint8_t proto;	    /* of the transport header; 0: no IP */
	uint16_t bucket;    /* of the flow queue, given at enqueue */
	uint32_t
	    bucket_seq; /* in its bucket, given when it or a later one leaves */
	uint32_t stamp; /* received: when the peer sent it */
	uint32_t line_delay; /* received: the usual one of link */
	uint8_t link;	     /* received: the line that brought it */
	uint8_t
	    prev_link; /* that of the last before it in its turn; sent, too */
	uint32_t flow_hash; /* keyed hash of the inner 5-tuple */
	uint8_t sends;	    /* how often it has been sent */
	uint8_t flying;	    /* copies that may still arrive */
	bool acked;	    /* one of them has arrived */
	bool again;	    /* waits to be sent once more */
	uint16_t carriers;  /* mask of the slots that have carried it */
	mono_t queued_at;   /* for the sojourn time */
	mono_t due_at;	    /* placed: its turn should have come by then;
			       received: the playout buffer lets it go */
	mono_t sent_at;	    /* for the first time */
	struct pktbuf_gso gso;
};

TAILQ_HEAD(pktbuf_list, pktbuf);

struct pktbuf_pool; /* opaque */

/* limit_bytes bounds all slabs together; NULL when out of memory. */
struct pktbuf_pool *pktbuf_pool_new(size_t limit_bytes);
void pktbuf_pool_free(struct pktbuf_pool *pool);
/* At most this many bytes may be held for use; default: the whole pool. */
void pktbuf_set_quota(
    struct pktbuf_pool *pool, enum pktbuf_use use, size_t bytes);
/* What the buffers held for use occupy, their headers included. */
size_t pktbuf_used(const struct pktbuf_pool *pool, enum pktbuf_use use);
/* What the pool has taken from malloc. */
size_t pktbuf_pool_bytes(const struct pktbuf_pool *pool);
/*
 * A buffer for a packet of up to len bytes, for PKTBUF_IO, everything zeroed
 * but the bytes; NULL when the pool or its quota is full, or len is more than
 * 64 KiB.
 */
struct pktbuf *pktbuf_alloc(struct pktbuf_pool *pool, size_t len);
/*
 * Moves the accounting; -1 (nothing changed) when the quota is full or the
 * pool is so full that what waits would leave too little for PKTBUF_IO.
 * Moving to PKTBUF_IO never fails.
 */
int pktbuf_set_use(
    struct pktbuf_pool *pool, struct pktbuf *pb, enum pktbuf_use use);
void pktbuf_ref(struct pktbuf *pb);
/* Drops one reference; NULL is fine. */
void pktbuf_free(struct pktbuf_pool *pool, struct pktbuf *pb);
/*
 * If a smaller class holds the packet, copies it there and frees pb; else
 * returns pb.  For packets that are going to wait; pb is on no list.
 */
struct pktbuf *pktbuf_shrink(struct pktbuf_pool *pool, struct pktbuf *pb);
/* Bytes before data, and bytes from data to the end of the buffer. */
size_t pktbuf_headroom(const struct pktbuf *pb);
size_t pktbuf_room(const struct pktbuf *pb);

#endif
