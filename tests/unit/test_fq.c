/*
 * The shared queue: fairness, numbering, who loses when it overflows, and that
 * no packet is lost from the books.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "fq_ends.h"
#include "packets.h"
#include "tunnel/flow.h"

Suite *fq_suite(void);

START_TEST(empty_gives_nothing)
{
	ck_assert(fq_empty(fq));
	ck_assert_ptr_null(fq_dequeue(fq, 0));
}
END_TEST

START_TEST(keeps_the_order_of_a_flow)
{
	for (uint32_t i = 0; i < 100; i++) {
		struct pktbuf *pb = packet(7, 100);

		put_be32(pb->data, i);
		ck_assert_int_eq(fq_enqueue(fq, pb, 0), 0);
	}
	for (uint32_t i = 0; i < 100; i++) {
		struct pktbuf *pb = fq_dequeue(fq, 0);

		ck_assert_uint_eq(get_be32(pb->data), i);
		ck_assert_uint_eq(pb->bucket_seq, i);
		pktbuf_free(pool, pb);
	}
	ck_assert(fq_empty(fq));
}
END_TEST

START_TEST(waiting_packets_are_small)
{
	put(1, 64, 1, 0);
	ck_assert_uint_lt(pktbuf_used(pool, PKTBUF_QUEUE), 512);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
}
END_TEST

START_TEST(shares_by_bytes_not_packets)
{
	unsigned big = 0, small = 0;

	put(1, 1500, 400, 0);
	put(2, 300, 2000, 0);
	for (int i = 0; i < 600; i++)
		if (get(0) == 1)
			big += 1500;
		else
			small += 300;
	ck_assert_uint_lt(
	    (unsigned)abs((int)big - (int)small), 2 * 1514 + 1500);
}
END_TEST

START_TEST(a_sparse_flow_goes_before_a_backlogged_one)
{
	struct pktbuf *pb;

	put(1, 1500, 100, 0);
	for (int i = 0; i < 10; i++)
		get(0);
	put(2, 200, 1, 0);
	ck_assert_uint_ge(fq_stats(fq)->flows, 2);
	pb = fq_dequeue(fq, 0);
	ck_assert_uint_eq(pb->flow_hash, 2);
	ck_assert(pb->sparse);
	pktbuf_free(pool, pb);
	pb = fq_dequeue(fq, 0);
	ck_assert_uint_eq(pb->flow_hash, 1);
	ck_assert(!pb->sparse);
	pktbuf_free(pool, pb);
}
END_TEST

/* Emptying and coming back must not make a flow new for ever. */
START_TEST(a_flow_cannot_stay_new_and_starve_others)
{
	unsigned a = 0, b = 0;

	put(1, 1500, 300, 0);
	for (int i = 0; i < 20; i++)
		get(0);
	put(2, 1400, 1, 0);
	for (int i = 0; i < 200; i++) {
		if (get(0) == 2) {
			b++;
			put(2, 1400, 1, 0);
		} else
			a++;
	}
	ck_assert_uint_gt(a, 80);
	ck_assert_uint_gt(b, 60);
}
END_TEST

START_TEST(flows_of_one_set_get_buckets_of_their_own)
{
	bool seen[FQ_BUCKETS] = { false };
	struct pktbuf *pb;

	/* Eight flows whose hashes name the same bucket. */
	for (uint32_t i = 1; i <= 8; i++)
		put(i << 16 | 5, 100, 2, 0);
	ck_assert_uint_eq(fq_stats(fq)->flows, 8);
	/* The ninth has to share. */
	put(9u << 16 | 5, 100, 2, 0);
	ck_assert_uint_eq(fq_stats(fq)->flows, 8);
	while ((pb = fq_dequeue(fq, 0)) != NULL) {
		ck_assert_uint_lt(pb->bucket, 8);
		seen[pb->bucket] = true;
		pktbuf_free(pool, pb);
	}
	for (int i = 0; i < 8; i++)
		ck_assert(seen[i]);
}
END_TEST

