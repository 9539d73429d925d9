/*
 * What is lost goes again, within bounds, and what does not is named.
 */
#include "config.h"

#include "bond_end.h"

#define RATE 1250000

static void
setup(void)
{
	start_end(2, RATE);
}

static void
one_link(void)
{
	stop_end();
	start_end(1, RATE);
}

static void
assert_skip(size_t i, const struct sent *s, uint16_t bucket, uint32_t seq)
{
	const uint8_t *p = s->payload + i * ARQ_SKIP_LEN;

	ck_assert_uint_ge(s->len, (i + 1) * ARQ_SKIP_LEN);
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(get_be32(p + 1), (uint32_t)bucket << 22 | seq);
}

START_TEST(a_lost_packet_goes_again_by_another_link)
{
	const struct sent *again;
	uint64_t seq;

	send_by(0, 9, 500);
	seq = send_by(0, 9, 500);
	lose(0, seq);
	ck_assert_uint_eq(t->arq.stats.lost, 1);
	run_for(0);
	again = last_sent(THE_DATA, 0);
	ck_assert_uint_eq(again->slot, 1);
	ck_assert_uint_eq(again->in.bucket, 9);
	ck_assert_uint_eq(again->in.bucket_seq, 1);
	ck_assert_uint_eq(t->links[1].stats.resent, 1);
	ck_assert_uint_eq(t->arq.stats.skipped, 0);
}
END_TEST

START_TEST(the_only_link_sends_it_again_itself)
{
	uint64_t seq;

	one_link();
	seq = send_by(0, 9, 500);
	lose(0, seq);
	run_for(0);
	ck_assert_uint_eq(t->links[0].stats.resent, 1);
	ck_assert_uint_eq(last_sent(THE_DATA, 0)->in.bucket_seq, 0);
}
END_TEST

START_TEST(a_resend_leaves_before_what_waits)
{
	uint64_t seq = send_by(0, 9, 500);
	size_t before;

	for (int i = 0; i < 50; i++)
		input(1, 1400);
	lose(0, seq);
	before = count_sent_of(THE_DATA);
	run_for(0);
	ck_assert_uint_gt(count_sent_of(THE_DATA), before);
	for (size_t i = 0; i < nsent; i++)
		if (sent[i].data && before-- == 0)
			ck_assert_uint_eq(sent[i].in.bucket, 9);
}
END_TEST

START_TEST(a_packet_is_sent_four_times_at_most)
{
	const struct sent *s;

	send_by(0, 9, 500);
	for (unsigned n = 1; n <= ARQ_SENDS_MAX; n++) {
		s = last_sent(THE_DATA, 0);
		ck_assert_uint_eq(count_sent_of(THE_DATA), n);
		ck_assert_uint_eq(count_sent_of(WIRE_SKIP), 0);
		lose(s->slot, s->seq);
		run_for(10 * MS);
	}
	ck_assert_uint_eq(count_sent_of(THE_DATA), ARQ_SENDS_MAX);
	ck_assert_uint_eq(t->arq.stats.skipped, 1);
	assert_skip(0, last_sent(WIRE_SKIP, 0), 9, 0);
}
END_TEST

START_TEST(after_a_second_it_is_named_instead)
{
	uint64_t seq = send_by(0, 9, 500);

	now += ARQ_AGE_MAX + MS;
	lose(0, seq);
	run_for(0);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 1);
	assert_skip(0, last_sent(WIRE_SKIP, 0), 9, 0);
}
END_TEST

/* Be it lost in time: a slow line had no room for it. */
START_TEST(what_waits_to_be_sent_again_for_a_second_is_named_instead)
{
	struct report_link r;

	t->arq.budget = 1500;
	for (int i = 0; i < 3; i++)
		send_by(0, 9, 1400);
	link_keepalive(t, &t->links[0], now);
	r = all_but(0, 4, 1, 3);
	tell(&r);
	ck_assert_uint_eq(t->arq.nagain, 1);
	ck_assert_uint_eq(fq_stats(t->fq)->again_packets, 2);
	now += ARQ_AGE_MAX + MS;
	run_for(MS);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 3);
	ck_assert_uint_eq(t->arq.stats.skipped, 3);
	ck_assert(fq_empty(t->fq));
	/* Newer ones go on. */
	input(1, 500);
	run_for(MS);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 4);
}
END_TEST

