/*
 * The part of a link's packets that is lost, from totals that grow, wrap, go
 * back or begin anew.
 */
#include "config.h"

#include <check.h>

#include "tunnel/loss.h"

#define S NSEC_PER_SEC

Suite *loss_suite(void);

static struct loss_totals from;
static struct loss_growth g;

START_TEST(nothing_is_known_before_counting_begins)
{
	loss_forget(&from);
	ck_assert(!loss_since(&from, 10, 10, &g));
	loss_begin(&from, 10, 10);
	ck_assert(loss_since(&from, 10, 10, &g));
	loss_forget(&from);
	ck_assert(!loss_since(&from, 10, 10, &g));
}
END_TEST

START_TEST(growth_is_what_came_of_what_was_numbered)
{
	loss_begin(&from, UINT64_C(1) << 40, 7);
	ck_assert(loss_since(&from, (UINT64_C(1) << 40) + 100, 97, &g));
	ck_assert_uint_eq(g.expected, 100);
	ck_assert_uint_eq(g.arrived, 90);
}
END_TEST

START_TEST(the_count_of_packets_wraps)
{
	loss_begin(&from, 5, UINT32_MAX - 1);
	ck_assert(loss_since(&from, 15, 7, &g));
	ck_assert_uint_eq(g.arrived, 9);
}
END_TEST

START_TEST(late_packets_may_be_more_than_expected)
{
	loss_begin(&from, 100, 50);
	ck_assert(loss_since(&from, 101, 60, &g));
	ck_assert_uint_eq(g.expected, 1);
	ck_assert_uint_eq(g.arrived, 10);
}
END_TEST

START_TEST(totals_that_went_back_tell_nothing)
{
	loss_begin(&from, 100, 50);
	ck_assert(!loss_since(&from, 99, 50, &g));
	ck_assert(!loss_since(&from, 100, 49, &g));
}
END_TEST

START_TEST(the_first_totals_are_no_loss)
{
	struct loss_meter m = { 0 };

	loss_meter_update(&m, 1000, 0, S);
	ck_assert_double_eq(loss_meter_value(&m), 0);
	loss_meter_update(&m, 1100, 75, 2 * S);
	ck_assert_double_eq(loss_meter_value(&m), 0.25);
}
END_TEST

/* Keepalives may overtake one another. */
START_TEST(older_totals_do_not_hide_a_loss)
{
	struct loss_meter m = { 0 };

	loss_meter_update(&m, 0, 0, S);
	loss_meter_update(&m, 100, 90, S);
	loss_meter_update(&m, 100, 80, S);
	loss_meter_update(&m, 200, 170, S);
	ck_assert_double_gt(loss_meter_value(&m), 0.049);
}
END_TEST

START_TEST(more_than_expected_is_no_negative_loss)
{
	struct loss_meter m = { 0 };

	loss_meter_update(&m, 0, 0, S);
	loss_meter_update(&m, 1, 5, S);
	ck_assert_double_eq(loss_meter_value(&m), 0);
	/* ... and makes good for those that seemed lost. */
	loss_meter_update(&m, 10, 10, S);
	ck_assert_double_eq(loss_meter_value(&m), 0);
}
END_TEST

START_TEST(what_is_older_counts_for_less)
{
	struct loss_meter m = { .decayed_at = S };

	loss_meter_update(&m, 0, 0, S);
	loss_meter_update(&m, 1000, 500, 2 * S);
	ck_assert_double_eq(loss_meter_value(&m), 0.5);
	loss_meter_update(&m, 1000, 500, 6 * S);
	ck_assert_double_eq(loss_meter_value(&m), 0.5);
	loss_meter_update(&m, 1500, 1000, 7 * S);
	ck_assert_double_eq(loss_meter_value(&m), 0.25);
}
END_TEST

Suite *
loss_suite(void)
{
	Suite *s = suite_create("loss");
	TCase *tc = tcase_create("loss");

	tcase_add_test(tc, nothing_is_known_before_counting_begins);
	tcase_add_test(tc, growth_is_what_came_of_what_was_numbered);
	tcase_add_test(tc, the_count_of_packets_wraps);
	tcase_add_test(tc, late_packets_may_be_more_than_expected);
	tcase_add_test(tc, totals_that_went_back_tell_nothing);
	tcase_add_test(tc, the_first_totals_are_no_loss);
	tcase_add_test(tc, older_totals_do_not_hide_a_loss);
	tcase_add_test(tc, more_than_expected_is_no_negative_loss);
	tcase_add_test(tc, what_is_older_counts_for_less);
	suite_add_tcase(s, tc);
	return s;
}
