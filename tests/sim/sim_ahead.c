/*
 * Lines that are later than others: what they carry leaves before its turn, so
 * that it arrives in it.
 */
#include "config.h"

#include <check.h>

#include "sim.h"

#define MBIT 125000
#define FLOWS_MAX 4

struct ahead_line {
	unsigned mbit, delay_ms;
};

static const struct {
	struct ahead_line line[3];
	unsigned median_ms; /* of a flow's packets, from sender to receiver */
} bonds[] = {
	{ { { 20, 5 }, { 4, 20 }, { 1, 50 } }, 75 },
	{ { { 10, 20 }, { 10, 120 } }, 220 },
	{ { { 10, 20 }, { 10, 320 } }, 520 },
	{ { { 1, 20 }, { 10, 320 } }, 520 }, /* the fat one is the far one */
};

static struct sim *
start(unsigned bond, struct sim_flow **sparse)
{
	struct sim_setup su = sim_setup(0);
	struct sim *s;

	for (; su.lines < 3 && bonds[bond].line[su.lines].mbit > 0;
	     su.lines++) {
		const struct ahead_line *l = &bonds[bond].line[su.lines];

		su.up_Bps[su.lines] = su.down_Bps[su.lines] = MBIT * l->mbit;
		su.delay[su.lines] = (mono_t)l->delay_ms * MSEC;
	}
	s = sim_new_up(&su);
	*sparse = sim_stream(s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	return s;
}

/* What one flow or several get of all lines together. */
static double
share_of_all(struct sim *s, const uint64_t bytes, mono_t span)
{
	double sum = 0;

	for (unsigned i = 0; i < s->setup.lines; i++)
		sum += (double)s->setup.up_Bps[i];
	sum *= (double)(SIM_MTU - 40) / (SIM_MTU + 60);
	return (double)bytes / ((double)span / (double)SEC) / sum;
}

static void
check_beside(struct sim *s, unsigned bond, struct sim_flow *sparse)
{
	mono_t fastest = (mono_t)bonds[bond].line[0].delay_ms * MSEC;
	mono_t full = (mono_t)(1500 * SEC / s->setup.up_Bps[0]);

	ck_assert_int_le(
	    sim_flow_delay(sparse, 0.5), fastest + full + 3 * MSEC);
	ck_assert_uint_le(sparse->sent, sparse->got + 2); /* on their way */
	ck_assert_uint_eq(reseq_stats(s->end[SERVER].t->reseq)->deadlines, 0);
	sim_check(s);
}

/* _i: the bond, once with one flow and once with four. */
START_TEST(tcp_gets_the_sum_of_lines_however_late_some_are)
{
	unsigned bond = (unsigned)_i / 2, flows = _i % 2 == 0 ? 1 : FLOWS_MAX;
	struct sim_bulk *bulk[FLOWS_MAX];
	struct sim_flow *sparse;
	struct sim *s = start(bond, &sparse);
	uint64_t got = 0, timeouts = 0;

	for (unsigned i = 0; i < flows; i++)
		bulk[i] = sim_bulk_cc(s, CLIENT, SIM_CUBIC);
	sim_for(s, 30 * SEC);
	for (unsigned i = 0; i < flows; i++)
		sim_bulk_reset(bulk[i]);
	sim_flow_reset(s->flows);
	sim_flow_reset(sparse);
	sim_for(s, 30 * SEC);
	for (unsigned i = 0; i < flows; i++) {
		got += sim_bulk_stats(bulk[i])->bytes;
		timeouts += sim_bulk_stats(bulk[i])->timeouts;
	}
	ck_assert_msg(share_of_all(s, got, 30 * SEC) > 0.8, "%.3f of all",
	    share_of_all(s, got, 30 * SEC));
	ck_assert_uint_eq(timeouts, 0);
	/* Not the way by the slowest line twice. */
	ck_assert_int_le(sim_flow_delay(s->flows, 0.5),
	    (mono_t)bonds[bond].median_ms * MSEC);
	check_beside(s, bond, sparse);
	for (unsigned i = 0; i < flows; i++)
		sim_bulk_free(bulk[i]);
	sim_free(s);
}
END_TEST

/* One that wants all of it and one that wants three quarters, which is more
 * than its share. */
START_TEST(flows_have_equal_shares_of_slow_and_fast_lines)
{
	struct sim_flow *a, *b, *sparse;
	struct sim *s = start((unsigned)_i, &sparse);
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->setup.lines; i++)
		sum += s->setup.up_Bps[i];
	a = sim_load(s, CLIENT, sum, MONO_NEVER);
	b = sim_load(s, CLIENT, sum * 3 / 4, MONO_NEVER);
	sim_for(s, 10 * SEC);
	sim_flow_reset(a);
	sim_flow_reset(b);
	sim_flow_reset(sparse);
	sim_for(s, 10 * SEC);
	ck_assert_msg(
	    share_of_all(s, a->got_bytes + b->got_bytes, 10 * SEC) > 0.9,
	    "%.3f of all",
	    share_of_all(s, a->got_bytes + b->got_bytes, 10 * SEC));
	ck_assert_msg(a->got_bytes < b->got_bytes * 11 / 10 &&
			  b->got_bytes < a->got_bytes * 11 / 10,
	    "%llu and %llu bytes", (unsigned long long)a->got_bytes,
	    (unsigned long long)b->got_bytes);
	check_beside(s, (unsigned)_i, sparse);
	sim_free(s);
}
END_TEST

Suite *sim_ahead_suite(void);

Suite *
sim_ahead_suite(void)
{
	Suite *suite = suite_create("sim_ahead");
	TCase *tc = tcase_create("ahead");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, tcp_gets_the_sum_of_lines_however_late_some_are,
	    0, 2 * nitems_of(bonds));
	tcase_add_loop_test(tc, flows_have_equal_shares_of_slow_and_fast_lines,
	    0, nitems_of(bonds));
	suite_add_tcase(suite, tc);
	return suite;
}
