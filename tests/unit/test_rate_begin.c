/*
 * The rate with which a link begins, the search where none is configured, and
 * what another configuration does to one that was found.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "rate_line.h"

Suite *rate_begin_suite(void);

#define SEEDS 5

static struct line line;

START_TEST(begins_at_the_configured_rate)
{
	struct rate r;

	rate_init(&r, 1000000, 0);
	ck_assert_uint_eq(r.now_Bps, 1000000);
	ck_assert(!rate_is_limited(&r));
	rate_init(&r, 1, 0);
	ck_assert_uint_eq(r.now_Bps, RATE_FLOOR_BPS);
}
END_TEST

START_TEST(begins_slowly_where_nothing_is_configured)
{
	struct rate r;

	rate_init(&r, 0, 0);
	ck_assert_uint_eq(r.now_Bps, RATE_FIRST_BPS);
	ck_assert(!rate_is_limited(&r));
}
END_TEST

START_TEST(begins_with_ten_packets_a_round_trip)
{
	struct rate r;

	rate_init(&r, 0, 0);
	rate_begin(&r, 10 * MS);
	ck_assert_uint_eq(r.now_Bps, 1500000);
	rate_begin(&r, SEC);
	ck_assert_uint_eq(r.now_Bps, RATE_FIRST_BPS);
	rate_begin(&r, 0);
	ck_assert_uint_eq(r.now_Bps, 15000000);
	rate_init(&r, 1000000, 0);
	rate_begin(&r, 10 * MS);
	ck_assert_uint_eq(r.now_Bps, 1000000);
}
END_TEST

START_TEST(a_found_rate_survives_a_configured_one)
{
	srand48(1);
	line_init(&line, 0, 25 * MBIT, 10 * MS);
	line_run(&line, 5 * SEC);
	rate_set_conf(&line.rate, (uint64_t)(80 * MBIT), line.now);
	ck_assert(line.rate.now_Bps < 30 * MBIT);
	rate_begin(&line.rate, MS);
	ck_assert(line.rate.now_Bps < 30 * MBIT);
}
END_TEST

START_TEST(takes_another_configured_rate)
{
	struct rate r;

	rate_init(&r, 1000000, 0);
	rate_set_conf(&r, 3000000, SEC);
	ck_assert_uint_eq(r.now_Bps, 3000000);
	rate_set_conf(&r, 2000000, SEC);
	ck_assert_uint_eq(r.now_Bps, 2000000);
	rate_set_conf(&r, 0, SEC);
	ck_assert_uint_eq(r.now_Bps, 2000000);
	rate_init(&r, 0, 0);
	rate_set_conf(&r, 2000000, SEC);
	ck_assert_uint_eq(r.now_Bps, 2000000);
}
END_TEST

START_TEST(another_configured_rate_does_not_make_the_line_faster)
{
	srand48(1);
	line_init(&line, 50 * MBIT, 25 * MBIT, 10 * MS);
	line_run(&line, 3 * SEC);
	ck_assert(rate_is_limited(&line.rate));
	rate_set_conf(&line.rate, (uint64_t)(80 * MBIT), line.now);
	line_watch_for(&line, 2 * SEC);
	ck_assert(line.rate_max < 32 * MBIT);
	rate_set_conf(&line.rate, (uint64_t)(20 * MBIT), line.now);
	line_watch_for(&line, 2 * SEC);
	ck_assert(line.rate_max <= 20 * MBIT);
	line_run(&line, SEC);
	ck_assert(!rate_is_limited(&line.rate));
}
END_TEST

static void
check_found(double mbit, mono_t way, mono_t limit, mono_t queue)
{
	double real = mbit * MBIT;

	for (int seed = 1; seed <= SEEDS; seed++) {
		srand48(seed);
		line_init(&line, 0, real, way);
		line_run(&line, seed * 5 * MS);
		line_watch(&line);
		ck_assert_int_le(
		    line_until(&line, 0.85 * real, false, limit), limit);
		ck_assert((double)line.rate.now_Bps >= 0.85 * real);
		line_run(&line, SEC);
		ck_assert_int_le(line.queue_max, queue);
		line_watch_for(&line, 10 * SEC);
		ck_assert(line_delivered_Bps(&line) > 0.9 * real);
		ck_assert(line_bloated(&line) < 0.3);
		ck_assert(line.rate_min > 0.7 * real);
		ck_assert(line.rate_max < 1.3 * real);
	}
}

START_TEST(finds_the_rate_of_a_line)
{
	check_found(50, 10 * MS, 1 * SEC, 110 * MS);
	check_found(10, 20 * MS, 1 * SEC, 110 * MS);
	check_found(50, 50 * MS, 2 * SEC, 160 * MS);
	check_found(1000, 10 * MS, 2 * SEC, 110 * MS);
}
END_TEST

START_TEST(finds_the_rate_through_jitter)
{
	for (int seed = 1; seed <= SEEDS; seed++) {
		srand48(seed);
		line_init(&line, 0, 50 * MBIT, 10 * MS);
		line.jitter = 10 * MS;
		line_run(&line, 5 * SEC);
		line_watch_for(&line, 10 * SEC);
		ck_assert(line_delivered_Bps(&line) > 0.8 * 50 * MBIT);
		ck_assert(line.queue_sum / line.ticks < 30 * MS);
	}
}
END_TEST

START_TEST(follows_a_line_of_unknown_rate)
{
	for (int seed = 1; seed <= SEEDS; seed++) {
		srand48(seed);
		line_init(&line, 0, 50 * MBIT, 10 * MS);
		line_run(&line, 3 * SEC);
		line.real_Bps = 25 * MBIT;
		line_run(&line, SEC + seed * 3 * MS);
		ck_assert_int_le(line_queue(&line), 25 * MS);
		line_watch_for(&line, 5 * SEC);
		ck_assert(line_delivered_Bps(&line) > 0.85 * 25 * MBIT);
		line.real_Bps = 100 * MBIT;
		line_run(&line, 6 * SEC);
		line_watch_for(&line, 5 * SEC);
		ck_assert(line_delivered_Bps(&line) > 0.85 * 100 * MBIT);
	}
}
END_TEST

/* Each round trip it sends twice of what arrived in the one before. */
START_TEST(does_not_hold_up_a_sender_in_slow_start)
{
	mono_t rtt = 80 * MS;
	int rounds = 0;

	srand48(1);
	line_init(&line, 0, 50 * MBIT, rtt / 2);
	rate_begin(&line.rate, rtt);
	line.app_Bps = 15000 * 1e9 / (double)rtt;
	for (; line.app_Bps < 50 * MBIT && rounds < 20; rounds++) {
		ck_assert_int_gt(rate_looks_until(&line.rate), line.now);
		line_watch_for(&line, rtt);
		line.app_Bps = 2 * line_delivered_Bps(&line);
	}
	ck_assert_int_le(rounds, 9); /* the least is 6 */
	line.app_Bps = 0;
	line_run(&line, 2 * SEC);
	ck_assert_int_eq(rate_looks_until(&line.rate), 0);
}
END_TEST

