/*
 * What is in flight on a link, and what reports make of it.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/retain.h"

#define T0 (100 * NSEC_PER_SEC)
#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC

static struct pktbuf_pool *pool;
static struct retain r;
static struct retain_result res;
static uint32_t lost[64];
static size_t nlost;

static void
set_up(void)
{
	pool = pktbuf_pool_new(1024 * 1024);
	r = (struct retain){ 0 };
	nlost = 0;
}

static void
tear_down(void)
{
	retain_clear(&r, pool);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_RETAIN), 0);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
	pktbuf_pool_free(pool);
}

static void
on_lost(void *ctx, const struct retain_entry *e)
{
	ck_assert_ptr_null(ctx);
	ck_assert_uint_lt(nlost, nitems_of(lost));
	lost[nlost++] = e->bucket_seq;
	pktbuf_free(pool, e->pb);
}

static void
send_one(uint64_t seq, mono_t at)
{
	struct pktbuf *pb = pktbuf_alloc(pool, 100);

	ck_assert_ptr_nonnull(pb);
	pb->bucket_seq = (uint32_t)seq + 1000;
	retain_note(&r, pool, seq, pb, at);
	pktbuf_free(pool, pb);
}

/* n packets, one each ms. */
static void
send_many(uint64_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		send_one(first + i, T0 + (mono_t)i * MS);
}

static bool
tell(const struct report_link *rep)
{
	return retain_report(&r, pool, rep, on_lost, NULL, &res);
}

START_TEST(what_arrived_is_freed)
{
	send_many(7, 5);
	ck_assert_uint_gt(pktbuf_used(pool, PKTBUF_RETAIN), 0);
	ck_assert(tell(&(struct report_link){ .highest = 11, .floor = 7 }));
	ck_assert_uint_eq(res.acked, 5);
	ck_assert_uint_eq(res.lost + nlost, 0);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_RETAIN), 0);
	ck_assert_uint_eq(r.data, 0);
	ck_assert_int_eq(retain_unheard_at(&r), MONO_NEVER);
}
END_TEST

START_TEST(holes_are_lost_once)
{
	struct report_link rep = {
		.highest = 9, .floor = 2, .packets = 5, .nholes = 2
	};

	rep.holes[0] = (struct report_hole){ 7, 2, false };
	rep.holes[1] = (struct report_hole){ 3, 1, false };
	send_many(1, 10);
	ck_assert(tell(&rep));
	/* 1 lies below the floor, from where on all have come that did. */
	ck_assert_uint_eq(res.lost, 4);
	ck_assert_uint_eq(res.acked, 5);
	ck_assert_uint_eq(nlost, 4);
	ck_assert_uint_eq(lost[0], 1001);
	ck_assert_uint_eq(lost[1], 1003);
	ck_assert_uint_eq(lost[3], 1008);
	ck_assert(tell(&rep));
	ck_assert_uint_eq(res.lost + res.acked, 0);
	ck_assert_uint_eq(r.data, 1);
	ck_assert_int_eq(retain_unheard_at(&r), T0 + 9 * MS);
}
END_TEST

/* Others have been named there before, in reports that were lost. */
START_TEST(what_is_below_the_floor_is_left_open)
{
	struct report_link rep = {
		.highest = 9, .floor = 6, .packets = 6, .nholes = 1
	};

	rep.holes[0] = (struct report_hole){ 7, 1, false };
	send_many(1, 12);
	ck_assert(tell(&rep));
	ck_assert_uint_eq(res.lost, 1);
	ck_assert_uint_eq(res.acked, 3);
	/* Nor is it overdue, as what is after the highest may be. */
	ck_assert_uint_eq(retain_overdue(&r, MONO_NEVER, on_lost, NULL), 3);
	ck_assert_uint_eq(lost[1], 1010);
	/* The next report may have room for it. */
	rep.floor = 1;
	rep.nholes = 2;
	rep.holes[1] = (struct report_hole){ 3, 1, false };
	ck_assert(tell(&rep));
	ck_assert_uint_eq(res.lost, 1);
	ck_assert_uint_eq(res.acked, 4);
	ck_assert_uint_eq(r.tail, 10);
}
END_TEST

