/*
 * How the bond divides its traffic, and how exactly each line is paced.
 */
#include "config.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "tunnel/pacer.h"

#define UNIT 625000 /* 5 Mbit/s */

static const unsigned ratios[][4] = {
	{ 2, 3 },
	{ 7, 3 },
	{ 1, 2, 3 },
	{ 1, 1 },
	{ 2, 2, 2, 2 },
	{ 1, 20 },
};

static struct sim_setup
lines_of(const unsigned ratio[4])
{
	struct sim_setup su = sim_setup(0);

	while (su.lines < 4 && ratio[su.lines] != 0) {
		su.up_Bps[su.lines] = UNIT * ratio[su.lines];
		su.down_Bps[su.lines] = UNIT * ratio[su.lines];
		su.lines++;
	}
	return su;
}

static uint64_t
total_rate(const struct sim_setup *su)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < su->lines; i++)
		sum += su->up_Bps[i];
	return sum;
}

/* Within 2 % of what the rates ask for. */
static void
check_shares(struct sim *s, int end)
{
	double sum = 0, rate = (double)total_rate(&s->setup);

	for (unsigned i = 0; i < s->setup.lines; i++)
		sum += (double)sim_data_bytes(s, end, i);
	for (unsigned i = 0; i < s->setup.lines; i++) {
		double share = (double)sim_data_bytes(s, end, i) / sum;
		double want = (double)s->setup.up_Bps[i] / rate;

		ck_assert_msg(fabs(share / want - 1) < 0.02,
		    "line %u carries %.4f instead of %.4f", i, share, want);
	}
}

START_TEST(saturated_lines_share_in_proportion_to_their_rates)
{
	struct sim_setup su = lines_of(ratios[_i]);
	struct sim *s = sim_new_up(&su);

	sim_load(s, CLIENT, total_rate(&su) * 5 / 4, 6 * SEC);
	sim_load(s, SERVER, total_rate(&su) * 5 / 4, 6 * SEC);
	sim_until(s, 6 * SEC);
	check_shares(s, CLIENT);
	check_shares(s, SERVER);
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(lines_at_part_load_share_in_proportion_to_their_rates)
{
	static const unsigned percent[] = { 10, 50, 90 };
	struct sim_setup su = lines_of(ratios[_i % 6]);
	struct sim *s = sim_new_up(&su);
	uint64_t rate = total_rate(&su) * percent[_i / 6] / 100;

	sim_load(s, CLIENT, rate, 10 * SEC);
	sim_load(s, SERVER, rate, 10 * SEC);
	sim_until(s, 10 * SEC);
	check_shares(s, CLIENT);
	check_shares(s, SERVER);
	sim_free(s);
}
END_TEST

/* Real lines, of which nobody said how fast they are. */
static void
make_real(struct sim *s, uint64_t rate_Bps)
{
	for (unsigned i = 0; i < s->setup.lines; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].rate_Bps = rate_Bps;
			s->line[i].dir[d].queue_bytes = rate_Bps / 4;
		}
}

static double
carried(struct sim *s, unsigned line, mono_t span)
{
	uint64_t before = s->line[line].dir[CLIENT].data_bytes;

	sim_for(s, span);
	return (double)(s->line[line].dir[CLIENT].data_bytes - before) /
	       ((double)span / (double)SEC);
}

START_TEST(rates_that_nobody_configured_are_found)
{
	struct sim_setup su = lines_of(ratios[2]);
	struct sim *s;

	for (unsigned i = 0; i < su.lines; i++)
		su.up_Bps[i] = su.down_Bps[i] = 0;
	/* Whatever the delays are. */
	for (unsigned i = 0; i < su.lines; i++)
		su.delay[i] = (10 + (mono_t)i * 20 * _i) * MSEC;
	s = sim_new_up(&su);
	make_real(s, 1000000);
	sim_load(s, CLIENT, 5000000, 60 * SEC);
	sim_until(s, 3 * SEC);
	for (unsigned i = 0; i < su.lines; i++) {
		double got = carried(s, i, 3 * SEC);

		ck_assert_msg(got > 850000 && got < 1050000,
		    "line %u carries %.0f bytes/s", i, got);
	}
	sim_check(s);
	sim_free(s);
}
END_TEST

