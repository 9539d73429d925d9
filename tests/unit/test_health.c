/*
 * Links on trial: what puts them there, what they carry meanwhile, and what
 * ends it.
 */
#include "config.h"

#include "bond_end.h"

#define RATE 1250000

static struct link *l, *other;

/* As many as tell a dead line from a loss. */
static void
send_some(void)
{
	for (int i = 0; i < HEALTH_MISSES; i++)
		send_by(0, 9, 500);
}

static void
setup(void)
{
	start_end(2, RATE);
	l = &t->links[0];
	other = &t->links[1];
}

/* A report that has nothing of l beyond highest, by which all that was sent
 * before that instant had to be there. */
static void
silent(uint64_t highest, mono_t expected)
{
	struct report_link r = all_arrived(0, highest);

	health_report(t, l, &r, expected, now);
}

/* Numbers up to `highest` of which so many have arrived in all. */
static void
counts(uint64_t highest, uint32_t packets)
{
	struct report_link r = all_arrived(0, highest);

	r.packets = packets;
	health_report(t, l, &r, 0, now);
}

START_TEST(a_silent_line_is_put_on_trial)
{
	send_some();
	now += SEC;
	silent(0, now - SEC);
	ck_assert(!l->trial.on);
	silent(0, now - SEC + 1);
	ck_assert(l->trial.on);
	ck_assert_int_eq(l->trial.cause, HEALTH_SILENT);
	ck_assert(!l->in_use);
	ck_assert(l->up);
	ck_assert(other->in_use);
	ck_assert_uint_eq(l->stats.trials, 1);
}
END_TEST

START_TEST(a_packet_or_two_may_just_be_lost)
{
	for (int i = 1; i < HEALTH_MISSES; i++)
		send_by(0, 9, 500);
	now += SEC;
	silent(0, now);
	ck_assert(!l->trial.on);
}
END_TEST

START_TEST(patience_grows_with_the_spread_of_delays)
{
	mono_t patience = health_patience(l);

	ck_assert_int_ge(patience, HEALTH_SILENCE);
	l->delay.var = 10 * MS;
	ck_assert_int_eq(health_patience(l), patience + 40 * MS);
}
END_TEST

START_TEST(what_was_in_flight_goes_by_the_others)
{
	for (int i = 0; i < 5; i++)
		send_by(0, 9, 500);
	now += SEC / 2;
	silent(0, now);
	run_for(20 * MS);
	ck_assert_uint_eq(other->stats.resent, 5);
	ck_assert_uint_eq(l->retain.data, 0);
}
END_TEST

START_TEST(after_three_periods_of_silence_a_line_is_down)
{
	mono_t sent_at = now, patience;

	send_some();
	now += SEC;
	patience = health_patience(l);
	silent(0, sent_at + 1);
	silent(0, sent_at + (HEALTH_PERIODS - 1) * patience - 1);
	ck_assert(l->up);
	silent(0, sent_at + (HEALTH_PERIODS - 1) * patience);
	ck_assert(!l->up);
	ck_assert(!l->trial.on);
	ck_assert_uint_eq(t->nup, 1);
	ck_assert_uint_eq(l->stats.flaps, 1);
}
END_TEST

START_TEST(the_last_fit_line_is_never_put_on_trial)
{
	link_set_down(t, other, "test", now);
	send_some();
	now += 10 * SEC;
	silent(0, now);
	ck_assert(!l->trial.on);
	ck_assert(l->up);
	counts(1, 1);
	now += SEC;
	counts(1001, 2);
	ck_assert(!l->trial.on);
}
END_TEST

START_TEST(a_line_on_trial_is_no_substitute)
{
	other->trial.on = true;
	tunnel_retune(t);
	send_some();
	now += 10 * SEC;
	silent(0, now);
	ck_assert(!l->trial.on);
	ck_assert(l->in_use);
}
END_TEST

START_TEST(the_last_fit_line_stays_up_though_it_was_on_trial)
{
	mono_t sent_at = now;

	send_some();
	now += SEC;
	silent(0, sent_at + 1);
	ck_assert(l->trial.on);
	link_set_down(t, other, "test", now);
	silent(0, sent_at + SEC);
	ck_assert(l->up);
	ck_assert(l->in_use);
}
END_TEST

