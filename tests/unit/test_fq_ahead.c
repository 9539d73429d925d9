/*
 * The shared queue and a line that is slower than others: what it takes from
 * behind, what is left to the others, and that no number is lost by it.
 * Packets are known by the instant at which they came.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "fq_ends.h"

Suite *fq_ahead_suite(void);

#define LEN 1000
#define LATER (100 * MS)
#define PLENTY (1 << 30)
#define NUMBERS 65536

static mono_t now;
static struct pktbuf got;      /* what was taken last, without its bytes */
static bool seen[16][NUMBERS]; /* by bucket; the first do */

static struct pktbuf *
take(uint64_t least, uint64_t ahead)
{
	struct pktbuf *pb = fq_dequeue_ahead(fq,
	    &(struct fq_ahead){
		.bytes = ahead, .least_bytes = least, .later = LATER },
	    now);

	if (pb != NULL && pb->sends++ == 0) {
		if (pb->use != PKTBUF_IO || pb->placed)
			ck_abort_msg("still as in the queue");
		if (seen[pb->bucket][pb->bucket_seq])
			ck_abort_msg("a number was given twice");
		seen[pb->bucket][pb->bucket_seq] = true;
	}
	return pb;
}

/* When the one that is taken came; -1: there is none. */
static mono_t
came(uint64_t least, uint64_t ahead)
{
	struct pktbuf *pb = take(least, ahead);

	if (pb == NULL)
		return -1;
	got = *pb;
	pktbuf_free(pool, pb);
	return got.queued_at;
}

/* They come at 0, 1, ...; two leave, and the flow is no longer new. */
static void
put_row(uint32_t hash, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put(hash, LEN, 1, i);
	ck_assert_int_eq(came(0, 0), 0);
	ck_assert_int_eq(came(0, 0), 1);
}

static void
limit(size_t bytes)
{
	struct fq_params p = params;

	p.limit_bytes = bytes;
	fq_set_params(fq, &p);
}

/* Takes what waits; then no number is missing. */
static void
drain(void)
{
	const struct fq_stats *s = fq_stats(fq);

	while (came(0, 0) != -1)
		;
	for (size_t b = 0; b < nitems_of(seen); b++)
		for (size_t n = 1; n < NUMBERS; n++)
			if (!seen[b][n - 1] && seen[b][n])
				ck_abort_msg("number %zu is missing", n - 1);
	ck_assert_uint_eq(s->packets + s->bytes + s->flows, 0);
	ck_assert_uint_eq(s->again_packets + s->again_bytes, 0);
}

static void
begin(void)
{
	setup();
	now = 0;
	memset(seen, 0, sizeof(seen));
}

static void
end(void)
{
	drain();
	teardown();
}

START_TEST(takes_from_behind_and_the_head_keeps_its_turn)
{
	put_row(1, 20);
	for (mono_t i = 2; i < 5; i++) {
		ck_assert_int_eq(came(0, 5 * LEN), 3 + 2 * i);
		ck_assert_uint_eq(got.bucket_seq, 3 + 2 * i);
		ck_assert_int_eq(came(0, 0), i);
		ck_assert_uint_eq(got.bucket_seq, i);
	}
	ck_assert_int_eq(came(0, PLENTY), 19);
	ck_assert_int_eq(came(PLENTY, 0), 5);
}
END_TEST

START_TEST(gives_nothing_while_too_little_waits)
{
	struct fq_stats before;

	ck_assert_int_eq(came(0, LEN), -1);
	put_row(1, 10);
	before = *fq_stats(fq);
	ck_assert_int_eq(came(8 * LEN + 1, 3 * LEN), -1);
	ck_assert_mem_eq(fq_stats(fq), &before, sizeof(before));
	ck_assert_int_eq(came(8 * LEN, 3 * LEN), 5);
	put(1, LEN, 1, 10);
	ck_assert_int_eq(came(8 * LEN, 3 * LEN), 6);
}
END_TEST

START_TEST(a_sparse_flow_is_served_first_from_its_head)
{
	put_row(1, 20);
	put(2, 100, 3, 0);
	for (int i = 0; i < 3; i++) {
		came(PLENTY, 5 * LEN);
		ck_assert_uint_eq(got.flow_hash, 2);
		ck_assert_uint_eq(got.bucket_seq, i);
		ck_assert(got.sparse);
	}
}
END_TEST

/* A third one that has less waiting than a bulk flow has all its 3 packets. */
START_TEST(of_two_bulk_flows_each_has_half)
{
	put_row(1, 20);
	put_row(2, 20);
	put_row(3, 5);
	ck_assert_uint_eq(fq_stats(fq)->flows, 3);
	ck_assert_int_eq(came(39 * LEN + 2, 13 * LEN), -1);
	ck_assert_int_eq(came(39 * LEN, 13 * LEN), 7);
	ck_assert_int_eq(came(39 * LEN, 13 * LEN), 7);
	ck_assert_int_eq(came(39 * LEN, 13 * LEN), -1);
}
END_TEST

