/*
 * Each bucket knows the number it waits for and keeps what came too early,
 * sorted.  Whether a missing packet can still come follows from the lines, not
 * from a timer: each packet names the line of its predecessor, and a line that
 * has delivered something sent later has lost the earlier one.  The timer is
 * for lines that fell silent.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/fq.h"
#include "tunnel/reseq.h"
#include "tunnel/wire.h"

#define SPACES 2      /* ordinary and priority packets */
#define CHECKS_MAX 64 /* buckets looked at for each packet that comes */
#define HELD_MAX 8192 /* packets of a bucket; bounds the search for a place */
/* So many late ones in a row: the numbering went back, as with a new peer. */
#define LATE_MAX 256
/* A first number so low follows others, which are on their way. */
#define FIRST_MAX 32
/* A bucket that jumps further than this has lost its numbering. */
#define JUMP_MAX (FQ_SEQ_MASK / 4)
/* What a line said longer ago than this proves nothing: stamps wrap. */
#define STAMP_AGE_MAX (20 * NSEC_PER_SEC)

struct bucket {
	TAILQ_ENTRY(bucket) entry; /* of the buckets with a hole */
	struct pktbuf_list held;   /* by bucket_seq */
	uint32_t next;		   /* the number whose turn it is */
	uint16_t nheld;
	uint16_t late;	     /* packets in a row that came too late */
	bool started;	     /* next is known */
	bool waiting;	     /* is on the list */
	mono_t delivered_at; /* or when the hole was first seen */
};

TAILQ_HEAD(bucket_list, bucket);

struct reseq {
	struct pktbuf_pool *pool;
	reseq_deliver_fn *deliver;
	void *ctx;
	uint32_t links;		    /* mask of those that carry packets */
	uint32_t silent;	    /* mask of those that let a deadline pass */
	uint32_t stamps[LINKS_MAX]; /* latest send stamp that a line brought */
	mono_t stamps_at[LINKS_MAX]; /* when; 0: never */
	struct bucket_list waiting;  /* longest first */
	struct reseq_stats stats;
	struct bucket buckets[SPACES][FQ_BUCKETS];
};

/* a - b of numbers that wrap at 22 bits, as a signed value. */
static int32_t
seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 10) >> 10;
}

/* The same for stamps, of 20 bits. */
static int32_t
stamp_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 12) >> 12;
}

struct reseq *
reseq_new(struct pktbuf_pool *pool, reseq_deliver_fn *deliver, void *ctx)
{
	struct reseq *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->pool = pool;
	r->deliver = deliver;
	r->ctx = ctx;
	TAILQ_INIT(&r->waiting);
	for (size_t i = 0; i < SPACES; i++)
		for (size_t j = 0; j < FQ_BUCKETS; j++)
			TAILQ_INIT(&r->buckets[i][j].held);
	return r;
}

static void
stop_waiting(struct reseq *r, struct bucket *b)
{
	if (!b->waiting)
		return;
	b->waiting = false;
	TAILQ_REMOVE(&r->waiting, b, entry);
}

void
reseq_free(struct reseq *r)
{
	struct bucket *b;
	struct pktbuf *pb;

	if (r == NULL)
		return;
	while ((b = TAILQ_FIRST(&r->waiting)) != NULL) {
		while ((pb = TAILQ_FIRST(&b->held)) != NULL) {
			TAILQ_REMOVE(&b->held, pb, entry);
			pktbuf_free(r->pool, pb);
		}
		stop_waiting(r, b);
	}
	free(r);
}

/* The turn of pb, and of what waits right behind it. */
static void
pass(struct reseq *r, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	b->next = (pb->bucket_seq + 1) & FQ_SEQ_MASK;
	b->late = 0;
	b->delivered_at = now;
	r->deliver(r->ctx, pb);
}

static struct pktbuf *
take_first(struct reseq *r, struct bucket *b)
{
	struct pktbuf *pb = TAILQ_FIRST(&b->held);

	TAILQ_REMOVE(&b->held, pb, entry);
	b->nheld--;
	r->stats.packets--;
	r->stats.bytes -= pb->len;
	pktbuf_set_use(r->pool, pb, PKTBUF_IO);
	return pb;
}

