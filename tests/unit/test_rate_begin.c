/*
 * The rate with which a link begins, and what another configuration does to one
 * that was found.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "rate_line.h"

Suite *rate_begin_suite(void);

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
	suite_add_tcase(s, tc);
	return s;
}
