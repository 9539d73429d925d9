/*
 * The meter: what arrived, what is missing, how long packets were on their way,
 * and what a report says of it.
 */
#include "config.h"

#include "meter_line.h"

Suite *meter_suite(void);

/* --- what arrived --- */

START_TEST(before_the_first_packet_there_is_nothing_to_report)
{
	memset(&m, 0xff, sizeof(m));
	meter_reset(&m);
	ck_assert(!meter_report(&m, &r, REPORT_HOLES, now));
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
}
END_TEST

START_TEST(nothing_is_missed_before_the_first_packet)
{
	come(7);
	report();
	ck_assert_uint_eq(r.highest, BASE + 7);
	ck_assert_uint_eq(r.floor, BASE + 7);
	ck_assert_uint_eq(r.nholes, 0);
	ck_assert_uint_eq(m.lost, 0);
}
END_TEST

START_TEST(the_first_packet_may_be_number_0)
{
	meter_note(&m, 0, LEN, 0, now);
	meter_note(&m, 1, LEN, 0, now);
	report();
	ck_assert_uint_eq(r.highest, 1);
	ck_assert_uint_eq(r.floor, 0);
	ck_assert_uint_eq(r.nholes, 0);
}
END_TEST

START_TEST(what_overtook_the_first_packet_does_not_make_a_loss)
{
	come(7);
	come(6);
	report();
	ck_assert_uint_eq(r.floor, BASE + 7);
	ck_assert_uint_eq(r.nholes, 0);
	ck_assert_uint_eq(r.packets, 2);
	ck_assert_uint_eq(m.lost, 0);
	ck_assert_uint_eq(m.reordered, 1);
}
END_TEST

START_TEST(packets_and_bytes_are_counted_in_any_order)
{
	come(0);
	come(2);
	come(1);
	report();
	ck_assert_uint_eq(r.packets, 3);
	ck_assert_uint_eq(r.bytes, 3 * LEN);
	m.packets = m.bytes = UINT32_MAX;
	come(3);
	report();
	ck_assert_uint_eq(r.packets, 0);
	ck_assert_uint_eq(r.bytes, LEN - 1);
}
END_TEST

START_TEST(only_a_new_highest_is_a_sign_of_life)
{
	mono_t at = now;

	come(0);
	come(2);
	ck_assert_int_eq(m.heard_at, at);
	now += MS;
	come(1);
	ck_assert_int_eq(m.heard_at, at);
	come(3);
	ck_assert_int_eq(m.heard_at, at + MS);
}
END_TEST

START_TEST(packets_in_order_leave_nothing_to_tell)
{
	come_all(0, 3 * REPORT_REACH);
	report();
	ck_assert_uint_eq(r.highest, BASE + 3 * REPORT_REACH);
	ck_assert_uint_eq(r.floor, BASE + 2 * REPORT_REACH);
	ck_assert_uint_eq(r.nholes, 0);
	ck_assert_uint_eq(m.lost, 0);
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
}
END_TEST

/* --- holes --- */

START_TEST(a_gap_is_a_loss_at_once_where_packets_keep_their_order)
{
	come(0);
	now += MS;
	come(4);
	ck_assert_int_eq(meter_due_at(&m), now);
	ck_assert_uint_eq(m.lost, 0);
	report();
	ck_assert_uint_eq(r.nholes, 1);
	assert_hole(0, 1, 3, false);
	ck_assert_uint_eq(r.floor, BASE);
	ck_assert_uint_eq(m.lost, 3);
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
	report();
	assert_hole(0, 1, 3, false);
	ck_assert_uint_eq(m.lost, 3);
}
END_TEST

START_TEST(holes_are_told_highest_first)
{
	come(0);
	come(2);
	come(5);
	come(6);
	come(8);
	report();
	ck_assert_uint_eq(r.nholes, 3);
	assert_hole(0, 7, 1, false);
	assert_hole(1, 3, 2, false);
	assert_hole(2, 1, 1, false);
	ck_assert_uint_eq(m.lost, 4);
}
END_TEST