static void
drain(struct reseq *r, struct bucket *b, mono_t now)
{
	struct pktbuf *pb;

	while (
	    (pb = TAILQ_FIRST(&b->held)) != NULL && pb->bucket_seq == b->next)
		pass(r, b, take_first(r, b), now);
	if (pb == NULL) {
		stop_waiting(r, b);
		return;
	}
	/* Another hole: its time begins now. */
	if (b->waiting)
		TAILQ_REMOVE(&r->waiting, b, entry);
	b->waiting = true;
	TAILQ_INSERT_TAIL(&r->waiting, b, entry);
}

/* Does not wait any longer for what is missing before the first held. */
static void
give_up(struct reseq *r, struct bucket *b, mono_t now)
{
	pass(r, b, take_first(r, b), now);
	drain(r, b, now);
}

/* Its numbers are not what they were: the next packet is the first. */
static void
restart(struct reseq *r, struct bucket *b, mono_t now)
{
	while (b->waiting)
		give_up(r, b, now);
	b->started = false;
	b->late = 0;
}

void
reseq_reset(struct reseq *r)
{
	struct bucket *b;

	while ((b = TAILQ_FIRST(&r->waiting)) != NULL)
		restart(r, b, b->delivered_at);
	for (size_t i = 0; i < SPACES; i++)
		for (size_t j = 0; j < FQ_BUCKETS; j++)
			restart(r, &r->buckets[i][j], 0);
	memset(r->stamps_at, 0, sizeof(r->stamps_at));
	r->silent = 0;
}

/* Has the line brought something sent after stamp, or can't it be expected to
 * bring anything? */
static bool
line_is_past(const struct reseq *r, unsigned link, uint32_t stamp, mono_t now)
{
	if ((r->silent & UINT32_C(1) << link) != 0)
		return true;
	return r->stamps_at[link] != 0 &&
	       now - r->stamps_at[link] < STAMP_AGE_MAX &&
	       stamp_diff(r->stamps[link], stamp) > 0;
}

/*
 * Can nothing fill the hole any more?  What is missing was sent before the
 * first held packet.  Only the carrier of the last missing one is known; for
 * more, every line that carries packets has to be past that instant.
 */
static bool
is_lost(const struct reseq *r, const struct bucket *b, mono_t now)
{
	const struct pktbuf *first = TAILQ_FIRST(&b->held);
	bool single = seq_diff(first->bucket_seq, b->next) == 1;

	if (single)
		return first->prev_link == first->link ||
		       line_is_past(r, first->prev_link, first->stamp, now);
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if ((r->links & UINT32_C(1) << i) != 0 && i != first->link &&
		    !line_is_past(r, i, first->stamp, now))
			return false;
	return true;
}

static void
check_bucket(struct reseq *r, struct bucket *b, mono_t now)
{
	while (b->waiting && is_lost(r, b, now)) {
		r->stats.holes++;
		give_up(r, b, now);
	}
}

void
reseq_heard(struct reseq *r, unsigned link, uint32_t stamp, mono_t now)
{
	struct bucket *b, *next;
	int checks = 0;

	if (link >= LINKS_MAX)
		return;
	r->silent &= ~(UINT32_C(1) << link);
	if (r->stamps_at[link] == 0 ||
	    now - r->stamps_at[link] >= STAMP_AGE_MAX ||
	    stamp_diff(stamp, r->stamps[link]) >= 0) {
		r->stamps[link] = stamp;
		r->stamps_at[link] = now;
	}
	TAILQ_FOREACH_SAFE(b, &r->waiting, entry, next) {
		if (++checks > CHECKS_MAX)
			break;
		check_bucket(r, b, now);
	}
}

