/*
 * The pacer by invented time.  The property tests run random schedules and
 * check every window against the depth that the header documents.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "tunnel/pacer.h"

Suite *pacer_suite(void);

#define MS NSEC_PER_MSEC
#define US NSEC_PER_USEC
#define SENT_MAX (1 << 18)

/* What was sent: when, and how long the line needs for it. */
static struct sent {
	mono_t at;
	double cost; /* ns at the rate of that moment */
	bool asked;  /* pacer_ready was; not a priority packet */
} sent[SENT_MAX];
static size_t nsent;

static mono_t
random_below(mono_t max)
{
	return (mono_t)(drand48() * (double)max);
}

static void
charge(struct pacer *p, size_t len, mono_t now, bool asked)
{
	if (nsent >= SENT_MAX)
		ck_assert_uint_lt(nsent, SENT_MAX);
	sent[nsent++] = (struct sent){ now,
		((double)len + p->overhead_bytes) * 1e9 / (double)p->rate_Bps,
		asked };
	pacer_charge(p, len, now);
}

/*
 * Every window, however long, that ends with an ordinary packet: no more than
 * its time, that packet and the documented depth.  The excess over R x T from
 * packet k to packet i is a difference of two sums, so that the smallest sum
 * so far finds the worst of all windows.
 */
static void
check_windows(void)
{
	const double depth = (double)(PACER_DEPTH + PACER_LATE_MAX);
	double sum = 0, least = 0, most = 0;

	for (size_t i = 0; i < nsent; i++) {
		double excess = sum - (double)sent[i].at;

		if (i == 0 || excess < least)
			least = excess;
		if (sent[i].asked && excess - least > most)
			most = excess - least;
		sum += sent[i].cost;
	}
	ck_assert(most <= depth + 100); /* 1 ns for each change of rate */
}

START_TEST(sends_the_first_packet_at_once)
{
	struct pacer p;

	pacer_init(&p, 125000, 0, 7 * MS);
	ck_assert(pacer_ready(&p, 7 * MS));
}
END_TEST

START_TEST(waits_when_credit_is_gone)
{
	struct pacer p;

	pacer_init(&p, 125000, 0, 0); /* 1 Mbit/s: 8 us a byte */
	ck_assert(pacer_ready(&p, 0));
	pacer_charge(&p, 1250, 0);
	ck_assert(!pacer_ready(&p, 0));
	ck_assert_int_eq(pacer_ready_at(&p), 10 * MS);
	ck_assert_int_eq(pacer_debt(&p, 4 * MS), 6 * MS);
	ck_assert(!pacer_ready(&p, 10 * MS - 1));
	ck_assert(pacer_ready(&p, 10 * MS));
	ck_assert_int_eq(pacer_debt(&p, 11 * MS), 0);
}
END_TEST

START_TEST(counts_overhead)
{
	struct pacer p;

	pacer_init(&p, 1000000, 48, 0);
	pacer_charge(&p, 952, 0);
	ck_assert_int_eq(pacer_ready_at(&p), 1 * MS);
	ck_assert_int_eq(pacer_cost(&p, 952), 1 * MS);
}
END_TEST

START_TEST(without_a_rate_is_always_ready)
{
	struct pacer p;

	pacer_init(&p, 0, 0, 0);
	for (int i = 0; i < 1000; i++) {
		ck_assert(pacer_ready(&p, 0));
		pacer_charge(&p, 65535, 0);
	}
	ck_assert_int_eq(pacer_debt(&p, 0), 0);
	ck_assert_int_eq(pacer_cost(&p, 1500), 0);
	ck_assert_int_le(pacer_ready_at(&p), 0);
}
END_TEST

/* Bytes that leave at once after idling for a second. */
static size_t
burst(struct pacer *p, mono_t now, size_t len)
{
	size_t bytes = 0;

	while (pacer_ready(p, now)) {
		pacer_charge(p, len, now);
		bytes += len;
	}
	return bytes;
}

