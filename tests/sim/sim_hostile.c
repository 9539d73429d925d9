/*
 * A peer that has the password and lies.  It may spoil the tunnel between the
 * two as long as it lies, within bounds of memory and bandwidth; then all is as
 * before.  The client is honest, the server's engine sends what is made up
 * here.  Without a cipher, so that the lines can be read.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define LINES 2
#define RATE 1250000
#define ATTACK (3 * SEC)
#define RECOVERY (15 * SEC)

struct liar;

/* The payload of the next lie about a line. */
typedef size_t lie_fn(struct liar *x, unsigned line, uint8_t *payload);

struct attack {
	lie_fn *lie;
	enum wire_control control;
	mono_t gap;  /* of lies by each line */
	bool mute;   /* what the engine would report is not sent */
	bool stamps; /* are made up */
};

struct liar {
	struct sim *s;
	const struct attack *a;
	mono_t until;
	bool lying;	 /* this instant */
	uint32_t number; /* of its latest packet: bucket and sequence */
	uint64_t random;
	/* what the client sent */
	uint8_t *sends; /* by id */
	size_t sends_size;
	uint64_t reports, report_bytes, again, first, copies;
	struct sim_flow *load, *sparse, *back;
};

static struct link *
its_link(struct liar *x, unsigned line)
{
	return sim_link(x->s, SERVER, line);
}

static uint64_t
below(struct liar *x, uint64_t n)
{
	return sim_random(&x->random) % n;
}

/* --- what goes by the lines --- */

static void
count_data(struct liar *x, const struct sim_dgram *d)
{
	uint64_t id = sim_dgram_id(d);

	/* A link that is not in use gets copies. */
	if (!sim_link(x->s, CLIENT, d->line)->in_use) {
		x->copies++;
		return;
	}
	if (id >= x->sends_size) {
		size_t size = (size_t)id * 2 + 4096;

		x->sends = realloc(x->sends, size);
		SIM_MUST(x->sends != NULL);
		memset(x->sends + x->sends_size, 0, size - x->sends_size);
		x->sends_size = size;
	}
	x->sends[id]++;
	SIM_MUST(x->sends[id] <= ARQ_SENDS_MAX);
	x->first += x->sends[id] == 1;
	x->again += x->sends[id] > 1;
}

static bool
on_line(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct liar *x = ctx;
	bool data = d->data[0] == WIRE_DATA, lies = s->now < x->until;
	uint8_t *inner = d->data + SIM_FRONT - WIRE_INNER_LEN;
	struct wire_inner in;

	if (d->data[0] != WIRE_DATA && d->data[0] != WIRE_CONTROL)
		return true;
	wire_get_inner(&in, !data, inner);
	if (d->from == CLIENT && data)
		count_data(x, d);
	else if (d->from == CLIENT && in.control == WIRE_REPORT) {
		x->reports++;
		x->report_bytes += d->len + SIM_OUTER;
	} else if (d->from == SERVER && lies) {
		if (data)
			x->number = (uint32_t)in.bucket << 22 | in.bucket_seq;
		if (x->a->mute && !data && in.control == WIRE_REPORT &&
		    !x->lying)
			return false;
		if (x->a->stamps) {
			in.stamp = (uint32_t)below(x, WIRE_STAMP_MASK + 1);
			wire_put_inner(inner, !data, &in);
		}
	}
	return true;
}

static void
lie(struct sim *s, void *arg)
{
	struct liar *x = arg;
	struct sim_end *e = &s->end[SERVER];
	uint8_t payload[REPORT_MAX];

	if (s->now >= x->until)
		return;
	for (unsigned i = 0; i < LINES; i++) {
		struct link *l = its_link(x, i);
		struct pacer pacer = l->pacer;
		size_t len = x->a->lie(x, i, payload);

		if (!l->cur.used)
			continue;
		x->lying = true;
		s->calling = SERVER;
		link_send_control(e->t, l, &l->cur, x->a->control, payload, len,
		    &l->path, s->now);
		x->lying = false;
		l->pacer = pacer; /* who floods does not mind his pace */
	}
	sim_at(s, s->now + x->a->gap, lie, x);
}

