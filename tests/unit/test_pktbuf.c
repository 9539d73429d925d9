/*
 * The pool: classes, quotas, and that what one use or one class took comes
 * back to the others.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tunnel/pktbuf.h"

Suite *pktbuf_suite(void);

#define MIB ((size_t)1 << 20)
#define HELD_MAX 16384

static struct pktbuf_pool *pool;
static struct pktbuf *held[HELD_MAX];

static void
setup(void)
{
	pool = pktbuf_pool_new(4 * MIB);
	ck_assert_ptr_nonnull(pool);
}

static void
teardown(void)
{
	pktbuf_pool_free(pool);
}

/* Takes buffers until the pool refuses; returns how many. */
static size_t
exhaust(size_t len)
{
	size_t n = 0;

	while (n < HELD_MAX && (held[n] = pktbuf_alloc(pool, len)) != NULL)
		n++;
	return n;
}

static void
release(size_t n)
{
	while (n > 0)
		pktbuf_free(pool, held[--n]);
}

START_TEST(takes_nothing_before_the_first_packet)
{
	ck_assert_uint_eq(pktbuf_pool_bytes(pool), 0);
}
END_TEST

START_TEST(gives_room_and_headroom_for_every_length)
{
	static const size_t lens[] = { 0, 1, 256, 257, 1500, 2048, 9000, 16000,
		40000, PKTBUF_LEN_MAX };

	for (size_t i = 0; i < nitems_of(lens); i++) {
		struct pktbuf *pb = pktbuf_alloc(pool, lens[i]);

		ck_assert_ptr_nonnull(pb);
		ck_assert_uint_ge(pb->size, lens[i]);
		ck_assert_uint_eq(pktbuf_headroom(pb), PKTBUF_HEADROOM);
		ck_assert_uint_eq(pktbuf_room(pb), pb->size);
		ck_assert_uint_eq(pb->len, 0);
		ck_assert_int_eq(pb->use, PKTBUF_IO);
		/* The sanitizer watches these. */
		memset(pb->data - PKTBUF_HEADROOM, 0xff,
		    PKTBUF_HEADROOM + pb->size);
		pktbuf_free(pool, pb);
	}
	ck_assert_ptr_null(pktbuf_alloc(pool, 1 << 17));
}
END_TEST

START_TEST(buffers_do_not_overlap)
{
	size_t n = exhaust(200);

	ck_assert_uint_gt(n, 1000);
	for (size_t i = 0; i < n; i++) {
		held[i]->flow_hash = (uint32_t)i;
		memset(held[i]->data - PKTBUF_HEADROOM, (int)(i & 0xff),
		    PKTBUF_HEADROOM + held[i]->size);
	}
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(held[i]->flow_hash, i);
		ck_assert_uint_eq(held[i]->data[held[i]->size - 1], i & 0xff);
		ck_assert_uint_eq(held[i]->data[-PKTBUF_HEADROOM], i & 0xff);
	}
	release(n);
}
END_TEST

START_TEST(a_small_packet_pins_little)
{
	pktbuf_free(pool, pktbuf_alloc(pool, 64));
	ck_assert_uint_lt(pktbuf_pool_bytes(pool), 80 * 1024);
	ck_assert_ptr_nonnull(held[0] = pktbuf_alloc(pool, 64));
	ck_assert_uint_lt(pktbuf_used(pool, PKTBUF_IO), 512);
	release(1);
}
END_TEST

START_TEST(never_exceeds_its_limit)
{
	size_t n = exhaust(1500);

	ck_assert_uint_gt(n, 1500);
	ck_assert_uint_le(pktbuf_pool_bytes(pool), 4 * MIB);
	ck_assert_uint_le(pktbuf_used(pool, PKTBUF_IO), 4 * MIB);
	release(n);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
}
END_TEST

