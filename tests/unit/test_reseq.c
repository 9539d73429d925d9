/*
 * The resequencer: what waits for whom, and for how long.
 */
#include "config.h"

#include <check.h>

#include "reseq_peer.h"

Suite *reseq_suite(void);

/* --- order --- */

START_TEST(nothing_waits_without_a_hole)
{
	come(55, 0, 0);
	GOT("55");
	come(56, 1, 0);
	come(57, 0, 1);
	come(58, 2, 0);
	GOT("56 57 58");
	ck_assert_uint_eq(reseq_stats(r)->held, 0);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

START_TEST(the_order_is_restored)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	come(5, 0, 0);
	GOT("0");
	ck_assert_uint_eq(reseq_stats(r)->packets, 3);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 3 * LEN);
	come(3, 2, 0);
	GOT("");
	come(1, 1, 0);
	GOT("1 2 3 4 5");
	ck_assert_uint_eq(reseq_stats(r)->held, 4);
	ck_assert_uint_eq(reseq_stats(r)->holes, 2);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 0);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

/* A peer counts from 0, so what came first may have overtaken others. */
START_TEST(the_first_packets_come_in_order)
{
	come(2, 0, 1);
	come(1, 1, 0);
	GOT("");
	come(0, 0, 0);
	GOT("0 1 2");
	/* If we are the one that is new, they have come already. */
	reseq_reset(r, now);
	come(5, 0, 0);
	GOT("");
	pass_time(RESEQ_HOLD);
	GOT("5");
	come(6, 0, 0);
	GOT("6");
}
END_TEST

START_TEST(the_hole_of_one_bucket_does_not_delay_another)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	begin_hole();
	come_as(&other);
	other.seq = 1;
	come_as(&other);
	GOT("0 1000 1001");
	come(1, 1, 0);
	GOT("1 2");
}
END_TEST

START_TEST(priority_packets_have_a_space_of_their_own)
{
	struct arrival urgent = { 0, 97, 0, 0, true, 10 * MS };

	begin_hole();
	come_as(&urgent);
	urgent.seq = 99;
	urgent.prev = 1;
	come_as(&urgent);
	GOT("0 p97");
	come(1, 1, 0);
	GOT("1 2");
	urgent.seq = 98;
	urgent.link = 1;
	come_as(&urgent);
	GOT("p98 p99");
}
END_TEST

START_TEST(numbers_wrap)
{
	come(FQ_SEQ_MASK - 1, 0, 0);
	come(0, 0, 1);
	come(1, 0, 0);
	GOT("4194302");
	come(FQ_SEQ_MASK, 1, 0);
	GOT("4194303 0 1");
	come(2, 0, 0);
	GOT("2");
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

START_TEST(only_a_hole_makes_a_packet_wait_for_its_own_line)
{
	come(0, 0, 0);
	come(2, 0, 0);
	GOT("0");
	/* It is sent again, by another line. */
	come(1, 1, 0);
	GOT("1 2");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
}
END_TEST

START_TEST(packets_find_their_places_in_any_order)
{
	static const uint32_t order[] = { 0, 50, 10, 30, 20, 40, 11, 49, 31, 29,
		1 };
	uint32_t left[51];
	uint32_t n = 0;

	for (size_t i = 0; i < nitems_of(order); i++)
		come(order[i], 0, 1);
	GOT("0 1");
	for (uint32_t i = 2; i < 50; i++)
		left[n++] = i;
	for (uint32_t i = 0; i < n; i++)
		come(left[i * 29 % n], 1, 0);
	quiet = true;
	ck_assert_uint_eq(ndelivered, 51);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 8);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	ck_assert_uint_eq(reseq_stats(r)->holes, 49);
}
END_TEST

/* --- holes that will not be filled --- */

START_TEST(a_hole_ends_when_the_sender_says_so)
{
	begin_hole();
	GOT("0");
	skip(1);
	GOT("2");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 1);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	come(3, 0, 0);
	GOT("3");
}
END_TEST

START_TEST(a_skip_within_a_hole_has_its_turn)
{
	come(0, 0, 0);
	come(5, 0, 1);
	skip(3);
	skip(2);
	skip(3);
	GOT("0");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 0);
	come(1, 1, 0);
	GOT("1");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 2);
	come(4, 1, 0);
	GOT("4 5");
}
END_TEST

START_TEST(a_skip_behind_other_holes_has_its_turn)
{
	begin_hole();
	come(4, 0, 1);
	come(6, 0, 1);
	skip(5);
	skip(3);
	GOT("0");
	skip(1);
	GOT("2 4 6");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 3);
	ck_assert_uint_eq(reseq_stats(r)->holes, 3);
}
END_TEST

START_TEST(a_skip_may_come_before_the_hole_is_seen)
{
	come(0, 0, 0);
	skip(1);
	skip(3);
	come(2, 0, 1);
	come(4, 0, 1);
	GOT("0 2 4");
	ck_assert_uint_eq(reseq_stats(r)->held, 0);
	/* Even as the first that is known of a bucket. */
	reseq_reset(r, now);
	skip(1);
	skip(0);
	come(2, 0, 1);
	GOT("2");
}
END_TEST