START_TEST(a_late_packet_makes_a_hole_smaller)
{
	come(0);
	come(8); /* 1 to 7 are missing */
	come(1);
	report();
	assert_hole(0, 2, 6, false);
	come(7);
	report();
	assert_hole(0, 2, 5, false);
	come(4);
	report();
	ck_assert_uint_eq(r.nholes, 2);
	assert_hole(0, 5, 2, false);
	assert_hole(1, 2, 2, false);
	come(5);
	come(6);
	report();
	ck_assert_uint_eq(r.nholes, 1);
	assert_hole(0, 2, 2, false);
	come(3);
	come(2);
	report();
	ck_assert_uint_eq(r.nholes, 0);
	ck_assert_uint_eq(r.floor, BASE);
	ck_assert_uint_eq(m.reordered, 7);
	ck_assert_uint_eq(m.lost, 0);
}
END_TEST

START_TEST(a_late_packet_was_not_lost)
{
	come(0);
	come(3);
	come(1);
	ck_assert_uint_eq(m.lost, 0);
	report();
	ck_assert_uint_eq(m.lost, 1);
	come(2);
	ck_assert_uint_eq(m.lost, 0);
	ck_assert_uint_eq(m.reordered, 2);
}
END_TEST

START_TEST(a_packet_that_is_no_news_changes_nothing)
{
	come(0);
	come(2);
	come(2);
	come(0);
	report();
	ck_assert_uint_eq(r.nholes, 1);
	ck_assert_uint_eq(m.reordered, 0);
	ck_assert_uint_eq(m.lost, 1);
	ck_assert_int_eq(m.reorder, 0);
}
END_TEST

START_TEST(a_long_hole_is_told_in_parts)
{
	come(0);
	come(301);
	report();
	ck_assert_uint_eq(r.nholes, 3);
	assert_hole(0, 174, 127, false);
	assert_hole(1, 47, 127, false);
	assert_hole(2, 1, 46, false);
	ck_assert_uint_eq(m.lost, 300);
}
END_TEST

START_TEST(what_has_no_room_is_below_the_floor_of_the_report)
{
	uint64_t told = REPORT_HOLES * REPORT_HOLE_MAX, last = told + 2000;

	come(0);
	come(2);
	come(last);
	report();
	ck_assert_uint_eq(r.nholes, REPORT_HOLES);
	assert_hole(0, last - 127, 127, false);
	assert_hole(REPORT_HOLES - 1, last - told, 127, false);
	ck_assert_uint_eq(r.floor, BASE + last - told);
	ck_assert_uint_eq(m.floor, BASE);
	ck_assert_uint_eq(m.lost, last - 3);
	/* And where a hole has no room at all. */
	setup();
	come(0);
	come(2);
	come(3 + told);
	report();
	ck_assert_uint_eq(r.nholes, REPORT_HOLES);
	ck_assert_uint_eq(r.floor, BASE + 2);
	ck_assert_uint_eq(m.floor, BASE);
}
END_TEST

START_TEST(what_had_no_room_is_told_as_soon_as_there_is)
{
	come(0);
	for (uint64_t i = 1; i <= 10; i++)
		come(2 * i);
	ck_assert(meter_report(&m, &r, 4, now));
	ck_assert_uint_eq(r.nholes, 4);
	assert_hole(3, 13, 1, false);
	ck_assert_uint_eq(r.floor, BASE + 12);
	ck_assert_uint_eq(m.lost, 4);
	ck_assert_int_eq(meter_due_at(&m), now);
	report();
	ck_assert_uint_eq(r.nholes, 10);
	ck_assert_uint_eq(r.floor, BASE);
	ck_assert_uint_eq(m.lost, 10);
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
}
END_TEST

START_TEST(what_never_has_room_is_forgotten)
{
	come(0);
	come(2);
	come(4);
	for (int i = 0; i < METER_TOLD_ENOUGH; i++)
		meter_report(&m, &r, 1, now);
	now += METER_HOLE_AGE_MAX - 1;
	meter_report(&m, &r, 1, now);
	ck_assert_uint_eq(m.nholes, 2);
	now++;
	meter_report(&m, &r, 1, now);
	ck_assert_uint_eq(m.nholes, 0);
	ck_assert_uint_eq(m.lost, 2);
	meter_report(&m, &r, 1, now);
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
}
END_TEST

