/*
 * Each bucket knows the number it waits for and keeps what came too early,
 * sorted.  The sender sends what is missing again or says that it will not; a
 * deadline is for senders that cannot say so.  It counts from the instant at
 * which the missing packet could have come by its line, which follows from the
 * lines' delays and from the line that each packet names for the one before it.
 *
 * What is below the number that a bucket waits for has come, with exceptions;
 * they are kept in a table of fixed size, where late ones overwrite old ones,
 * so that nothing which a peer sends takes more than one look.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/fq.h"
#include "tunnel/reseq.h"
#include "tunnel/wire.h"

#define SPACES 2      /* ordinary and priority packets */
#define HELD_MAX 8192 /* packets of a bucket; bounds the search for a place */
/* A first number so low follows others, which are on their way. */
#define FIRST_MAX 32
/* A bucket that jumps further than this has lost its numbering. */
#define JUMP_MAX (FQ_SEQ_MASK / 4)
#define EXCEPTIONS 8192
/* The last ones of a hole are remembered when it is given up. */
#define GIVEN_UP_MAX 1024
#define GAIN 8 /* 1/8 of the smoothed delay for each packet */
/* What a line said longer ago than this proves nothing: stamps wrap. */
#define STAMP_AGE_MAX (20 * NSEC_PER_SEC)
/* Deadlines may be missed by so much, to serve many at once. */
#define RUN_GAP (1 * NSEC_PER_MSEC)
/* The turn of what is skipped has come by then; no number comes twice in it. */
#define SKIP_AGE_MAX (10 * NSEC_PER_SEC)
/* Packets ahead of their turn, or sent again, passed in search of others. */
#define LOOK_MAX 64

struct bucket {
	TAILQ_ENTRY(bucket) entry; /* of the buckets with a hole */
	struct pktbuf_list held;   /* by bucket_seq */
	uint32_t next;		   /* the number whose turn it is */
	uint32_t first;		   /* where it began */
	uint32_t generation;	   /* of the numbering; unique */
	uint32_t skip_top;	   /* highest number that will not come */
	uint32_t sent_top; /* highest one that came in its sender's turn */
	uint16_t nheld;
	bool started; /* next is known */
	bool waiting; /* is on the list */
	mono_t started_at;
	mono_t sent_at;	     /* when sent_top came */
	mono_t delivered_at; /* when something last came in its turn */
	mono_t deadline;     /* while waiting */
};

TAILQ_HEAD(bucket_list, bucket);

/*
 * An exception.  A number from next on: it will not come.  From first on: it
 * was given up and has not come.  Below first: it has come.
 */
struct number {
	uint32_t generation; /* 0: none */
	uint32_t seq;
	mono_t at;
};

struct line {
	uint32_t delay;	 /* smoothed; see wire_delay */
	mono_t heard_at; /* 0: never */
};

struct reseq {
	struct pktbuf_pool *pool;
	reseq_deliver_fn *deliver;
	void *ctx;
	uint32_t links; /* mask of those that are up */
	uint32_t generation;
	struct line lines[LINKS_MAX];
	struct bucket_list waiting;
	mono_t due_at; /* no deadline is earlier */
	struct reseq_stats stats;
	struct bucket buckets[SPACES][FQ_BUCKETS];
	struct number exceptions[EXCEPTIONS];
	mono_t hold;
};

struct reseq *
reseq_new(struct pktbuf_pool *pool, reseq_deliver_fn *deliver, void *ctx)
{
	struct reseq *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->pool = pool;
	r->deliver = deliver;
	r->ctx = ctx;
	r->hold = RESEQ_HOLD;
	r->due_at = MONO_NEVER;
	TAILQ_INIT(&r->waiting);
	for (size_t i = 0; i < SPACES; i++)
		for (size_t j = 0; j < FQ_BUCKETS; j++)
			TAILQ_INIT(&r->buckets[i][j].held);
	return r;
}