START_TEST(a_packet_comes_although_it_is_skipped)
{
	begin_hole();
	come(5, 0, 1);
	skip(3);
	come(3, 1, 0);
	skip(4);
	skip(3);
	/* It has come in time, and again. */
	come(1, 1, 0);
	GOT("0 1 2 3 5");
	come(3, 2, 0);
	GOT("");
	/* This one has not. */
	come(4, 1, 0);
	GOT("4");
	come(4, 1, 0);
	GOT("");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 2);
	ck_assert_uint_eq(reseq_stats(r)->skipped, 1);
}
END_TEST

START_TEST(skips_that_make_no_sense_are_ignored)
{
	skip(77); /* nothing has come yet */
	come(100, 0, 0);
	skip(100);
	skip(99);
	skip(100 + (1 << 20));
	skip(100 + (1 << 21));
	reseq_skip(r, true, 0, 101, now);
	reseq_skip(r, false, UINT16_MAX, UINT32_MAX, now);
	come(102, 0, 1);
	GOT("100");
	come(101, 1, 0);
	GOT("101 102");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 0);
}
END_TEST

START_TEST(priority_packets_are_skipped_in_their_own_space)
{
	struct arrival urgent = { 0, 40, 0, 0, true, 10 * MS };

	begin_hole();
	come_as(&urgent);
	urgent.seq = 42;
	come_as(&urgent);
	reseq_skip(r, true, 0, 41, now);
	GOT("0 p40 p42");
}
END_TEST

/* --- deadlines --- */

START_TEST(a_hole_is_given_up_after_150_ms)
{
	mono_t start = now;

	come(0, 0, 0);
	now += 20 * MS;
	come(2, 0, 1);
	come(3, 0, 0);
	ck_assert_int_eq(reseq_run(r, now), now + 150 * MS);
	now += 150 * MS - 1;
	ck_assert_int_eq(reseq_run(r, now), now + 1);
	GOT("0");
	now++;
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	GOT("2 3");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 1);
	ck_assert_int_eq(now - start, 170 * MS);
}
END_TEST

START_TEST(the_deadline_moves_when_packets_come_in_their_turn)
{
	begin_hole();
	come(4, 0, 2);
	now += 100 * MS;
	come(1, 1, 0);
	GOT("0 1 2");
	pass_time(149 * MS);
	GOT("");
	pass_time(1 * MS);
	GOT("4");
}
END_TEST

/* A line that is dead must not stop a flow again with each packet of its. */
START_TEST(holes_of_the_same_age_are_given_up_together)
{
	for (uint32_t i = 0; i < 20; i += 2) {
		come(i, 0, 1);
		now += MS;
	}
	GOT("0");
	pass_time(141 * MS);
	GOT("2");
	pass_time(9 * MS);
	GOT("4 6 8 10 12 14 16 18");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 9);
}
END_TEST

START_TEST(the_earliest_deadline_is_next)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	come_as(&other);
	begin_hole();
	now += 30 * MS;
	other.seq = 2;
	other.prev = 1;
	come_as(&other);
	GOT("1000 0");
	ck_assert_int_eq(reseq_run(r, now), now + 120 * MS);
	now += 120 * MS;
	ck_assert_int_eq(reseq_run(r, now), now + 30 * MS);
	GOT("2");
	now += 30 * MS;
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	GOT("1002");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 2);
}
END_TEST

/* The one that waits for a slow line came first. */
START_TEST(a_later_hole_may_be_due_earlier)
{
	struct arrival slow = { 1, 0, 0, 0, false, 10 * MS };

	speak(1, 300 * MS);
	come_as(&slow);
	slow.seq = 2;
	slow.prev = 1;
	come_as(&slow);
	now += 10 * MS;
	come(0, 0, 0);
	come(2, 0, 2);
	GOT("1000 0");
	pass_time(150 * MS);
	GOT("2");
	pass_time(279 * MS);
	GOT("");
	pass_time(MS);
	GOT("1002");
}
END_TEST

/* How much longer than 150 ms does begin_hole() wait? */
static void
waits_longer(mono_t span)
{
	begin_hole();
	pass_time(RESEQ_HOLD + span - MS);
	GOT("0");
	pass_time(2 * MS);
	GOT("2");
}

START_TEST(a_slow_line_is_given_its_time)
{
	speak(1, 310 * MS);
	waits_longer(300 * MS);
}
END_TEST

START_TEST(a_faster_line_has_no_less_time)
{
	speak(1, MS);
	waits_longer(0);
}
END_TEST

START_TEST(no_line_is_given_more_than_a_second)
{
	speak(1, 5 * SEC);
	waits_longer(RESEQ_EXPECT_MAX);
}
END_TEST

START_TEST(a_line_that_does_not_carry_the_packet_is_not_waited_for)
{
	speak(1, 10 * MS);
	speak(2, 500 * MS);
	waits_longer(0);
}
END_TEST