START_TEST(what_was_not_kept_is_named_instead)
{
	uint64_t seq;

	pktbuf_set_quota(t->pool, PKTBUF_RETAIN, 0);
	seq = send_by(0, 9, 500);
	lose(0, seq);
	run_for(0);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 1);
	assert_skip(0, last_sent(WIRE_SKIP, 0), 9, 0);
}
END_TEST

START_TEST(numbers_without_room_in_a_skip_are_left_to_the_deadline)
{
	struct report_link r;

	pktbuf_set_quota(t->pool, PKTBUF_RETAIN, 0);
	for (unsigned i = 0; i < ARQ_SKIPS + 50; i++)
		send_by(0, 9, 100);
	link_keepalive(t, &t->links[0], now);
	r = all_arrived(0, t->links[0].tx_seq - 1);
	r.floor = r.highest;
	r.packets = 1;
	tell(&r);
	run_for(0);
	ck_assert_uint_eq(t->arq.stats.skipped, ARQ_SKIPS + 50);
	ck_assert_uint_eq(count_sent_of(WIRE_SKIP), 1);
	ck_assert_uint_eq(
	    last_sent(WIRE_SKIP, 0)->len, ARQ_SKIPS * ARQ_SKIP_LEN);
	assert_skip(ARQ_SKIPS - 1, last_sent(WIRE_SKIP, 0), 9, ARQ_SKIPS - 1);
	ck_assert_uint_eq(t->arq.nskips, 0);
}
END_TEST

/* No report has to come first. */
START_TEST(what_a_dead_link_takes_with_it_is_named_at_once)
{
	pktbuf_set_quota(t->pool, PKTBUF_RETAIN, 0);
	send_by(0, 9, 500);
	link_set_down(t, &t->links[0], "test", now);
	run_for(0);
	assert_skip(0, last_sent(WIRE_SKIP, 0), 9, 0);
}
END_TEST

START_TEST(what_cannot_be_named_now_is_named_later)
{
	pktbuf_set_quota(t->pool, PKTBUF_RETAIN, 0);
	lose(0, send_by(0, 9, 500));
	for (unsigned i = 0; i < 2; i++)
		t->links[i].family = 0; /* they get new sockets */
	run_for(MS);
	ck_assert_uint_eq(count_sent_of(WIRE_SKIP), 0);
	for (unsigned i = 0; i < 2; i++)
		t->links[i].family = AF_INET;
	run_for(0);
	ck_assert_uint_eq(count_sent_of(WIRE_SKIP), 1);
	assert_skip(0, last_sent(WIRE_SKIP, 0), 9, 0);
}
END_TEST

START_TEST(a_copy_that_arrives_late_ends_the_wait_for_a_resend)
{
	uint64_t seq = send_by(0, 9, 500);
	struct report_link r = all_arrived(0, 0);

	now += 200 * MS; /* overdue, by a report that knows nothing of it */
	tell(&r);
	ck_assert_uint_eq(t->arq.nagain, 1);
	r = all_arrived(0, seq);
	tell(&r);
	ck_assert(!arq_waits(t));
	run_for(0);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 1);
	ck_assert_uint_eq(pktbuf_used(t->pool, PKTBUF_RETAIN), 0);
}
END_TEST

START_TEST(what_another_link_still_carries_is_not_sent_again)
{
	struct pktbuf *pb = packet(9, 500);

	link_send_data(t, &t->links[0], pb, now);
	link_send_data(t, &t->links[1], pb, now);
	pktbuf_free(t->pool, pb);
	lose(0, 1);
	run_for(0);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 2);
	/* Until that is lost as well. */
	lose(1, 1);
	run_for(0);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 3);
}
END_TEST

START_TEST(the_budget_is_a_part_of_what_is_sent)
{
	t->arq.budget = 0;
	arq_earn(t, 10000);
	ck_assert_int_eq(t->arq.budget, 10000 * ARQ_BUDGET_SHARE / 100);
	for (int i = 0; i < 1000; i++)
		arq_earn(t, 10000);
	ck_assert_int_eq(t->arq.budget, ARQ_BUDGET_MAX);
	/* A resend earns nothing. */
	send_by(0, 9, 1000);
	t->arq.budget = 5000;
	lose(0, 1);
	run_for(0);
	ck_assert_uint_eq(t->arq.stats.resent, 1);
	ck_assert_int_eq(t->arq.budget, 5000 - 1000);
}
END_TEST