static struct bucket *
bucket_of(struct reseq *r, bool priority, uint16_t bucket)
{
	return &r->buckets[priority ? 1 : 0][bucket % FQ_BUCKETS];
}

/* --- exceptions --- */

/* Neighbours have places side by side, and a bucket's never collide. */
static struct number *
place_of(struct reseq *r, const struct bucket *b, uint32_t seq)
{
	return &r->exceptions[(b->generation * UINT32_C(2654435761) + seq) %
			      EXCEPTIONS];
}

static struct number *
find(struct reseq *r, const struct bucket *b, uint32_t seq, mono_t now)
{
	struct number *n = place_of(r, b, seq);
	mono_t age_max =
	    fq_seq_diff(seq, b->next) >= 0 ? SKIP_AGE_MAX : RESEQ_LATE_MAX;

	if (n->generation != b->generation || n->seq != seq ||
	    now - n->at >= age_max)
		return NULL;
	return n;
}

static void
note(struct reseq *r, const struct bucket *b, uint32_t seq, mono_t now)
{
	*place_of(r, b, seq) = (struct number){ b->generation, seq, now };
}

/* Can the peer have said that it would not come?  Saves most looks. */
static bool
may_skip(const struct bucket *b, uint32_t seq)
{
	return fq_seq_diff(b->skip_top, seq) >= 0;
}

/* The peer said that it would not come, but it is here. */
static void
forget_skip(struct reseq *r, const struct bucket *b, uint32_t seq, mono_t now)
{
	struct number *n;

	if (may_skip(b, seq) && (n = find(r, b, seq, now)) != NULL)
		n->generation = 0;
}

/* --- delays --- */

void
reseq_heard(struct reseq *r, unsigned link, uint32_t stamp, mono_t now)
{
	uint32_t delay = wire_delay(stamp, now);
	struct line *l;

	if (link >= LINKS_MAX)
		return;
	l = &r->lines[link];
	if (l->heard_at == 0 || now - l->heard_at >= STAMP_AGE_MAX)
		l->delay = delay;
	else
		l->delay = wire_delay_mean(l->delay, delay, GAIN);
	l->heard_at = now;
}

/* By how much longer packets take on a line than on another, if known. */
static mono_t
slower_by(const struct reseq *r, unsigned link, unsigned than, mono_t now)
{
	const struct line *a = &r->lines[link % LINKS_MAX];
	const struct line *b = &r->lines[than % LINKS_MAX];

	if (a->heard_at == 0 || now - a->heard_at >= STAMP_AGE_MAX ||
	    b->heard_at == 0 || now - b->heard_at >= STAMP_AGE_MAX)
		return 0;
	return wire_delay_diff(a->delay, b->delay);
}

/* Has a packet come that was sent after the one whose turn it is? */
static bool
is_sent(const struct bucket *b)
{
	return fq_seq_diff(b->sent_top, b->next) >= 0;
}

/*
 * When what is missing before the first held packet should have come: sent at
 * about the same time or before, by the line that the packet names.  The others
 * that are missing may have gone by any.  What left ahead of its turn tells
 * nothing of those before it.
 */
static mono_t
expected_at(const struct reseq *r, const struct bucket *b, mono_t now)
{
	const struct pktbuf *first = TAILQ_FIRST(&b->held);
	uint32_t carriers;
	mono_t more = 0;

	for (int i = 0;
	     i < LOOK_MAX && first->ahead && TAILQ_NEXT(first, entry) != NULL;
	     i++)
		first = TAILQ_NEXT(first, entry);
	carriers = UINT32_C(1) << first->prev_link % LINKS_MAX;
	if (fq_seq_diff(first->bucket_seq, b->next) > 1)
		carriers |= r->links;
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if ((carriers & UINT32_C(1) << i) != 0)
			more =
			    mono_later(more, slower_by(r, i, first->link, now));
	return first->queued_at + mono_earlier(more, RESEQ_EXPECT_MAX);
}