START_TEST(for_many_missing_packets_the_slowest_line_counts)
{
	speak(1, 210 * MS);
	speak(2, 60 * MS);
	speak(3, 800 * MS); /* carries nothing now */
	come(0, 0, 0);
	come(3, 0, 2);
	pass_time(349 * MS);
	GOT("0");
	pass_time(2 * MS);
	GOT("3");
	/* Unless the only one that is left is known. */
	come(4, 0, 0);
	come(7, 0, 2);
	skip(5);
	GOT("4");
	pass_time(199 * MS);
	GOT("");
	pass_time(2 * MS);
	GOT("7");
}
END_TEST

START_TEST(the_clock_of_the_peer_does_not_matter)
{
	mono_t turn = (WIRE_STAMP_MASK + INT64_C(1)) * WIRE_STAMP_UNIT;
	/* Near the wrap of our stamps and that of the difference. */
	static const mono_t skews[] = { 0, 7 * SEC, -7 * SEC, 5 * MS, -5 * MS,
		33 * SEC };
	mono_t skew = skews[_i];
	struct arrival a = { 0, 0, 0, 0, false, 10 * MS + skew };

	now = 20 * turn + 9 * MS;
	speak(1, 110 * MS + skew);
	come_as(&a);
	a.seq = 2;
	a.prev = 1;
	come_as(&a);
	pass_time(249 * MS);
	GOT("0");
	pass_time(2 * MS);
	GOT("2");
}
END_TEST

START_TEST(delays_are_smoothed_and_follow_the_line)
{
	for (int i = 0; i < 100; i++) {
		speak(1, 110 * MS);
		now += MS;
	}
	/* One packet that was delayed changes little, many do. */
	speak(1, 190 * MS);
	waits_longer(110 * MS);
	for (int i = 0; i < 100; i++) {
		speak(1, 20 * MS);
		now += MS;
	}
	come(4, 0, 1);
	pass_time(159 * MS);
	GOT("");
	pass_time(2 * MS);
	GOT("4");
}
END_TEST

/* As stamps wrap, its delay may be any by now. */
START_TEST(what_a_line_said_long_ago_proves_nothing)
{
	speak(1, 510 * MS);
	now += 21 * SEC;
	waits_longer(0);
	/* It begins anew with what it says next. */
	speak(1, 110 * MS);
	come(4, 0, 1);
	pass_time(249 * MS);
	GOT("");
	pass_time(2 * MS);
	GOT("4");
}
END_TEST

/* A packet may name any of 16 lines. */
START_TEST(a_line_that_does_not_exist_is_no_reason_to_wait_longer)
{
	come(0, 0, 0);
	come(2, 0, 15);
	GOT("0");
	pass_time(RESEQ_HOLD);
	GOT("2");
	reseq_heard(r, 16, 0, now);
	reseq_heard(r, UINT32_MAX, 0, now);
}
END_TEST

Suite *
reseq_suite(void)
{
	Suite *s = suite_create("reseq");
	TCase *tc = tcase_create("reseq");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_waits_without_a_hole);
	tcase_add_test(tc, the_order_is_restored);
	tcase_add_test(tc, the_first_packets_come_in_order);
	tcase_add_test(tc, the_hole_of_one_bucket_does_not_delay_another);
	tcase_add_test(tc, priority_packets_have_a_space_of_their_own);
	tcase_add_test(tc, numbers_wrap);
	tcase_add_test(tc, only_a_hole_makes_a_packet_wait_for_its_own_line);
	tcase_add_test(tc, packets_find_their_places_in_any_order);
	tcase_add_test(tc, a_hole_ends_when_the_sender_says_so);
	tcase_add_test(tc, a_skip_within_a_hole_has_its_turn);
	tcase_add_test(tc, a_skip_behind_other_holes_has_its_turn);
	tcase_add_test(tc, a_skip_may_come_before_the_hole_is_seen);
	tcase_add_test(tc, a_packet_comes_although_it_is_skipped);
	tcase_add_test(tc, skips_that_make_no_sense_are_ignored);
	tcase_add_test(tc, priority_packets_are_skipped_in_their_own_space);
	tcase_add_test(tc, a_hole_is_given_up_after_150_ms);
	tcase_add_test(tc, the_deadline_moves_when_packets_come_in_their_turn);
	tcase_add_test(tc, holes_of_the_same_age_are_given_up_together);
	tcase_add_test(tc, the_earliest_deadline_is_next);
	tcase_add_test(tc, a_later_hole_may_be_due_earlier);
	tcase_add_test(tc, a_slow_line_is_given_its_time);
	tcase_add_test(tc, a_faster_line_has_no_less_time);
	tcase_add_test(tc, no_line_is_given_more_than_a_second);
	tcase_add_test(
	    tc, a_line_that_does_not_carry_the_packet_is_not_waited_for);
	tcase_add_test(tc, for_many_missing_packets_the_slowest_line_counts);
	tcase_add_loop_test(tc, the_clock_of_the_peer_does_not_matter, 0, 6);
	tcase_add_test(tc, delays_are_smoothed_and_follow_the_line);
	tcase_add_test(tc, what_a_line_said_long_ago_proves_nothing);
	tcase_add_test(
	    tc, a_line_that_does_not_exist_is_no_reason_to_wait_longer);
	suite_add_tcase(s, tc);
	return s;
}