START_TEST(saves_no_more_than_its_depth_while_idle)
{
	struct pacer p;

	pacer_init(&p, 12500000, 0, 0); /* 100 Mbit/s: 12,500 bytes a ms */
	burst(&p, 0, 1250);
	pacer_set_backlogged(&p, false);
	ck_assert_uint_eq(burst(&p, NSEC_PER_SEC, 1250), 12500 + 1250);
	ck_assert_int_eq(p.late, 0);
}
END_TEST

START_TEST(a_priority_packet_after_idling_is_not_free)
{
	struct pacer p;

	pacer_init(&p, 125000, 0, 0);
	pacer_charge(&p, 1250, NSEC_PER_SEC);
	ck_assert_int_eq(pacer_debt(&p, NSEC_PER_SEC), 9 * MS);
}
END_TEST

START_TEST(repays_lateness_slowly)
{
	struct pacer p;
	mono_t now = 0;
	size_t bytes = 0;

	pacer_init(&p, 12500000, 0, 0);
	burst(&p, now, 1250);
	pacer_set_backlogged(&p, true);
	now = pacer_ready_at(&p) + 4 * MS; /* woken 4 ms late */
	bytes = burst(&p, now, 1250);
	/* At once: 1 ms of it, at 1.25 R. */
	ck_assert_uint_le(bytes, 12500 * 5 / 4 + 1250);
	ck_assert_int_gt(p.late, 2 * MS);
	for (bytes = 0; now < 100 * MS; now = pacer_ready_at(&p)) {
		bytes = burst(&p, now, 1250);
		ck_assert_uint_le(bytes, 1250);
	}
	ck_assert_int_eq(p.late, 0);
}
END_TEST

START_TEST(forgets_lateness_beyond_its_limit)
{
	struct pacer p;
	mono_t stall = 500 * MS, now;
	double cost = 0;

	pacer_init(&p, 1250000, 0, 0);
	pacer_set_backlogged(&p, true);
	burst(&p, 0, 1250);
	for (now = stall; now < 2 * stall; now = pacer_ready_at(&p))
		cost += (double)burst(&p, now, 1250) * 800;
	ck_assert(cost <= (double)(stall + PACER_DEPTH + PACER_LATE_MAX + MS));
	ck_assert(cost >= (double)(stall + PACER_DEPTH + PACER_LATE_MAX - MS));
}
END_TEST

START_TEST(a_slow_caller_without_backlog_gets_nothing_back)
{
	struct pacer p;

	pacer_init(&p, 1250000, 0, 0);
	burst(&p, 0, 1250);
	pacer_set_backlogged(&p, false);
	pacer_ready(&p, 20 * MS);
	ck_assert_int_eq(p.late, 0);
}
END_TEST

static const uint64_t rates[] = { 32000, 125000, 1234567, 125000000, 333333333,
	1250000000 };

/* Polled up to 200 us late with a backlog: the rate is kept all the same. */
START_TEST(keeps_its_rate_when_polled_late)
{
	uint64_t rate = rates[_i];
	mono_t now = 0,
	       span = rate < 1000000 ? 20 * NSEC_PER_SEC : NSEC_PER_SEC / 2;
	struct pacer p;
	double bytes = 0, ideal;

	srand48(_i + 1);
	pacer_init(&p, rate, 0, 0);
	pacer_set_backlogged(&p, true);
	while (now < span) {
		while (pacer_ready(&p, now)) {
			size_t len = 40 + (size_t)random_below(1461);

			pacer_charge(&p, len, now);
			bytes += (double)len;
		}
		now = pacer_ready_at(&p) + random_below(200 * US);
	}
	ideal = (double)rate * (double)span / 1e9;
	ck_assert(bytes > ideal * 0.995 && bytes < ideal * 1.005);
}
END_TEST