START_TEST(a_pending_hole_stays_open)
{
	struct report_link rep = { .highest = 5, .floor = 1, .nholes = 1 };

	rep.holes[0] = (struct report_hole){ 2, 2, true };
	send_many(1, 5);
	ck_assert(tell(&rep));
	ck_assert_uint_eq(res.acked, 3);
	ck_assert_uint_eq(nlost, 0);
	/* 2 came late, 3 did not. */
	rep.holes[0] = (struct report_hole){ 3, 1, false };
	ck_assert(tell(&rep));
	ck_assert_uint_eq(res.acked, 1);
	ck_assert_uint_eq(nlost, 1);
	ck_assert_uint_eq(lost[0], 1003);
}
END_TEST

START_TEST(a_lie_about_the_future_is_refused)
{
	ck_assert(!tell(&(struct report_link){ .highest = 0, .floor = 0 }));
	send_many(1, 3);
	ck_assert(!tell(&(struct report_link){ .highest = 4, .floor = 1 }));
	ck_assert_uint_eq(r.data, 3);
	/* Of the past: nothing to do. */
	ck_assert(tell(&(struct report_link){ .highest = 0, .floor = 0 }));
	ck_assert_uint_eq(res.acked + res.lost, 0);
}
END_TEST

START_TEST(what_is_overdue_is_lost_oldest_first)
{
	send_many(1, 10);
	ck_assert(retain_misses(&r, 10, T0 + 10 * MS));
	ck_assert(!retain_misses(&r, 10, T0 + 9 * MS));
	ck_assert(!retain_misses(&r, 11, T0 + 10 * MS));
	ck_assert_uint_eq(retain_overdue(&r, T0 + 4 * MS, on_lost, NULL), 4);
	ck_assert_uint_eq(lost[0], 1001);
	ck_assert_uint_eq(lost[3], 1004);
	/* They may still arrive, and would be of no use any more. */
	ck_assert_uint_eq(r.data, 6);
	ck_assert_uint_eq(retain_overdue(&r, T0 + 4 * MS, on_lost, NULL), 0);
	/* Nothing was reported, so the line has been silent since. */
	ck_assert_int_eq(retain_unheard_at(&r), T0);
	ck_assert_uint_eq(retain_restart(&r, pool), 10);
	ck_assert_int_eq(retain_unheard_at(&r), MONO_NEVER);
}
END_TEST

/* As when a peer that began anew is told of what the one before got. */
START_TEST(a_report_of_what_is_forgotten_says_nothing_of_the_rest)
{
	send_many(5000, 5);
	ck_assert(tell(&(struct report_link){ .highest = 10, .floor = 7 }));
	ck_assert_int_eq(retain_unheard_at(&r), T0);
	ck_assert(retain_misses(&r, 5, T0 + 5 * MS));
	ck_assert(!retain_misses(&r, 5, T0 + 4 * MS));
	ck_assert(!retain_misses(&r, 6, T0 + 5 * MS));
	/* Less than the ring holds. */
	retain_clear(&r, pool);
	send_many(100, 5);
	ck_assert(tell(&(struct report_link){ .highest = 10, .floor = 7 }));
	ck_assert_int_eq(retain_unheard_at(&r), T0);
}
END_TEST

START_TEST(who_begins_again_counts_what_nobody_told_of)
{
	struct report_link rep = { .highest = 5, .floor = 1, .nholes = 2 };

	rep.holes[0] = (struct report_hole){ 4, 1, true };
	rep.holes[1] = (struct report_hole){ 2, 1, false };
	ck_assert_uint_eq(retain_restart(&r, pool), 0);
	send_many(1, 8);
	ck_assert(tell(&rep));
	ck_assert_uint_eq(retain_restart(&r, pool), 4);
	ck_assert_uint_eq(retain_restart(&r, pool), 0);
}
END_TEST

