/*
 * One-way delays by invented stamps: the wrap, the window of the least and
 * what two links have in common.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "tunnel/delay.h"
#include "tunnel/wire.h"

Suite *delay_suite(void);

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define UNIT WIRE_STAMP_UNIT
#define UNITS (WIRE_STAMP_MASK + 1)
#define WRAP (UNITS * UNIT)
#define REPORT (25 * MS)

static struct delay d;

static void
setup(void)
{
	delay_reset(&d);
}

/* What the meter would report of a delay that has grown without wrapping. */
static uint32_t
units(mono_t owd)
{
	mono_t u = owd / UNIT % UNITS;

	return (uint32_t)(u < 0 ? u + UNITS : u);
}

static void
sample(mono_t low, mono_t last, mono_t now)
{
	delay_sample(&d, units(low), units(last), now);
}

START_TEST(is_not_known_before_the_first_report)
{
	ck_assert(!d.known);
	ck_assert_int_eq(delay_excess(&d), 0);
}
END_TEST

START_TEST(first_report_places_it)
{
	delay_sample(&d, 1000, 1010, 5 * SEC);
	ck_assert(d.known);
	ck_assert_int_eq(d.last, 1010 * UNIT);
	ck_assert_int_eq(d.low, 1000 * UNIT);
	ck_assert_int_eq(d.mean, 1010 * UNIT);
	ck_assert_int_eq(d.var, 0);
	ck_assert_int_eq(delay_min(&d), 1000 * UNIT);
	ck_assert_int_eq(delay_excess(&d), 10 * UNIT);
}
END_TEST

START_TEST(goes_on_across_the_wrap_both_ways)
{
	delay_sample(&d, UNITS - 5, UNITS - 5, 0);
	delay_sample(&d, UNITS - 1, 3, REPORT);
	ck_assert_int_eq(d.last, (UNITS + 3) * UNIT);
	ck_assert_int_eq(d.low, (UNITS - 1) * UNIT);
	ck_assert_int_eq(delay_excess(&d), 8 * UNIT);
	delay_sample(&d, UNITS - 9, UNITS - 9, 2 * REPORT);
	ck_assert_int_eq(d.last, (UNITS - 9) * UNIT);
	ck_assert_int_eq(delay_min(&d), (UNITS - 9) * UNIT);
}
END_TEST

START_TEST(goes_on_below_nought)
{
	delay_sample(&d, 5, 5, 0);
	delay_sample(&d, UNITS - 5, UNITS - 5, REPORT);
	ck_assert_int_eq(d.last, -5 * UNIT);
	delay_sample(&d, UNITS - 7, UNITS - 6, 2 * REPORT);
	ck_assert_int_eq(d.last, -6 * UNIT);
	ck_assert_int_eq(d.low, -7 * UNIT);
	delay_sample(&d, 2, 2, 3 * REPORT);
	ck_assert_int_eq(d.last, 2 * UNIT);
}
END_TEST

START_TEST(drifts_through_many_wraps)
{
	mono_t owd = 3 * SEC;

	/* No clock is that wrong; the axis goes on through it. */
	for (int i = 0; i < 100000; i++) {
		sample(owd, owd, i * REPORT);
		if (d.last != owd / UNIT * UNIT)
			ck_assert_int_eq(d.last, owd / UNIT * UNIT);
		owd += 7 * MS;
	}
	ck_assert(d.last > 9 * WRAP);
}
END_TEST

START_TEST(least_above_the_last_is_not_believed)
{
	delay_sample(&d, 120, 100, 0);
	ck_assert_int_eq(d.low, 100 * UNIT);
	delay_sample(&d, 100, 90, REPORT);
	ck_assert_int_eq(d.low, 90 * UNIT);
	ck_assert_int_eq(delay_min(&d), 90 * UNIT);
}
END_TEST

START_TEST(bits_above_the_stamp_are_not_looked_at)
{
	delay_sample(&d, 0xfff00000 | 100, 0xfff00000 | 100, 0);
	ck_assert_int_eq(d.last, 100 * UNIT);
	delay_sample(&d, 0xfff00000 | 101, 0x100000 | 102, REPORT);
	ck_assert_int_eq(d.last, 102 * UNIT);
	ck_assert_int_eq(d.low, 101 * UNIT);
}
END_TEST

START_TEST(smooths_by_a_quarter)
{
	delay_sample(&d, 1000, 1000, 0);
	delay_sample(&d, 1040, 1040, REPORT);
	ck_assert_int_eq(d.mean, 1010 * UNIT);
	ck_assert_int_eq(d.var, 10 * UNIT);
	for (int i = 2; i < 100; i++)
		delay_sample(&d, 1040, 1040, i * REPORT);
	ck_assert_int_le(1040 * UNIT - d.mean, 10);
	ck_assert_int_le(d.var, 10);
}
END_TEST

