/*
 * Lines whose delay varies: a flow that fills them has a longer round trip than
 * one that sends little, and BBR goes by the least one that it has seen.
 */
#include "config.h"

#include <check.h>

#include "sim.h"

#define MBIT 125000
#define SEEDS 4

static const struct {
	unsigned mbit[2], delay_ms[2], sigma_ms[2];
	double loss[2];
} bonds[] = {
	{ { 10, 10 }, { 20, 20 }, { 20, 20 }, { 0, 0 } },
	{ { 8, 20 }, { 35, 50 }, { 8, 25 }, { 0, 0.01 } },
	/* what waits for the later */
	{ { 20, 4 }, { 5, 20 }, { 0, 0 }, { 0, 0 } },
	/* what waits for those that are sent again */
	{ { 20, 15 }, { 50, 60 }, { 10, 12 }, { 0.02, 0.02 } },
};

static struct sim *
start(unsigned bond, uint64_t seed)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.seed = seed;
	for (unsigned i = 0; i < 2; i++)
		su.up_Bps[i] = su.down_Bps[i] = MBIT * bonds[bond].mbit[i];
	s = sim_new_up(&su);
	for (unsigned i = 0; i < 2; i++)
		for (int from = 0; from < 2; from++) {
			struct sim_dir *d = &s->line[i].dir[from];

			d->delay = bonds[bond].delay_ms[i] * MSEC;
			d->sigma = bonds[bond].sigma_ms[i] * MSEC;
			d->loss = bonds[bond].loss[i];
		}
	return s;
}

static uint64_t
early(const struct sim *s, int end)
{
	return playout_stats(s->end[end].t->playout)->held;
}

/* What part of all that there is a BBR flow gets in ten seconds, after some. */
static double
share_of_bbr(unsigned bond, uint64_t seed, mono_t after)
{
	struct sim *s = start(bond, seed);
	struct sim_flow *sparse =
	    sim_stream(s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	struct sim_bulk *bulk = sim_bulk_cc(s, CLIENT, SIM_BBR);
	double all = MBIT * (bonds[bond].mbit[0] + bonds[bond].mbit[1]);
	double got;

	sim_for(s, after);
	sim_bulk_reset(bulk);
	sim_for(s, 10 * SEC);
	got = (double)sim_bulk_stats(bulk)->bytes / 10;
	all *= (double)(SIM_MTU - 40) / (SIM_MTU + 60);
	ck_assert_uint_le(sparse->sent, sparse->got + 20);
	sim_bulk_free(bulk);
	sim_check(s);
	sim_free(s);
	return got / all;
}

/* _i: the bond, with each of some seeds. */
START_TEST(bbr_fills_lines_whose_delay_varies)
{
	double share = share_of_bbr(
	    (unsigned)_i / SEEDS, (uint64_t)_i % SEEDS + 1, 30 * SEC);

	ck_assert_msg(share > 0.8, "%.3f of all", share);
}
END_TEST

/* The first ten seconds go by the round trip of the handshake. */
START_TEST(its_first_ten_seconds_are_no_matter_of_luck)
{
	double share = share_of_bbr(
	    (unsigned)_i / SEEDS, (uint64_t)_i % SEEDS + 1, 4 * SEC);

	ck_assert_msg(share > 0.45, "%.3f of all", share);
}
END_TEST

START_TEST(a_flow_that_sends_little_does_not_wait)
{
	struct sim *s = start((unsigned)_i, 1);

	for (int end = 0; end < 2; end++)
		sim_stream(s, end, 200, 20 * MSEC, MONO_NEVER);
	sim_for(s, 30 * SEC);
	ck_assert_uint_eq(early(s, CLIENT) + early(s, SERVER), 0);
	sim_free(s);
}
END_TEST

/* A call: of each 50 packets one is lost, and next to none waits for a resend,
 * which takes 150 ms. */
START_TEST(a_call_over_a_lossy_line_waits_for_no_resend)
{
	struct sim_setup su = sim_setup(1);
	struct sim_flow *call;
	struct sim *s;

	su.delay[0] = 50 * MSEC;
	s = sim_new_up(&su);
	s->line[0].dir[CLIENT].loss = 0.02;
	call = sim_stream(s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	sim_for(s, 5 * SEC); /* until the loss is known */
	sim_flow_reset(call);
	sim_for(s, 60 * SEC);
	ck_assert_int_le(sim_flow_delay(call, 0.995), 80 * MSEC);
	ck_assert_uint_le(call->sent, call->got + 4);
	ck_assert_uint_ge(sim_restored(&s->end[SERVER]), 30);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_jitter_suite(void);

Suite *
sim_jitter_suite(void)
{
	Suite *suite = suite_create("sim_jitter");
	TCase *tc = tcase_create("jitter");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, bbr_fills_lines_whose_delay_varies, 0,
	    SEEDS * nitems_of(bonds));
	tcase_add_loop_test(
	    tc, a_flow_that_sends_little_does_not_wait, 0, nitems_of(bonds));
	tcase_add_loop_test(tc, its_first_ten_seconds_are_no_matter_of_luck, 0,
	    SEEDS * nitems_of(bonds));
	tcase_add_test(tc, a_call_over_a_lossy_line_waits_for_no_resend);
	suite_add_tcase(suite, tc);
	return suite;
}