/* Nothing waits here then, and the delay says nothing. */
START_TEST(a_line_that_drops_what_it_cannot_queue_ends_the_search)
{
	srand48(1);
	line_init(&line, 0, 20 * MBIT, 20 * MS);
	line.buffer = 10 * MS;
	line.app_Bps = 15 * MBIT;
	line_run(&line, 2 * SEC);
	line.app_Bps = 30 * MBIT;
	line_run(&line, 3 * SEC);
	ck_assert_int_eq(rate_looks_until(&line.rate), 0);
	line_watch_for(&line, 10 * SEC);
	ck_assert(line.rate_max < 1.5 * 20 * MBIT);
	ck_assert(line_delivered_Bps(&line) > 0.9 * 20 * MBIT);
}
END_TEST

START_TEST(a_promise_of_the_file_floods_no_line_that_is_used)
{
	srand48(1);
	line_init(&line, 50 * MBIT, 50 * MBIT, 10 * MS);
	line_run(&line, 3 * SEC);
	line_watch(&line);
	rate_set_conf(&line.rate, (uint64_t)(150 * MBIT), line.now);
	line_run(&line, 5 * SEC);
	ck_assert(line.rate_max < 60 * MBIT);
	ck_assert_int_lt(line.queue_max, 40 * MS);
	ck_assert(line_delivered_Bps(&line) > 0.95 * 50 * MBIT);
}
END_TEST

START_TEST(a_promise_that_is_kept_is_used_within_seconds)
{
	srand48(1);
	line_init(&line, 25 * MBIT, 100 * MBIT, 10 * MS);
	line_run(&line, 3 * SEC);
	rate_set_conf(&line.rate, (uint64_t)(80 * MBIT), line.now);
	line_run(&line, 2 * SEC);
	ck_assert(!rate_is_limited(&line.rate));
}
END_TEST

Suite *
rate_begin_suite(void)
{
	Suite *s = suite_create("rate_begin");
	TCase *tc = tcase_create("rate_begin");

	tcase_add_test(tc, begins_at_the_configured_rate);
	tcase_add_test(tc, begins_slowly_where_nothing_is_configured);
	tcase_add_test(tc, begins_with_ten_packets_a_round_trip);
	tcase_add_test(tc, a_found_rate_survives_a_configured_one);
	tcase_add_test(tc, takes_another_configured_rate);
	tcase_add_test(
	    tc, another_configured_rate_does_not_make_the_line_faster);
	tcase_add_test(tc, finds_the_rate_of_a_line);
	tcase_add_test(tc, finds_the_rate_through_jitter);
	tcase_add_test(tc, follows_a_line_of_unknown_rate);
	tcase_add_test(tc, does_not_hold_up_a_sender_in_slow_start);
	tcase_add_test(
	    tc, a_line_that_drops_what_it_cannot_queue_ends_the_search);
	tcase_add_test(tc, a_promise_of_the_file_floods_no_line_that_is_used);
	tcase_add_test(tc, a_promise_that_is_kept_is_used_within_seconds);
	suite_add_tcase(s, tc);
	return s;
}