/* One number in so many is missing. */
static void
lossy(uint64_t *highest, uint32_t *packets, uint32_t arrived, uint32_t of)
{
	mono_t until = now + HEALTH_LOSS_TIME;

	for (uint32_t n = 0; n < 2 * HEALTH_LOSS_SPAN || now < until; n += of) {
		*highest += of;
		*packets += arrived;
		now += 5 * MS;
		counts(*highest, *packets);
	}
}

START_TEST(half_of_the_packets_lost_is_too_much)
{
	uint64_t highest = 10;
	uint32_t packets = 10;

	counts(highest, packets);
	lossy(&highest, &packets, 1, 2);
	ck_assert(l->trial.on);
	ck_assert_int_eq(l->trial.cause, HEALTH_LOSSY);
	ck_assert_uint_eq(l->trial.needed, HEALTH_LOSS_COPIES);
}
END_TEST

START_TEST(a_part_of_very_many_is_right)
{
	counts(10, 10);
	now += HEALTH_LOSS_TIME;
	counts(10 + 100000000, 10 + 60000000);
	ck_assert_uint_eq(l->loss.percent, 40);
	ck_assert(l->trial.on);
}
END_TEST

START_TEST(a_fifth_of_the_packets_lost_is_not)
{
	uint64_t highest = 10;
	uint32_t packets = 10;

	counts(highest, packets);
	for (int i = 0; i < 10; i++)
		lossy(&highest, &packets, 4, 5);
	ck_assert(!l->trial.on);
}
END_TEST

START_TEST(a_short_burst_of_losses_is_not_judged)
{
	counts(10, 10);
	now += 10 * HEALTH_LOSS_TIME;
	counts(10 + HEALTH_LOSS_SPAN - 1, 10);
	ck_assert(!l->trial.on);
}
END_TEST

/* On trial for loss; totals of the peer from then on. */
static void
make_lossy(uint64_t *highest, uint32_t *packets)
{
	*highest += 10;
	*packets += 10;
	counts(*highest, *packets);
	lossy(highest, packets, 1, 2);
	ck_assert(l->trial.on);
	counts(*highest, *packets); /* counting begins */
}

START_TEST(nine_of_ten_copies_have_to_arrive_after_loss)
{
	uint64_t highest = 0;
	uint32_t packets = 0;

	make_lossy(&highest, &packets);
	highest = l->trial.from.highest;
	packets = l->trial.from.packets;
	counts(
	    highest + HEALTH_LOSS_COPIES - 1, packets + HEALTH_LOSS_COPIES - 1);
	ck_assert(l->trial.on);
	/* Three of twenty are missing: it begins anew. */
	highest += HEALTH_LOSS_COPIES;
	packets += HEALTH_LOSS_COPIES - 3;
	counts(highest, packets);
	ck_assert(l->trial.on);
	ck_assert_uint_eq(l->trial.from.highest, highest);
	counts(highest + HEALTH_LOSS_COPIES, packets + HEALTH_LOSS_COPIES - 2);
	ck_assert(!l->trial.on);
	ck_assert(l->in_use);
}
END_TEST

static void
pass_trial(uint64_t *highest, uint32_t *packets)
{
	for (int i = 0; i < 2000 && l->trial.on; i++)
		counts(++*highest, ++*packets);
	ck_assert(!l->trial.on);
}

START_TEST(a_line_on_the_edge_has_to_prove_itself_longer_each_time)
{
	uint64_t highest = 0;
	uint32_t packets = 0, needed = HEALTH_LOSS_COPIES;

	for (int i = 0; i < 8; i++) {
		make_lossy(&highest, &packets);
		ck_assert_uint_eq(l->trial.needed, needed);
		if (needed < HEALTH_LOSS_COPIES_MAX)
			needed *= 2;
		now += SEC;
		pass_trial(&highest, &packets);
		now += SEC;
	}
	ck_assert_uint_eq(needed, HEALTH_LOSS_COPIES_MAX);
	/* What was long ago is forgotten. */
	now += HEALTH_TRUST;
	make_lossy(&highest, &packets);
	ck_assert_uint_eq(l->trial.needed, HEALTH_LOSS_COPIES);
}
END_TEST

