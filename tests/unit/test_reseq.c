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
	reseq_reset(r);
	come(5, 0, 0);
	GOT("");
	speak(1, 0);
	speak(2, 0);
	GOT("5");
	come(6, 0, 0);
	GOT("6");
}
END_TEST

START_TEST(the_hole_of_one_bucket_does_not_delay_another)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	come(0, 0, 0);
	come(2, 0, 1);
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

	come(0, 0, 0);
	come(2, 0, 1);
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

START_TEST(late_packets_are_delivered)
{
	come(0, 0, 0);
	come(2, 0, 0);
	GOT("0 2");
	come(1, 0, 0);
	GOT("1");
	come(3, 0, 0);
	GOT("3");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
}
END_TEST

START_TEST(a_copy_of_what_waits_is_dropped)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(3, 0, 0);
	come(2, 0, 1);
	come(3, 0, 0);
	ck_assert_uint_eq(reseq_stats(r)->packets, 2);
	come(1, 1, 0);
	GOT("0 1 2 3");
}
END_TEST

/* --- holes that will not be filled --- */

/* A line keeps its order: what it did not bring before is lost. */
START_TEST(a_loss_on_the_same_line_costs_nothing)
{
	come(0, 0, 0);
	come(2, 0, 0);
	GOT("0 2");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
}
END_TEST

START_TEST(a_hole_is_given_up_when_its_line_brought_something_later)
{
	come(0, 0, 0);
	come(2, 0, 1);
	speak(1, 11 * MS); /* sent before the one that waits */
	speak(1, 10 * MS); /* sent with it: the missing one may be behind */
	speak(2, 0);	   /* another line proves nothing */
	GOT("0");
	speak(1, 10 * MS - WIRE_STAMP_UNIT);
	GOT("2");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

START_TEST(what_the_line_said_before_counts)
{
	come(0, 0, 0);
	speak(1, 5 * MS);
	come(2, 0, 1);
	GOT("0 2");
}
END_TEST

START_TEST(for_many_missing_packets_all_lines_have_to_be_past)
{
	come(0, 0, 0);
	come(4, 0, 1);
	speak(1, 0);
	GOT("0");
	speak(2, 0);
	GOT("4");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
	/* On a line that is alone there is no other to wait for. */
	reseq_set_links(r, 1);
	come(8, 0, 0);
	GOT("8");
}
END_TEST

START_TEST(each_hole_is_judged_by_itself)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	come(6, 0, 1);
	speak(1, 0);
	GOT("0 2");
	come(3, 2, 0);
	GOT("3 4 6");
}
END_TEST

START_TEST(stamps_wrap)
{
	mono_t turn = (WIRE_STAMP_MASK + INT64_C(1)) * WIRE_STAMP_UNIT;

	now = 20 * turn + 9 * MS;
	come(0, 0, 0);
	come(2, 0, 1);
	ck_assert_uint_gt(wire_stamp(now - 10 * MS), wire_stamp(now));
	speak(1, 12 * MS);
	GOT("0");
	speak(1, 5 * MS);
	GOT("2");
}
END_TEST

/* As stamps wrap, 40 s ago would look like later than now. */
START_TEST(what_a_line_said_long_ago_proves_nothing)
{
	speak(1, 0);
	if (_i == 1) {
		/* One that comes late does not renew it. */
		now += 19 * SEC;
		speak(1, 19 * SEC + MS);
		now -= 19 * SEC;
	}
	now += 38 * SEC;
	come(0, 0, 0);
	come(2, 0, 1);
	GOT("0");
	come(1, 1, 0);
	GOT("1 2");
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

START_TEST(the_deadline_moves_when_packets_flow)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	now += 100 * MS;
	come(1, 1, 0);
	GOT("0 1 2");
	ck_assert_int_eq(reseq_run(r, now), now + 150 * MS);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("4");
}
END_TEST

START_TEST(the_earliest_deadline_is_next)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	come(0, 0, 0);
	come_as(&other);
	come(2, 0, 1);
	now += 30 * MS;
	other.seq = 2;
	other.prev = 1;
	come_as(&other);
	GOT("0 1000");
	ck_assert_int_eq(reseq_run(r, now), now + 120 * MS);
	now += 120 * MS;
	/* The line has let a deadline pass, that is enough. */
	reseq_run(r, now);
	got();
	now += 30 * MS;
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	ck_assert_uint_eq(ndelivered, 4);
}
END_TEST

START_TEST(a_silent_line_is_waited_for_once)
{
	come(0, 0, 0);
	come(2, 0, 1);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("0 2");
	come(4, 0, 1);
	come(6, 0, 1);
	GOT("4 6");
	/* More of them missing is no reason to wait either. */
	now += 20 * MS;
	come(9, 0, 1);
	GOT("");
	speak(2, 0);
	GOT("9");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 1);
	/* It works again: its packets are worth the wait. */
	speak(1, 20 * MS);
	come(11, 0, 1);
	GOT("");
	come(10, 1, 0);
	GOT("10 11");
}
END_TEST

START_TEST(who_brought_the_packet_that_waits_is_not_silent)
{
	come(0, 0, 0);
	come(3, 0, 1);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("0 3");
	come(5, 1, 0);
	GOT("");
	come(4, 0, 0);
	GOT("4 5");
}
END_TEST

/* A packet may name any of 16 lines. */
START_TEST(a_line_that_does_not_exist_is_waited_for_once)
{
	come(0, 0, 0);
	come(2, 0, 15);
	GOT("0");
	now += 150 * MS;
	reseq_run(r, now);
	GOT("2");
	for (uint32_t i = 4; i < 100; i += 2)
		come(i, 0, 15);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
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
	tcase_add_test(tc, late_packets_are_delivered);
	tcase_add_test(tc, a_copy_of_what_waits_is_dropped);
	tcase_add_test(tc, a_loss_on_the_same_line_costs_nothing);
	tcase_add_test(
	    tc, a_hole_is_given_up_when_its_line_brought_something_later);
	tcase_add_test(tc, what_the_line_said_before_counts);
	tcase_add_test(tc, for_many_missing_packets_all_lines_have_to_be_past);
	tcase_add_test(tc, each_hole_is_judged_by_itself);
	tcase_add_test(tc, stamps_wrap);
	tcase_add_loop_test(tc, what_a_line_said_long_ago_proves_nothing, 0, 2);
	tcase_add_test(tc, a_hole_is_given_up_after_150_ms);
	tcase_add_test(tc, the_deadline_moves_when_packets_flow);
	tcase_add_test(tc, the_earliest_deadline_is_next);
	tcase_add_test(tc, a_silent_line_is_waited_for_once);
	tcase_add_test(tc, who_brought_the_packet_that_waits_is_not_silent);
	tcase_add_test(tc, a_line_that_does_not_exist_is_waited_for_once);
	suite_add_tcase(s, tc);
	return s;
}
