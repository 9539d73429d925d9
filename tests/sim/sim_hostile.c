/*
 * What a peer may lie about: reports, delays, numbers, and control packets
 * without end.  Each test is run with a server that lies and with a client.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "liar.h"

/* --- lies --- */

/* The truth about a line, but for holes. */
static struct report_link
truth(struct liar *x, unsigned line)
{
	const struct link *l = liar_link(x, line);
	const struct meter *m = &l->meter;

	return (struct report_link){
		.link = l->wire_id,
		.highest = m->highest,
		.floor = m->floor,
		.packets = m->packets,
		.bytes = m->bytes,
		.owd_min = m->owd_last,
		.owd_last = m->owd_last,
	};
}

static size_t
what_was_never_sent(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	r.highest += 1 + liar_below(x, UINT64_C(1) << (1 + liar_below(x, 40)));
	r.highest += sim_link(x->s, x->honest, line)->tx_seq - r.highest % 2;
	r.floor = r.highest;
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
all_is_lost(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	r.floor = r.highest;
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
some_is_lost(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);
	uint64_t above = r.highest;

	while (r.nholes < REPORT_HOLES && above > 300) {
		struct report_hole *h = &r.holes[r.nholes++];

		h->count = (uint32_t)(1 + liar_below(x, REPORT_HOLE_MAX));
		h->pending = liar_below(x, 3) == 0;
		h->first = above - h->count - liar_below(x, 100);
		above = h->first;
	}
	r.floor = above;
	r.packets = (uint32_t)liar_below(x, UINT32_MAX);
	r.bytes = (uint32_t)liar_below(x, UINT32_MAX);
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
anything(struct liar *x, unsigned line, uint8_t *payload)
{
	size_t len = liar_below(x, REPORT_MAX + 1);

	(void)line;
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)liar_below(x, 256);
	payload[0] &= 1;
	return len;
}

static size_t
nothing_wrong(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	return report_put(payload, REPORT_MAX, &r);
}

static size_t
all_has_come(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	r.highest = sim_link(x->s, x->honest, line)->tx_seq - 1;
	r.packets = (uint32_t)r.highest;
	r.bytes = r.packets * 1400;
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
odd_delays(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	r.owd_min = (uint32_t)liar_below(x, WIRE_STAMP_MASK + 1);
	r.owd_last = (uint32_t)liar_below(x, WIRE_STAMP_MASK + 1);
	return report_put(payload, REPORT_MAX, &r);
}

/* Of numbers that have come, come next or never will. */
static size_t
skips(struct liar *x, unsigned line, uint8_t *payload)
{
	size_t len = anything(x, line, payload);

	for (size_t at = 0; at + ARQ_SKIP_LEN <= len; at += ARQ_SKIP_LEN) {
		payload[at] = 0;
		if (liar_below(x, 2) == 0)
			put_be32(payload + at + 1,
			    x->number + (uint32_t)liar_below(x, 64) - 32);
	}
	return len;
}

static size_t
empty(struct liar *x, unsigned line, uint8_t *payload)
{
	(void)x;
	(void)line;
	(void)payload;
	return 0;
}

START_TEST(acknowledging_what_was_never_sent_settles_nothing)
{
	const struct liar_attack a = { what_was_never_sent, WIRE_REPORT,
		5 * MSEC, .mute = true };
	struct liar *x = liar_run(&a, 1 - _i);
	const struct tunnel *t = x->s->end[x->honest].t;

	ck_assert_uint_ge(t->feedback.stats.bad_reports, 1000);
	ck_assert_uint_eq(x->again, 0);
	liar_others_go_on(x, 90);
	liar_recovers(x);
}
END_TEST

START_TEST(denying_all_costs_three_resends_of_each_packet)
{
	const struct liar_attack a = { all_is_lost, WIRE_REPORT, 10 * MSEC,
		.mute = true };
	struct liar *x = liar_run(&a, 1 - _i);

	liar_others_go_on(x, 70);
	liar_recovers(x);
}
END_TEST

START_TEST(denying_some_at_random_costs_no_more)
{
	const struct liar_attack a = { some_is_lost, WIRE_REPORT, 10 * MSEC,
		.mute = true };
	struct liar *x = liar_run(&a, 1 - _i);

	liar_others_go_on(x, 70);
	liar_recovers(x);
}
END_TEST

START_TEST(random_reports_are_counted)
{
	const struct liar_attack a = { anything, WIRE_REPORT, MSEC,
		.mute = true };
	struct liar *x = liar_run(&a, 1 - _i);

	ck_assert_uint_ge(
	    x->s->end[x->honest].t->feedback.stats.bad_reports, 1000);
	liar_others_go_on(x, 70);
	liar_recovers(x);
}
END_TEST

START_TEST(ten_thousand_true_reports_a_second_change_nothing)
{
	const struct liar_attack a = { nothing_wrong, WIRE_REPORT, 100 * USEC,
		.mute = false };
	struct liar *x = liar_run(&a, 1 - _i);

	liar_others_go_on(x, 95);
	liar_recovers(x);
}
END_TEST

START_TEST(reports_that_never_come_stop_nothing)
{
	const struct liar_attack a = { .mute = true };
	struct liar *x = liar_run(&a, 1 - _i);
	uint64_t asks = x->s->end[x->honest].t->feedback.stats.asks;

	ck_assert_uint_gt(asks, 2);
	ck_assert_uint_le(asks, 2 * 20);
	liar_others_go_on(x, 90);
	liar_recovers(x);
}
END_TEST

START_TEST(acknowledging_all_in_advance_speeds_up_nothing)
{
	const struct liar_attack a = { all_has_come, WIRE_REPORT, 5 * MSEC,
		.mute = true };
	struct liar *x = liar_run(&a, 1 - _i);

	ck_assert_uint_eq(x->again, 0);
	liar_others_go_on(x, 90);
	liar_recovers(x);
}
END_TEST

START_TEST(odd_delays_end_with_the_lies)
{
	const struct liar_attack a = { odd_delays, WIRE_REPORT, 20 * MSEC,
		.mute = true };

	liar_recovers(liar_run(&a, 1 - _i));
}
END_TEST

START_TEST(stamps_that_jump_end_with_the_lies)
{
	const struct liar_attack a = { .stamps = true };
	struct liar *x = liar_run(&a, 1 - _i);

	liar_others_go_on(x, 70);
	liar_recovers(x);
}
END_TEST

/* What it says will not come and sends all the same may get lost. */
START_TEST(random_skips_cost_a_look_each)
{
	const struct liar_attack a = { skips, WIRE_SKIP, 100 * USEC,
		.mute = false };
	struct liar *x = liar_run(&a, 1 - _i);

	liar_others_go_on(x, 80);
	liar_recovers(x);
}
END_TEST

START_TEST(ten_thousand_asks_a_second_get_what_reports_may_take)
{
	const struct liar_attack a = { empty, WIRE_ASK, 100 * USEC,
		.mute = false };
	struct liar *x = liar_run(&a, 1 - _i);

	ck_assert_uint_gt(x->reports, 10);
	liar_others_go_on(x, 90);
	liar_recovers(x);
}
END_TEST

/* --- floods --- */

static size_t
eight_bytes(struct liar *x, unsigned line, uint8_t *payload)
{
	(void)line;
	put_be64(payload, sim_random(&x->random));
	return 8;
}

static const struct liar_attack floods[] = {
	{ empty, WIRE_KEEPALIVE, 100 * USEC, .mute = false },
	{ eight_bytes, WIRE_PROBE, 100 * USEC, .mute = false },
	{ eight_bytes, WIRE_PROBE_ACK, 100 * USEC, .mute = false },
	{ empty, WIRE_RENEW, 100 * USEC, .mute = false },
};

START_TEST(floods_of_control_leave_the_lines_to_packets)
{
	struct liar *x = liar_run(&floods[_i / 2], 1 - _i % 2);

	ck_assert_uint_ge(x->load->got_bytes,
	    LIAR_LINES * LIAR_RATE * (uint64_t)(LIAR_ATTACK / SEC) * 8 / 10);
	liar_others_go_on(x, 90);
	liar_recovers(x);
}
END_TEST

/* They fill a quarter of the memory, and what is sent the other way goes on. */
START_TEST(numbers_that_leave_holes_cost_bounded_memory)
{
	const struct liar_attack a = { .holes = true };
	struct liar *x = liar_run(&a, 1 - _i);

	ck_assert_uint_ge(x->sparse->got, x->sparse->sent * 9 / 10);
	liar_recovers(x);
}
END_TEST

/* These are sent again outside the budget: three times each, no more, and at
 * the cost of what queues. */
START_TEST(denying_urgent_packets_costs_three_resends_of_each)
{
	const struct liar_attack a = { all_is_lost, WIRE_REPORT, 10 * MSEC,
		.mute = true, .urgent = true };
	struct liar *x = liar_run(&a, 1 - _i);

	ck_assert_uint_ge(x->urgent->got, x->urgent->sent * 7 / 10);
	liar_others_go_on(x, 60);
	liar_recovers(x);
}
END_TEST

static const struct liar_attack unrated[] = {
	{ what_was_never_sent, WIRE_REPORT, 5 * MSEC, .mute = true,
	    .unrated = true },
	{ all_is_lost, WIRE_REPORT, 10 * MSEC, .mute = true, .unrated = true },
	{ all_has_come, WIRE_REPORT, 5 * MSEC, .mute = true, .unrated = true },
	{ odd_delays, WIRE_REPORT, 20 * MSEC, .mute = true, .unrated = true },
	{ .stamps = true, .unrated = true },
};

START_TEST(lies_about_lines_of_unknown_rate_end_as_well)
{
	liar_recovers(liar_run(&unrated[_i / 2], 1 - _i % 2));
}
END_TEST

Suite *sim_hostile_suite(void);

Suite *
sim_hostile_suite(void)
{
	Suite *suite = suite_create("sim_hostile");
	TCase *tc = tcase_create("hostile");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(
	    tc, acknowledging_what_was_never_sent_settles_nothing, 0, 2);
	tcase_add_loop_test(
	    tc, denying_all_costs_three_resends_of_each_packet, 0, 2);
	tcase_add_loop_test(tc, denying_some_at_random_costs_no_more, 0, 2);
	tcase_add_loop_test(tc, random_reports_are_counted, 0, 2);
	tcase_add_loop_test(
	    tc, ten_thousand_true_reports_a_second_change_nothing, 0, 2);
	tcase_add_loop_test(tc, reports_that_never_come_stop_nothing, 0, 2);
	tcase_add_loop_test(
	    tc, acknowledging_all_in_advance_speeds_up_nothing, 0, 2);
	tcase_add_loop_test(tc, odd_delays_end_with_the_lies, 0, 2);
	tcase_add_loop_test(tc, stamps_that_jump_end_with_the_lies, 0, 2);
	tcase_add_loop_test(tc, random_skips_cost_a_look_each, 0, 2);
	tcase_add_loop_test(
	    tc, ten_thousand_asks_a_second_get_what_reports_may_take, 0, 2);
	tcase_add_loop_test(tc, floods_of_control_leave_the_lines_to_packets, 0,
	    2 * sizeof(floods) / sizeof(floods[0]));
	tcase_add_loop_test(
	    tc, numbers_that_leave_holes_cost_bounded_memory, 0, 2);
	tcase_add_loop_test(
	    tc, denying_urgent_packets_costs_three_resends_of_each, 0, 2);
	tcase_add_loop_test(tc, lies_about_lines_of_unknown_rate_end_as_well, 0,
	    2 * sizeof(unrated) / sizeof(unrated[0]));
	suite_add_tcase(suite, tc);
	return suite;
}