/* A policer drops what is too much; few copies are not. */
START_TEST(after_loss_a_line_gets_what_came_through)
{
	uint64_t highest = 0, before = l->pacer.rate_Bps;
	uint32_t packets = 0;

	make_lossy(&highest, &packets);
	pass_trial(&highest, &packets);
	ck_assert_uint_lt(l->pacer.rate_Bps, before / 2);
	ck_assert_uint_gt(l->pacer.rate_Bps, before * 45 / 100);
}
END_TEST

static size_t lost_lines, used_lines;

static void
count_line(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	lost_lines += strstr(line, "% lost, not used") != NULL;
	used_lines += strstr(line, "used again") != NULL;
}

/* The peer's reports are what says so. */
START_TEST(loss_is_not_logged_each_time)
{
	mono_t from = now;
	uint64_t highest = 0;
	uint32_t packets = 0;

	lost_lines = used_lines = 0;
	log_set_sink(count_line, NULL);
	for (int i = 0; i < 12; i++) {
		make_lossy(&highest, &packets);
		pass_trial(&highest, &packets);
	}
	ck_assert_uint_ge(lost_lines, 1);
	ck_assert_uint_le(
	    lost_lines, 1 + (size_t)((now - from) / HEALTH_LOG_PERIOD));
	ck_assert_uint_eq(used_lines, lost_lines);
}
END_TEST

START_TEST(a_line_that_came_back_has_to_prove_itself)
{
	link_set_down(t, l, "test", now);
	now += SEC;
	link_set_up(t, l, now);
	ck_assert(l->trial.on);
	ck_assert_int_eq(l->trial.cause, HEALTH_RETURNED);
	counts(100, 50);
	counts(100 + HEALTH_GOOD_COPIES - 1, 50 + HEALTH_GOOD_COPIES - 1);
	ck_assert(l->trial.on);
	counts(100 + HEALTH_GOOD_COPIES, 50 + HEALTH_GOOD_COPIES);
	ck_assert(!l->trial.on);
	ck_assert(l->in_use);
}
END_TEST

START_TEST(one_missing_copy_of_five_begins_the_count_anew)
{
	link_set_down(t, l, "test", now);
	link_set_up(t, l, now);
	counts(100, 50);
	counts(105, 54);
	ck_assert(l->trial.on);
	counts(110, 59);
	ck_assert(!l->trial.on);
}
END_TEST

START_TEST(it_has_to_however_long_it_was_away)
{
	link_set_down(t, l, "test", now);
	now += 3600 * SEC;
	link_set_up(t, l, now);
	ck_assert(l->trial.on);
	ck_assert_int_eq(l->trial.cause, HEALTH_RETURNED);
}
END_TEST

START_TEST(the_first_line_to_return_is_trusted)
{
	link_set_down(t, l, "test", now);
	link_set_down(t, other, "test", now);
	now += SEC;
	link_set_up(t, l, now);
	ck_assert(!l->trial.on);
	ck_assert(l->in_use);
}
END_TEST

/* Small packets may pass where large ones do not. */
START_TEST(a_line_that_came_back_is_not_taken_down_for_silence)
{
	mono_t sent_at = now;

	link_set_down(t, l, "test", now);
	link_set_up(t, l, now);
	send_some();
	now += 10 * SEC;
	silent(0, sent_at + 5 * SEC);
	ck_assert(l->up);
	ck_assert(l->trial.on);
}
END_TEST

/* Live packets leave by the other link, one each ms. */
static unsigned
copies_in(mono_t span)
{
	uint64_t before = l->stats.copies;
	struct pktbuf *pb = packet(9, 500);

	for (mono_t end = now + span; now < end; now += MS)
		health_copy(t, pb, now);
	pktbuf_free(t->pool, pb);
	return (unsigned)(l->stats.copies - before);
}

static void
put_on_trial(void)
{
	link_set_down(t, l, "test", now);
	link_set_up(t, l, now);
	now += SEC;
	nsent = 0;
}

START_TEST(a_line_on_trial_gets_a_copy_each_ten_ms)
{
	put_on_trial();
	ck_assert_uint_eq(copies_in(100 * MS), 10);
	for (size_t i = 0; i < nsent; i++) {
		ck_assert_uint_eq(sent[i].slot, 0);
		ck_assert(sent[i].data);
	}
	/* Nobody waits for a copy. */
	ck_assert_uint_eq(l->retain.data, 0);
}
END_TEST