START_TEST(a_flow_keeps_its_bucket)
{
	struct pktbuf *pb;
	int bucket = -1;

	for (int i = 0; i < 20; i++) {
		put(3u << 16 | 5, 100, 1, 0);
		put((uint32_t)(i % 4 + 10) << 16 | 5, 100, 1, 0);
		while ((pb = fq_dequeue(fq, 0)) != NULL) {
			if (pb->flow_hash == (3u << 16 | 5)) {
				if (bucket == -1)
					bucket = pb->bucket;
				ck_assert_int_eq(pb->bucket, bucket);
			}
			pktbuf_free(pool, pb);
		}
	}
}
END_TEST

START_TEST(a_bucket_is_reused_and_its_numbers_continue)
{
	uint32_t next[FQ_BUCKETS] = { 0 };
	struct pktbuf *pb;

	for (uint32_t i = 0; i < 1000; i++) {
		put(i << 10 | 5, 100, 3, 0);
		while ((pb = fq_dequeue(fq, 0)) != NULL) {
			ck_assert_uint_eq(pb->bucket_seq, next[pb->bucket]++);
			pktbuf_free(pool, pb);
		}
	}
	fq_purge(fq);
	put(5, 100, 1, 0);
	pb = fq_dequeue(fq, 0);
	ck_assert_uint_eq(pb->bucket_seq, next[pb->bucket]);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(numbers_wrap_at_22_bits)
{
	struct pktbuf *pb;
	uint32_t last = 0;

	for (uint32_t i = 0; i <= FQ_SEQ_MASK + 1; i++) {
		put(1, 60, 1, 0);
		pb = fq_dequeue(fq, 0);
		last = pb->bucket_seq;
		if (i == FQ_SEQ_MASK)
			ck_assert_uint_eq(last, FQ_SEQ_MASK);
		pktbuf_free(pool, pb);
	}
	ck_assert_uint_eq(last, 0);
}
END_TEST

START_TEST(overload_drops_from_the_fattest_flow)
{
	struct fq_params p = params;
	unsigned thin = 0, fat = 0;
	uint32_t hash;

	p.limit_bytes = 200 * 1000;
	fq_set_params(fq, &p);
	for (uint32_t f = 2; f < 12; f++)
		put(f, 1000, 5, 0);
	put(1, 1000, 500, 0);
	ck_assert_uint_le(fq_stats(fq)->bytes, p.limit_bytes);
	ck_assert_uint_gt(fq_stats(fq)->overload_drops, 340);
	while ((hash = get(0)) != 0)
		if (hash == 1)
			fat++;
		else
			thin++;
	ck_assert_uint_eq(thin, 50);
	ck_assert_uint_gt(fat, 80);
}
END_TEST

START_TEST(overload_drops_a_batch_at_most)
{
	struct fq_params p = params;

	p.limit_bytes = 300 * 1000;
	fq_set_params(fq, &p);
	put(1, 1000, 300, 0);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 0);
	put(1, 1000, 1, 0);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 64);
	ck_assert_uint_eq(fq_stats(fq)->packets, 301 - 64);
}
END_TEST

/* Of 20, as the last one comes. */
START_TEST(overload_drops_half_of_a_short_flow)
{
	struct fq_params p = params;

	p.limit_bytes = 20 * 1000;
	fq_set_params(fq, &p);
	put(1, 1000, 21, 0);
	ck_assert_uint_eq(fq_stats(fq)->packets, 11);
}
END_TEST

START_TEST(overload_never_empties_a_flow)
{
	struct fq_params p = params;

	p.limit_bytes = 5000;
	fq_set_params(fq, &p);
	for (uint32_t f = 1; f <= 5; f++)
		put(f, 1000, 1, 0);
	/* Nobody has two: the sixth is refused. */
	ck_assert_int_eq(fq_enqueue(fq, packet(6, 1000), 0), -1);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 1);
	for (uint32_t f = 1; f <= 5; f++)
		ck_assert_uint_eq(get(0), f);
	ck_assert_uint_eq(get(0), 0);
}
END_TEST

START_TEST(a_lone_packet_is_always_taken)
{
	struct fq_params p = params;

	p.limit_bytes = 0;
	fq_set_params(fq, &p);
	ck_assert_int_eq(fq_enqueue(fq, packet(1, 1400), 0), 0);
	ck_assert_uint_eq(get(0), 1);
}
END_TEST

