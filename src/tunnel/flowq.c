/*
 * Two lists.  That of the fresh packets is placed from its head on as far as
 * somebody has taken from behind, so each packet is passed once.  A search
 * among those that are placed is bounded: it ends near what was wanted.
 */
#include "config.h"

#include "tunnel/flowq.h"

#define LOOK_MAX 256 /* packets that a search passes */

void
flowq_init(struct flowq *q)
{
	*q = (struct flowq){ 0 };
	TAILQ_INIT(&q->fresh);
	TAILQ_INIT(&q->again);
}

bool
flowq_is_empty(const struct flowq *q)
{
	return q->packets + q->again_packets == 0;
}

/* --- fresh ones --- */

void
flowq_append(struct flowq *q, struct pktbuf *pb)
{
	TAILQ_INSERT_TAIL(&q->fresh, pb, entry);
	q->packets++;
	q->bytes += pb->len;
}

static void
uncount_placed(struct flowq *q, struct pktbuf *pb)
{
	if (q->last_placed == pb)
		q->last_placed = TAILQ_PREV(pb, pktbuf_list, entry);
	q->placed_bytes -= pb->len;
}

void
flowq_remove(struct flowq *q, struct pktbuf *pb)
{
	if (pb->placed)
		uncount_placed(q, pb);
	TAILQ_REMOVE(&q->fresh, pb, entry);
	q->packets--;
	q->bytes -= pb->len;
}

void
flowq_put_back(struct flowq *q, struct pktbuf *pb)
{
	TAILQ_INSERT_HEAD(&q->fresh, pb, entry);
	q->packets++;
	q->bytes += pb->len;
	if (q->last_placed == NULL)
		q->last_placed = pb;
	q->placed_bytes += pb->len;
}

static void
take_number(struct flowq *q, struct pktbuf *pb)
{
	pb->bucket_seq = q->next_seq;
	q->next_seq = fq_seq_after(q->next_seq);
}

void
flowq_number(struct flowq *q, struct pktbuf *pb)
{
	if (!pb->placed)
		take_number(q, pb);
	pb->placed = false;
}

struct pktbuf *
flowq_first_loose(const struct flowq *q)
{
	return q->last_placed == NULL ? TAILQ_FIRST(&q->fresh)
				      : TAILQ_NEXT(q->last_placed, entry);
}

static void
place(struct flowq *q, struct pktbuf *pb, mono_t due_at)
{
	take_number(q, pb);
	pb->placed = true;
	pb->due_at = due_at;
	q->last_placed = pb;
	q->placed_bytes += pb->len;
}

/* The first packet from pb on that has so many bytes before it. */
static struct pktbuf *
find_forward(struct pktbuf *pb, size_t ahead_bytes)
{
	struct pktbuf *next;
	size_t before = 0;

	for (int i = 0; i < LOOK_MAX && before < ahead_bytes &&
			(next = TAILQ_NEXT(pb, entry)) != NULL;
	     i++) {
		before += pb->len;
		pb = next;
	}
	return pb;
}

/* The first placed one with so many bytes before it; the last has as many. */
static struct pktbuf *
find_placed(const struct flowq *q, size_t ahead_bytes)
{
	struct pktbuf *pb = q->last_placed, *prev;
	size_t before = q->placed_bytes - pb->len;

	if (ahead_bytes < before / 2)
		return find_forward(TAILQ_FIRST(&q->fresh), ahead_bytes);
	for (int i = 0; i < LOOK_MAX &&
			(prev = TAILQ_PREV(pb, pktbuf_list, entry)) != NULL &&
			before >= ahead_bytes + prev->len;
	     i++) {
		before -= prev->len;
		pb = prev;
	}
	return pb;
}

struct pktbuf *
flowq_find(struct flowq *q, size_t ahead_bytes, mono_t due_at)
{
	struct pktbuf *pb = flowq_first_loose(q);

	if (q->last_placed != NULL &&
	    q->placed_bytes - q->last_placed->len >= ahead_bytes)
		return find_placed(q, ahead_bytes);
	if (pb == NULL)
		return q->last_placed;
	while (q->placed_bytes < ahead_bytes && TAILQ_NEXT(pb, entry) != NULL) {
		place(q, pb, due_at);
		pb = TAILQ_NEXT(pb, entry);
	}
	return pb;
}

void
flowq_forget_places(struct flowq *q)
{
	for (struct pktbuf *pb = q->last_placed; pb != NULL;
	     pb = TAILQ_PREV(pb, pktbuf_list, entry))
		pb->placed = false;
	q->last_placed = NULL;
	q->placed_bytes = 0;
}

bool
flowq_is_overdue(const struct flowq *q, mono_t now)
{
	const struct pktbuf *first = TAILQ_FIRST(&q->fresh);

	return first != NULL && first->placed && now > first->due_at;
}

/* --- those that were sent before --- */

static bool
goes_before(const struct pktbuf *a, const struct pktbuf *b)
{
	return fq_seq_diff(a->bucket_seq, b->bucket_seq) < 0;
}

/* The one that pb follows, or NULL.  What a line has lost comes in order: where
 * it lies among what another one has, it follows the latest. */
static struct pktbuf *
find_before(const struct flowq *q, const struct pktbuf *pb)
{
	struct pktbuf *at = TAILQ_LAST(&q->again, pktbuf_list), *next;

	if (at == NULL || goes_before(pb, TAILQ_FIRST(&q->again)))
		return NULL;
	if (!goes_before(pb, at))
		return at;
	if (q->again_latest != NULL)
		at = q->again_latest;
	while (goes_before(pb, at))
		at = TAILQ_PREV(at, pktbuf_list, entry);
	while ((next = TAILQ_NEXT(at, entry)) != NULL && !goes_before(pb, next))
		at = next;
	return at;
}

void
flowq_insert_again(struct flowq *q, struct pktbuf *pb)
{
	struct pktbuf *before = find_before(q, pb);

	if (before == NULL)
		TAILQ_INSERT_HEAD(&q->again, pb, entry);
	else
		TAILQ_INSERT_AFTER(&q->again, before, pb, entry);
	pb->again = true;
	q->again_latest = pb;
	q->again_packets++;
	q->again_bytes += pb->len;
}

void
flowq_remove_again(struct flowq *q, struct pktbuf *pb)
{
	if (q->again_latest == pb)
		q->again_latest = TAILQ_PREV(pb, pktbuf_list, entry);
	TAILQ_REMOVE(&q->again, pb, entry);
	pb->again = false;
	q->again_packets--;
	q->again_bytes -= pb->len;
}

struct pktbuf *
flowq_find_again(struct flowq *q, size_t ahead_bytes)
{
	struct pktbuf *first = TAILQ_FIRST(&q->again);

	return first == NULL ? NULL : find_forward(first, ahead_bytes);
}