/* Returns false if the number is there already. */
static bool
insert(struct bucket *b, struct pktbuf *pb)
{
	struct pktbuf *at;

	for (at = TAILQ_LAST(&b->held, pktbuf_list); at != NULL;
	     at = TAILQ_PREV(at, pktbuf_list, entry)) {
		int32_t d = seq_diff(pb->bucket_seq, at->bucket_seq);

		if (d == 0)
			return false;
		if (d > 0) {
			TAILQ_INSERT_AFTER(&b->held, at, pb, entry);
			return true;
		}
	}
	TAILQ_INSERT_HEAD(&b->held, pb, entry);
	return true;
}

/* Has pb counted among those that wait; false if there is no room for it. */
static bool
find_room(struct reseq *r, struct bucket *b, struct pktbuf *pb)
{
	if (b->nheld <= HELD_MAX &&
	    pktbuf_set_use(r->pool, pb, PKTBUF_RESEQ) == 0) {
		r->stats.held++;
		return true;
	}
	r->stats.no_memory++;
	return false;
}

static void
hold(struct reseq *r, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	uint32_t seq = pb->bucket_seq;

	if (!insert(b, pb)) {
		pktbuf_free(r->pool, pb);
		return;
	}
	b->nheld++;
	r->stats.packets++;
	r->stats.bytes += pb->len;
	if (!b->waiting) {
		b->waiting = true;
		b->delivered_at = now;
		TAILQ_INSERT_TAIL(&r->waiting, b, entry);
	}
	/* Without room it cannot wait, nor can what is to go before it. */
	if (!find_room(r, b, pb))
		while (b->waiting && seq_diff(seq, b->next) >= 0)
			give_up(r, b, now);
	check_bucket(r, b, now);
}

void
reseq_input(struct reseq *r, struct pktbuf *pb, mono_t now)
{
	struct bucket *b =
	    &r->buckets[pb->priority ? 1 : 0][pb->bucket % FQ_BUCKETS];
	int32_t ahead = seq_diff(pb->bucket_seq, b->next);

	if (b->started && (ahead > JUMP_MAX || ahead < -JUMP_MAX))
		restart(r, b, now);
	if (!b->started) {
		b->started = true;
		b->next = pb->bucket_seq < FIRST_MAX ? 0 : pb->bucket_seq;
		ahead = seq_diff(pb->bucket_seq, b->next);
	}
	if (ahead == 0) {
		pass(r, b, pb, now);
		drain(r, b, now);
	} else if (ahead < 0) {
		r->stats.late++;
		if (++b->late > LATE_MAX)
			restart(r, b, now);
		r->deliver(r->ctx, pb);
	} else
		hold(r, b, pb, now);
}

void
reseq_bypass(struct reseq *r, struct pktbuf *pb)
{
	r->stats.late++;
	r->deliver(r->ctx, pb);
}

void
reseq_set_links(struct reseq *r, uint32_t mask)
{
	r->links = mask;
}

/* The lines that kept us waiting: one that is dead must not do so again with
 * each packet that it loses. */
static void
note_silent(struct reseq *r, const struct bucket *b, mono_t now)
{
	const struct pktbuf *first = TAILQ_FIRST(&b->held);

	if (seq_diff(first->bucket_seq, b->next) == 1) {
		r->silent |= UINT32_C(1) << first->prev_link;
		return;
	}
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if ((r->links & UINT32_C(1) << i) != 0 && i != first->link &&
		    !line_is_past(r, i, first->stamp, now))
			r->silent |= UINT32_C(1) << i;
}

mono_t
reseq_run(struct reseq *r, mono_t now)
{
	struct bucket *b;

	while ((b = TAILQ_FIRST(&r->waiting)) != NULL) {
		if (now - b->delivered_at < RESEQ_HOLD_MAX)
			return b->delivered_at + RESEQ_HOLD_MAX;
		r->stats.deadlines++;
		note_silent(r, b, now);
		give_up(r, b, now);
		check_bucket(r, b, now);
	}
	return MONO_NEVER;
}

const struct reseq_stats *
reseq_stats(const struct reseq *r)
{
	return &r->stats;
}