START_TEST(beyond_the_budget_a_packet_waits_for_its_flows_turn)
{
	unsigned n = 100, within = ARQ_BUDGET_MAX / 1400;
	struct report_link r;

	for (unsigned i = 0; i < n; i++)
		send_by(0, 9, 1400);
	link_keepalive(t, &t->links[0], now);
	r = all_but(0, n + 1, 1, n);
	tell(&r);
	ck_assert_uint_eq(t->arq.nagain, within);
	ck_assert_uint_eq(t->arq.stats.over, n - within);
	ck_assert_uint_eq(fq_stats(t->fq)->again_packets, n - within);
	ck_assert_int_ge(t->arq.budget, 0);
	for (int i = 0; i < 400 && t->arq.stats.resent < n; i++)
		run_for(MS);
	ck_assert_uint_eq(t->arq.stats.resent, n);
}
END_TEST

static void
send_urgent(unsigned slot, size_t len)
{
	struct pktbuf *pb = packet(9, len);

	pb->priority = true;
	link_send_data(t, &t->links[slot], pb, now);
	pktbuf_free(t->pool, pb);
}

START_TEST(an_urgent_packet_goes_again_beyond_the_budget)
{
	send_urgent(0, 500);
	t->arq.budget = -10000;
	lose(0, 1);
	ck_assert_uint_eq(t->arq.nagain, 1);
	ck_assert_uint_eq(t->arq.stats.over, 0);
}
END_TEST

START_TEST(what_a_dead_link_carried_costs_no_budget)
{
	int64_t before;

	for (unsigned i = 0; i < 20; i++)
		send_by(0, 9, 1400);
	before = t->arq.budget;
	link_set_down(t, &t->links[0], "test", now);
	ck_assert_int_eq(t->arq.budget, before);
	ck_assert_uint_eq(t->arq.nagain, 0);
	ck_assert_uint_eq(fq_stats(t->fq)->again_packets, 20);
	run_for(100 * MS);
	ck_assert_uint_eq(t->links[1].stats.resent, 20);
	ck_assert_uint_eq(t->arq.stats.over, 0);
}
END_TEST

START_TEST(what_a_dead_link_carried_was_lost_by_it)
{
	for (unsigned i = 0; i < 20; i++)
		send_by(0, 9, 1400);
	link_set_down(t, &t->links[0], "test", now);
	ck_assert_uint_eq(t->links[0].stats.lost, 20);
	/* What it is asked in vain as well. */
	link_keepalive(t, &t->links[0], now);
	link_set_up(t, &t->links[0], now);
	ck_assert_uint_eq(t->links[0].stats.lost, 21);
}
END_TEST

START_TEST(urgent_packets_of_a_dead_link_cost_no_budget_either)
{
	int64_t before;

	send_urgent(0, 1400);
	before = t->arq.budget;
	link_set_down(t, &t->links[0], "test", now);
	ck_assert_uint_eq(t->arq.nagain, 1);
	ck_assert_int_eq(t->arq.budget, before);
}
END_TEST

START_TEST(what_urgent_packets_owe_has_an_end)
{
	struct report_link r;

	for (int i = 0; i < 200; i++)
		send_urgent(0, 1400);
	link_keepalive(t, &t->links[0], now);
	r = all_but(0, 201, 101, 100);
	r.nholes = 2;
	r.holes[1] = (struct report_hole){ 1, 100, false };
	tell(&r);
	ck_assert_uint_eq(t->arq.nagain, 200);
	ck_assert_int_eq(t->arq.budget, -ARQ_BUDGET_MAX);
}
END_TEST

START_TEST(nothing_waits_when_the_last_link_goes)
{
	for (unsigned i = 0; i < 20; i++)
		send_by(i % 2, 9, 1400);
	lose(0, 1);
	link_set_down(t, &t->links[0], "test", now);
	link_set_down(t, &t->links[1], "test", now);
	run_for(0);
	ck_assert(!arq_waits(t));
	ck_assert(fq_empty(t->fq));
	for (int use = 0; use < PKTBUF_USES; use++)
		ck_assert_uint_eq(
		    pktbuf_used(t->pool, (enum pktbuf_use)use), 0);
}
END_TEST

static void
come(uint32_t number)
{
	struct pktbuf *pb = pktbuf_alloc(t->pool, 100);

	ck_assert_ptr_nonnull(pb);
	pb->len = 100;
	pb->bucket = 9;
	pb->bucket_seq = number;
	pb->stamp = wire_stamp(now - WAY);
	reseq_input(t->reseq, pb, now);
}