/* No drift: 48 ns and a bit for each packet, a million times. */
START_TEST(carries_the_remainder)
{
	struct pacer p;

	pacer_init(&p, UINT64_C(1249999999), 0, 0);
	for (int i = 0; i < 1000000; i++)
		pacer_charge(&p, 60, 0);
	ck_assert_int_eq(
	    pacer_ready_at(&p), INT64_C(60000000000000000) / 1249999999);
	pacer_init(&p, 3, 0, 0);
	for (int i = 0; i < 3000; i++)
		pacer_charge(&p, 1, 0);
	ck_assert_int_eq(pacer_ready_at(&p), 1000 * NSEC_PER_SEC);
}
END_TEST

START_TEST(the_longest_packet_does_not_overflow)
{
	struct pacer p;

	pacer_init(&p, 1, 64, 0);
	pacer_charge(&p, 65535, 0);
	ck_assert_int_eq(pacer_ready_at(&p), (65535 + 64) * NSEC_PER_SEC);
	pacer_init(&p, UINT64_MAX / 2, 64, 0);
	pacer_charge(&p, 65535, 0);
	ck_assert_int_eq(pacer_ready_at(&p), 0);
}
END_TEST

START_TEST(a_new_rate_keeps_the_debt_in_time)
{
	struct pacer p;

	pacer_init(&p, 125000, 0, 0);
	pacer_charge(&p, 1250, 0);
	pacer_set_rate(&p, 1250000, 0);
	ck_assert_int_eq(pacer_ready_at(&p), 10 * MS);
	pacer_charge(&p, 1250, 0);
	ck_assert_int_eq(pacer_ready_at(&p), 11 * MS);
}
END_TEST

START_TEST(a_first_limit_gives_no_old_credit)
{
	struct pacer p;

	pacer_init(&p, 0, 0, 0);
	pacer_set_backlogged(&p, true);
	pacer_set_rate(&p, 1250000, 0);
	ck_assert_uint_eq(burst(&p, NSEC_PER_SEC, 1250), 2500);
	ck_assert_int_eq(p.late, 0);
}
END_TEST

/* One random step of a caller: sends what it may, then sleeps until later. */
static mono_t
random_step(struct pacer *p, mono_t now, mono_t stall_max)
{
	long dice = lrand48() % 1000;
	long want = 1 + lrand48() % (lrand48() % 10 == 0 ? 500 : 20);
	mono_t next;

	if (dice < 20)
		charge(p, 40 + (size_t)random_below(1461), now, false);
	else if (dice < 22)
		pacer_set_rate(p,
		    p->rate_Bps / 2 + (uint64_t)random_below(2000000),
		    (uint32_t)random_below(64));
	while (want > 0 && pacer_ready(p, now)) {
		charge(p, 40 + (size_t)random_below(1461), now, true);
		want--;
	}
	pacer_set_backlogged(p, want > 0);
	next = want > 0 ? pacer_ready_at(p) : now;
	if (next < now)
		next = now;
	if (dice > 990)
		return next + random_below(stall_max);
	return next + random_below(dice % 4 == 0 ? 1000 * US : 200 * US);
}

START_TEST(no_window_exceeds_the_documented_depth)
{
	static const mono_t stalls[] = { 5 * MS, 20 * MS, 300 * MS };
	struct pacer p;
	mono_t now = 0;

	srand48(_i + 1);
	nsent = 0;
	pacer_init(&p, (uint64_t)32000 << (_i % 12), (uint32_t)_i % 40, 0);
	for (int i = 0; i < 20000 && nsent < SENT_MAX - 1000; i++)
		now = random_step(&p, now, stalls[_i % 3]);
	check_windows();
}
END_TEST