/* What a slow line owed under its rate is no debt without one. */
START_TEST(a_rate_that_is_taken_away_is_found_anew)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.up_Bps[0] = 32000;
	s = sim_new_up(&su);
	make_real(s, 1000000);
	sim_load(s, CLIENT, 5000000, 60 * SEC);
	sim_until(s, 5 * SEC);
	ck_assert_double_le(carried(s, 0, SEC), 34000);
	s->setup.up_Bps[0] = s->setup.up_Bps[1] = 0;
	sim_reload(s, CLIENT, false);
	sim_for(s, 3 * SEC);
	ck_assert_double_ge(carried(s, 0, 3 * SEC), 850000);
	ck_assert_double_ge(carried(s, 1, 3 * SEC), 850000);
	sim_free(s);
}
END_TEST

/* What was counted at the old rates is forgotten.  Some seconds later, as a
 * rate that is raised while the line is used grows by 5 % a round trip. */
START_TEST(shares_follow_rates_that_are_reloaded)
{
	static const uint64_t rates[][2] = { { 2 * UNIT, UNIT / 2 },
		{ UNIT / 4, 3 * UNIT } };
	struct sim_setup su = lines_of(ratios[3]);
	struct sim *s = sim_new_up(&su);

	sim_load(s, CLIENT, 5 * UNIT, 60 * SEC);
	sim_for(s, 3 * SEC);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < 2; i++)
			s->setup.up_Bps[i] = rates[k][i];
		sim_reload(s, CLIENT, false);
		sim_for(s, 3 * SEC);
		for (unsigned i = 0; i < 2; i++)
			s->line[i].dir[CLIENT].data_bytes = 0;
		sim_for(s, SEC);
		check_shares(s, CLIENT);
	}
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Rates count what the line counts: the rate that is found does as well, or it
 * would fall with each report. */
