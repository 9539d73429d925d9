/*
 * The resequencer and packets that left before those before them: they prove
 * nothing of these, which may not have been sent yet.
 */
#include "config.h"

#include <check.h>

#include "reseq_peer.h"

Suite *reseq_ahead_suite(void);

/* What waits goes on in that time, give or take a millisecond. */
static void
goes_in(mono_t span, const char *text)
{
	pass_time(span - MS);
	GOT("");
	pass_time(2 * MS);
	GOT(text);
}

/* --- not sent yet --- */

START_TEST(nothing_is_missing_before_what_left_ahead)
{
	come(0, 0, 0);
	now += 10 * SEC;
	ck_assert_int_eq(come_ahead(3, 1, 0), RESEQ_HELD);
	come_ahead(5, 1, 0);
	pass_time(RESEQ_EXPECT_MAX + RESEQ_HOLD_MAX);
	GOT("0");
	come_range(1, 3);
	GOT("1 2 3");
	pass_time(RESEQ_EXPECT_MAX + RESEQ_HOLD_MAX);
	come(4, 0, 0);
	GOT("4 5");
	ck_assert_uint_eq(reseq_stats(r)->holes, 0);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

START_TEST(two_seconds_are_enough)
{
	come(0, 0, 0);
	come_ahead(3, 1, 0);
	come_ahead(5, 1, 0);
	pass_time(SEC);
	come(1, 0, 0);
	GOT("0 1");
	goes_in(RESEQ_UNSENT_MAX, "3 5");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 2);
}
END_TEST

/* The first of all is number 2; of a bucket that is known, or not. */
START_TEST(the_first_waits_like_any)
{
	if (_i == 1)
		come_range(FQ_SEQ_MASK, FQ_SEQ_MASK + 1);
	got();
	come_ahead(2, 1, 0);
	pass_time(SEC);
	come(0, 0, 0);
	GOT("0");
	come(1, 0, 0);
	GOT("1 2");
}
END_TEST

/* Of a peer that was there before us: what it passed is not lost by it. */
START_TEST(the_first_may_have_passed_others)
{
	come_ahead(50, 1, 0);
	come_range(40, 42);
	come(51, 0, 0);
	ck_assert_int_eq(come_ahead(50, 2, 0), RESEQ_DUPLICATE);
	GOT("50 40 41 51");
}
END_TEST

/* --- sent --- */

/* Behind it, before it, and among them. */
START_TEST(the_hold_counts_from_one_in_its_turn)
{
	static const uint32_t seqs[] = { 9, 2, 6 };
	static const char *const texts[] = { "3 5 7 9", "2 3", "3 5 6 7" };

	come(0, 0, 0);
	come_ahead(3, 1, 0);
	now += 400 * MS;
	come_ahead(7, 1, 0);
	now += 400 * MS;
	come_ahead(5, 1, 0);
	GOT("0");
	now += 200 * MS;
	come(seqs[_i], 0, 0);
	goes_in(RESEQ_HOLD, texts[_i]);
	/* What is behind that may not have been sent. */
	pass_time(SEC / 2);
	GOT("");
}
END_TEST

START_TEST(more_from_behind_change_no_deadline)
{
	come(0, 0, 0);
	come(8, 0, 0);
	now += 100 * MS;
	come_ahead(10, 1, 0);
	come_ahead(5, 1, 0);
	come_ahead(3, 1, 0);
	GOT("0");
	goes_in(50 * MS, "3 5 8");
	ck_assert_uint_eq(reseq_stats(r)->holes, 7);
}
END_TEST

/* As it does where none from behind is before it. */
START_TEST(a_nearer_one_moves_the_deadline)
{
	come(0, 0, 0);
	if (_i == 1)
		come_ahead(3, 1, 0);
	come(8, 0, 0);
	now += 140 * MS;
	come(5, 0, 0);
	GOT("0");
	pass_time(140 * MS);
	GOT("");
}
END_TEST

START_TEST(lines_are_told_by_what_left_in_its_turn)
{
	speak(1, 310 * MS);
	speak(2, 110 * MS);
	reseq_set_links(r, 1);
	come(0, 0, 0);
	come_ahead(2, 1, 1);
	come(3, 0, 2);
	GOT("0");
	goes_in(RESEQ_HOLD + 100 * MS, "2 3");
}
END_TEST

START_TEST(a_hole_ends_and_what_is_not_sent_waits)
{
	come(0, 0, 0);
	come(2, 0, 0);
	come_ahead(5, 1, 0);
	GOT("0");
	if (_i == 0)
		goes_in(RESEQ_HOLD, "2");
	else if (_i == 1)
		come(1, 0, 0);
	else
		skip(1);
	got();
	pass_time(RESEQ_HOLD_MAX + RESEQ_EXPECT_MAX);
	GOT("");
	come(3, 0, 0);
	come(4, 0, 0);
	GOT("3 4 5");
}
END_TEST