START_TEST(only_so_many_are_repeated)
{
	come(0);
	for (uint64_t i = 1; i <= METER_HOLES; i++)
		come(2 * i);
	report();
	ck_assert_uint_eq(r.nholes, METER_HOLES);
	report();
	ck_assert_uint_eq(r.nholes, METER_REPEATED);
	ck_assert_uint_eq(r.floor, BASE + 2 * (METER_HOLES - METER_REPEATED));
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
}
END_TEST

START_TEST(of_too_many_holes_the_oldest_goes)
{
	come_all(0, 1);
	for (uint64_t i = 0; i < METER_HOLES; i++)
		come(3 + 2 * i);
	ck_assert_uint_eq(m.lost, 0);
	ck_assert_uint_eq(m.floor, BASE);
	come(3 + 2 * METER_HOLES);
	ck_assert_uint_eq(m.nholes, METER_HOLES);
	ck_assert_uint_eq(m.lost, 1);
	ck_assert_uint_eq(m.floor, BASE + 3);
	report();
	ck_assert_uint_eq(r.nholes, METER_HOLES);
	ck_assert_uint_eq(m.lost, 1 + METER_HOLES);
	/* That it comes after all is no loss. */
	come(2);
	ck_assert_uint_eq(m.lost, METER_HOLES);
	ck_assert_uint_eq(m.reordered, 1);
	ck_assert_uint_eq(m.floor, BASE + 3);
}
END_TEST

START_TEST(a_hole_that_falls_apart_takes_the_place_of_the_oldest)
{
	come(0);
	for (uint64_t i = 1; i <= METER_HOLES; i++)
		come(4 * i); /* three missing before each */
	come(4 * METER_HOLES - 2);
	ck_assert_uint_eq(m.nholes, METER_HOLES);
	ck_assert_uint_eq(m.floor, BASE + 4);
	ck_assert_uint_eq(m.lost, 3);
	report();
	assert_hole(0, 4 * METER_HOLES - 1, 1, false);
	assert_hole(1, 4 * METER_HOLES - 3, 1, false);
	assert_hole(METER_HOLES - 1, 5, 3, false);
	/* The oldest itself: its lower part goes. */
	come(6);
	ck_assert_uint_eq(m.nholes, METER_HOLES);
	ck_assert_uint_eq(m.floor, BASE + 6);
	ck_assert_uint_eq(m.holes[0].first, BASE + 7);
	ck_assert_uint_eq(m.lost, 3 * METER_HOLES - 2);
}
END_TEST

START_TEST(the_longest_gap_is_a_hole)
{
	come(0);
	come(REPORT_REACH + 1);
	ck_assert_uint_eq(m.nholes, 1);
	ck_assert_uint_eq(m.holes[0].count, REPORT_REACH);
	ck_assert_uint_eq(m.floor, BASE + 1);
	report();
	ck_assert_uint_eq(m.lost, REPORT_REACH);
}
END_TEST

START_TEST(an_absurd_gap_raises_the_floor)
{
	uint64_t seq = REPORT_REACH + 4;

	come(0);
	come(2);
	come(seq);
	ck_assert_uint_eq(m.nholes, 0);
	ck_assert_uint_eq(m.floor, BASE + seq);
	ck_assert_uint_eq(m.lost, REPORT_REACH + 2);
	report();
	ck_assert_uint_eq(r.nholes, 0);
	meter_note(&m, WIRE_SEQ_MAX, LEN, 0, now);
	report();
	ck_assert_uint_eq(r.highest, WIRE_SEQ_MAX);
	ck_assert_uint_eq(r.floor, WIRE_SEQ_MAX);
}
END_TEST