START_TEST(least_is_forgotten_after_five_to_ten_seconds)
{
	/* A low value at any time of a half, then only higher ones. */
	for (mono_t at = 0; at < 12 * SEC; at += 333 * MS) {
		mono_t now = 0;

		setup();
		for (; now <= at; now += REPORT)
			sample(100 * MS, 100 * MS, now);
		for (; now < at + 5 * SEC; now += REPORT)
			sample(130 * MS, 140 * MS, now);
		ck_assert_int_eq(delay_min(&d), 100 * MS / UNIT * UNIT);
		for (; now < at + 10 * SEC + REPORT; now += REPORT)
			sample(130 * MS, 140 * MS, now);
		ck_assert_int_eq(delay_min(&d), 130 * MS / UNIT * UNIT);
	}
}
END_TEST

START_TEST(silence_does_not_stretch_the_window)
{
	sample(100 * MS, 100 * MS, 0);
	sample(130 * MS, 130 * MS, 9900 * MS);
	ck_assert_int_lt(delay_min(&d), 101 * MS);
	sample(130 * MS, 130 * MS, 10000 * MS);
	ck_assert_int_gt(delay_min(&d), 129 * MS);
	sample(150 * MS, 150 * MS, 3600 * SEC);
	ck_assert_int_gt(delay_min(&d), 149 * MS);
}
END_TEST

START_TEST(drift_of_the_clocks_is_no_excess)
{
	const mono_t ppm[] = { 200, -200 };

	for (size_t k = 0; k < nitems_of(ppm); k++) {
		setup();
		for (int i = 0; i < 100000; i++) {
			mono_t now = i * REPORT;
			mono_t owd = 30 * SEC + now / 1000000 * ppm[k];

			sample(owd, owd, now);
			if (delay_excess(&d) > 2 * MS + 2 * UNIT)
				ck_assert_int_le(
				    delay_excess(&d), 2 * MS + 2 * UNIT);
		}
	}
}
END_TEST

START_TEST(begins_anew_with_another_base)
{
	sample(100 * MS, 100 * MS, 0);
	sample(300 * MS, 310 * MS, REPORT);
	delay_rebase(&d, d.low, REPORT);
	ck_assert_int_lt(delay_excess(&d), 11 * MS);
	/* Above the present value it is no excess, nor less than none. */
	delay_rebase(&d, d.last + 50 * MS, REPORT);
	ck_assert_int_eq(delay_excess(&d), 0);
	sample(300 * MS, 300 * MS, 2 * REPORT);
	ck_assert_int_eq(delay_min(&d), 300 * MS / UNIT * UNIT);
	/* The new base has a full window before it. */
	sample(330 * MS, 330 * MS, 5 * SEC);
	ck_assert_int_lt(delay_min(&d), 301 * MS);
	sample(330 * MS, 330 * MS, 10 * SEC + REPORT);
	ck_assert_int_gt(delay_min(&d), 329 * MS);
}
END_TEST

START_TEST(links_compare_whatever_their_wraps)
{
	struct delay a, b;

	/* The clocks' offset makes both wrap, a in its life and b not. */
	for (int turns = 0; turns < 5; turns++) {
		mono_t owd = WRAP - 20 * MS;

		delay_reset(&a);
		for (mono_t x = 0; x <= turns * WRAP + owd; x += 10 * SEC)
			delay_sample(&a, units(x), units(x), x);
		for (int i = 0; i < 200; i++)
			delay_sample(&a, units(owd), units(owd), i * REPORT);
		delay_reset(&b);
		for (int i = 0; i < 200; i++)
			delay_sample(&b, units(owd + 50 * MS),
			    units(owd + 50 * MS), i * REPORT);
		ck_assert_int_le(llabs(delay_diff(&b, &a) - 50 * MS), 2 * UNIT);
		ck_assert_int_le(llabs(delay_diff(&a, &b) + 50 * MS), 2 * UNIT);
	}
}
END_TEST

START_TEST(links_compare_up_to_half_a_wrap)
{
	struct delay a, b;

	delay_reset(&a);
	delay_reset(&b);
	delay_sample(&a, 7, 7, 0);
	delay_sample(&b, units(33 * SEC) + 7, units(33 * SEC) + 7, 0);
	ck_assert_int_le(llabs(delay_diff(&b, &a) - 33 * SEC), UNIT);
	ck_assert_int_le(llabs(delay_diff(&a, &b) + 33 * SEC), UNIT);
}
END_TEST

Suite *
delay_suite(void)
{
	Suite *s = suite_create("delay");
	TCase *tc = tcase_create("delay");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, is_not_known_before_the_first_report);
	tcase_add_test(tc, first_report_places_it);
	tcase_add_test(tc, goes_on_across_the_wrap_both_ways);
	tcase_add_test(tc, goes_on_below_nought);
	tcase_add_test(tc, drifts_through_many_wraps);
	tcase_add_test(tc, least_above_the_last_is_not_believed);
	tcase_add_test(tc, bits_above_the_stamp_are_not_looked_at);
	tcase_add_test(tc, smooths_by_a_quarter);
	tcase_add_test(tc, least_is_forgotten_after_five_to_ten_seconds);
	tcase_add_test(tc, silence_does_not_stretch_the_window);
	tcase_add_test(tc, drift_of_the_clocks_is_no_excess);
	tcase_add_test(tc, begins_anew_with_another_base);
	tcase_add_test(tc, links_compare_whatever_their_wraps);
	tcase_add_test(tc, links_compare_up_to_half_a_wrap);
	suite_add_tcase(s, tc);
	return s;
}
