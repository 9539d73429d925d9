/*
 * One flow's packets that wait, in their order, apart from the round in which
 * flows take turns (fq.c).  A packet usually gets its number when it leaves, so
 * one that is dropped leaves no hole.  Where a later one leaves before
 * it, as that takes a slower line, it is *placed*: it has its number already,
 * and must not be dropped any more.  All that are placed are at the head.
 */
#ifndef MLVPN_TUNNEL_FLOWQ_H
#define MLVPN_TUNNEL_FLOWQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/pktbuf.h"

#define FQ_SEQ_MASK 0x3fffff /* numbers have 22 bits */

/* a - b of numbers, which wrap, as a signed value. */
static inline int32_t
fq_seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 10) >> 10;
}

static inline uint32_t
fq_seq_after(uint32_t seq)
{
	return (seq + 1) & FQ_SEQ_MASK;
}

struct flowq {
	struct pktbuf_list fresh;    /* never sent */
	struct pktbuf_list again;    /* sent before, by number; goes first */
	struct pktbuf *again_latest; /* ... that came last, or NULL */
	uint32_t packets, again_packets;
	size_t bytes, again_bytes;
	uint32_t next_seq;
	struct pktbuf *last_placed; /* NULL: none is */
	size_t placed_bytes;
};

void flowq_init(struct flowq *q);
bool flowq_is_empty(const struct flowq *q);
/* A fresh packet at the end. */
void flowq_append(struct flowq *q, struct pktbuf *pb);
/* Takes a fresh packet out, from wherever it is. */
void flowq_remove(struct flowq *q, struct pktbuf *pb);
/* Undoes the removal of a placed packet from the head. */
void flowq_put_back(struct flowq *q, struct pktbuf *pb);
/* Gives a packet that was removed, and will leave, its number. */
void flowq_number(struct flowq *q, struct pktbuf *pb);
/* The first fresh packet that may be dropped, or NULL. */
struct pktbuf *flowq_first_loose(const struct flowq *q);
/* The fresh packet that has about so many bytes before it, or the last one;
 * places those before it, which are to leave by due_at.  NULL when there is
 * none. */
struct pktbuf *flowq_find(struct flowq *q, size_t ahead_bytes, mono_t due_at);
/* The peer knows no numbers any more: those that wait get new ones. */
void flowq_forget_places(struct flowq *q);
/* Should the first one have left by now, as a later one has? */
bool flowq_is_overdue(const struct flowq *q, mono_t now);
/* One that was sent before. */
void flowq_insert_again(struct flowq *q, struct pktbuf *pb);
void flowq_remove_again(struct flowq *q, struct pktbuf *pb);
/* The one that has about so many bytes before it, or NULL. */
struct pktbuf *flowq_find_again(struct flowq *q, size_t ahead_bytes);

#endif