START_TEST(the_floor_follows_within_reach)
{
	come(0);
	come(5); /* 1 to 4 */
	come_all(6, REPORT_REACH + 1);
	ck_assert_uint_eq(m.floor, BASE + 1);
	ck_assert_uint_eq(m.lost, 0);
	come_all(REPORT_REACH + 2, REPORT_REACH + 3);
	ck_assert_uint_eq(m.floor, BASE + 3);
	ck_assert_uint_eq(m.holes[0].first, BASE + 3);
	ck_assert_uint_eq(m.holes[0].count, 2);
	ck_assert_uint_eq(m.lost, 2);
	report();
	ck_assert_uint_eq(m.lost, 4);
	come_all(REPORT_REACH + 4, REPORT_REACH + 5);
	ck_assert_uint_eq(m.nholes, 0);
	ck_assert_uint_eq(m.lost, 4);
}
END_TEST

START_TEST(a_hole_is_forgotten_when_it_was_told_often_and_long)
{
	come(0);
	come(2);
	for (int i = 0; i < METER_TOLD_ENOUGH + 3; i++)
		report();
	now += METER_HOLE_AGE - 1;
	report();
	ck_assert_uint_eq(r.nholes, 1);
	now++;
	report();
	ck_assert_uint_eq(r.nholes, 1);
	report();
	ck_assert_uint_eq(r.nholes, 0);
	ck_assert_uint_eq(r.floor, BASE + 2);
	ck_assert_uint_eq(m.lost, 1);
	come(1);
	ck_assert_uint_eq(m.lost, 0);
}
END_TEST

START_TEST(a_hole_is_told_often_even_when_it_is_old)
{
	come(0);
	come(2);
	now += 10 * METER_HOLE_AGE;
	come(4);
	for (int i = 0; i < METER_TOLD_ENOUGH; i++) {
		report();
		ck_assert_uint_eq(r.nholes, 2);
	}
	report();
	ck_assert_uint_eq(r.nholes, 1);
	assert_hole(0, 3, 1, false);
	ck_assert_uint_eq(r.floor, BASE + 2);
}
END_TEST

/* --- one-way delay --- */

/* One that took so many units of stamps. */
static void
come_after(uint64_t seq, uint32_t owd)
{
	meter_note(&m, BASE + seq, LEN, (wire_stamp(now) - owd) & 0xfffff, now);
}

START_TEST(a_report_has_the_least_and_the_last_delay)
{
	come_after(0, 300);
	come_after(1, 200);
	come_after(2, 250);
	report();
	ck_assert_uint_eq(r.owd_min, 200);
	ck_assert_uint_eq(r.owd_last, 250);
	come_after(3, 400);
	come_after(4, 350);
	report();
	ck_assert_uint_eq(r.owd_min, 350);
	ck_assert_uint_eq(r.owd_last, 350);
	report();
	ck_assert_uint_eq(r.owd_min, 350);
	ck_assert_uint_eq(r.owd_last, 350);
}
END_TEST

START_TEST(a_report_without_packets_repeats_the_last_delay)
{
	come_after(0, 200);
	come_after(1, 250);
	report();
	report();
	ck_assert_uint_eq(r.owd_min, 250);
	ck_assert_uint_eq(r.owd_last, 250);
}
END_TEST

START_TEST(delays_wrap_at_20_bits)
{
	come_after(0, 5);
	come_after(1, 0xffffe); /* 7 less */
	come_after(2, 1);
	report();
	ck_assert_uint_eq(r.owd_min, 0xffffe);
	ck_assert_uint_eq(r.owd_last, 1);
}
END_TEST

START_TEST(delays_are_of_the_receivers_clock_less_the_stamp)
{
	meter_note(&m, BASE, LEN, 0xfffff, 3 * WIRE_STAMP_UNIT);
	ck_assert(meter_report(&m, &r, REPORT_HOLES, now));
	ck_assert_uint_eq(r.owd_last, 4);
	meter_note(&m, BASE + 1, LEN, 4, 3 * WIRE_STAMP_UNIT);
	ck_assert(meter_report(&m, &r, REPORT_HOLES, now));
	ck_assert_uint_eq(r.owd_last, 0xfffff);
}
END_TEST