START_TEST(copies_of_priority_packets_tell_as_much)
{
	put_on_trial();
	tunnel_retune(t);
	for (int i = 0; i < 100; i++, now += MS)
		input_marked(9, 200, 0x10);
	ck_assert_uint_eq(other->stats.tx_packets, 100);
	ck_assert_uint_eq(l->stats.copies, 10);
}
END_TEST

START_TEST(a_fit_line_gets_no_copies)
{
	ck_assert_uint_eq(copies_in(100 * MS), 0);
}
END_TEST

START_TEST(a_line_on_which_something_is_overdue_gets_copies)
{
	l->quiet = true;
	tunnel_retune(t);
	ck_assert_uint_eq(copies_in(100 * MS), 10);
}
END_TEST

START_TEST(copies_in_vain_get_rarer)
{
	unsigned n, before = 101;

	put_on_trial();
	for (int i = 0; i < 5; i++) {
		n = copies_in(SEC);
		ck_assert_uint_lt(n, before);
		before = n;
	}
	copies_in(600 * SEC);
	n = copies_in(20 * SEC);
	ck_assert_uint_ge(n, 19);
	ck_assert_uint_le(n, 21);
}
END_TEST

START_TEST(copies_are_frequent_again_when_one_arrives)
{
	put_on_trial();
	counts(100, 50);
	copies_in(300 * SEC);
	counts(101, 51);
	ck_assert(l->trial.on);
	ck_assert_uint_eq(copies_in(100 * MS), 10);
}
END_TEST

START_TEST(a_line_that_went_down_is_not_on_trial)
{
	put_on_trial();
	link_set_down(t, l, "test", now);
	ck_assert(!l->trial.on);
	ck_assert_uint_eq(copies_in(100 * MS), 0);
}
END_TEST

Suite *health_suite(void);

Suite *
health_suite(void)
{
	Suite *suite = suite_create("health");
	TCase *tc = tcase_create("health");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc, a_silent_line_is_put_on_trial);
	tcase_add_test(tc, a_packet_or_two_may_just_be_lost);
	tcase_add_test(tc, patience_grows_with_the_spread_of_delays);
	tcase_add_test(tc, what_was_in_flight_goes_by_the_others);
	tcase_add_test(tc, after_three_periods_of_silence_a_line_is_down);
	tcase_add_test(tc, the_last_fit_line_is_never_put_on_trial);
	tcase_add_test(tc, a_line_on_trial_is_no_substitute);
	tcase_add_test(tc, the_last_fit_line_stays_up_though_it_was_on_trial);
	tcase_add_test(tc, half_of_the_packets_lost_is_too_much);
	tcase_add_test(tc, a_part_of_very_many_is_right);
	tcase_add_test(tc, a_fifth_of_the_packets_lost_is_not);
	tcase_add_test(tc, a_short_burst_of_losses_is_not_judged);
	tcase_add_test(tc, nine_of_ten_copies_have_to_arrive_after_loss);
	tcase_add_test(tc, after_loss_a_line_gets_what_came_through);
	tcase_add_test(
	    tc, a_line_on_the_edge_has_to_prove_itself_longer_each_time);
	tcase_add_test(tc, a_line_that_came_back_has_to_prove_itself);
	tcase_add_test(tc, one_missing_copy_of_five_begins_the_count_anew);
	tcase_add_test(tc, it_has_to_however_long_it_was_away);
	tcase_add_test(tc, the_first_line_to_return_is_trusted);
	tcase_add_test(tc, a_line_that_came_back_is_not_taken_down_for_silence);
	tcase_add_test(tc, a_line_on_trial_gets_a_copy_each_ten_ms);
	tcase_add_test(tc, copies_of_priority_packets_tell_as_much);
	tcase_add_test(tc, a_fit_line_gets_no_copies);
	tcase_add_test(tc, loss_is_not_logged_each_time);
	tcase_add_test(tc, a_line_on_which_something_is_overdue_gets_copies);
	tcase_add_test(tc, copies_in_vain_get_rarer);
	tcase_add_test(tc, copies_are_frequent_again_when_one_arrives);
	tcase_add_test(tc, a_line_that_went_down_is_not_on_trial);
	suite_add_tcase(suite, tc);
	return suite;
}