/* A hole as long as any, and it goes on at once. */
START_TEST(the_two_seconds_count_from_one_in_its_turn)
{
	come(0, 0, 0);
	come_ahead(10, 1, 0);
	now += RESEQ_UNSENT_MAX - 10 * MS;
	come(8, 0, 0);
	GOT("0");
	goes_in(RESEQ_HOLD, "8");
	come(9, 0, 0);
	GOT("9 10");
}
END_TEST

START_TEST(skips_let_it_go)
{
	come(0, 0, 0);
	come_ahead(3, 1, 0);
	come_ahead(5, 1, 0);
	skip(4);
	skip(2);
	GOT("0");
	skip(1);
	GOT("3 5");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 3);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

/* The flow may have to wait for others before it. */
START_TEST(a_skip_lasts_until_its_turn)
{
	come(0, 0, 0);
	come_ahead(5, 1, 0);
	skip(3);
	pass_time(SEC * 3 / 2);
	come_range(1, 3);
	come(4, 0, 0);
	GOT("0 1 2 4 5");
}
END_TEST

START_TEST(copies_of_it_are_dropped)
{
	come(0, 0, 0);
	come_ahead(3, 1, 0);
	ck_assert_int_eq(come_ahead(3, 0, 0), RESEQ_DUPLICATE);
	come_range(1, 3);
	GOT("0 1 2 3");
	ck_assert_int_eq(come_ahead(3, 0, 0), RESEQ_DUPLICATE);
	come_ahead(5, 1, 0);
	pass_time(RESEQ_UNSENT_MAX);
	ck_assert_int_eq(come_ahead(5, 0, 0), RESEQ_DUPLICATE);
	ck_assert_int_eq(come(4, 0, 0), RESEQ_LATE);
	GOT("5 4");
}
END_TEST

START_TEST(without_room_it_goes_on)
{
	pktbuf_set_quota(pool, PKTBUF_RESEQ, 0);
	come(0, 0, 0);
	ck_assert_int_eq(come_ahead(5, 1, 0), RESEQ_PASSED);
	ck_assert_int_eq(come(4, 0, 0), RESEQ_LATE);
	GOT("0 5 4");
}
END_TEST

/* --- numbers --- */

/* That 1000 was sent in its turn is of before. */
START_TEST(new_numbers_are_not_sent_yet)
{
	uint32_t first = _i == 0 ? 100 : 2000000;

	come(0, 0, 0);
	come(1000, 0, 0);
	if (_i == 0)
		reseq_reset(r, now);
	come_range(first, first + 1);
	come_ahead(first + 2, 1, 0);
	pass_time(SEC);
	come(first + 1, 0, 0);
	ck_assert_uint_eq(ndelivered, 5);
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 0);
}
END_TEST

/* Half of all numbers and more go by without a hole. */
START_TEST(numbers_wrap_and_are_not_sent_yet)
{
	uint32_t end = 3300000;

	quiet = true;
	come(0, 0, 0);
	for (uint32_t seq = 1; seq < end; seq++)
		if (_i == 0)
			come(seq, 0, 0);
		else
			skip(seq);
	come_ahead(end + 1, 1, 0);
	pass_time(SEC);
	ck_assert_uint_eq(reseq_stats(r)->packets, 1);
}
END_TEST

Suite *
reseq_ahead_suite(void)
{
	Suite *s = suite_create("reseq_ahead");
	TCase *tc = tcase_create("ahead");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_missing_before_what_left_ahead);
	tcase_add_test(tc, two_seconds_are_enough);
	tcase_add_loop_test(tc, the_first_waits_like_any, 0, 2);
	tcase_add_test(tc, the_first_may_have_passed_others);
	tcase_add_loop_test(tc, the_hold_counts_from_one_in_its_turn, 0, 3);
	tcase_add_test(tc, more_from_behind_change_no_deadline);
	tcase_add_loop_test(tc, a_nearer_one_moves_the_deadline, 0, 2);
	tcase_add_test(tc, lines_are_told_by_what_left_in_its_turn);
	tcase_add_loop_test(tc, a_hole_ends_and_what_is_not_sent_waits, 0, 3);
	tcase_add_test(tc, the_two_seconds_count_from_one_in_its_turn);
	tcase_add_test(tc, skips_let_it_go);
	tcase_add_test(tc, a_skip_lasts_until_its_turn);
	tcase_add_test(tc, copies_of_it_are_dropped);
	tcase_add_test(tc, without_room_it_goes_on);
	tcase_add_loop_test(tc, new_numbers_are_not_sent_yet, 0, 2);
	tcase_add_loop_test(tc, numbers_wrap_and_are_not_sent_yet, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