/* --- order --- */

/* There is a hole before the first held packet. */
static void
await(struct reseq *r, struct bucket *b, mono_t now)
{
	mono_t at, hold;

	if (is_sent(b)) {
		at = expected_at(r, b, now);
		hold = r->hold;
	} else {
		at = mono_later(TAILQ_FIRST(&b->held)->queued_at, b->sent_at);
		hold = RESEQ_UNSENT_MAX;
	}
	b->deadline = mono_later(at, b->delivered_at) + hold;
	if (b->deadline < r->due_at)
		r->due_at = b->deadline;
	if (b->waiting)
		return;
	b->waiting = true;
	TAILQ_INSERT_TAIL(&r->waiting, b, entry);
}

static void
stop_waiting(struct reseq *r, struct bucket *b)
{
	if (!b->waiting)
		return;
	b->waiting = false;
	TAILQ_REMOVE(&r->waiting, b, entry);
	if (TAILQ_EMPTY(&r->waiting))
		r->due_at = MONO_NEVER;
}

static void
pass(struct reseq *r, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	b->next = fq_seq_after(pb->bucket_seq);
	r->deliver(r->ctx, pb, now);
}

static struct pktbuf *
take_first(struct reseq *r, struct bucket *b)
{
	struct pktbuf *pb = TAILQ_FIRST(&b->held);

	TAILQ_REMOVE(&b->held, pb, entry);
	b->nheld--;
	r->stats.packets--;
	r->stats.packets_of[pb->link % LINKS_MAX]--;
	r->stats.bytes -= pb->len;
	pktbuf_set_use(r->pool, pb, PKTBUF_IO);
	return pb;
}

static void
pass_first(struct reseq *r, struct bucket *b, mono_t now)
{
	struct pktbuf *pb = take_first(r, b);

	forget_skip(r, b, pb->bucket_seq, now);
	pass(r, b, pb, now);
}

/* True if the next one will not come, and is passed over. */
static bool
pass_over(struct reseq *r, struct bucket *b, mono_t now)
{
	struct number *n;

	if (!may_skip(b, b->next) || (n = find(r, b, b->next, now)) == NULL)
		return false;
	n->at = now;
	b->next = fq_seq_after(b->next);
	r->stats.skipped++;
	return true;
}

/* Passes on what follows without a hole. */
static void
drain(struct reseq *r, struct bucket *b, mono_t now)
{
	struct pktbuf *pb;

	for (;;) {
		pb = TAILQ_FIRST(&b->held);
		if (pb != NULL && pb->bucket_seq == b->next)
			pass_first(r, b, now);
		else if (!pass_over(r, b, now))
			break;
	}
	/* They must not lag behind by half of all numbers. */
	if (!is_sent(b))
		b->sent_top = (b->next - 1) & FQ_SEQ_MASK;
	if (!may_skip(b, b->next))
		b->skip_top = (b->next - 1) & FQ_SEQ_MASK;
	if (pb != NULL)
		await(r, b, now);
	else
		stop_waiting(r, b);
}

/* Does not wait any longer for what is missing before the first held. */
static void
give_up(struct reseq *r, struct bucket *b, mono_t now)
{
	uint32_t end = TAILQ_FIRST(&b->held)->bucket_seq, seq = b->next;

	if (fq_seq_diff(end, seq) > GIVEN_UP_MAX)
		seq = (end - GIVEN_UP_MAX) & FQ_SEQ_MASK;
	for (; seq != end; seq = fq_seq_after(seq))
		note(r, b, seq, now);
	pass_first(r, b, now);
	drain(r, b, now);
}

/* Its numbers are not what they were: the next packet is the first. */
static void
stop(struct reseq *r, struct bucket *b, mono_t now)
{
	while (!TAILQ_EMPTY(&b->held))
		pass(r, b, take_first(r, b), now);
	stop_waiting(r, b);
	b->started = false;
}

