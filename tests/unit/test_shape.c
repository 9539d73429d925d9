/*
 * What the links' delays, rates and losses make of the queue and of the
 * resequencer: CoDel's parameters, the limit, how long a hole is waited for,
 * and how far a link may catch up.  Seen where tunnel_retune hands it over.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "bond_end.h"

#define RATE 1250000

static struct fq_params params; /* the latest */
static mono_t hold;

void __real_fq_set_params(struct fq *fq, const struct fq_params *p);
void __wrap_fq_set_params(struct fq *fq, const struct fq_params *p);
void __real_reseq_set_hold(struct reseq *r, mono_t span);
void __wrap_reseq_set_hold(struct reseq *r, mono_t span);

void
__wrap_fq_set_params(struct fq *fq, const struct fq_params *p)
{
	params = *p;
	__real_fq_set_params(fq, p);
}

void
__wrap_reseq_set_hold(struct reseq *r, mono_t span)
{
	hold = span;
	__real_reseq_set_hold(r, span);
}

static void
two_links(void)
{
	start_end(2, RATE);
	tunnel_retune(t);
}

static void
set_loss(struct link *l, double share)
{
	l->tx_loss.expected = 10000;
	l->tx_loss.arrived = 10000 * (1 - share);
	tunnel_retune(t);
}

/* A round trip and 5 ms in which a packet that is sent again is waited for. */
START_TEST(codel_allows_for_loss)
{
	struct fq_params before;

	two_links();
	before = params;
	ck_assert_int_eq(before.target, 5 * MS);
	ck_assert_int_eq(before.interval, 100 * MS);
	set_loss(&t->links[1], 0.01);
	ck_assert_int_eq(params.target, before.target + 4 * WAY + 10 * MS);
	ck_assert_int_eq(params.interval, before.interval + 4 * WAY + 10 * MS);
	stop_end();
}
END_TEST

START_TEST(codel_does_not_mind_two_losses_in_a_thousand)
{
	two_links();
	set_loss(&t->links[1], 0.0019);
	ck_assert_int_eq(params.target, 5 * MS);
	set_loss(&t->links[1], 0.0021);
	ck_assert_int_eq(params.target, 5 * MS + 4 * WAY + 10 * MS);
	stop_end();
}
END_TEST

START_TEST(codel_allows_for_a_long_round_trip)
{
	two_links();
	t->links[0].srtt = t->links[1].srtt = 2 * (40 * MS);
	tunnel_retune(t);
	ck_assert_int_eq(params.target, 20 * MS);
	ck_assert_int_eq(params.interval, 100 * MS);
	t->links[0].srtt = t->links[1].srtt = 2 * (300 * MS);
	tunnel_retune(t);
	ck_assert_int_eq(params.target, 100 * MS);
	ck_assert_int_eq(params.interval, 600 * MS);
	stop_end();
}
END_TEST

START_TEST(codel_allows_for_spread_and_jitter)
{
	two_links();
	t->links[1].srtt = 2 * (WAY + 30 * MS);
	tunnel_retune(t);
	/* Half of the bytes come 30 ms later: 15 on average, and twice that
	 * is room for what a sender gives way. */
	ck_assert_int_eq(params.target, 5 * MS + 60 * MS);
	ck_assert_int_eq(params.interval, 100 * MS + 60 * MS);
	t->links[0].delay.var = 4 * MS;
	tunnel_retune(t);
	ck_assert_int_eq(params.target, 5 * MS + 60 * MS + 8 * MS);
	stop_end();
}
END_TEST

/* _i 0: it goes down, 1: it is put on trial. */
static void
take_down(struct link *l, int how)
{
	struct report_link r;

	if (how == 0) {
		link_set_down(t, l, "a test", now);
		return;
	}
	for (int i = 0; i < 8; i++)
		send_by(l->slot, 3, 500);
	now += 300 * MS;
	r = all_arrived(l->slot, 0);
	health_report(t, l, &r, now - 100 * MS, now);
	ck_assert(l->trial.on);
}

START_TEST(codel_lets_all_pass_when_a_link_fails)
{
	two_links();
	ck_assert_int_lt(params.patient_until, now);
	take_down(&t->links[1], _i);
	ck_assert_int_eq(params.patient_until, now + 2 * SEC);
	ck_assert(!t->links[1].in_use);
	stop_end();
}
END_TEST

/* Its queue then says nothing; but it says something that nobody uses it. */
START_TEST(codel_waits_for_a_line_that_looks_for_its_rate)
{
	two_links();
	rate_init(&t->links[1].rate, 0, now);
	tunnel_retune(t);
	ck_assert_int_gt(params.patient_until, now);
	ck_assert_uint_eq(params.limit_bytes, t->conf->memory_bytes / 4);
	t->links[1].srtt = 2 * (WAY + 500 * MS);
	tunnel_retune(t);
	ck_assert_int_lt(params.patient_until, now);
	stop_end();
}
END_TEST

/* What it would have carried waits. */
START_TEST(the_limit_does_not_shrink_when_a_link_fails)
{
	size_t before;

	start_end(2, 10 * RATE);
	tunnel_retune(t);
	before = params.limit_bytes;
	/* 0.12 s of both. */
	ck_assert_uint_eq(before, 2 * 10 * RATE / 1000 * 120);
	take_down(&t->links[1], _i);
	ck_assert(!t->links[1].in_use);
	ck_assert_uint_ge(params.limit_bytes, before);
	stop_end();
}
END_TEST

