/*
 * What a report of the peer may say, and what is made of it.
 */
#include "config.h"

#include "bond_end.h"

#define RATE 12500000

static void
setup(void)
{
	start_end(1, RATE);
}

START_TEST(only_the_latest_report_tells_the_delay)
{
	struct report_link r;

	send_by(0, 9, 500);
	send_by(0, 9, 500);
	send_by(0, 9, 500);
	now += 30 * MS;
	r = all_arrived(0, 1);
	tell_late(&r, 10 * MS);
	ck_assert_int_eq(t->links[0].delay.last / WIRE_STAMP_UNIT, r.owd_last);
	/* One that was overtaken: what arrived counts, nothing else. */
	r = all_arrived(0, 2);
	r.owd_min = r.owd_last = 9999;
	tell_late(&r, 20 * MS);
	ck_assert_int_ne(t->links[0].delay.last / WIRE_STAMP_UNIT, 9999);
	ck_assert_uint_eq(t->links[0].retain.data, 1);
	/* The same once more, as it came by two lines. */
	r = all_arrived(0, 3);
	r.owd_min = r.owd_last = 8888;
	tell_late(&r, 10 * MS);
	ck_assert_int_ne(t->links[0].delay.last / WIRE_STAMP_UNIT, 8888);
	ck_assert_uint_eq(t->links[0].retain.data, 0);
	ck_assert_uint_eq(t->feedback.stats.rx_reports, 3);
	ck_assert_uint_eq(t->feedback.stats.bad_reports, 0);
}
END_TEST

START_TEST(an_older_report_takes_nothing_for_overdue)
{
	struct report_link r = all_arrived(0, 0);

	tell_late(&r, 0);
	send_by(0, 9, 500);
	now += 500 * MS;
	tell_late(&r, 600 * MS);
	ck_assert_uint_eq(t->arq.stats.lost, 0);
	ck_assert_uint_eq(t->links[0].retain.data, 1);
	tell_late(&r, WAY);
	ck_assert_uint_eq(t->arq.stats.lost, 1);
}
END_TEST

START_TEST(what_may_still_come_is_not_lost)
{
	struct report_link r = all_but(0, 2, 1, 1);

	send_by(0, 9, 500);
	send_by(0, 9, 500);
	r.holes[0].pending = true;
	tell(&r);
	ck_assert_uint_eq(t->arq.stats.lost, 0);
	r.holes[0].pending = false;
	tell(&r);
	ck_assert_uint_eq(t->arq.stats.lost, 1);
	ck_assert_uint_eq(t->links[0].stats.lost, 1);
	tell(&r);
	ck_assert_uint_eq(t->arq.stats.lost, 1);
}
END_TEST

START_TEST(what_was_never_sent_cannot_have_arrived)
{
	struct report_link r;

	send_by(0, 9, 500);
	r = all_arrived(0, 2);
	tell(&r);
	ck_assert_uint_eq(t->feedback.stats.bad_reports, 1);
	ck_assert_uint_eq(t->links[0].retain.data, 1);
	ck_assert(!t->links[0].delay.known);
}
END_TEST

START_TEST(a_link_that_is_unknown_is_passed_over)
{
	uint8_t payload[REPORT_MAX];
	struct report_link r = all_arrived(7, 1);
	size_t n;

	send_by(0, 9, 500);
	n = report_put(payload, sizeof(payload), &r);
	r = all_arrived(0, 1);
	n += report_put(payload + n, sizeof(payload) - n, &r);
	feedback_input(t, payload, n, wire_stamp(now), now);
	ck_assert_uint_eq(t->links[0].retain.data, 0);
	ck_assert_uint_eq(t->feedback.stats.bad_reports, 0);
}
END_TEST

START_TEST(a_link_has_one_part_in_a_report)
{
	uint8_t payload[REPORT_MAX];
	struct report_link r = all_arrived(0, 1);
	size_t n;

	send_by(0, 9, 500);
	send_by(0, 9, 500);
	n = report_put(payload, sizeof(payload), &r);
	r = all_arrived(0, 2);
	n += report_put(payload + n, sizeof(payload) - n, &r);
	feedback_input(t, payload, n, wire_stamp(now), now);
	ck_assert_uint_eq(t->links[0].retain.data, 1);
	ck_assert_uint_eq(t->feedback.stats.bad_reports, 1);
}
END_TEST