/* --- the honest end --- */

static uint64_t
line_bytes(struct sim *s)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < LINES; i++)
		bytes += s->line[i].dir[CLIENT].bytes;
	return bytes;
}

static void
live_for(struct sim *s, mono_t span)
{
	uint64_t before = line_bytes(s);
	mono_t end = s->now + span;

	while (s->now < end) {
		sim_for(s, 10 * MSEC);
		sim_check_memory(s->end[CLIENT].t);
		sim_check_memory(s->end[SERVER].t);
	}
	/* Whatever it is made to send, the lines' rates hold. */
	ck_assert_uint_le(line_bytes(s) - before,
	    LINES * RATE / 1000 * (uint64_t)(span / MSEC) + 65536);
}

static void
reset_flows(struct liar *x)
{
	sim_flow_reset(x->load);
	sim_flow_reset(x->sparse);
	sim_flow_reset(x->back);
}

static struct liar *
start_world(const struct attack *a)
{
	struct sim_setup su = sim_setup(LINES);
	struct liar *x = calloc(1, sizeof(*x));

	ck_assert_ptr_nonnull(x);
	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	su.end[CLIENT].general = su.end[SERVER].general = "memory = 4";
	su.delay[1] = 20 * MSEC;
	x->a = a;
	x->random = 7;
	x->s = sim_new_up(&su);
	x->s->filter = on_line;
	x->s->filter_ctx = x;
	x->load = sim_load(x->s, CLIENT, 3 * RATE, MONO_NEVER);
	x->sparse = sim_stream(x->s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	x->back = sim_load(x->s, SERVER, RATE / 4, MONO_NEVER);
	live_for(x->s, SEC);
	return x;
}

static void
end_world(struct liar *x)
{
	struct sim *s = x->s;

	x->load->stop_at = x->sparse->stop_at = x->back->stop_at = s->now;
	sim_for(s, 20 * SEC);
	sim_check_empty(s);
	sim_check(s);
	sim_free(s);
	free(x->sends);
	free(x);
}

/* The honest end's own limits, as doc/engine.rst has them. */
static void
check_bounds(const struct liar *x)
{
	uint64_t ms = (uint64_t)(ATTACK / MSEC);

	/* 1 %, what can be saved up, and one each 250 ms in any case. */
	ck_assert_uint_le(x->report_bytes,
	    LINES * RATE / FEEDBACK_SHARE * ms / 1000 + FEEDBACK_SAVED +
		x->report_bytes / x->reports *
		    (uint64_t)((LINES + 1) * (ATTACK / FEEDBACK_GAP_MAX + 1)));
	ck_assert_uint_le(x->again, 3 * x->first + 1000);
}

/* Lies for a while; then all that was must be as before. */
static struct liar *
run_attack(const struct attack *a)
{
	struct liar *x = start_world(a);
	struct sim *s = x->s;

	x->until = s->now + ATTACK;
	x->reports = x->report_bytes = x->again = x->first = 0;
	if (a->lie != NULL)
		sim_at(s, s->now, lie, x);
	reset_flows(x);
	live_for(s, ATTACK);
	check_bounds(x);
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr,
		    "load %llu, sparse %llu of %llu, back %llu of %llu; "
		    "%llu reports, %llu of %llu again, %llu copies\n",
		    (unsigned long long)x->load->got,
		    (unsigned long long)x->sparse->got,
		    (unsigned long long)x->sparse->sent,
		    (unsigned long long)x->back->got,
		    (unsigned long long)x->back->sent,
		    (unsigned long long)x->reports,
		    (unsigned long long)x->again, (unsigned long long)x->first,
		    (unsigned long long)x->copies);
	return x;
}

