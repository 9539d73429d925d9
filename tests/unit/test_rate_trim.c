/*
 * The little less at which a line sends that sparse flows take: always a trace,
 * some more while a queue is left, and nothing on other lines.
 */
#include "config.h"

#include <check.h>

#include "rate_line.h"

Suite *rate_trim_suite(void);

static struct line line;

/* So much less is sent, as a part of the rate; 0: nothing less. */
static unsigned
trimmed(void)
{
	uint64_t less = line.rate.now_Bps - rate_pace(&line.rate);

	return less == 0 ? 0 : (unsigned)(line.rate.now_Bps / less);
}

static void
begin(double mbit)
{
	srand48(1);
	line_init(&line, mbit * MBIT, mbit * MBIT, 10 * MS);
}

/* The line stands still, and its queue is as long as that afterwards. */
static void
stall(mono_t span)
{
	line.stop_until = line.now + span;
	line_watch_for(&line, 300 * MS);
}

static const double mbits[] = { 5, 50, 500 };

START_TEST(the_soonest_line_sends_a_trace_less)
{
	begin(mbits[_i]);
	line_run(&line, SEC);
	line_watch_for(&line, 20 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
	ck_assert_uint_eq(line.paces, 0);
	ck_assert_uint_eq(line.changes, 0);
}
END_TEST

/* As BBR's PROBE_RTT does, or a pause. */
START_TEST(a_line_that_has_rested_drains_itself)
{
	begin(50);
	line_run(&line, 2 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
	line.app_Bps = 0.5 * MBIT;
	line_run(&line, 300 * MS);
	line.app_Bps = 0;
	line_run(&line, SEC);
	ck_assert_uint_eq(trimmed(), 0);
	line_run(&line, 7 * SEC);
	ck_assert_uint_eq(trimmed(), 0);
	line_run(&line, 4 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
}
END_TEST

START_TEST(a_line_that_is_used_for_more_than_half_has_not)
{
	begin(50);
	line.app_Bps = 30 * MBIT;
	line_run(&line, 20 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
}
END_TEST

/* It would carry less for nothing. */
START_TEST(a_line_that_is_not_the_soonest_sends_at_its_rate)
{
	begin(mbits[_i]);
	line.far = true;
	line_watch_for(&line, 20 * SEC);
	ck_assert_uint_eq(line.paces, 0);
	ck_assert_uint_eq(rate_pace(&line.rate), line.rate.conf_Bps);
	stall(8 * MS);
	line_watch_for(&line, 5 * SEC);
	ck_assert_uint_eq(line.paces, 0);
	ck_assert_int_gt(line_queue(&line), 7 * MS);
}
END_TEST

/* Up and down once, and not with each report. */
START_TEST(a_queue_that_is_left_is_emptied_once)
{
	begin(mbits[_i]);
	line_run(&line, SEC);
	stall(8 * MS);
	ck_assert_uint_eq(trimmed(), 64);
	ck_assert_uint_eq(line.paces, 1);
	line_watch_for(&line, 5 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
	ck_assert_uint_eq(line.paces, 1);
	ck_assert_uint_eq(line.changes, 0);
	ck_assert_int_lt(
	    line_queue(&line), MS + (mono_t)(1500 * 1e9 / (mbits[_i] * MBIT)));
}
END_TEST

/* ... and costs little meanwhile. */
START_TEST(empties_slowly_what_a_short_stall_has_left)
{
	double rate = mbits[_i] * MBIT;

	begin(mbits[_i]);
	line_run(&line, SEC);
	line.stop_until = line.now + 8 * MS;
	line_run(&line, SEC);
	/* Two packets more or less are no queue. */
	line_watch_for(&line, 5 * SEC);
	ck_assert(line.queue_max < 3 * MS + (mono_t)(3000 * 1e9 / rate));
	ck_assert(line.delivered > 0.985 * 5 * rate);
}
END_TEST

/* Which line is the soonest changes, and with it what this one sends. */
START_TEST(what_is_left_stays_while_another_line_is_the_soonest)
{
	mono_t queue;

	begin(50);
	line_run(&line, SEC);
	stall(8 * MS);
	line.far = true;
	line_run(&line, 100 * MS);
	ck_assert_uint_eq(trimmed(), 0);
	queue = line_queue(&line);
	ck_assert_int_gt(queue, 4 * MS);
	line_run(&line, 2 * SEC);
	ck_assert_int_ge(line_queue(&line), queue - MS / 2);
	line.far = false;
	line_run(&line, 2 * SEC);
	ck_assert_uint_eq(trimmed(), 256);
	ck_assert_int_lt(line_queue(&line), MS);
}
END_TEST

/* Jitter looks like a queue now and then; that is no reason to flap. */
START_TEST(jitter_seldom_changes_it)
{
	static const mono_t jitter[] = { 2 * MS, 10 * MS, 25 * MS };

	for (size_t i = 0; i < nitems_of(jitter); i++) {
		begin(mbits[_i]);
		line.jitter = jitter[i];
		line_run(&line, 5 * SEC);
		line_watch_for(&line, 60 * SEC);
		ck_assert_uint_eq(line.changes, 0);
		ck_assert_uint_le(line.paces, jitter[i] == 2 * MS ? 0 : 30);
	}
}
END_TEST

/* The whole rate is what is looked for and what a drain goes by. */
START_TEST(only_a_known_rate_is_trimmed)
{
	bool drained = false;

	srand48(1);
	line_init(&line, 0, 50 * MBIT, 10 * MS);
	while (line.now < 1010 * SEC) {
		line_run(&line, MS);
		drained = drained || line.rate.phase == RATE_DRAIN;
		if (line.rate.phase != RATE_CRUISE)
			ck_assert_uint_eq(trimmed(), 0);
	}
	ck_assert(drained);
	ck_assert_uint_ne(trimmed(), 0);
	rate_forget(&line.rate);
	ck_assert_uint_eq(trimmed(), 0);
}
END_TEST

/* Whoever paces by it has to know. */
START_TEST(a_report_that_changes_the_pace_says_so)
{
	begin(50);
	line.jitter = 2 * MS;
	for (int i = 0; i < 6; i++) {
		line.real_Bps = (i % 2 == 0 ? 30 : 50) * MBIT;
		line.far = i % 3 == 0;
		stall(8 * MS);
		line_watch_for(&line, 4 * SEC);
		ck_assert_uint_gt(line.paces, 0);
		ck_assert_uint_eq(line.untold, 0);
	}
}
END_TEST

Suite *
rate_trim_suite(void)
{
	Suite *s = suite_create("rate_trim");
	TCase *tc = tcase_create("rate_trim");
	int n = nitems_of(mbits);

	tcase_add_loop_test(tc, the_soonest_line_sends_a_trace_less, 0, n);
	tcase_add_test(tc, a_line_that_has_rested_drains_itself);
	tcase_add_test(tc, a_line_that_is_used_for_more_than_half_has_not);
	tcase_add_loop_test(
	    tc, a_line_that_is_not_the_soonest_sends_at_its_rate, 0, n);
	tcase_add_loop_test(tc, a_queue_that_is_left_is_emptied_once, 0, n);
	tcase_add_loop_test(
	    tc, empties_slowly_what_a_short_stall_has_left, 0, n);
	tcase_add_test(
	    tc, what_is_left_stays_while_another_line_is_the_soonest);
	tcase_add_loop_test(tc, jitter_seldom_changes_it, 0, n);
	tcase_add_test(tc, only_a_known_rate_is_trimmed);
	tcase_add_test(tc, a_report_that_changes_the_pace_says_so);
	suite_add_tcase(s, tc);
	return s;
}