START_TEST(a_slow_bond_has_a_limit_of_128_kib)
{
	start_end(2, 10000);
	tunnel_retune(t);
	ck_assert_uint_eq(params.limit_bytes, 128 * 1024);
	stop_end();
}
END_TEST

/* --- how long a hole is waited for --- */

static const struct hold_row {
	mono_t delay, var, hold;
} holds[] = {
	{ 20 * MS, 0, 150 * MS },
	{ 20 * MS, 10 * MS, 160 * MS },
	{ 60 * MS, 0, 240 * MS },
	{ 60 * MS, 3 * MS, 264 * MS },
	{ 100 * MS, 10 * MS, 480 * MS },
	{ 300 * MS, 0, 600 * MS },
};

static size_t
arrive(uint16_t bucket, uint32_t seq)
{
	struct pktbuf *pb = packet(bucket, 100);
	size_t before = delivered;

	pb->bucket_seq = seq;
	reseq_input(t->reseq, pb, now);
	return delivered - before;
}

/* Four times the delay of the slowest, eight of the worst deviation: time for
 * two resends, each after a report; 150 ms at least, 600 at most. */
START_TEST(a_hole_is_waited_for_as_long_as_two_resends_take)
{
	const struct hold_row *row = &holds[_i];
	size_t before;

	two_links();
	for (int i = 0; i < 2; i++)
		t->links[i].srtt = 2 * row->delay;
	t->links[1].delay.var = row->var;
	tunnel_retune(t);
	ck_assert_int_eq(hold, 4 * row->delay + 8 * row->var);
	ck_assert_uint_eq(arrive(7, 0), 1);
	ck_assert_uint_eq(arrive(7, 2), 0);
	before = delivered;
	now += row->hold - 2 * MS;
	reseq_run(t->reseq, now);
	ck_assert_uint_eq(delivered, before);
	now += 4 * MS;
	reseq_run(t->reseq, now);
	ck_assert_uint_eq(delivered, before + 1);
	stop_end();
}
END_TEST

/* A line that is too slow to be used by queues delays nobody's resends. */
START_TEST(a_line_that_is_far_behind_does_not_count)
{
	two_links();
	t->links[1].srtt = 2 * (WAY + SCHED_SPREAD_MAX + MS);
	tunnel_retune(t);
	ck_assert_int_eq(hold, 4 * WAY);
	ck_assert_int_eq(params.target, 5 * MS);
	stop_end();
}
END_TEST

/* --- shares --- */

static unsigned
turns_in_a_row(unsigned slot)
{
	unsigned n = 0;
	struct link *l;

	for (; n < 1000; n++) {
		l = sched_next(t, now);
		ck_assert_ptr_nonnull(l);
		if (l->slot != slot)
			break;
		sched_charge(t, l, 1500);
	}
	return n;
}

/* One that could not send for a while may catch up with 24000 bytes. */
START_TEST(a_link_that_lags_gets_sixteen_packets_and_its_turn)
{
	two_links();
	for (int i = 0; i < 200; i++)
		sched_charge(t, &t->links[0], 1500);
	ck_assert_uint_ge(turns_in_a_row(1), 15);
	for (int i = 0; i < 200; i++)
		sched_charge(t, &t->links[0], 1500);
	ck_assert_uint_le(turns_in_a_row(1), 18);
	stop_end();
}
END_TEST

START_TEST(a_new_rate_makes_all_links_start_even)
{
	struct conf_link conf;

	two_links();
	for (int i = 0; i < 10; i++)
		sched_charge(t, &t->links[0], 1500);
	conf = t->links[1].conf;
	conf.download_Bps = 2 * RATE;
	link_tune(t, &t->links[1], &conf, now);
	ck_assert_uint_eq(t->links[1].pacer.rate_Bps, 2 * RATE);
	/* Work counted at the old rate would give it ten more. */
	ck_assert_uint_le(turns_in_a_row(1), 2);
	stop_end();
}
END_TEST

Suite *shape_suite(void);

Suite *
shape_suite(void)
{
	Suite *s = suite_create("shape");
	TCase *tc = tcase_create("shape");

	tcase_add_test(tc, codel_allows_for_loss);
	tcase_add_test(tc, codel_does_not_mind_two_losses_in_a_thousand);
	tcase_add_test(tc, codel_allows_for_a_long_round_trip);
	tcase_add_test(tc, codel_allows_for_spread_and_jitter);
	tcase_add_loop_test(tc, codel_lets_all_pass_when_a_link_fails, 0, 2);
	tcase_add_loop_test(
	    tc, the_limit_does_not_shrink_when_a_link_fails, 0, 2);
	tcase_add_test(tc, codel_waits_for_a_line_that_looks_for_its_rate);
	tcase_add_test(tc, a_slow_bond_has_a_limit_of_128_kib);
	tcase_add_loop_test(tc,
	    a_hole_is_waited_for_as_long_as_two_resends_take, 0,
	    sizeof(holds) / sizeof(holds[0]));
	tcase_add_test(tc, a_line_that_is_far_behind_does_not_count);
	tcase_add_test(tc, a_link_that_lags_gets_sixteen_packets_and_its_turn);
	tcase_add_test(tc, a_new_rate_makes_all_links_start_even);
	suite_add_tcase(s, tc);
	return s;
}