START_TEST(a_full_quota_drops_from_the_fattest_too)
{
	pktbuf_set_quota(pool, PKTBUF_QUEUE, 100 * 1024);
	put(2, 1000, 3, 0);
	put(1, 1000, 300, 0);
	ck_assert_uint_gt(fq_stats(fq)->overload_drops, 200);
	ck_assert_uint_gt(fq_stats(fq)->packets, 20);
	ck_assert_uint_le(pktbuf_used(pool, PKTBUF_QUEUE), 100 * 1024);
	pktbuf_set_quota(pool, PKTBUF_QUEUE, 0);
	ck_assert_int_eq(fq_enqueue(fq, packet(3, 1000), 0), -1);
}
END_TEST

START_TEST(a_standing_queue_is_shortened)
{
	mono_t now = 0, sojourn = 0;

	/* 1500 bytes in a ms, 1.2 times that offered, for 20 s. */
	for (int i = 0; i < 20000; i++) {
		put(1, 1500, i % 5 == 0 ? 2 : 1, now);
		get(now);
		sojourn = fq_stats(fq)->sojourn;
		now += MS;
	}
	ck_assert_uint_gt(fq_stats(fq)->codel_drops, 100);
	ck_assert_int_lt(sojourn, 200 * MS);
	ck_assert_uint_eq(fq_stats(fq)->overload_drops, 0);
}
END_TEST

START_TEST(marks_what_is_ecn_capable_instead)
{
	const struct flow_key key = { 1, 2 };
	struct packet p;
	struct pktbuf *pb;
	unsigned ce = 0;

	packet_ip(&p, 4, 6, 1480);
	packet_set_tos(&p, 2);
	for (mono_t now = 0; now < 3 * NSEC_PER_SEC; now += MS) {
		for (int i = 0; i < (now < 100 * MS ? 2 : 1); i++) {
			pb = pktbuf_alloc(pool, p.len);
			memcpy(pb->data, p.bytes, p.len);
			pb->len = (uint32_t)p.len;
			flow_classify(pb, false, &key);
			fq_enqueue(fq, pb, now);
		}
		pb = fq_dequeue(fq, now);
		ce += (pb->data[1] & 3) == 3;
		ck_assert_uint_eq(packet_checksum(pb->data, 20, 0), 0);
		pktbuf_free(pool, pb);
	}
	ck_assert_uint_gt(ce, 10);
	ck_assert_uint_eq(ce, fq_stats(fq)->marks);
	ck_assert_uint_eq(fq_stats(fq)->codel_drops, 0);
}
END_TEST

START_TEST(new_parameters_apply_at_once)
{
	struct fq_params p = params;
	mono_t now = 0;

	put(1, 1500, 500, 0);
	p.target = NSEC_PER_SEC * 10;
	fq_set_params(fq, &p);
	for (; now < 400 * MS; now += MS)
		ck_assert_uint_eq(get(now), 1);
	ck_assert_uint_eq(fq_stats(fq)->codel_drops, 0);
	p.target = 5 * MS;
	p.limit_bytes = 50000;
	fq_set_params(fq, &p);
	put(1, 1500, 1, now);
	ck_assert_uint_le(fq_stats(fq)->bytes, 50000);
}
END_TEST

/* Some of what was sent is kept for a while. */
static void
remember(struct pktbuf *sent[64], struct pktbuf *pb)
{
	size_t i = (size_t)lrand48() % 64;

	pktbuf_free(pool, sent[i]);
	pktbuf_ref(pb);
	sent[i] = pb;
}

static void
requeue_any(struct pktbuf *sent[64])
{
	struct pktbuf *pb = sent[lrand48() % 64];

	if (pb == NULL || pb->again)
		return;
	pb->acked = lrand48() % 4 == 0;
	requeue(pb);
}

