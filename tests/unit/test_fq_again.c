/*
 * The shared queue and packets that are sent once more: their order, who pays,
 * and what leaves them alone.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "fq_ends.h"

Suite *fq_again_suite(void);

/* Dequeues one, sent before or not; returns its flow. */
static uint32_t
get_any(mono_t now)
{
	struct pktbuf *pb = fq_dequeue(fq, now);
	uint32_t hash = pb->flow_hash;

	pktbuf_free(pool, pb);
	return hash;
}

/* Dequeues one, which has to be pb, sent before. */
static void
get_again(struct pktbuf *pb, mono_t now)
{
	ck_assert_ptr_eq(fq_dequeue(fq, now), pb);
	ck_assert(!pb->again);
	ck_assert_uint_eq(pb->use, PKTBUF_RETAIN);
	pktbuf_free(pool, pb);
}

START_TEST(sent_again_goes_first_in_the_order_of_numbers)
{
	static const int order[] = { 3, 1, 5, 4, 0, 2 };
	uint32_t first = _i == 1 ? FQ_SEQ_MASK - 2 : 0;
	struct pktbuf *sent[6], *pb;

	put(1, 1000, 8, 0);
	for (uint32_t i = 0; i < 6; i++) {
		sent[i] = retain(0);
		sent[i]->bucket_seq = (first + i) & FQ_SEQ_MASK;
	}
	for (int i = 0; i < 6; i++)
		requeue(sent[order[i]]);
	ck_assert_uint_eq(fq_stats(fq)->again_packets, 6);
	ck_assert_uint_eq(fq_stats(fq)->again_bytes, 6000);
	ck_assert_uint_eq(fq_stats(fq)->packets, 2);
	for (uint32_t i = 0; i < 6; i++) {
		get_again(sent[i], 0);
		ck_assert_uint_eq(
		    sent[i]->bucket_seq, (first + i) & FQ_SEQ_MASK);
	}
	/* What was never sent has the next number. */
	pb = fq_dequeue(fq, 0);
	ck_assert_uint_eq(pb->bucket_seq, 6);
	pktbuf_free(pool, pb);
	for (int i = 0; i < 6; i++)
		pktbuf_free(pool, sent[i]);
	ck_assert_uint_eq(fq_stats(fq)->requeued, 6);
	ck_assert_uint_eq(fq_stats(fq)->again_packets, 0);
	ck_assert_uint_eq(fq_stats(fq)->again_bytes, 0);
}
END_TEST

/* Their numbers have nothing to do with those of the others. */
START_TEST(an_idle_bucket_sends_again_at_once)
{
	struct pktbuf *pb;

	put(2, 200, 1, 0);
	pb = retain(0);
	ck_assert_ptr_null(fq_dequeue(fq, 0));
	put(1, 1500, 100, 0);
	for (int i = 0; i < 10; i++)
		get(0);
	requeue(pb);
	ck_assert_uint_eq(fq_stats(fq)->flows, 2);
	get_again(pb, 0);
	pktbuf_free(pool, pb);
	ck_assert_uint_eq(fq_stats(fq)->flows, 1);
}
END_TEST

START_TEST(what_is_to_be_sent_again_keeps_the_queue_busy)
{
	struct pktbuf *pb;

	put(1, 200, 1, 0);
	pb = retain(0);
	ck_assert(fq_empty(fq));
	requeue(pb);
	ck_assert(!fq_empty(fq));
	get_again(pb, 0);
	ck_assert(fq_empty(fq));
	ck_assert_ptr_null(fq_dequeue(fq, 0));
	pktbuf_free(pool, pb);
}
END_TEST

/* A flow does not get more than its share because its packets get lost. */
START_TEST(its_own_flow_pays_for_what_is_sent_again)
{
	static struct pktbuf *sent[200];
	unsigned first = 0, second = 0;

	put(1, 1000, 400, 0);
	for (int i = 0; i < 200; i++)
		sent[i] = retain(0);
	put(2, 1000, 400, 0);
	for (int i = 0; i < 200; i++)
		requeue(sent[i]);
	for (int i = 0; i < 300; i++)
		if (get_any(0) == 1)
			first++;
		else
			second++;
	ck_assert_uint_le((unsigned)abs((int)first - (int)second), 4);
	for (int i = 0; i < 200; i++)
		pktbuf_free(pool, sent[i]);
}
END_TEST

START_TEST(neither_limit_nor_codel_touch_what_is_sent_again)
{
	struct fq_params p = params;
	static struct pktbuf *sent[100];

	put(1, 1000, 100, 0);
	for (int i = 0; i < 100; i++)
		sent[i] = retain(0);
	p.limit_bytes = 10 * 1000;
	fq_set_params(fq, &p);
	for (int i = 0; i < 100; i++)
		requeue(sent[i]);
	put(1, 1000, 10, 0);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 0);
	for (int i = 0; i < 100; i++)
		get_again(sent[i], i * 10 * MS);
	ck_assert_uint_eq(fq_stats(fq)->codel_drops, 0);
	ck_assert_uint_eq(fq_stats(fq)->packets, 10);
	for (int i = 0; i < 100; i++)
		pktbuf_free(pool, sent[i]);
}
END_TEST

START_TEST(what_has_arrived_is_not_sent_again)
{
	struct pktbuf *sent[3];

	put(1, 1000, 3, 0);
	for (int i = 0; i < 3; i++)
		sent[i] = retain(0);
	for (int i = 0; i < 3; i++)
		requeue(sent[i]);
	sent[0]->acked = sent[1]->acked = true;
	/* The last reference may be the queue's. */
	pktbuf_free(pool, sent[0]);
	get_again(sent[2], 0);
	ck_assert(!sent[1]->again);
	sent[2]->acked = true;
	requeue(sent[2]);
	ck_assert(!fq_empty(fq));
	ck_assert_ptr_null(fq_dequeue(fq, 0));
	ck_assert(fq_empty(fq));
	ck_assert(!sent[2]->again);
	pktbuf_free(pool, sent[1]);
	pktbuf_free(pool, sent[2]);
}
END_TEST

/* It would have to wait for them, and share its number space with them. */
START_TEST(a_bucket_with_something_to_send_again_is_not_given_away)
{
	struct pktbuf *pb;

	put(5, 1000, 1, 0);
	pb = retain(0);
	requeue(pb);
	for (uint32_t i = 1; i <= 7; i++)
		put(i << 16 | 5, 100, 2, 0);
	put(9u << 16 | 5, 100, 2, 0);
	/* The ninth shares the one that its hash names. */
	ck_assert_uint_eq(fq_stats(fq)->flows, 8);
	ck_assert_uint_eq(fq_stats(fq)->bytes, 8 * 200);
	pktbuf_free(pool, pb);
}
END_TEST

Suite *
fq_again_suite(void)
{
	Suite *s = suite_create("fq_again");
	TCase *tc = tcase_create("again");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, sent_again_goes_first_in_the_order_of_numbers, 0, 2);
	tcase_add_test(tc, an_idle_bucket_sends_again_at_once);
	tcase_add_test(tc, what_is_to_be_sent_again_keeps_the_queue_busy);
	tcase_add_test(tc, its_own_flow_pays_for_what_is_sent_again);
	tcase_add_test(tc, neither_limit_nor_codel_touch_what_is_sent_again);
	tcase_add_test(tc, what_has_arrived_is_not_sent_again);
	tcase_add_test(
	    tc, a_bucket_with_something_to_send_again_is_not_given_away);
	suite_add_tcase(s, tc);
	return s;
}