static void
start(struct reseq *r, struct bucket *b, uint32_t first, mono_t now)
{
	b->started = true;
	b->started_at = b->sent_at = b->delivered_at = now;
	b->first = b->next = first;
	b->skip_top = b->sent_top = (first - 1) & FQ_SEQ_MASK;
	b->generation = ++r->generation;
}

void
reseq_reset(struct reseq *r, mono_t now)
{
	for (size_t i = 0; i < SPACES; i++)
		for (size_t j = 0; j < FQ_BUCKETS; j++)
			stop(r, &r->buckets[i][j], now);
	memset(r->lines, 0, sizeof(r->lines));
}

void
reseq_free(struct reseq *r)
{
	struct bucket *b;

	if (r == NULL)
		return;
	TAILQ_FOREACH(b, &r->waiting, entry)
		while (!TAILQ_EMPTY(&b->held))
			pktbuf_free(r->pool, take_first(r, b));
	free(r);
}

/* --- packets --- */

/* From both ends: packets come last, those that are sent again mostly first.
 * Returns false if the number is there already. */
static bool
insert(struct bucket *b, struct pktbuf *pb)
{
	struct pktbuf *head = TAILQ_FIRST(&b->held);
	struct pktbuf *tail = TAILQ_LAST(&b->held, pktbuf_list);

	if (head == NULL) {
		TAILQ_INSERT_HEAD(&b->held, pb, entry);
		return true;
	}
	for (;; head = TAILQ_NEXT(head, entry),
		tail = TAILQ_PREV(tail, pktbuf_list, entry)) {
		int32_t before = fq_seq_diff(head->bucket_seq, pb->bucket_seq);
		int32_t after = fq_seq_diff(pb->bucket_seq, tail->bucket_seq);

		if (before == 0 || after == 0)
			return false;
		if (after > 0) {
			TAILQ_INSERT_AFTER(&b->held, tail, pb, entry);
			return true;
		}
		if (before > 0) {
			TAILQ_INSERT_BEFORE(head, pb, entry);
			return true;
		}
	}
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

/* What left in its turn was sent after all before it: one of those with a later
 * stamp was sent again. */
static bool
was_resent(const struct pktbuf *pb, const struct pktbuf *behind)
{
	for (int i = 0; behind != NULL && (behind->ahead || behind->resent);
	     behind = TAILQ_NEXT(behind, entry))
		if (++i == LOOK_MAX)
			return false;
	return behind != NULL && wire_stamp_diff(pb->stamp, behind->stamp) > 0;
}

/* How many numbers are missing before seq that were not missed before. */
static int32_t
missing(const struct bucket *b, uint32_t seq)
{
	const struct pktbuf *last = TAILQ_LAST(&b->held, pktbuf_list);
	uint32_t end = last == NULL ? b->next : fq_seq_after(last->bucket_seq);

	return fq_seq_diff(seq, end);
}

static enum reseq_fate
drop_copy(struct reseq *r, struct pktbuf *pb)
{
	r->stats.duplicates++;
	pktbuf_free(r->pool, pb);
	return RESEQ_DUPLICATE;
}

static enum reseq_fate
hold(struct reseq *r, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	uint32_t seq = pb->bucket_seq;
	int32_t fresh = missing(b, seq);
	const struct pktbuf *prev;

	if (!insert(b, pb))
		return drop_copy(r, pb);
	pb->resent = was_resent(pb, TAILQ_NEXT(pb, entry));
	if (fresh > 0 && !pb->ahead)
		r->stats.holes += (uint64_t)fresh;
	pb->queued_at = now;
	b->nheld++;
	r->stats.packets++;
	r->stats.packets_of[pb->link % LINKS_MAX]++;
	r->stats.bytes += pb->len;
	if (!pb->ahead && fq_seq_diff(seq, b->sent_top) > 0) {
		b->sent_top = seq;
		b->sent_at = now;
	}
	prev = TAILQ_PREV(pb, pktbuf_list, entry);
	/* If it is the first, or may be the first that left in its turn. */
	if (prev == NULL || (prev->ahead && !pb->ahead))
		await(r, b, now);
	if (find_room(r, b, pb))
		return RESEQ_HELD;
	/* It cannot wait, nor can what is to go before it. */
	while (b->waiting && fq_seq_diff(seq, b->next) >= 0)
		give_up(r, b, now);
	return RESEQ_PASSED;
}

/* Too late, or a copy. */
static enum reseq_fate
take_late(struct reseq *r, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	uint32_t seq = pb->bucket_seq;
	struct number *n = find(r, b, seq, now);
	/* Others may have overtaken it when the bucket began. */
	bool early = fq_seq_diff(seq, b->first) < 0 &&
		     now - b->started_at < RESEQ_LATE_MAX;

	if (early ? n != NULL : n == NULL)
		return drop_copy(r, pb);
	pb->resent = was_resent(pb, TAILQ_FIRST(&b->held));
	if (early)
		note(r, b, seq, b->started_at);
	else
		n->generation = 0;
	r->stats.late++;
	r->deliver(r->ctx, pb, now);
	return RESEQ_LATE;
}

enum reseq_fate
reseq_input(struct reseq *r, struct pktbuf *pb, mono_t now)
{
	struct bucket *b = bucket_of(r, pb->priority, pb->bucket);
	uint32_t seq = pb->bucket_seq;
	int32_t ahead = fq_seq_diff(seq, b->next);

	if (b->started && (ahead > JUMP_MAX || ahead < -JUMP_MAX))
		stop(r, b, now);
	if (!b->started) {
		start(r, b, seq < FIRST_MAX ? 0 : seq, now);
		ahead = fq_seq_diff(seq, b->next);
	}
	if (ahead < 0)
		return take_late(r, b, pb, now);
	if (ahead > 0)
		return hold(r, b, pb, now);
	b->delivered_at = now;
	pb->resent = was_resent(pb, TAILQ_FIRST(&b->held));
	pass(r, b, pb, now);
	drain(r, b, now);
	return RESEQ_PASSED;
}

void
reseq_skip(struct reseq *r, bool priority, uint16_t bucket, uint32_t bucket_seq,
    mono_t now)
{
	struct bucket *b = bucket_of(r, priority, bucket);
	uint32_t seq = bucket_seq & FQ_SEQ_MASK;
	int32_t ahead;

	if (!b->started && seq < FIRST_MAX)
		start(r, b, 0, now);
	ahead = fq_seq_diff(seq, b->next);
	if (!b->started || ahead < 0 || ahead > JUMP_MAX)
		return;
	note(r, b, seq, now);
	if (fq_seq_diff(seq, b->skip_top) > 0)
		b->skip_top = seq;
	if (ahead > 0)
		return;
	b->delivered_at = now;
	drain(r, b, now);
}

void
reseq_set_hold(struct reseq *r, mono_t hold)
{
	r->hold = mono_earlier(mono_later(hold, RESEQ_HOLD), RESEQ_HOLD_MAX);
}

void
reseq_set_links(struct reseq *r, uint32_t mask)
{
	r->links = mask;
}

mono_t
reseq_run(struct reseq *r, mono_t now)
{
	struct bucket *b, *next;

	if (now < r->due_at)
		return r->due_at;
	r->due_at = MONO_NEVER;
	TAILQ_FOREACH_SAFE(b, &r->waiting, entry, next) {
		while (b->waiting && b->deadline <= now) {
			r->stats.deadlines++;
			give_up(r, b, now);
		}
		if (b->waiting && b->deadline < r->due_at)
			r->due_at = b->deadline;
	}
	if (r->due_at < now + RUN_GAP)
		r->due_at = now + RUN_GAP;
	return r->due_at;
}

const struct reseq_stats *
reseq_stats(const struct reseq *r)
{
	return &r->stats;
}