START_TEST(a_skip_ends_the_wait_for_its_packet)
{
	uint8_t skip[ARQ_SKIP_LEN] = { 0 };

	come(0);
	come(2);
	ck_assert_uint_eq(delivered, 1);
	/* The same number in the space of urgent packets is another one. */
	skip[0] = 1;
	put_be32(skip + 1, UINT32_C(9) << 22 | 1);
	arq_input_skips(t, skip, sizeof(skip), now);
	ck_assert_uint_eq(delivered, 1);
	skip[0] = 0;
	arq_input_skips(t, skip, sizeof(skip), now);
	ck_assert_uint_eq(delivered, 2);
}
END_TEST

START_TEST(a_skip_that_is_cut_short_counts_as_far_as_it_goes)
{
	for (size_t len = 0; len < 3 * ARQ_SKIP_LEN; len++) {
		uint8_t skips[3 * ARQ_SKIP_LEN] = { 0 };

		stop_end();
		setup();
		for (uint32_t i = 0; i < 3; i++)
			put_be32(skips + i * ARQ_SKIP_LEN + 1,
			    UINT32_C(9) << 22 | (i * 2 + 1));
		come(0);
		for (uint32_t i = 0; i < 3; i++)
			come(i * 2 + 2);
		arq_input_skips(t, skips, len, now);
		ck_assert_uint_eq(delivered, 1 + len / ARQ_SKIP_LEN);
	}
}
END_TEST

START_TEST(nobody_looks_before_the_link_has_room)
{
	uint64_t seq;
	mono_t next;

	one_link();
	seq = send_by(0, 9, 500);
	lose(0, seq);
	nsent = 0;
	/* 30 ms of debt, of which a resend may leave 5. */
	pacer_charge(&t->links[0].pacer, 37500, now);
	next = tunnel_run(t, now);
	ck_assert_int_ge(next, now + 20 * MS);
	ck_assert_int_le(next, now + 26 * MS);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 0);
	now = next;
	tunnel_run(t, now);
	ck_assert_uint_eq(count_sent_of(THE_DATA), 1);
}
END_TEST

Suite *arq_suite(void);

Suite *
arq_suite(void)
{
	Suite *suite = suite_create("arq");
	TCase *tc = tcase_create("arq");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc, a_lost_packet_goes_again_by_another_link);
	tcase_add_test(tc, the_only_link_sends_it_again_itself);
	tcase_add_test(tc, a_resend_leaves_before_what_waits);
	tcase_add_test(tc, a_packet_is_sent_four_times_at_most);
	tcase_add_test(tc, after_a_second_it_is_named_instead);
	tcase_add_test(
	    tc, what_waits_to_be_sent_again_for_a_second_is_named_instead);
	tcase_add_test(tc, what_was_not_kept_is_named_instead);
	tcase_add_test(
	    tc, numbers_without_room_in_a_skip_are_left_to_the_deadline);
	tcase_add_test(tc, what_a_dead_link_takes_with_it_is_named_at_once);
	tcase_add_test(tc, what_cannot_be_named_now_is_named_later);
	tcase_add_test(tc, a_copy_that_arrives_late_ends_the_wait_for_a_resend);
	tcase_add_test(tc, what_another_link_still_carries_is_not_sent_again);
	tcase_add_test(tc, the_budget_is_a_part_of_what_is_sent);
	tcase_add_test(tc, beyond_the_budget_a_packet_waits_for_its_flows_turn);
	tcase_add_test(tc, an_urgent_packet_goes_again_beyond_the_budget);
	tcase_add_test(tc, what_a_dead_link_carried_costs_no_budget);
	tcase_add_test(tc, what_a_dead_link_carried_was_lost_by_it);
	tcase_add_test(tc, urgent_packets_of_a_dead_link_cost_no_budget_either);
	tcase_add_test(tc, what_urgent_packets_owe_has_an_end);
	tcase_add_test(tc, nothing_waits_when_the_last_link_goes);
	tcase_add_test(tc, a_skip_ends_the_wait_for_its_packet);
	tcase_add_test(tc, a_skip_that_is_cut_short_counts_as_far_as_it_goes);
	tcase_add_test(tc, nobody_looks_before_the_link_has_room);
	suite_add_tcase(suite, tc);
	return suite;
}