static void
recovers(struct liar *x)
{
	struct sim *s = x->s;
	uint64_t most = LINES * RATE;

	live_for(s, RECOVERY);
	reset_flows(x);
	live_for(s, 2 * SEC);
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr, "then %llu of %llu, sparse %llu of %llu\n",
		    (unsigned long long)x->load->got_bytes / 2,
		    (unsigned long long)most,
		    (unsigned long long)x->sparse->got,
		    (unsigned long long)x->sparse->sent);
	for (unsigned i = 0; i < LINES; i++)
		ck_assert(sim_link(s, CLIENT, i)->in_use);
	ck_assert_uint_ge(x->load->got_bytes / 2, most * 85 / 100);
	ck_assert_uint_ge(x->sparse->got + 3, x->sparse->sent);
	ck_assert_uint_ge(x->back->got, x->back->sent * 9 / 10);
	end_world(x);
}

static void
others_go_on(const struct liar *x, unsigned percent)
{
	ck_assert_uint_ge(x->sparse->got, x->sparse->sent * percent / 100);
	ck_assert_uint_ge(x->back->got, x->back->sent * percent / 100);
}

/* --- lies --- */

/* The truth about a line, but for holes. */
static struct report_link
truth(struct liar *x, unsigned line)
{
	const struct link *l = its_link(x, line);
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

	r.highest += 1 + below(x, UINT64_C(1) << (1 + below(x, 40)));
	r.highest += sim_link(x->s, CLIENT, line)->tx_seq - r.highest % 2;
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

		h->count = (uint32_t)(1 + below(x, REPORT_HOLE_MAX));
		h->pending = below(x, 3) == 0;
		h->first = above - h->count - below(x, 100);
		above = h->first;
	}
	r.floor = above;
	r.packets = (uint32_t)below(x, UINT32_MAX);
	r.bytes = (uint32_t)below(x, UINT32_MAX);
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
anything(struct liar *x, unsigned line, uint8_t *payload)
{
	size_t len = below(x, REPORT_MAX + 1);

	(void)line;
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)below(x, 256);
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

	r.highest = sim_link(x->s, CLIENT, line)->tx_seq - 1;
	r.packets = (uint32_t)r.highest;
	r.bytes = r.packets * 1400;
	return report_put(payload, REPORT_MAX, &r);
}

static size_t
odd_delays(struct liar *x, unsigned line, uint8_t *payload)
{
	struct report_link r = truth(x, line);

	r.owd_min = (uint32_t)below(x, WIRE_STAMP_MASK + 1);
	r.owd_last = (uint32_t)below(x, WIRE_STAMP_MASK + 1);
	return report_put(payload, REPORT_MAX, &r);
}

