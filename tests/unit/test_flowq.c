/*
 * One flow's waiting packets.  They leave from the head and from behind, and
 * whichever leaves first, their numbers have the order in which they came.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/flowq.h"

Suite *flowq_suite(void);

#define LEN 1000 /* bytes of a packet where it does not matter */
#define PLENTY (1 << 20)
#define STEPS 2500
/* The fourth number is the one after the wrap. */
#define NEAR_WRAP (FQ_SEQ_MASK - 2)

static struct flowq q;
static struct pktbuf packets[2 * STEPS]; /* in the order in which they came */
static uint32_t came, left;
/* By number, from the first on: who has it, or had it when it left. */
static struct pktbuf *holders[2 * STEPS];

static uint32_t
place_of(uint32_t seq)
{
	return (seq - NEAR_WRAP) & FQ_SEQ_MASK;
}

static void
setup(void)
{
	flowq_init(&q);
	q.next_seq = NEAR_WRAP;
	came = left = 0;
	memset(packets, 0, sizeof(packets));
	memset(holders, 0, sizeof(holders));
}

/* None is missing; they are in the packets' order, so nobody has two. */
static void
teardown(void)
{
	uint32_t given = place_of(q.next_seq);

	for (uint32_t n = 0; n < given; n++)
		ck_assert(holders[n] > (n == 0 ? NULL : holders[n - 1]));
}

static void
put(size_t len, unsigned count)
{
	while (count-- > 0) {
		packets[came].len = (uint32_t)len;
		flowq_append(&q, &packets[came++]);
	}
}

static void
note_number(struct pktbuf *pb)
{
	uint32_t n = place_of(pb->bucket_seq);

	if (n >= place_of(q.next_seq) || pb->bucket_seq > FQ_SEQ_MASK)
		ck_abort_msg("number %u was not given", n);
	if (holders[n] != NULL && holders[n] != pb)
		ck_abort_msg("number %u was given twice", n);
	holders[n] = pb;
}

static void
check(void)
{
	struct flowq w = { 0 }; /* what it should be */
	struct pktbuf *pb, *last = NULL;
	uint32_t placed = 0;

	TAILQ_FOREACH(pb, &q.fresh, entry) {
		w.packets++;
		w.bytes += pb->len;
		if (!pb->placed)
			continue;
		note_number(pb);
		if (++placed != w.packets)
			ck_assert_uint_eq(placed, w.packets);
		w.placed_bytes += pb->len;
		w.last_placed = pb;
	}
	TAILQ_FOREACH(pb, &q.again, entry) {
		if (!pb->again || last >= pb)
			ck_abort_msg("again, but out of order");
		last = pb;
		w.again_packets++;
		w.again_bytes += pb->len;
	}
	if (q.packets != w.packets || q.bytes != w.bytes)
		ck_abort_msg("%zu bytes, not %zu", q.bytes, w.bytes);
	if (q.placed_bytes != w.placed_bytes)
		ck_abort_msg("%zu bytes are placed, not %zu", q.placed_bytes,
		    w.placed_bytes);
	if (q.last_placed != w.last_placed)
		ck_abort_msg("another was placed last");
	if (q.again_packets != w.again_packets ||
	    q.again_bytes != w.again_bytes)
		ck_abort_msg("other packets wait again");
	if (flowq_is_empty(&q) != (w.bytes + w.again_bytes == 0))
		ck_abort_msg("empty, or not, against its counts");
	if (place_of(q.next_seq) != left + placed)
		ck_abort_msg("the next number is wrong");
}

static struct pktbuf *
leave(struct pktbuf *pb)
{
	flowq_remove(&q, pb);
	flowq_number(&q, pb);
	note_number(pb);
	pb->sends++;
	left++;
	check();
	return pb;
}

static void
leave_all(void)
{
	while (q.packets > 0)
		leave(TAILQ_FIRST(&q.fresh));
}

/* To within a packet; all before it have their numbers. */
static struct pktbuf *
find(size_t ahead)
{
	struct pktbuf *pb = flowq_find(&q, ahead, 0), *o;
	size_t before = 0, prev = 0;

	for (o = TAILQ_FIRST(&q.fresh); o != pb; o = TAILQ_NEXT(o, entry)) {
		ck_assert(o->placed);
		before += prev = o->len;
	}
	ck_assert(before == 0 || before - prev < ahead);
	ck_assert(pb == TAILQ_LAST(&q.fresh, pktbuf_list) ||
		  before + pb->len > ahead);
	check();
	return pb;
}

START_TEST(finds_the_packet_with_so_many_bytes_before_it)
{
	put(LEN, 10);
	for (size_t i = 0; i < 10; i++) {
		ck_assert_ptr_eq(find(i * LEN), &packets[i]);
		ck_assert_uint_eq(q.placed_bytes, i * LEN);
	}
	for (size_t i = 10; i-- > 0;)
		ck_assert_ptr_eq(find(i * LEN), &packets[i]);
	ck_assert_uint_eq(q.placed_bytes, 9 * LEN);
}
END_TEST

START_TEST(finds_the_last_where_there_are_not_so_many)
{
	put(LEN, 10);
	for (uint32_t i = 10; i-- > 0;) {
		ck_assert_ptr_eq(leave(find(PLENTY)), &packets[i]);
		ck_assert_uint_eq(q.placed_bytes, i * LEN);
	}
	ck_assert_ptr_null(find(PLENTY));
	ck_assert_ptr_null(flowq_first_loose(&q));
	ck_assert_ptr_null(flowq_find_again(&q, PLENTY));
}
END_TEST