START_TEST(a_slower_line_with_overhead_is_filled)
{
	struct sim_setup su = sim_setup(2);
	const double rate = 250000, packets = rate / (72 + 52 + 64);
	struct sim *s;
	double got;

	su.end[CLIENT].link = su.end[SERVER].link = "overhead = 64";
	for (unsigned i = 0; i < 2; i++)
		su.up_Bps[i] = su.down_Bps[i] = (uint64_t)rate * 5 / 4;
	s = sim_new_up(&su);
	make_real(s, (uint64_t)rate);
	for (unsigned i = 0; i < 2; i++)
		s->line[i].dir[CLIENT].overhead = 64;
	sim_stream(s, CLIENT, 72, 250 * USEC, 60 * SEC);
	sim_for(s, 2 * SEC);
	got = carried(s, 0, 10 * SEC) / (72 + 52);
	ck_assert_msg(got > 0.95 * packets && got < 1.02 * packets,
	    "%.0f packets/s of %.0f", got, packets);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* For as long as it is behind it would carry everything. */
START_TEST(a_link_that_comes_back_is_not_owed_what_it_missed)
{
	struct sim_setup su = lines_of(ratios[3]);
	struct sim *s = sim_new_up(&su);
	double sum = 0, share;

	sim_load(s, CLIENT, UNIT * 8 / 10, 60 * SEC);
	sim_for(s, 2 * SEC);
	sim_cut(s, 0, true);
	sim_for(s, SEC);
	sim_cut(s, 0, false);
	for (unsigned i = 0; i < 100 && !sim_link(s, CLIENT, 0)->in_use; i++)
		sim_for(s, 10 * MSEC);
	ck_assert(sim_link(s, CLIENT, 0)->in_use);
	for (unsigned i = 0; i < 2; i++)
		s->line[i].dir[CLIENT].data_bytes = 0;
	sim_for(s, SEC);
	for (unsigned i = 0; i < 2; i++)
		sum += (double)sim_data_bytes(s, CLIENT, i);
	share = (double)sim_data_bytes(s, CLIENT, 0) / sum;
	ck_assert_msg(share > 0.48 && share < 0.52, "it carries %.3f", share);
	sim_free(s);
}
END_TEST

/* A line that comes back is not given all that it missed. */
START_TEST(shares_are_right_again_after_an_outage)
{
	struct sim_setup su = lines_of(ratios[0]);
	struct sim *s = sim_new_up(&su);

	sim_load(s, CLIENT, total_rate(&su) / 2, 60 * SEC);
	sim_load(s, SERVER, total_rate(&su) / 2, 60 * SEC);
	sim_for(s, 2 * SEC);
	sim_cut(s, 0, true);
	sim_for(s, 20 * SEC);
	sim_cut(s, 0, false);
	ck_assert(sim_wait_up(s, 2, 5 * SEC));
	/* It has to prove itself first. */
	sim_for(s, 500 * MSEC);
	for (int d = 0; d < 2; d++)
		for (unsigned i = 0; i < 2; i++)
			s->line[i].dir[d].data_bytes = 0;
	sim_for(s, 5 * SEC);
	check_shares(s, CLIENT);
	check_shares(s, SERVER);
	sim_free(s);
}
END_TEST

/* --- the pacer, seen from the entrance of a line --- */

#define WINDOW (50 * MSEC)
#define RING 65536

struct ratio_meter {
	unsigned line;
	int end;
	uint64_t rate_Bps, allowance; /* bytes in a window, and on top of it */
	struct {
		mono_t at;
		size_t len;
	} ring[RING];
	size_t head, tail;
	uint64_t bytes; /* in the window */
	uint64_t total, worst;
	mono_t from;
};

static bool
measure(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct ratio_meter *m = ctx;
	size_t outer = d->len + SIM_OUTER;

	if (d->line != m->line || d->from != m->end || s->now < m->from)
		return true;
	m->ring[m->head % RING].at = s->now;
	m->ring[m->head++ % RING].len = outer;
	m->bytes += outer;
	m->total += outer;
	while (m->ring[m->tail % RING].at <= s->now - WINDOW)
		m->bytes -= m->ring[m->tail++ % RING].len;
	SIM_MUST(m->head - m->tail < RING);
	if (m->bytes > m->worst)
		m->worst = m->bytes;
	return true;
}

static uint64_t
bytes_in(uint64_t rate_Bps, mono_t span)
{
	return rate_Bps * (uint64_t)(span / USEC) / 1000000;
}

/* One saturated line of a random world: rate, packets, lateness. */
START_TEST(a_saturated_line_keeps_to_its_rate)
{
	static const uint64_t rates[] = { 32000, 125000, 1000000, 6250000,
		12500000 };
	struct sim_setup su = sim_setup(2);
	struct ratio_meter *m = calloc(1, sizeof(*m));
	uint64_t rate = rates[_i % 5], limit;
	bool late = _i / 5 > 0, stalls = _i / 5 == 2;
	mono_t span = (rate < 100000 ? 20 : rate < 5000000 ? 4 : 1) * SEC;
	uint64_t r;
	struct sim *s;
	double got;

	ck_assert_ptr_nonnull(m);
	su.seed = 77 + (uint64_t)_i;
	su.up_Bps[0] = su.down_Bps[0] = rate;
	su.up_Bps[1] = su.down_Bps[1] = 200000;
	su.late_max = late ? 200 * USEC : 0;
	su.stall_max = stalls ? 5 * MSEC - su.late_max : 0;
	su.stall_gap = 40 * MSEC;
	m->rate_Bps = rate;
	m->end = _i % 2;
	s = sim_new_up(&su);
	r = sim_random(&s->random);
	sim_stream(s, m->end, 100 + r % 1300,
	    (mono_t)((100 + r % 1300) * (uint64_t)SEC / (rate + 300000)),
	    MONO_NEVER);
	sim_stream(s, m->end, 1400,
	    (mono_t)(1400 * (uint64_t)SEC / (rate + 300000)), MONO_NEVER);
	sim_for(s, SEC);
	m->from = s->now;
	s->filter = measure;
	s->filter_ctx = m;
	sim_for(s, span);
	got = (double)m->total / ((double)span / (double)SEC);
	ck_assert_msg(fabs(got / (double)rate - 1) < 0.01,
	    "%.0f bytes/s instead of %llu", got, (unsigned long long)rate);
	/* pacer.h: R x T, a packet, the depth, lateness; and keepalives, which
	 * do not ask: each leaves a debt that is paid at once. */
	limit = bytes_in(rate, WINDOW + PACER_DEPTH) + 1460 + 300;
	if (late)
		limit += bytes_in(rate, PACER_LATE_MAX);
	ck_assert_msg(m->worst <= limit,
	    "%llu bytes in 50 ms, at most %llu expected",
	    (unsigned long long)m->worst, (unsigned long long)limit);
	sim_check(s);
	sim_free(s);
	free(m);
}
END_TEST

static void
burst(struct sim *s, void *arg)
{
	struct sim_flow *f = arg;

	for (int i = 0; i < 200; i++)
		sim_flow_send(f, f->from, f->len, NULL);
	sim_at(s, s->now + SEC / 2, burst, f);
}

/* Silence does not save up more than the depth. */
START_TEST(bursts_after_silence_keep_to_the_rate)
{
	struct sim_setup su = sim_setup(1);
	struct ratio_meter *m = calloc(1, sizeof(*m));
	struct sim *s;

	ck_assert_ptr_nonnull(m);
	m->rate_Bps = su.up_Bps[0];
	s = sim_new_up(&su);
	s->filter = measure;
	s->filter_ctx = m;
	burst(s, sim_flow(s, CLIENT, 1000));
	sim_for(s, 5 * SEC);
	ck_assert_uint_le(
	    m->worst, bytes_in(m->rate_Bps, WINDOW + PACER_DEPTH) + 1460 + 300);
	ck_assert_uint_gt(m->worst, bytes_in(m->rate_Bps, WINDOW * 9 / 10));
	sim_free(s);
	free(m);
}
END_TEST

START_TEST(overhead_is_counted)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;
	const struct sim_dir *d;
	double got;

	su.end[CLIENT].link = "overhead = 40";
	s = sim_new_up(&su);
	d = &s->line[0].dir[CLIENT];
	sim_stream(s, CLIENT, 200, 100 * USEC, MONO_NEVER);
	sim_until(s, 6 * SEC);
	got = (double)(d->data_bytes + d->data * 40) / 6;
	ck_assert_msg(fabs(got / (double)su.up_Bps[0] - 1) < 0.015,
	    "%.0f bytes/s with overhead", got);
	sim_free(s);
}
END_TEST

