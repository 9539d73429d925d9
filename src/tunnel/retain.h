/*
 * What one link has sent and nobody has acknowledged yet: a ring of records by
 * link sequence, which hold the packets by reference.  A report settles them;
 * what is lost goes back to the owner, who decides whether to send it again.
 */
#ifndef MLVPN_TUNNEL_RETAIN_H
#define MLVPN_TUNNEL_RETAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/pktbuf.h"
#include "tunnel/report.h"

/* Records of a link.  More in flight than this is not looked after: at 1 Gbit/s
 * of full packets it is 0.4 s. */
#define RETAIN_MAX 32768

/* What a report left open is lost so long after it was sent. */
#define RETAIN_OPEN_MAX (2 * NSEC_PER_SEC)

struct retain_entry {
	struct pktbuf *pb; /* NULL: no data, or no memory to keep it */
	mono_t sent_at;
	uint32_t bucket_seq; /* of the data, also when pb is NULL */
	uint16_t bucket;
	bool priority;
	bool data;     /* the peer waits for it if it is lost */
	bool given_up; /* it goes by another link; should it arrive after
			  all, that is not needed */
	bool settled;
};

struct retain {
	struct retain_entry *ring; /* NULL: nothing was ever sent */
	uint32_t size;		   /* a power of two */
	uint64_t tail;		   /* all before it are settled */
	uint64_t head;		   /* of the next record */
	uint64_t highest;	   /* that a report named, 0: none yet */
	uint32_t data;	/* packets in flight that the peer waits for */
	mono_t data_at; /* since when there are any */
};

/* Takes over a reference to a lost packet, e->pb; NULL if it was not kept. */
typedef void retain_lost_fn(void *ctx, const struct retain_entry *e);

struct retain_result {
	uint32_t acked, lost; /* packets, now settled */
};

/* Forgets all and frees the ring. */
void retain_clear(struct retain *r, struct pktbuf_pool *pool);
/*
 * Notes that seq has been sent; seq only grows.  pb: its data, of which it
 * takes a reference, or NULL.  When memory is short the data is not kept.
 */
void retain_note(struct retain *r, struct pktbuf_pool *pool, uint64_t seq,
    struct pktbuf *pb, mono_t now);
/* Settles what the report names; false: it names what was never sent. */
bool retain_report(struct retain *r, struct pktbuf_pool *pool,
    const struct report_link *rep, retain_lost_fn *lost, void *ctx,
    struct retain_result *res);
/* Gives up what was sent before that instant and is later than what reports
 * reach to, oldest first; returns how many that were. */
uint32_t retain_overdue(
    struct retain *r, mono_t before, retain_lost_fn *lost, void *ctx);
/* Gives up all that is in flight. */
void retain_give_up(struct retain *r, retain_lost_fn *lost, void *ctx);
/* Settles as lost what was sent before that instant and was left open by a
 * report; returns how many that were. */
uint32_t retain_expire(struct retain *r, struct pktbuf_pool *pool,
    mono_t before, retain_lost_fn *lost, void *ctx);
/* One that our own socket refused: it cannot arrive. */
void retain_refused(struct retain *r, struct pktbuf_pool *pool, uint64_t seq,
    retain_lost_fn *lost, void *ctx);
/* The line works again, or no more: forgets what is in flight; returns how many
 * packets that were, of which nobody will tell. */
uint32_t retain_restart(struct retain *r, struct pktbuf_pool *pool);
/* When the first packet after the highest that was reported had been sent;
 * MONO_NEVER: there is none. */
mono_t retain_unheard_at(const struct retain *r);
/* Have n packets after the highest been sent before that instant? */
bool retain_misses(const struct retain *r, uint32_t n, mono_t before);

#endif
