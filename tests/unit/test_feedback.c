/*
 * When reports leave and by which links, and when we ask for one.
 */
#include "config.h"

#include "bond_end.h"

#define RATE 12500000 /* reports may have 125 kB/s of it */

static uint64_t heard[LINKS_MAX];

static void
start(unsigned links, unsigned rate_Bps)
{
	start_end(links, rate_Bps);
	memset(heard, 0, sizeof(heard));
}

static void
setup(void)
{
	start(1, RATE);
}

static void
again(unsigned links, unsigned rate_Bps)
{
	stop_end();
	start(links, rate_Bps);
}

/* A keepalive comes, say. */
static void
hear_control(unsigned slot)
{
	meter_note(&t->links[slot].meter, ++heard[slot], 60,
	    wire_stamp(now - WAY), now);
}

/* Data comes by a link. */
static void
hear(unsigned slot, uint32_t bytes)
{
	meter_note(&t->links[slot].meter, ++heard[slot], bytes,
	    wire_stamp(now - WAY), now);
	feedback_heard_data(t, &t->links[slot], bytes, now);
}

/* What is due in that time, data coming at each ms. */
static size_t
reports_while_hearing(mono_t span, uint32_t bytes)
{
	size_t before = count_sent_of(WIRE_REPORT);

	for (mono_t end = now + span; now < end; now += MS) {
		hear(0, bytes);
		feedback_run(t, now);
	}
	return count_sent_of(WIRE_REPORT) - before;
}

static size_t
reports_in(mono_t span)
{
	size_t before = count_sent_of(WIRE_REPORT);
	mono_t end = now + span, next;

	while ((next = feedback_run(t, now)) <= end)
		now = next > now ? next : now + 1;
	now = end;
	return count_sent_of(WIRE_REPORT) - before;
}

START_TEST(a_report_leaves_every_25_ms_while_much_comes)
{
	reports_while_hearing(50 * MS, 1400);
	ck_assert_uint_eq(reports_while_hearing(SEC, 1400), 40);
}
END_TEST

START_TEST(a_report_leaves_every_50_ms_while_little_comes)
{
	reports_while_hearing(50 * MS, 50);
	ck_assert_uint_eq(reports_while_hearing(SEC, 50), 20);
}
END_TEST

START_TEST(what_it_says_is_what_came)
{
	const struct sent *s;
	struct report_link r;

	again(2, RATE);
	hear(1, 500);
	hear(1, 600);
	reports_in(0);
	s = last_sent(WIRE_REPORT, 0);
	ck_assert_ptr_nonnull(s);
	/* A link that brought nothing has no part. */
	ck_assert_uint_eq(report_get(&r, s->payload, s->len), s->len);
	ck_assert_uint_eq(r.link, 1);
	ck_assert_uint_eq(r.highest, 2);
	ck_assert_uint_eq(r.packets, 2);
	ck_assert_uint_eq(r.bytes, 1100);
	ck_assert_uint_ge(r.owd_last, WAY / WIRE_STAMP_UNIT);
	ck_assert_uint_le(r.owd_last, WAY / WIRE_STAMP_UNIT + 1);
}
END_TEST

START_TEST(two_reports_follow_the_last_packet)
{
	hear(0, 500);
	ck_assert_uint_eq(reports_in(10 * SEC), 2);
	/* Control packets are not worth any. */
	hear_control(0);
	ck_assert_uint_eq(reports_in(10 * SEC), 0);
}
END_TEST

START_TEST(nothing_is_reported_before_the_first_packet)
{
	feedback_heard_data(t, &t->links[0], 1000, now);
	ck_assert_uint_eq(reports_in(10 * SEC), 0);
}
END_TEST

START_TEST(a_hole_is_reported_at_once)
{
	reports_while_hearing(100 * MS, 1400);
	now = last_sent(WIRE_REPORT, 0)->at + 7 * MS;
	hear(0, 1400);
	ck_assert_uint_eq(reports_in(0), 0);
	heard[0]++; /* missing */
	hear(0, 1400);
	ck_assert_uint_eq(reports_in(0), 1);
	/* Once: then it is repeated when reports are due. */
	ck_assert_uint_eq(reports_in(20 * MS), 0);
}
END_TEST

/* More than one report has room for. */
START_TEST(the_holes_of_all_links_are_told_in_a_few_reports)
{
	unsigned told[8] = { 0 };
	struct report_link r;

	again(8, RATE);
	for (unsigned slot = 0; slot < 8; slot++)
		for (int i = 0; i < 64; i++, heard[slot]++)
			hear(slot, 1400);
	reports_in(30 * MS);
	for (size_t i = 0; i < nsent; i++) {
		const uint8_t *p = sent[i].payload;
		size_t len = sent[i].len, n;

		if (sent[i].in.control != WIRE_REPORT)
			continue;
		for (; len > 0; p += n, len -= n) {
			n = report_get(&r, p, len);
			ck_assert_uint_gt(n, 0);
			if (r.floor == 1)
				told[r.link] = (unsigned)r.nholes;
		}
	}
	for (unsigned slot = 0; slot < 8; slot++)
		ck_assert_uint_eq(told[slot], 63);
	ck_assert_uint_le(count_sent_of(WIRE_REPORT), 11);
}
END_TEST