/* Priority packets and all others together still fit the rate. */
START_TEST(priority_is_taken_from_the_others)
{
	struct pacer p;
	mono_t now = 0;
	double cost = 0;

	nsent = 0;
	pacer_init(&p, 125000, 0, 0);
	pacer_set_backlogged(&p, true);
	while (now < 10 * NSEC_PER_SEC) {
		if (nsent % 3 == 0)
			charge(&p, 200, now, false);
		while (pacer_ready(&p, now))
			charge(&p, 1500, now, true);
		now = pacer_ready_at(&p);
	}
	for (size_t i = 0; i < nsent; i++)
		cost += sent[i].cost;
	ck_assert(cost < 10.02e9 && cost > 9.98e9);
	check_windows();
}
END_TEST

/* --- idle time, 1 MB/s: a byte is a us --- */

static mono_t
idle_time_of(struct pacer *p, mono_t now)
{
	mono_t found = 0;

	while (pacer_use_idle(p, 1, now))
		found += US;
	return found;
}

START_TEST(half_of_the_time_that_nobody_wanted_is_kept)
{
	struct pacer p;

	pacer_init(&p, 1000000, 0, 0);
	ck_assert(!pacer_use_idle(&p, 1, 0));
	ck_assert(pacer_ready(&p, 21 * MS));
	ck_assert_int_eq(idle_time_of(&p, 21 * MS), 10 * MS);
	/* It is used up. */
	ck_assert(!pacer_use_idle(&p, 1, 21 * MS));
	ck_assert_int_eq(idle_time_of(&p, 10000 * MS), PACER_IDLE_MAX);
}
END_TEST

START_TEST(no_time_is_idle_while_packets_wait)
{
	struct pacer p;

	pacer_init(&p, 1000000, 0, 0);
	pacer_set_backlogged(&p, true);
	ck_assert(!pacer_use_idle(&p, 1, 100 * MS));
	pacer_set_backlogged(&p, false);
	pacer_charge(&p, 100000, 100 * MS);
	ck_assert(!pacer_use_idle(&p, 1, 190 * MS));
}
END_TEST

START_TEST(idle_time_pays_for_whole_packets_only)
{
	struct pacer p;

	pacer_init(&p, 1000000, 10, 0);
	ck_assert(pacer_ready(&p, 3 * MS));
	ck_assert(!pacer_use_idle(&p, 991, 3 * MS));
	ck_assert(pacer_use_idle(&p, 990, 3 * MS));
	pacer_init(&p, 0, 10, 0);
	ck_assert(pacer_use_idle(&p, 990, 0));
}
END_TEST

Suite *
pacer_suite(void)
{
	Suite *s = suite_create("pacer");
	TCase *tc = tcase_create("pacer");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sends_the_first_packet_at_once);
	tcase_add_test(tc, waits_when_credit_is_gone);
	tcase_add_test(tc, counts_overhead);
	tcase_add_test(tc, without_a_rate_is_always_ready);
	tcase_add_test(tc, saves_no_more_than_its_depth_while_idle);
	tcase_add_test(tc, a_priority_packet_after_idling_is_not_free);
	tcase_add_test(tc, repays_lateness_slowly);
	tcase_add_test(tc, forgets_lateness_beyond_its_limit);
	tcase_add_test(tc, a_slow_caller_without_backlog_gets_nothing_back);
	tcase_add_loop_test(
	    tc, keeps_its_rate_when_polled_late, 0, (int)nitems_of(rates));
	tcase_add_test(tc, carries_the_remainder);
	tcase_add_test(tc, the_longest_packet_does_not_overflow);
	tcase_add_test(tc, a_new_rate_keeps_the_debt_in_time);
	tcase_add_test(tc, a_first_limit_gives_no_old_credit);
	tcase_add_loop_test(tc, no_window_exceeds_the_documented_depth, 0, 12);
	tcase_add_test(tc, priority_is_taken_from_the_others);
	tcase_add_test(tc, half_of_the_time_that_nobody_wanted_is_kept);
	tcase_add_test(tc, no_time_is_idle_while_packets_wait);
	tcase_add_test(tc, idle_time_pays_for_whole_packets_only);
	suite_add_tcase(s, tc);
	return s;
}