/* Honest peers wait for 50 ms. */
START_TEST(what_may_still_come_is_not_waited_for_without_end)
{
	struct report_link r = all_but(0, 2, 1, 1);

	send_by(0, 9, 500);
	send_by(0, 9, 500);
	r.holes[0].pending = true;
	tell(&r);
	now += RETAIN_OPEN_MAX;
	tell(&r);
	ck_assert_uint_eq(t->links[0].stats.lost, 0);
	now++;
	tell(&r);
	ck_assert_uint_eq(t->links[0].stats.lost, 1);
	ck_assert_uint_eq(t->links[0].retain.tail, 3);
	ck_assert_uint_eq(t->arq.nskips, 1);
}
END_TEST

/* Of n packets each so-many-th is lost, and one report tells of all. */
static void
lose_each(uint64_t n, uint64_t each)
{
	static struct meter m;
	struct report_link r;

	meter_reset(&m);
	for (uint64_t seq = 1; seq <= n; seq++) {
		send_by(0, 9, 100);
		if (seq % each != 0)
			meter_note(&m, seq, 160, wire_stamp(now), now);
	}
	ck_assert(meter_report(&m, &r, REPORT_HOLES, now));
	r.link = 0;
	now += 200 * MS;
	tell(&r);
}

START_TEST(a_late_report_has_nothing_sent_again_that_arrived)
{
	lose_each(1990, 20);
	ck_assert_uint_eq(t->arq.stats.lost, 1990 / 20);
	ck_assert_uint_eq(t->links[0].retain.data, 0);
}
END_TEST

START_TEST(what_a_report_has_no_room_for_is_given_up_in_time)
{
	struct report_link r;

	lose_each(1601, 4);
	ck_assert_uint_eq(t->arq.stats.lost, REPORT_HOLES);
	now += RETAIN_OPEN_MAX;
	r = all_arrived(0, 1601);
	r.floor = r.highest;
	tell(&r);
	ck_assert_uint_eq(t->links[0].retain.data, 0);
	ck_assert_uint_eq(t->links[0].retain.tail, 1602);
}
END_TEST

START_TEST(a_report_that_is_cut_short_counts_as_far_as_it_goes)
{
	uint8_t payload[REPORT_MAX];
	struct report_link r = all_arrived(0, 1);
	size_t n;

	send_by(0, 9, 500);
	n = report_put(payload, sizeof(payload), &r);
	feedback_input(t, payload, n - 1, wire_stamp(now), now);
	ck_assert_uint_eq(t->links[0].retain.data, 1);
	feedback_input(t, payload, n + 1, wire_stamp(now), now);
	ck_assert_uint_eq(t->links[0].retain.data, 0);
	ck_assert_uint_eq(t->feedback.stats.bad_reports, 2);
}
END_TEST

START_TEST(a_peer_that_began_anew_has_another_clock)
{
	struct report_link r;

	send_by(0, 9, 500);
	r = all_arrived(0, 1);
	tell_late(&r, 0);
	feedback_reset(t);
	link_forget_traffic(t, &t->links[0]);
	ck_assert(!t->links[0].delay.known);
	r = all_arrived(0, send_by(0, 9, 500));
	tell_late(&r, 20 * SEC);
	ck_assert(t->links[0].delay.known);
}
END_TEST

Suite *feedback_told_suite(void);

Suite *
feedback_told_suite(void)
{
	Suite *suite = suite_create("feedback_told");
	TCase *tc = tcase_create("feedback_told");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc, only_the_latest_report_tells_the_delay);
	tcase_add_test(tc, an_older_report_takes_nothing_for_overdue);
	tcase_add_test(tc, what_may_still_come_is_not_lost);
	tcase_add_test(tc, what_was_never_sent_cannot_have_arrived);
	tcase_add_test(tc, a_link_that_is_unknown_is_passed_over);
	tcase_add_test(tc, a_link_has_one_part_in_a_report);
	tcase_add_test(tc, what_may_still_come_is_not_waited_for_without_end);
	tcase_add_test(tc, a_late_report_has_nothing_sent_again_that_arrived);
	tcase_add_test(tc, what_a_report_has_no_room_for_is_given_up_in_time);
	tcase_add_test(tc, a_report_that_is_cut_short_counts_as_far_as_it_goes);
	tcase_add_test(tc, a_peer_that_began_anew_has_another_clock);
	suite_add_tcase(suite, tc);
	return suite;
}