START_TEST(a_hole_that_nobody_can_be_told_of_wakes_nobody)
{
	again(2, RATE);
	heard[0]++;
	hear(0, 1400);
	heard[0]++;
	hear(0, 1400);
	/* The peer has closed it. */
	link_set_down(t, &t->links[0], "test", now);
	link_forget_keys(&t->links[0]);
	t->feedback.owed = 0;
	ck_assert_int_eq(feedback_run(t, now), MONO_NEVER);
	link_set_down(t, &t->links[1], "test", now);
	feedback_heard_data(t, &t->links[1], 1400, now);
	ck_assert_int_eq(feedback_run(t, now), MONO_NEVER);
}
END_TEST

START_TEST(holes_in_a_row_are_reported_every_3_ms)
{
	size_t n = 0;

	reports_while_hearing(100 * MS, 1400);
	for (int i = 0; i < 30; i++) {
		heard[0]++;
		hear(0, 1400);
		n += reports_in(MS);
	}
	ck_assert_uint_ge(n, 9);
	ck_assert_uint_le(n, 11);
}
END_TEST

START_TEST(a_second_line_takes_it_while_one_is_in_doubt)
{
	again(2, RATE);
	for (int i = 0; i < 100; i++, now += MS) {
		hear(0, 1400);
		hear(1, 1400);
		feedback_run(t, now);
	}
	for (size_t i = 1; i < nsent; i++)
		ck_assert_int_ne(sent[i].at, sent[i - 1].at);
	nsent = 0;
	/* The second one falls silent. */
	reports_while_hearing(FEEDBACK_QUIET - MS, 1400);
	for (size_t i = 1; i < nsent; i++)
		ck_assert_int_ne(sent[i].at, sent[i - 1].at);
	nsent = 0;
	reports_while_hearing(100 * MS, 1400);
	ck_assert_uint_ge(nsent, 8);
	ck_assert_uint_eq(nsent % 2, 0);
	for (size_t i = 0; i < nsent; i += 2) {
		ck_assert_int_eq(sent[i].at, sent[i + 1].at);
		ck_assert_uint_ne(sent[i].slot, sent[i + 1].slot);
		ck_assert_uint_eq(sent[i].len, sent[i + 1].len);
	}
	/* Long since: it carries nothing, that is all. */
	reports_while_hearing(300 * MS, 1400);
	nsent = 0;
	ck_assert_uint_eq(reports_while_hearing(100 * MS, 1400), 4);
}
END_TEST

START_TEST(a_line_that_brings_keepalives_only_is_no_reason_for_doubt)
{
	again(2, RATE);
	hear_control(1);
	reports_while_hearing(100 * MS, 1400);
	nsent = 0;
	for (int i = 0; i < 10; i++) {
		hear_control(1);
		ck_assert_uint_eq(reports_while_hearing(100 * MS, 1400), 4);
	}
}
END_TEST

START_TEST(two_lines_take_it_while_one_is_on_trial)
{
	again(3, RATE);
	t->links[2].trial.on = true;
	tunnel_retune(t);
	hear(0, 1400);
	ck_assert_uint_eq(reports_in(0), 2);
	ck_assert_uint_ne(sent[0].slot, 2);
	ck_assert_uint_ne(sent[1].slot, 2);
}
END_TEST

START_TEST(reports_take_a_hundredth_of_what_we_may_send)
{
	size_t n, len, most;

	again(1, 100000);
	hear(0, 1400);
	reports_in(0);
	len = last_sent(WIRE_REPORT, 0)->len + 60;
	reports_while_hearing(SEC, 1400);
	n = reports_while_hearing(10 * SEC, 1400);
	most = 10 * 100000 / FEEDBACK_SHARE / len;
	ck_assert_uint_le(n, most + 2);
	ck_assert_uint_ge(n, most - 2);
}
END_TEST

START_TEST(however_slow_the_lines_are_losses_are_told_in_time)
{
	size_t n;

	again(1, 4000);
	reports_while_hearing(SEC, 1400);
	n = reports_while_hearing(10 * SEC, 1400);
	ck_assert_uint_ge(n, 39);
	ck_assert_uint_le(n, 41);
	/* That is forgotten when there is more. */
	pacer_set_rate(&t->links[0].pacer, RATE, 0);
	tunnel_retune(t);
	reports_while_hearing(300 * MS, 1400);
	ck_assert_uint_eq(reports_while_hearing(SEC, 1400), 40);
}
END_TEST