/* Everything at random: what went in came out, was dropped, or waits. */
START_TEST(the_books_balance)
{
	struct fq_params p = params;
	uint32_t next[FQ_BUCKETS] = { 0 };
	const struct fq_stats *s = fq_stats(fq);
	struct pktbuf *sent[64] = { NULL };
	uint64_t offered = 0, got = 0;
	mono_t now = 0;

	srand48(_i + 1);
	for (int i = 0; i < 100000; i++) {
		long n = lrand48() % (i / 5000 % 2 == 0 ? 4 : 2);

		for (; n > 0; n--, offered++)
			put(1 + (uint32_t)lrand48() % (_i % 2 == 0 ? 20 : 5000),
			    20 + (size_t)lrand48() % 1480, 1, now);
		if (lrand48() % 4 != 0) {
			struct pktbuf *pb = fq_dequeue(fq, now);

			if (pb != NULL && pb->sends++ == 0) {
				if (pb->bucket_seq != next[pb->bucket]++)
					ck_abort_msg("a number out of order");
				got++;
			}
			if (pb != NULL)
				remember(sent, pb);
			pktbuf_free(pool, pb);
		}
		if (lrand48() % 4 == 0)
			requeue_any(sent);
		if (lrand48() % 5000 == 0) {
			p.limit_bytes = (size_t)lrand48() % 500000;
			p.target = lrand48() % (20 * MS);
			p.quantum_bytes = (uint32_t)lrand48() % 3000;
			fq_set_params(fq, &p);
		}
		now += lrand48() % (2 * MS);
		if (offered !=
		    got + s->codel_drops + s->overload_drops + s->packets)
			ck_abort_msg("a packet is missing or there twice");
		if (fq_empty(fq) != (s->packets + s->again_packets == 0))
			ck_abort_msg("empty, or not, against its counts");
	}
	ck_assert_uint_eq(got, s->dequeued);
	ck_assert_uint_gt(s->requeued, 10000);
	while (get(now) != 0)
		;
	for (size_t i = 0; i < nitems_of(sent); i++)
		pktbuf_free(pool, sent[i]);
	ck_assert_uint_eq(s->again_packets, 0);
	ck_assert_uint_eq(s->again_bytes, 0);
	ck_assert_uint_eq(s->packets, 0);
	ck_assert_uint_eq(s->bytes, 0);
	ck_assert_uint_eq(s->flows, 0);
}
END_TEST

START_TEST(purge_leaves_nothing)
{
	struct pktbuf *pb;

	for (uint32_t f = 0; f < 100; f++)
		put(f, 500, 3, 0);
	pb = retain(0);
	requeue(pb);
	fq_purge(fq);
	ck_assert(fq_empty(fq));
	ck_assert(!pb->again);
	pktbuf_free(pool, pb);
	ck_assert_uint_eq(fq_stats(fq)->flows, 0);
	ck_assert_uint_eq(fq_stats(fq)->bytes, 0);
	ck_assert_uint_eq(get(0), 0);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_QUEUE), 0);
}
END_TEST

Suite *
fq_suite(void)
{
	Suite *s = suite_create("fq");
	TCase *tc = tcase_create("fq");

	tcase_set_timeout(tc, 180);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, empty_gives_nothing);
	tcase_add_test(tc, keeps_the_order_of_a_flow);
	tcase_add_test(tc, waiting_packets_are_small);
	tcase_add_test(tc, shares_by_bytes_not_packets);
	tcase_add_test(tc, a_sparse_flow_goes_before_a_backlogged_one);
	tcase_add_test(tc, a_flow_cannot_stay_new_and_starve_others);
	tcase_add_test(tc, flows_of_one_set_get_buckets_of_their_own);
	tcase_add_test(tc, a_flow_keeps_its_bucket);
	tcase_add_test(tc, a_bucket_is_reused_and_its_numbers_continue);
	tcase_add_test(tc, numbers_wrap_at_22_bits);
	tcase_add_test(tc, overload_drops_from_the_fattest_flow);
	tcase_add_test(tc, overload_drops_a_batch_at_most);
	tcase_add_test(tc, overload_drops_half_of_a_short_flow);
	tcase_add_test(tc, overload_never_empties_a_flow);
	tcase_add_test(tc, a_lone_packet_is_always_taken);
	tcase_add_test(tc, a_full_quota_drops_from_the_fattest_too);
	tcase_add_test(tc, a_standing_queue_is_shortened);
	tcase_add_test(tc, marks_what_is_ecn_capable_instead);
	tcase_add_test(tc, new_parameters_apply_at_once);
	tcase_add_loop_test(tc, the_books_balance, 0, 4);
	tcase_add_test(tc, purge_leaves_nothing);
	suite_add_tcase(s, tc);
	return s;
}