/* Of numbers that have come, come next or never will. */
static size_t
skips(struct liar *x, unsigned line, uint8_t *payload)
{
	size_t len = anything(x, line, payload);

	for (size_t at = 0; at + ARQ_SKIP_LEN <= len; at += ARQ_SKIP_LEN) {
		payload[at] = 0;
		if (below(x, 2) == 0)
			put_be32(payload + at + 1,
			    x->number + (uint32_t)below(x, 64) - 32);
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
	const struct attack a = { what_was_never_sent, WIRE_REPORT, 5 * MSEC,
		.mute = true };
	struct liar *x = run_attack(&a);
	const struct tunnel *t = x->s->end[CLIENT].t;

	ck_assert_uint_ge(t->feedback.stats.bad_reports, 1000);
	ck_assert_uint_eq(x->again, 0);
	others_go_on(x, 90);
	recovers(x);
}
END_TEST

START_TEST(denying_all_costs_three_resends_of_each_packet)
{
	const struct attack a = { all_is_lost, WIRE_REPORT, 10 * MSEC,
		.mute = true };
	struct liar *x = run_attack(&a);

	others_go_on(x, 70);
	recovers(x);
}
END_TEST

START_TEST(denying_some_at_random_costs_no_more)
{
	const struct attack a = { some_is_lost, WIRE_REPORT, 10 * MSEC,
		.mute = true };
	struct liar *x = run_attack(&a);

	others_go_on(x, 70);
	recovers(x);
}
END_TEST

START_TEST(random_reports_are_counted)
{
	const struct attack a = { anything, WIRE_REPORT, MSEC, .mute = true };
	struct liar *x = run_attack(&a);

	ck_assert_uint_ge(
	    x->s->end[CLIENT].t->feedback.stats.bad_reports, 1000);
	others_go_on(x, 70);
	recovers(x);
}
END_TEST

START_TEST(ten_thousand_true_reports_a_second_change_nothing)
{
	const struct attack a = { nothing_wrong, WIRE_REPORT, 100 * USEC,
		.mute = false };
	struct liar *x = run_attack(&a);

	others_go_on(x, 95);
	recovers(x);
}
END_TEST

START_TEST(reports_that_never_come_stop_nothing)
{
	const struct attack a = { .mute = true };
	struct liar *x = run_attack(&a);
	uint64_t asks = x->s->end[CLIENT].t->feedback.stats.asks;

	ck_assert_uint_gt(asks, 2);
	ck_assert_uint_le(asks, 2 * 20);
	others_go_on(x, 90);
	recovers(x);
}
END_TEST

START_TEST(acknowledging_all_in_advance_speeds_up_nothing)
{
	const struct attack a = { all_has_come, WIRE_REPORT, 5 * MSEC,
		.mute = true };
	struct liar *x = run_attack(&a);

	ck_assert_uint_eq(x->again, 0);
	others_go_on(x, 90);
	recovers(x);
}
END_TEST

START_TEST(odd_delays_end_with_the_lies)
{
	const struct attack a = { odd_delays, WIRE_REPORT, 20 * MSEC,
		.mute = true };

	recovers(run_attack(&a));
}
END_TEST

START_TEST(stamps_that_jump_end_with_the_lies)
{
	const struct attack a = { .stamps = true };
	struct liar *x = run_attack(&a);

	others_go_on(x, 70);
	recovers(x);
}
END_TEST

/* What it says will not come and sends all the same may get lost. */
START_TEST(random_skips_cost_a_look_each)
{
	const struct attack a = { skips, WIRE_SKIP, 100 * USEC, .mute = false };
	struct liar *x = run_attack(&a);

	others_go_on(x, 80);
	recovers(x);
}
END_TEST

START_TEST(ten_thousand_asks_a_second_get_what_reports_may_take)
{
	const struct attack a = { empty, WIRE_ASK, 100 * USEC, .mute = false };
	struct liar *x = run_attack(&a);

	ck_assert_uint_gt(x->reports, 10);
	others_go_on(x, 90);
	recovers(x);
}
END_TEST

Suite *sim_hostile_suite(void);

Suite *
sim_hostile_suite(void)
{
	Suite *suite = suite_create("sim_hostile");
	TCase *tc = tcase_create("hostile");

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, acknowledging_what_was_never_sent_settles_nothing);
	tcase_add_test(tc, denying_all_costs_three_resends_of_each_packet);
	tcase_add_test(tc, denying_some_at_random_costs_no_more);
	tcase_add_test(tc, random_reports_are_counted);
	tcase_add_test(tc, ten_thousand_true_reports_a_second_change_nothing);
	tcase_add_test(tc, reports_that_never_come_stop_nothing);
	tcase_add_test(tc, acknowledging_all_in_advance_speeds_up_nothing);
	tcase_add_test(tc, odd_delays_end_with_the_lies);
	tcase_add_test(tc, stamps_that_jump_end_with_the_lies);
	tcase_add_test(tc, random_skips_cost_a_look_each);
	tcase_add_test(
	    tc, ten_thousand_asks_a_second_get_what_reports_may_take);
	suite_add_tcase(suite, tc);
	return suite;
}