/* In 1.5 ms a slow line earns less than a byte. */
START_TEST(the_share_grows_however_often_it_is_looked_at)
{
	again(1, 50000);
	feedback_run(t, now);
	t->feedback.credit = -FEEDBACK_SAVED;
	for (mono_t end = now + 3 * SEC; now < end; now += 3 * MS / 2)
		feedback_run(t, now);
	ck_assert_int_ge(t->feedback.credit,
	    3 * 50000 / FEEDBACK_SHARE - FEEDBACK_SAVED - 1);
	ck_assert_int_le(
	    t->feedback.credit, 3 * 50000 / FEEDBACK_SHARE - FEEDBACK_SAVED);
}
END_TEST

START_TEST(silence_is_saved_up_for_a_few_reports)
{
	int64_t most = FEEDBACK_SAVED;

	now += 3600 * SEC;
	feedback_run(t, now);
	ck_assert_int_le(t->feedback.credit, most);
}
END_TEST

/* --- asking --- */

START_TEST(who_hears_nothing_asks_ever_more_rarely)
{
	mono_t wait = FEEDBACK_ASK, sent_at = now, before = now;
	size_t n;

	send_by(0, 9, 500);
	nsent = 0;
	run_for(10 * SEC);
	n = count_sent_of(WIRE_ASK);
	ck_assert_uint_eq(t->feedback.stats.asks, n);
	ck_assert_uint_ge(n, 12);
	ck_assert_uint_le(n, 15);
	for (size_t i = 0; i < nsent; i++) {
		mono_t gap = sent[i].at - before;

		if (sent[i].in.control != WIRE_ASK)
			continue;
		ck_assert_int_eq(gap, wait + 2 * t->delay_max);
		wait = mono_earlier(wait * 2, FEEDBACK_ASK_MAX);
		if (wait > FEEDBACK_ASK << 4)
			wait = FEEDBACK_ASK << 4;
		before = sent[i].at;
	}
	ck_assert_int_gt(before, sent_at);
}
END_TEST

/* Nothing else wakes the engine. */
START_TEST(the_fate_of_a_single_packet_is_asked_for)
{
	run_for(SEC);
	input(1, 500);
	nsent = 0;
	run_for(FEEDBACK_ASK + 2 * t->delay_max);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 1);
	ck_assert_uint_eq(count_sent_of(WIRE_ASK), 1);
}
END_TEST

START_TEST(each_link_that_is_up_is_asked)
{
	again(4, RATE);
	link_set_down(t, &t->links[3], "test", now);
	t->links[2].trial.on = true;
	send_by(0, 9, 500);
	nsent = 0;
	run_for(FEEDBACK_ASK + 2 * WAY);
	ck_assert_uint_eq(count_sent_of(WIRE_ASK), 3);
	for (unsigned slot = 0, i = 0; i < nsent; i++)
		if (sent[i].in.control == WIRE_ASK)
			ck_assert_uint_eq(sent[i].slot, slot++);
}
END_TEST

START_TEST(nobody_asks_while_reports_come_or_nothing_flies)
{
	struct report_link r = all_arrived(0, 0);

	run_for(10 * SEC);
	ck_assert_uint_eq(t->feedback.stats.asks, 0);
	send_by(0, 9, 500);
	for (int i = 0; i < 20; i++) {
		tell(&r);
		run_for(50 * MS);
	}
	ck_assert_uint_eq(t->feedback.stats.asks, 0);
	r = all_arrived(0, t->links[0].tx_seq - 1);
	tell(&r);
	run_for(10 * SEC);
	ck_assert_uint_eq(t->feedback.stats.asks, 0);
}
END_TEST

START_TEST(a_report_ends_the_back_off)
{
	struct report_link r = all_arrived(0, 0);

	send_by(0, 9, 500);
	run_for(5 * SEC);
	send_by(0, 9, 500);
	nsent = 0;
	tell(&r);
	run_for(FEEDBACK_ASK + 2 * t->delay_max + 5 * MS);
	ck_assert_uint_eq(count_sent_of(WIRE_ASK), 1);
}
END_TEST

/* At once, as nothing else is to be read. */
static void
be_asked(unsigned slot)
{
	feedback_asked(&t->links[slot]);
	feedback_run(t, now);
}

START_TEST(who_is_asked_answers_by_the_same_link)
{
	again(3, RATE);
	hear(0, 500);
	reports_in(10 * SEC);
	for (unsigned slot = 0; slot < 3; slot++) {
		be_asked(slot);
		ck_assert_uint_eq(last_sent(WIRE_REPORT, 0)->slot, slot);
	}
}
END_TEST