/* The client tells the server its download rate; the server's own caps it. */
START_TEST(the_lesser_of_both_rates_counts)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[SERVER].link = _i == 0 ? "bandwidth_download = 500000"
				      : "bandwidth_download = 5000000";
	s = sim_new_up(&su);
	ck_assert_uint_eq(
	    sim_link(s, SERVER, 0)->pacer.rate_Bps, _i == 0 ? 500000 : 1250000);
	ck_assert_uint_eq(sim_link(s, CLIENT, 0)->pacer.rate_Bps, 1250000);
	sim_free(s);
}
END_TEST

/* --- TCP --- */

START_TEST(one_tcp_flow_fills_two_equal_lines)
{
	struct sim_setup su = sim_setup(2);
	struct sim_bulk *b;
	struct sim *s;
	double got, possible;

	for (unsigned i = 0; i < 2; i++)
		su.up_Bps[i] = su.down_Bps[i] = 6062500; /* 0.97 x 50 Mbit */
	s = sim_new(&su);
	for (unsigned i = 0; i < 2; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].rate_Bps = 6250000;
			s->line[i].dir[d].queue_bytes = 100000;
		}
	ck_assert(sim_wait_up(s, 2, SEC));
	b = sim_bulk(s, _i);
	sim_for(s, 3 * SEC);
	got = -(double)sim_bulk_bytes(b);
	sim_for(s, 10 * SEC);
	got = (got + (double)sim_bulk_bytes(b)) / 10;
	possible = 2 * 6062500.0 * (SIM_MTU - 40) / (SIM_MTU + 60);
	ck_assert_msg(got > 0.96 * possible,
	    "%.0f of %.0f bytes/s, %llu resent, %llu time-outs", got, possible,
	    (unsigned long long)sim_bulk_resent(b),
	    (unsigned long long)sim_bulk_timeouts(b));
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(s->line[i].dir[_i].queue_drops, 0);
	sim_check(s);
	sim_free(s);
	sim_bulk_free(b);
}
END_TEST

Suite *sim_share_suite(void);

Suite *
sim_share_suite(void)
{
	Suite *suite = suite_create("sim_share");
	TCase *tc = tcase_create("share");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc,
	    saturated_lines_share_in_proportion_to_their_rates, 0,
	    nitems_of(ratios));
	tcase_add_loop_test(tc,
	    lines_at_part_load_share_in_proportion_to_their_rates, 0,
	    3 * nitems_of(ratios));
	tcase_add_loop_test(tc, rates_that_nobody_configured_are_found, 0, 2);
	tcase_add_test(tc, a_rate_that_is_taken_away_is_found_anew);
	tcase_add_test(tc, shares_follow_rates_that_are_reloaded);
	tcase_add_test(tc, a_slower_line_with_overhead_is_filled);
	tcase_add_test(tc, a_link_that_comes_back_is_not_owed_what_it_missed);
	tcase_add_test(tc, shares_are_right_again_after_an_outage);
	tcase_add_loop_test(tc, one_tcp_flow_fills_two_equal_lines, 0, 2);
	suite_add_tcase(suite, tc);
	tc = tcase_create("pacer");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_saturated_line_keeps_to_its_rate, 0, 15);
	tcase_add_test(tc, bursts_after_silence_keep_to_the_rate);
	tcase_add_test(tc, overhead_is_counted);
	tcase_add_loop_test(tc, the_lesser_of_both_rates_counts, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}