START_TEST(what_a_report_left_open_is_lost_in_the_end)
{
	struct report_link rep = { .highest = 5, .floor = 1, .nholes = 2 };

	rep.holes[0] = (struct report_hole){ 3, 1, true };
	rep.holes[1] = (struct report_hole){ 1, 1, true };
	send_many(1, 8);
	ck_assert(tell(&rep));
	ck_assert_uint_eq(retain_expire(&r, pool, T0, on_lost, NULL), 0);
	ck_assert_uint_eq(
	    retain_expire(&r, pool, T0 + 2 * MS, on_lost, NULL), 1);
	ck_assert_uint_eq(r.tail, 3);
	/* But not what no report has spoken of: the line is silent. */
	ck_assert_uint_eq(retain_expire(&r, pool, T0 + SEC, on_lost, NULL), 1);
	ck_assert_uint_eq(r.tail, 6);
	ck_assert_uint_eq(r.data, 3);
	ck_assert_uint_eq(nlost, 2);
	ck_assert_uint_eq(lost[0], 1001);
	ck_assert_uint_eq(lost[1], 1003);
}
END_TEST

START_TEST(control_packets_are_never_sent_again)
{
	retain_note(&r, pool, 1, NULL, T0);
	send_one(2, T0);
	retain_note(&r, pool, 3, NULL, T0);
	ck_assert_uint_eq(r.data, 1);
	ck_assert_uint_eq(retain_overdue(&r, MONO_NEVER, on_lost, NULL), 1);
	ck_assert_uint_eq(nlost, 1);
}
END_TEST

START_TEST(what_the_socket_refused_is_lost_at_once)
{
	send_many(1, 3);
	retain_refused(&r, pool, 2, on_lost, NULL);
	retain_refused(&r, pool, 2, on_lost, NULL);
	retain_refused(&r, pool, 99, on_lost, NULL);
	ck_assert_uint_eq(nlost, 1);
	ck_assert_uint_eq(lost[0], 1002);
}
END_TEST

START_TEST(more_than_the_ring_holds_is_given_up)
{
	for (uint64_t seq = 1; seq <= RETAIN_MAX + 100; seq++)
		retain_note(&r, pool, seq, NULL, T0);
	ck_assert_uint_eq(r.size, RETAIN_MAX);
	ck_assert_uint_eq(r.tail, 101);
	ck_assert(tell(
	    &(struct report_link){ .highest = RETAIN_MAX + 100, .floor = 1 }));
	ck_assert_uint_eq(res.acked, RETAIN_MAX);
}
END_TEST

START_TEST(without_memory_the_peer_is_still_told)
{
	pktbuf_set_quota(pool, PKTBUF_RETAIN, 0);
	send_one(1, T0);
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
	retain_overdue(&r, MONO_NEVER, on_lost, NULL);
	ck_assert_uint_eq(nlost, 1);
	ck_assert_uint_eq(lost[0], 1001);
}
END_TEST

Suite *retain_suite(void);

Suite *
retain_suite(void)
{
	Suite *s = suite_create("retain");
	TCase *tc = tcase_create("retain");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, what_arrived_is_freed);
	tcase_add_test(tc, holes_are_lost_once);
	tcase_add_test(tc, what_is_below_the_floor_is_left_open);
	tcase_add_test(tc, a_pending_hole_stays_open);
	tcase_add_test(tc, a_lie_about_the_future_is_refused);
	tcase_add_test(tc, what_is_overdue_is_lost_oldest_first);
	tcase_add_test(
	    tc, a_report_of_what_is_forgotten_says_nothing_of_the_rest);
	tcase_add_test(tc, who_begins_again_counts_what_nobody_told_of);
	tcase_add_test(tc, what_a_report_left_open_is_lost_in_the_end);
	tcase_add_test(tc, control_packets_are_never_sent_again);
	tcase_add_test(tc, what_the_socket_refused_is_lost_at_once);
	tcase_add_test(tc, more_than_the_ring_holds_is_given_up);
	tcase_add_test(tc, without_memory_the_peer_is_still_told);
	suite_add_tcase(s, tc);
	return s;
}