START_TEST(a_flood_of_one_class_leaves_room_for_the_others)
{
	size_t small, big, again;

	small = exhaust(64);
	ck_assert_ptr_null(pktbuf_alloc(pool, 65535));
	release(small);
	big = exhaust(65535);
	ck_assert_uint_gt(big, 50);
	release(big);
	again = exhaust(64);
	ck_assert_uint_eq(again, small);
	release(again);
}
END_TEST

START_TEST(memory_goes_back_after_a_burst)
{
	release(exhaust(1500));
	ck_assert_uint_lt(pktbuf_pool_bytes(pool), MIB);
}
END_TEST

START_TEST(a_quota_binds_its_use_only)
{
	struct pktbuf *a, *b;

	pktbuf_set_quota(pool, PKTBUF_QUEUE, 3000);
	a = pktbuf_alloc(pool, 1500);
	b = pktbuf_alloc(pool, 1500);
	ck_assert_int_eq(pktbuf_set_use(pool, a, PKTBUF_QUEUE), 0);
	ck_assert_int_eq(pktbuf_set_use(pool, b, PKTBUF_QUEUE), -1);
	ck_assert_int_eq(b->use, PKTBUF_IO);
	ck_assert_int_eq(pktbuf_set_use(pool, b, PKTBUF_RESEQ), 0);
	ck_assert_int_eq(pktbuf_set_use(pool, a, PKTBUF_IO), 0);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_QUEUE), 0);
	pktbuf_free(pool, a);
	pktbuf_free(pool, b);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_RESEQ), 0);
}
END_TEST

START_TEST(io_has_a_quota_when_it_allocates)
{
	pktbuf_set_quota(pool, PKTBUF_IO, 10000);
	ck_assert_uint_lt(exhaust(1500), 5);
}
END_TEST

START_TEST(what_waits_leaves_room_for_io)
{
	struct pktbuf *pb = NULL;
	size_t n = 0;

	while ((pb = pktbuf_alloc(pool, 1500)) != NULL && n < HELD_MAX &&
	       pktbuf_set_use(pool, pb, PKTBUF_QUEUE) == 0)
		held[n++] = pb;
	/* Refused for waiting, but there is still room to work. */
	ck_assert_ptr_nonnull(pb);
	pktbuf_free(pool, pb);
	pb = pktbuf_alloc(pool, 65535);
	ck_assert_ptr_nonnull(pb);
	pktbuf_free(pool, pb);
	release(n);
}
END_TEST

START_TEST(is_freed_with_its_last_reference)
{
	struct pktbuf *pb = pktbuf_alloc(pool, 100);

	pktbuf_ref(pb);
	pktbuf_free(pool, pb);
	ck_assert_uint_gt(pktbuf_used(pool, PKTBUF_IO), 0);
	pktbuf_free(pool, pb);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
	pktbuf_free(pool, NULL);
}
END_TEST

START_TEST(reuses_the_buffer_freed_last)
{
	struct pktbuf *a = pktbuf_alloc(pool, 100);
	struct pktbuf *b = pktbuf_alloc(pool, 100);

	a->priority = true;
	a->gso.type = 4;
	pktbuf_free(pool, a);
	ck_assert_ptr_eq(pktbuf_alloc(pool, 100), a);
	ck_assert(!a->priority);
	ck_assert_uint_eq(a->gso.type, 0);
	pktbuf_free(pool, a);
	pktbuf_free(pool, b);
}
END_TEST

