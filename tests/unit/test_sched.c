/*
 * Which link carries the next packet, by delay, queue and history.
 */
#include "config.h"

#include "bond_end.h"

#define RATE 1250000 /* 12.5 kB are 10 ms */

static void
setup(void)
{
	start_end(2, RATE);
}

/* One way, as round trips show it. */
static void
set_delays(mono_t first, mono_t second)
{
	t->links[0].srtt = 2 * first;
	t->links[1].srtt = 2 * second;
	tunnel_retune(t);
}

static void
fill_queue(size_t bytes)
{
	while (fq_stats(t->fq)->bytes < bytes)
		input(1, 1250);
}

static bool
is_worth_it(unsigned slot)
{
	return sched_is_worth_it(t, &t->links[slot]);
}

/* Three quarters of the time are enough. */
START_TEST(a_slower_link_is_worth_it_once_the_faster_ones_would_take_longer)
{
	set_delays(10 * MS, 30 * MS);
	ck_assert(is_worth_it(0));
	ck_assert(!is_worth_it(1));
	fill_queue(17500); /* 14 ms */
	ck_assert(!is_worth_it(1));
	fill_queue(18750); /* 15 ms */
	ck_assert(is_worth_it(1));
}
END_TEST

START_TEST(the_spread_of_its_own_delay_is_granted_to_a_link)
{
	set_delays(10 * MS, 14 * MS);
	ck_assert(!is_worth_it(1));
	t->links[1].delay.var = 4 * MS;
	tunnel_retune(t);
	ck_assert(is_worth_it(1));
}
END_TEST

START_TEST(links_of_equal_delay_need_no_queue)
{
	set_delays(10 * MS, 10 * MS);
	ck_assert(is_worth_it(0));
	ck_assert(is_worth_it(1));
}
END_TEST

START_TEST(beyond_the_greatest_spread_no_queue_is_long_enough)
{
	fill_queue(100000);
	set_delays(5 * MS, 5 * MS + SCHED_SPREAD_MAX);
	t->links[1].delay.var = SCHED_SPREAD_MAX;
	tunnel_retune(t);
	ck_assert(is_worth_it(1));
	set_delays(5 * MS, 6 * MS + SCHED_SPREAD_MAX);
	ck_assert(!is_worth_it(1));
	/* It takes over where nothing faster is left. */
	link_set_down(t, &t->links[0], "test", now);
	ck_assert(is_worth_it(1));
	ck_assert_ptr_eq(sched_next(t, now), &t->links[1]);
}
END_TEST

START_TEST(a_link_without_worth_is_not_asked_however_idle)
{
	set_delays(10 * MS, 60 * MS);
	fill_queue(5000);
	pacer_charge(&t->links[0].pacer, 5000, now);
	ck_assert_ptr_null(sched_next(t, now));
	fill_queue(70000);
	ck_assert_ptr_eq(sched_next(t, now), &t->links[1]);
}
END_TEST

START_TEST(links_share_by_their_rates)
{
	unsigned packets[2] = { 0 };

	pacer_set_rate(&t->links[1].pacer, RATE * 4, 0);
	sched_restart(t);
	for (int i = 0; i < 1000; i++) {
		struct link *l = sched_next(t, now);

		ck_assert_ptr_nonnull(l);
		packets[l->slot]++;
		sched_charge(t, l, 1000);
	}
	ck_assert_uint_ge(packets[0], 199);
	ck_assert_uint_le(packets[0], 201);
}
END_TEST

START_TEST(a_link_that_comes_back_has_no_claim_to_what_it_missed)
{
	unsigned n = 0;

	for (int i = 0; i < 1000; i++)
		sched_charge(t, &t->links[0], 1000);
	sched_join(t, &t->links[1]);
	for (int i = 0; i < 100; i++) {
		struct link *l = sched_next(t, now);

		n += l->slot == 1;
		sched_charge(t, l, 1000);
	}
	ck_assert_uint_le(n, 52);
}
END_TEST

START_TEST(a_line_on_which_something_is_overdue_gets_no_more)
{
	send_by(0, 9, 500);
	now += 200 * MS;
	/* The peer has heard nothing of it. */
	tell(&(struct report_link){ .link = 0 });
	ck_assert(!t->links[0].in_use);
	for (int i = 0; i < 20; i++)
		ck_assert_ptr_eq(sched_soonest(t, NULL, now), &t->links[1]);
	ck_assert_ptr_eq(sched_first(t, now), &t->links[1]);
	ck_assert_ptr_eq(sched_sparse(t, now), &t->links[1]);
	ck_assert_ptr_eq(sched_next(t, now), &t->links[1]);
}
END_TEST