/* Though one had 2.5 GB before, which is more than a signed counter holds. */
START_TEST(a_slow_and_a_fast_line_serve_flows_alike)
{
	int more = 0; /* bytes of the first than of the second */

	for (int i = 0; i < _i * 44000; i++) {
		struct pktbuf *pb = pktbuf_alloc(pool, PKTBUF_LEN_MAX);

		pb->len = i % 8 == 7 ? LEN : PKTBUF_LEN_MAX;
		pb->flow_hash = 1;
		fq_enqueue(fq, pb, 0);
		if (came(0, LEN) != 0)
			ck_abort_msg("packet %d was not taken", i);
	}
	ck_assert_int_eq(came(0, 0), -1);
	put(1, 1500, 400, 0);
	put(2, 300, 1300, 0);
	for (int i = 0; i < 900; i++) {
		ck_assert_int_eq(came(0, i % 3 == 0 ? 20 * LEN : 0), 0);
		more += got.flow_hash == 1 ? (int)got.len : -(int)got.len;
		ck_assert_int_le(abs(more), 4 * 1514);
	}
}
END_TEST

START_TEST(sent_again_is_the_first_of_its_flow)
{
	struct fq_params p = params;
	struct pktbuf *sent[4];

	p.quantum_bytes = LEN;
	fq_set_params(fq, &p);
	put_row(1, 30);
	for (size_t i = 0; i < 4; i++)
		sent[i] = take(0, 0);
	for (size_t i = 0; i < 4; i++)
		fq_requeue(fq, sent[i]);
	sent[1]->acked = true;
	ck_assert_int_eq(came(0, 2 * LEN), 4);
	ck_assert_int_eq(came(0, 3 * LEN), 6);
	/* One has arrived: it is freed, and the one behind it leaves. */
	ck_assert_int_eq(came(0, LEN), 5);
	ck_assert_uint_eq(fq_stats(fq)->again_bytes, LEN);
	ck_assert_int_eq(came(24 * LEN + 1, 2 * LEN), -1);
	ck_assert_int_eq(came(24 * LEN, 2 * LEN), 8);
}
END_TEST

/* And none at all where all have one. */
START_TEST(codel_drops_none_that_has_its_number)
{
	uint64_t drops;

	for (int i = 0; i < 4000; i++, now += MS) {
		put(1, LEN, i % 4 == 0 ? 2 : 1, now);
		came(0, i % 4 == 0 ? 15 * LEN : 0);
	}
	came(0, PLENTY);
	drops = fq_stats(fq)->codel_drops;
	ck_assert_uint_gt(drops, 50);
	while (came(0, 0) != -1)
		now += MS;
	ck_assert_uint_eq(fq_stats(fq)->codel_drops, drops);
}
END_TEST

/* Of the same flow or another, whether the limit was less before or not. */
START_TEST(none_is_taken_where_all_have_their_numbers)
{
	put_row(1, 20);
	ck_assert_int_eq(came(0, PLENTY), 19);
	limit(_i < 2 ? 17 * LEN : 10 * LEN);
	ck_assert_int_eq(fq_enqueue(fq, packet(1 + _i % 2, LEN), 20), -1);
	ck_assert_uint_eq(fq_stats(fq)->packets, 17);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 1);
}
END_TEST

/* Nor does it drop one that it said it would take. */
START_TEST(overload_drops_none_that_has_its_number)
{
	unsigned loose = (unsigned)_i * 4;
	bool taken;

	put_row(1, 13 + loose);
	ck_assert_int_eq(came(0, 10 * LEN), 12);
	limit((10 + loose) * LEN);
	taken = fq_enqueue(fq, packet(1, LEN), 99) == 0;
	drain();
	ck_assert_int_eq(got.queued_at == 99, taken);
}
END_TEST

static uint32_t
any(uint32_t n)
{
	return (uint32_t)lrand48() % n;
}

START_TEST(the_books_balance)
{
	const struct fq_stats *s = fq_stats(fq);
	struct pktbuf *pb;

	srand48(_i + 1);
	limit(60 * LEN);
	for (unsigned i = 1; i < 30000; i++, now += any(MS)) {
		put(1 + any(5), 20 + any(1480), 1, now);
		if (s->dequeued + s->packets !=
		    i - s->codel_drops - s->overload_drops)
			ck_abort_msg("a packet is missing or there twice");
		if (any(20) == 0)
			continue;
		pb = take(any(20 * LEN), any(2) * any(60 * LEN));
		if (pb != NULL && any(16) == 0) {
			pb->acked = any(4) == 0;
			fq_requeue(fq, pb);
		} else
			pktbuf_free(pool, pb);
	}
	ck_assert(s->codel_drops > 50 && s->overload_drops > 50);
	drain();
	/* No flow counts as a bulk flow any more: one has all for itself. */
	now = 0;
	put_row(1, 10);
	ck_assert_int_eq(came(8 * LEN + 1, 3 * LEN), -1);
}
END_TEST

Suite *
fq_ahead_suite(void)
{
	Suite *s = suite_create("fq_ahead");
	TCase *tc = tcase_create("ahead");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, takes_from_behind_and_the_head_keeps_its_turn);
	tcase_add_test(tc, gives_nothing_while_too_little_waits);
	tcase_add_test(tc, a_sparse_flow_is_served_first_from_its_head);
	tcase_add_test(tc, of_two_bulk_flows_each_has_half);
	tcase_add_loop_test(tc, a_slow_and_a_fast_line_serve_flows_alike, 0, 2);
	tcase_add_test(tc, sent_again_is_the_first_of_its_flow);
	tcase_add_test(tc, codel_drops_none_that_has_its_number);
	tcase_add_loop_test(
	    tc, none_is_taken_where_all_have_their_numbers, 0, 4);
	tcase_add_loop_test(tc, overload_drops_none_that_has_its_number, 0, 5);
	tcase_add_loop_test(tc, the_books_balance, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