START_TEST(shrinks_to_the_smallest_class)
{
	struct pktbuf *pb = pktbuf_alloc(pool, 65535), *small;

	memcpy(pb->data, "0123456789", 10);
	pb->len = 10;
	pb->priority = true;
	pb->flow_hash = 77;
	pb->l3_offset = 14;
	pb->ip_version = 6;
	pb->queued_at = 5;
	pb->sends = 2;
	pb->carriers = 6;
	pb->acked = pb->again = true;
	pb->sent_at = 9;
	pb->gso.gso_size = 1400;
	ck_assert_int_eq(pktbuf_set_use(pool, pb, PKTBUF_RETAIN), 0);
	small = pktbuf_shrink(pool, pb);
	ck_assert_uint_eq(small->size, 256);
	ck_assert_uint_eq(small->len, 10);
	ck_assert_mem_eq(small->data, "0123456789", 10);
	ck_assert(small->priority);
	ck_assert_uint_eq(small->flow_hash, 77);
	ck_assert_uint_eq(small->l3_offset, 14);
	ck_assert_uint_eq(small->ip_version, 6);
	ck_assert_int_eq(small->queued_at, 5);
	ck_assert_uint_eq(small->sends, 2);
	ck_assert_uint_eq(small->carriers, 6);
	ck_assert(small->acked && small->again);
	ck_assert_int_eq(small->sent_at, 9);
	ck_assert_uint_eq(small->gso.gso_size, 1400);
	ck_assert_int_eq(small->use, PKTBUF_RETAIN);
	ck_assert_uint_lt(pktbuf_used(pool, PKTBUF_RETAIN), 512);
	ck_assert_ptr_eq(pktbuf_shrink(pool, small), small);
	pktbuf_free(pool, small);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_RETAIN), 0);
}
END_TEST

START_TEST(does_not_shrink_what_is_shared)
{
	struct pktbuf *pb = pktbuf_alloc(pool, 1500);

	pb->len = 10;
	pktbuf_ref(pb);
	ck_assert_ptr_eq(pktbuf_shrink(pool, pb), pb);
	pktbuf_free(pool, pb);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(accounts_add_up_after_random_use)
{
	static const size_t lens[] = { 60, 1400, 1500, 9000, 20000, 65000 };
	size_t n = 0;

	srand48(1);
	for (int i = 0; i < 200000; i++) {
		if (n < HELD_MAX && lrand48() % 100 < 52) {
			size_t len = lens[(size_t)lrand48() % nitems_of(lens)];

			if ((held[n] = pktbuf_alloc(pool, len)) == NULL)
				continue;
			held[n]->len = (uint32_t)len / 4;
			if (lrand48() % 2 == 0)
				held[n] = pktbuf_shrink(pool, held[n]);
			pktbuf_set_use(
			    pool, held[n], (unsigned)lrand48() % PKTBUF_USES);
			n++;
		} else if (n > 0) {
			size_t k = (size_t)lrand48() % n;

			pktbuf_free(pool, held[k]);
			held[k] = held[--n];
		}
		if (pktbuf_pool_bytes(pool) > 4 * MIB)
			ck_abort_msg("the pool is larger than it may be");
	}
	release(n);
	for (unsigned u = 0; u < PKTBUF_USES; u++)
		ck_assert_uint_eq(pktbuf_used(pool, u), 0);
	ck_assert_uint_gt(exhaust(65535), 50);
}
END_TEST

Suite *
pktbuf_suite(void)
{
	Suite *s = suite_create("pktbuf");
	TCase *tc = tcase_create("pktbuf");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, takes_nothing_before_the_first_packet);
	tcase_add_test(tc, gives_room_and_headroom_for_every_length);
	tcase_add_test(tc, buffers_do_not_overlap);
	tcase_add_test(tc, a_small_packet_pins_little);
	tcase_add_test(tc, never_exceeds_its_limit);
	tcase_add_test(tc, a_flood_of_one_class_leaves_room_for_the_others);
	tcase_add_test(tc, memory_goes_back_after_a_burst);
	tcase_add_test(tc, a_quota_binds_its_use_only);
	tcase_add_test(tc, io_has_a_quota_when_it_allocates);
	tcase_add_test(tc, what_waits_leaves_room_for_io);
	tcase_add_test(tc, is_freed_with_its_last_reference);
	tcase_add_test(tc, reuses_the_buffer_freed_last);
	tcase_add_test(tc, shrinks_to_the_smallest_class);
	tcase_add_test(tc, does_not_shrink_what_is_shared);
	tcase_add_test(tc, accounts_add_up_after_random_use);
	suite_add_tcase(s, tc);
	return s;
}