/* Or what waits in another socket would count as lost. */
START_TEST(the_answer_knows_what_was_read_after_the_question)
{
	const struct sent *s;
	struct report_link r;
	size_t first;

	again(2, RATE);
	hear(0, 500);
	reports_in(10 * SEC);
	nsent = 0;
	feedback_asked(&t->links[0]);
	ck_assert_uint_eq(nsent, 0);
	hear(1, 500);
	feedback_run(t, now);
	s = last_sent(WIRE_REPORT, 0);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->slot, 0);
	/* Link 0 has its part before. */
	first = report_get(&r, s->payload, s->len);
	ck_assert_uint_gt(
	    report_get(&r, s->payload + first, s->len - first), 0);
	ck_assert_uint_eq(r.link, 1);
	ck_assert_uint_eq(r.packets, 1);
}
END_TEST

START_TEST(who_is_asked_too_often_does_not_answer_each_time)
{
	size_t before;

	again(2, RATE);
	hear(0, 500);
	reports_in(10 * SEC);
	before = count_sent_of(WIRE_REPORT);
	for (int i = 0; i < 300; i++, now += MS / 10)
		for (unsigned slot = 0; slot < 2; slot++)
			be_asked(slot);
	ck_assert_uint_eq(count_sent_of(WIRE_REPORT) - before,
	    2 * (30 * MS / FEEDBACK_HOLE_GAP));
}
END_TEST

START_TEST(answers_take_no_more_than_reports_may)
{
	size_t before, len;

	again(1, 50000);
	hear(0, 500);
	reports_in(10 * SEC);
	len = last_sent(WIRE_REPORT, 0)->len + 60;
	before = count_sent_of(WIRE_REPORT);
	for (int i = 0; i < 100000; i++, now += MS / 10)
		be_asked(0);
	ck_assert_uint_le((count_sent_of(WIRE_REPORT) - before) * len,
	    FEEDBACK_SAVED + 10 * 50000 / FEEDBACK_SHARE + len);
}
END_TEST

START_TEST(one_who_asks_now_and_then_is_answered_by_the_slowest_line)
{
	again(1, 4000);
	hear(0, 500);
	reports_while_hearing(10 * SEC, 1400);
	for (int i = 0; i < 10; i++, now += FEEDBACK_GAP_MAX) {
		feedback_run(t, now);
		nsent = 0;
		be_asked(0);
		ck_assert_uint_eq(nsent, 1);
	}
}
END_TEST

Suite *feedback_suite(void);

Suite *
feedback_suite(void)
{
	Suite *suite = suite_create("feedback");
	TCase *tc = tcase_create("feedback");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc, a_report_leaves_every_25_ms_while_much_comes);
	tcase_add_test(tc, a_report_leaves_every_50_ms_while_little_comes);
	tcase_add_test(tc, what_it_says_is_what_came);
	tcase_add_test(tc, two_reports_follow_the_last_packet);
	tcase_add_test(tc, nothing_is_reported_before_the_first_packet);
	tcase_add_test(tc, a_hole_is_reported_at_once);
	tcase_add_test(tc, the_holes_of_all_links_are_told_in_a_few_reports);
	tcase_add_test(tc, a_hole_that_nobody_can_be_told_of_wakes_nobody);
	tcase_add_test(tc, holes_in_a_row_are_reported_every_3_ms);
	tcase_add_test(tc, a_second_line_takes_it_while_one_is_in_doubt);
	tcase_add_test(
	    tc, a_line_that_brings_keepalives_only_is_no_reason_for_doubt);
	tcase_add_test(tc, two_lines_take_it_while_one_is_on_trial);
	tcase_add_test(tc, reports_take_a_hundredth_of_what_we_may_send);
	tcase_add_test(tc, however_slow_the_lines_are_losses_are_told_in_time);
	tcase_add_test(tc, the_share_grows_however_often_it_is_looked_at);
	tcase_add_test(tc, silence_is_saved_up_for_a_few_reports);
	tcase_add_test(tc, who_hears_nothing_asks_ever_more_rarely);
	tcase_add_test(tc, the_fate_of_a_single_packet_is_asked_for);
	tcase_add_test(tc, each_link_that_is_up_is_asked);
	tcase_add_test(tc, nobody_asks_while_reports_come_or_nothing_flies);
	tcase_add_test(tc, a_report_ends_the_back_off);
	tcase_add_test(tc, who_is_asked_answers_by_the_same_link);
	tcase_add_test(tc, the_answer_knows_what_was_read_after_the_question);
	tcase_add_test(tc, who_is_asked_too_often_does_not_answer_each_time);
	tcase_add_test(tc, answers_take_no_more_than_reports_may);
	tcase_add_test(
	    tc, one_who_asks_now_and_then_is_answered_by_the_slowest_line);
	suite_add_tcase(suite, tc);
	return suite;
}