/* The mean, in units of stamps. */
static uint32_t
mean(void)
{
	return m.delay >> 12;
}

START_TEST(the_mean_delay_follows_slowly)
{
	come_after(0, 200);
	ck_assert_uint_eq(mean(), 200);
	for (uint64_t seq = 1; seq < 8; seq++) {
		now += MS;
		come_after(seq, 300);
	}
	ck_assert_uint_gt(mean(), 225);
	ck_assert_uint_lt(mean(), 250);
	/* Those that were late waited for something else. */
	come_after(9, mean());
	come_after(8, 90000);
	ck_assert_uint_lt(mean(), 250);
}
END_TEST

START_TEST(after_a_pause_it_follows_fast)
{
	come_after(0, 3000);
	for (uint64_t seq = 1; seq < 4; seq++) {
		now += 2000 * MS;
		come_after(seq, 200);
	}
	ck_assert_uint_le(mean(), 200 + 2800 / 8);
	now += 250 * MS;
	come_after(4, mean() + 400);
	ck_assert_uint_le(mean(), 200 + 2800 / 8 + 100);
}
END_TEST

START_TEST(a_late_packet_says_nothing_about_the_queue)
{
	come_after(0, 200);
	come_after(2, 210);
	come_after(1, 900);
	report();
	ck_assert_uint_eq(r.owd_min, 200);
	ck_assert_uint_eq(r.owd_last, 210);
}
END_TEST

Suite *
meter_suite(void)
{
	Suite *s = suite_create("meter");
	TCase *tc = tcase_create("meter");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, before_the_first_packet_there_is_nothing_to_report);
	tcase_add_test(tc, nothing_is_missed_before_the_first_packet);
	tcase_add_test(tc, the_first_packet_may_be_number_0);
	tcase_add_test(tc, what_overtook_the_first_packet_does_not_make_a_loss);
	tcase_add_test(tc, packets_and_bytes_are_counted_in_any_order);
	tcase_add_test(tc, only_a_new_highest_is_a_sign_of_life);
	tcase_add_test(tc, packets_in_order_leave_nothing_to_tell);
	tcase_add_test(
	    tc, a_gap_is_a_loss_at_once_where_packets_keep_their_order);
	tcase_add_test(tc, holes_are_told_highest_first);
	tcase_add_test(tc, a_late_packet_makes_a_hole_smaller);
	tcase_add_test(tc, a_late_packet_was_not_lost);
	tcase_add_test(tc, a_packet_that_is_no_news_changes_nothing);
	tcase_add_test(tc, a_long_hole_is_told_in_parts);
	tcase_add_test(tc, what_has_no_room_is_below_the_floor_of_the_report);
	tcase_add_test(tc, what_had_no_room_is_told_as_soon_as_there_is);
	tcase_add_test(tc, what_never_has_room_is_forgotten);
	tcase_add_test(tc, only_so_many_are_repeated);
	tcase_add_test(tc, of_too_many_holes_the_oldest_goes);
	tcase_add_test(
	    tc, a_hole_that_falls_apart_takes_the_place_of_the_oldest);
	tcase_add_test(tc, the_longest_gap_is_a_hole);
	tcase_add_test(tc, an_absurd_gap_raises_the_floor);
	tcase_add_test(tc, the_floor_follows_within_reach);
	tcase_add_test(tc, a_hole_is_forgotten_when_it_was_told_often_and_long);
	tcase_add_test(tc, a_hole_is_told_often_even_when_it_is_old);
	tcase_add_test(tc, a_report_has_the_least_and_the_last_delay);
	tcase_add_test(tc, a_report_without_packets_repeats_the_last_delay);
	tcase_add_test(tc, delays_wrap_at_20_bits);
	tcase_add_test(tc, delays_are_of_the_receivers_clock_less_the_stamp);
	tcase_add_test(tc, the_mean_delay_follows_slowly);
	tcase_add_test(tc, after_a_pause_it_follows_fast);
	tcase_add_test(tc, a_late_packet_says_nothing_about_the_queue);
	suite_add_tcase(s, tc);
	return s;
}