START_TEST(lines_are_used_when_all_of_them_are_quiet)
{
	t->links[0].quiet = t->links[1].quiet = true;
	tunnel_retune(t);
	ck_assert(t->links[0].in_use);
	ck_assert(t->links[1].in_use);
	ck_assert_ptr_nonnull(sched_next(t, now));
}
END_TEST

START_TEST(a_resend_avoids_the_line_that_lost_it)
{
	struct pktbuf pb = { .carriers = 1 };

	set_delays(10 * MS, 25 * MS);
	ck_assert_ptr_eq(sched_again(t, &pb, now), &t->links[1]);
	/* Both have: the faster one. */
	pb.carriers = 3;
	ck_assert_ptr_eq(sched_again(t, &pb, now), &t->links[0]);
}
END_TEST

START_TEST(a_line_that_lost_it_is_used_if_it_is_much_faster)
{
	struct pktbuf pb = { .carriers = 1 };

	set_delays(10 * MS, 31 * MS);
	ck_assert_ptr_eq(sched_again(t, &pb, now), &t->links[0]);
	/* What it owes counts: 2500 bytes are 2 ms. */
	pacer_charge(&t->links[0].pacer, 5000, now);
	ck_assert_ptr_eq(sched_again(t, &pb, now), &t->links[1]);
}
END_TEST

START_TEST(a_resend_waits_where_its_link_owes_much)
{
	struct pktbuf pb = { .carriers = 1 };

	/* 5 ms of debt and the credit. */
	pacer_charge(&t->links[0].pacer, 20000, now);
	pacer_charge(&t->links[1].pacer, 8500, now);
	ck_assert_ptr_null(sched_again(t, &pb, now));
	ck_assert_ptr_eq(sched_again(t, &pb, now + 2 * MS), &t->links[1]);
}
END_TEST

START_TEST(a_sparse_flow_takes_the_line_on_which_it_arrives_first)
{
	set_delays(30 * MS, 10 * MS);
	fill_queue(50000);
	ck_assert_ptr_eq(sched_sparse(t, now), &t->links[1]);
	/* Up to 5 ms of debt, beyond the credit of 1 ms. */
	pacer_charge(&t->links[1].pacer, 7000, now);
	ck_assert_ptr_eq(sched_sparse(t, now), &t->links[1]);
	pacer_charge(&t->links[1].pacer, 2500, now);
	ck_assert_ptr_eq(sched_sparse(t, now), &t->links[0]);
}
END_TEST

START_TEST(control_packets_can_take_the_second_line)
{
	set_delays(10 * MS, 200 * MS);
	ck_assert_ptr_eq(sched_soonest(t, NULL, now), &t->links[0]);
	ck_assert_ptr_eq(sched_soonest(t, &t->links[0], now), &t->links[1]);
}
END_TEST

Suite *sched_suite(void);

Suite *
sched_suite(void)
{
	Suite *suite = suite_create("sched");
	TCase *tc = tcase_create("sched");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc,
	    a_slower_link_is_worth_it_once_the_faster_ones_would_take_longer);
	tcase_add_test(tc, the_spread_of_its_own_delay_is_granted_to_a_link);
	tcase_add_test(tc, links_of_equal_delay_need_no_queue);
	tcase_add_test(tc, beyond_the_greatest_spread_no_queue_is_long_enough);
	tcase_add_test(tc, a_link_without_worth_is_not_asked_however_idle);
	tcase_add_test(tc, links_share_by_their_rates);
	tcase_add_test(
	    tc, a_link_that_comes_back_has_no_claim_to_what_it_missed);
	tcase_add_test(tc, a_line_on_which_something_is_overdue_gets_no_more);
	tcase_add_test(tc, lines_are_used_when_all_of_them_are_quiet);
	tcase_add_test(tc, a_resend_avoids_the_line_that_lost_it);
	tcase_add_test(tc, a_line_that_lost_it_is_used_if_it_is_much_faster);
	tcase_add_test(tc, a_resend_waits_where_its_link_owes_much);
	tcase_add_test(
	    tc, a_sparse_flow_takes_the_line_on_which_it_arrives_first);
	tcase_add_test(tc, control_packets_can_take_the_second_line);
	suite_add_tcase(suite, tc);
	return suite;
}