/* A line does not overtake itself. */
START_TEST(one_line_alone_gets_them_in_their_order)
{
	struct pktbuf *pb, *last = packets;

	put(LEN, 20);
	for (; q.packets > 3; last = leave(pb)) {
		pb = find(LEN + LEN / 2);
		ck_assert(pb > last);
	}
}
END_TEST

/* Of ten, five of which are placed: those leave, others are dropped. */
START_TEST(any_of_them_can_be_removed)
{
	put(LEN, 10);
	find(5 * LEN);
	if (_i < 5)
		leave(&packets[_i]);
	else
		flowq_remove(&q, &packets[_i]);
	check();
	leave_all();
	ck_assert_uint_eq(left, _i < 5 ? 10 : 9);
}
END_TEST

/* Whether there are others that are placed, or not. */
START_TEST(a_placed_one_goes_back_to_the_head)
{
	put(LEN, 5);
	find((size_t)_i * LEN);
	flowq_remove(&q, &packets[0]);
	flowq_put_back(&q, &packets[0]);
	ck_assert_ptr_eq(TAILQ_FIRST(&q.fresh), &packets[0]);
	leave_all();
}
END_TEST

START_TEST(those_that_have_no_number_can_be_dropped)
{
	struct pktbuf *pb;

	put(LEN, 10);
	find(4 * LEN);
	while ((pb = flowq_first_loose(&q)) != NULL)
		flowq_remove(&q, pb);
	check();
	put(LEN, 2);
	ck_assert_ptr_eq(flowq_first_loose(&q), &packets[10]);
	leave_all();
	ck_assert_uint_eq(left, 6);
}
END_TEST

START_TEST(sent_again_is_sorted_and_found_by_bytes)
{
	static const int order[] = { 3, 1, 5, 4, 0, 2 };

	put(LEN, 6);
	leave_all();
	for (int i = 0; i < 6; i++) {
		flowq_insert_again(&q, &packets[order[i]]);
		check();
	}
	for (size_t i = 0; i < 6; i++)
		ck_assert_ptr_eq(flowq_find_again(&q, i * LEN), &packets[i]);
	ck_assert_ptr_eq(flowq_find_again(&q, PLENTY), &packets[5]);
	flowq_remove_again(&q, &packets[2]);
	ck_assert_ptr_eq(flowq_find_again(&q, LEN + 1), &packets[3]);
	check();
}
END_TEST

START_TEST(one_follows_the_latest_only_while_that_waits)
{
	put(LEN, 4);
	leave_all();
	flowq_insert_again(&q, &packets[0]);
	flowq_insert_again(&q, &packets[3]);
	flowq_insert_again(&q, &packets[1]);
	flowq_remove_again(&q, &packets[1]);
	flowq_insert_again(&q, &packets[2]);
	check();
	ck_assert_ptr_eq(flowq_find_again(&q, LEN), &packets[2]);
}
END_TEST

#define MANY 150000 /* passing half of them each time takes too long */

/* Of two lines that took turns, and lost all that they had. */
START_TEST(what_two_lines_lost_is_merged_without_a_search)
{
	struct pktbuf *many = calloc(2 * MANY, sizeof(*many)), *pb;
	uint32_t seq = 0;

	ck_assert_ptr_nonnull(many);
	for (uint32_t i = 0; i < 2 * MANY; i++)
		many[i].bucket_seq = i;
	for (uint32_t i = 1; i < 2 * MANY; i += 2)
		flowq_insert_again(&q, &many[i]);
	for (uint32_t i = 0; i < 2 * MANY; i += 2)
		flowq_insert_again(&q, &many[i]);
	TAILQ_FOREACH(pb, &q.again, entry)
		if (pb != &many[seq++])
			ck_abort_msg("out of order");
	ck_assert_uint_eq(seq, 2 * MANY);
	free(many);
}
END_TEST

static uint32_t seed;

/* A number less than n, by xorshift. */
static uint32_t
any(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static void
come_or_go(void)
{
	struct pktbuf *pb = &packets[any(came + 1)];
	uint32_t which = any(9);

	if (which < 4)
		put(1 + any(2 * LEN), any(3));
	else if (which < 7 && q.packets > 0)
		leave(find(any(2) * any(20 * LEN)));
	else if (which == 7 && flowq_first_loose(&q) != NULL)
		flowq_remove(&q, flowq_first_loose(&q));
	else if (pb->again)
		flowq_remove_again(&q, pb);
	else if (pb->sends > 0)
		flowq_insert_again(&q, pb);
	check();
}

START_TEST(whatever_happens_the_numbers_have_no_hole)
{
	seed = 2463534242 + (uint32_t)_i;
	for (int i = 0; i < STEPS; i++)
		come_or_go();
	ck_assert_uint_gt(left, STEPS / 8);
}
END_TEST

Suite *
flowq_suite(void)
{
	Suite *s = suite_create("flowq");
	TCase *tc = tcase_create("flowq");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, finds_the_packet_with_so_many_bytes_before_it);
	tcase_add_test(tc, finds_the_last_where_there_are_not_so_many);
	tcase_add_test(tc, one_line_alone_gets_them_in_their_order);
	tcase_add_loop_test(tc, any_of_them_can_be_removed, 0, 10);
	tcase_add_loop_test(tc, a_placed_one_goes_back_to_the_head, 1, 4);
	tcase_add_test(tc, those_that_have_no_number_can_be_dropped);
	tcase_add_test(tc, sent_again_is_sorted_and_found_by_bytes);
	tcase_add_test(tc, one_follows_the_latest_only_while_that_waits);
	tcase_add_test(tc, what_two_lines_lost_is_merged_without_a_search);
	tcase_add_loop_test(
	    tc, whatever_happens_the_numbers_have_no_hole, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
