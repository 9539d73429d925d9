/*
 * The playout buffer: which packets wait for their flow's usual delay.  A
 * packet is delivered as the instant at which that happens, so what it waited
 * is what counts.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/fq.h"
#include "tunnel/playout.h"
#include "tunnel/wire.h"

#define MSEC NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define LEN 1000
#define TICK (1 * MSEC)		  /* playout_run is this late at most */
#define GAP (1 * MSEC)		  /* between packets of a bulk flow */
#define NEVER_LONGER (100 * MSEC) /* than this does a packet wait */
#define MEMORY (64 << 20)
#define BEGIN 32 /* packets of a TCP flow */

Suite *playout_suite(void);

static struct pktbuf_pool *pool;
static struct playout *p;
static mono_t now;
static mono_t skew;				    /* of the peer's clock */
static uint32_t came[FQ_BUCKETS], left[FQ_BUCKETS]; /* packets, by number */
static mono_t waited; /* the last packet that was delivered */
static mono_t most;   /* any of them */

static void
deliver(void *ctx, struct pktbuf *pb)
{
	if (ctx != &now || pb->use != PKTBUF_IO || pb->len != LEN)
		ck_abort_msg("use %u, len %u", pb->use, pb->len);
	if (pb->bucket_seq != left[pb->bucket])
		ck_abort_msg("%u before %u", pb->bucket_seq, left[pb->bucket]);
	left[pb->bucket]++;
	waited = now - pb->queued_at;
	if (waited > most)
		most = waited;
	pktbuf_free(pool, pb);
}

static void
setup(void)
{
	pool = pktbuf_pool_new(MEMORY);
	p = playout_new(pool, deliver, &now);
	ck_assert_ptr_nonnull(p);
	now = 1000 * SEC;
	skew = most = waited = 0;
	memset(came, 0, sizeof(came));
	memset(left, 0, sizeof(left));
}

static void
teardown(void)
{
	playout_free(p);
	for (unsigned u = 0; u < PKTBUF_USES; u++)
		ck_assert_uint_eq(pktbuf_used(pool, u), 0);
	pktbuf_pool_free(pool);
}

static struct pktbuf *
make(uint16_t bucket, mono_t delay)
{
	struct pktbuf *pb = pktbuf_alloc(pool, LEN);

	if (pb == NULL)
		ck_abort_msg("no buffer");
	pb->len = LEN;
	pb->bucket = bucket;
	pb->bucket_seq = came[bucket]++;
	pb->stamp = wire_stamp(now + skew - delay);
	pb->queued_at = now;
	return pb;
}

/* The turn of a packet that was sent so long ago. */
static void
turn(uint16_t bucket, mono_t delay)
{
	playout_input(p, make(bucket, delay), now);
}

static void
pass_time(mono_t span)
{
	mono_t end = now + span, next;

	while ((next = playout_run(p, now)) <= end)
		now = mono_later(next, now);
	now = end;
	playout_run(p, now);
}

/* A flow's packets, each a while after the one before. */
static void
flow(uint16_t bucket, mono_t gap, mono_t span, mono_t delay)
{
	for (mono_t end = now + span; now < end;) {
		turn(bucket, delay);
		pass_time(gap);
	}
}

/* What the next packet of a bucket waits; nothing waits before it. */
static mono_t
wait_of(uint16_t bucket, mono_t delay)
{
	ck_assert_uint_eq(left[bucket], came[bucket]);
	turn(bucket, delay);
	for (int i = 0; i < 2000 && left[bucket] < came[bucket]; i++)
		pass_time(TICK / 4);
	ck_assert_uint_eq(left[bucket], came[bucket]);
	return waited;
}

static void
about(mono_t value, mono_t wanted)
{
	ck_assert_msg(value >= wanted - TICK && value <= wanted + TICK,
	    "%lld us, not %lld", (long long)value / 1000,
	    (long long)wanted / 1000);
}

/* The next packet of a flow by a line whose delay is mean as a rule. */
static mono_t
wait_by_line(bool tcp, mono_t delay, mono_t mean)
{
	struct pktbuf *pb = make(0, delay);

	pb->tcp = tcp;
	pb->line_delay = wire_delay(wire_stamp(now + skew - mean), now);
	playout_input(p, pb, now);
	for (int i = 0; i < 2000 && left[0] < came[0]; i++)
		pass_time(TICK / 4);
	return waited;
}

/* --- who waits --- */

START_TEST(a_packet_faster_than_usual_waits_for_the_usual_delay)
{
	flow(0, GAP, SEC, 50 * MSEC);
	ck_assert_int_eq(most, 0);
	about(wait_of(0, 30 * MSEC), 20 * MSEC);
	ck_assert_uint_eq(playout_stats(p)->held, 1);
	ck_assert_uint_eq(playout_stats(p)->packets, 0);
	ck_assert_uint_eq(playout_stats(p)->bytes, 0);
	ck_assert_int_eq(playout_run(p, now), MONO_NEVER);
}
END_TEST

START_TEST(a_slower_one_does_not)
{
	flow(0, GAP, SEC, 50 * MSEC);
	ck_assert_int_eq(wait_of(0, 90 * MSEC), 0);
	ck_assert_int_eq(wait_of(0, 50 * MSEC), 0);
}
END_TEST

/* Timers are no better than that. */
START_TEST(what_is_hardly_early_passes)
{
	flow(0, GAP, SEC, 50 * MSEC);
	ck_assert_int_eq(wait_of(0, 50 * MSEC - 700 * NSEC_PER_USEC), 0);
}
END_TEST

/* A call, whatever its delays are. */
START_TEST(a_flow_that_sends_little_waits_for_nothing)
{
	for (int i = 0; i < 500; i++) {
		turn(0, (20 + i * 37 % 80) * MSEC);
		pass_time(20 * MSEC);
	}
	ck_assert_int_eq(most, 0);
}
END_TEST

/* The peer sent them one by one. */
START_TEST(a_clump_of_its_packets_is_no_bulk)
{
	for (int i = 0; i < 50; i++) {
		for (int j = 10; j-- > 0;)
			turn(0, (20 + j * 20) * MSEC);
		ck_assert_int_eq(wait_of(0, 0), 0);
		pass_time(200 * MSEC);
	}
}
END_TEST

/* Frames of a picture, say. */
START_TEST(bursts_of_a_sparse_flow_are_no_bulk)
{
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 8; j++)
			turn(0, (20 + i * 17 % 40) * MSEC);
		pass_time(200 * MSEC);
	}
	ck_assert_int_eq(most, 0);
}
END_TEST

START_TEST(an_urgent_packet_never_waits)
{
	for (int i = 0; i < 1000; i++) {
		struct pktbuf *pb = make(0, i < 900 ? 50 * MSEC : 10 * MSEC);

		pb->priority = true;
		playout_input(p, pb, now);
		pass_time(GAP);
	}
	ck_assert_int_eq(most, 0);
	/* Nor does the flow learn from it, which has the same bucket. */
	ck_assert_int_eq(wait_of(0, 10 * MSEC), 0);
}
END_TEST

/* The round trip of its handshake is no stroke of luck. */
START_TEST(a_tcp_flow_begins_with_the_delay_of_its_line)
{
	for (int i = 0; i < BEGIN; i++) {
		mono_t delay = (10 + i % 20) * MSEC;

		about(wait_by_line(true, delay, 40 * MSEC), 40 * MSEC - delay);
		pass_time(30 * MSEC);
	}
	ck_assert_int_eq(wait_by_line(true, 10 * MSEC, 40 * MSEC), 0);
}
END_TEST

START_TEST(it_waits_for_no_more_than_that)
{
	ck_assert_int_eq(wait_by_line(true, 40 * MSEC, 40 * MSEC), 0);
	ck_assert_int_eq(wait_by_line(true, 70 * MSEC, 40 * MSEC), 0);
	about(wait_by_line(true, 0, SEC), NEVER_LONGER);
}
END_TEST

START_TEST(it_begins_again_after_a_pause)
{
	for (int i = 0; i < BEGIN; i++)
		wait_by_line(true, 40 * MSEC, 40 * MSEC);
	pass_time(9 * SEC);
	ck_assert_int_eq(wait_by_line(true, 10 * MSEC, 40 * MSEC), 0);
	pass_time(11 * SEC);
	about(wait_by_line(true, 10 * MSEC, 40 * MSEC), 30 * MSEC);
}
END_TEST

/* A bucket may have another flow at any time. */
START_TEST(another_flow_of_the_bucket_begins_with_its_syn)
{
	struct pktbuf *pb;

	for (int i = 0; i < BEGIN; i++)
		wait_by_line(true, 40 * MSEC, 40 * MSEC);
	pb = make(0, 40 * MSEC);
	pb->tcp = pb->syn = true;
	pb->line_delay = wire_delay(wire_stamp(now + skew - 40 * MSEC), now);
	playout_input(p, pb, now);
	about(wait_by_line(true, 10 * MSEC, 40 * MSEC), 30 * MSEC);
}
END_TEST

START_TEST(a_call_or_a_game_begins_at_once)
{
	ck_assert_int_eq(wait_by_line(false, 10 * MSEC, 40 * MSEC), 0);
}
END_TEST

START_TEST(what_a_bulk_flow_knows_counts_more)
{
	flow(0, GAP, SEC / 4, 50 * MSEC);
	about(wait_by_line(true, 45 * MSEC, 90 * MSEC), 5 * MSEC);
}
END_TEST

START_TEST(buckets_do_not_know_each_other)
{
	flow(0, GAP, SEC, 50 * MSEC);
	ck_assert_int_eq(wait_of(1, 10 * MSEC), 0);
	turn(0, 10 * MSEC);
	ck_assert_int_eq(wait_of(1, 10 * MSEC), 0);
	pass_time(SEC);
}
END_TEST

START_TEST(none_waits_longer_than_a_tenth_of_a_second)
{
	flow(0, GAP, SEC, 500 * MSEC);
	about(wait_of(0, 10 * MSEC), NEVER_LONGER);
}
END_TEST

/* --- order --- */

START_TEST(later_ones_stay_behind_those_that_wait)
{
	flow(0, GAP, SEC, 50 * MSEC);
	turn(0, 30 * MSEC);
	turn(0, 80 * MSEC); /* would not wait by itself */
	turn(0, 40 * MSEC);
	ck_assert_uint_eq(playout_stats(p)->packets, 3);
	ck_assert_uint_eq(playout_stats(p)->bytes, 3 * LEN);
	pass_time(18 * MSEC);
	ck_assert_uint_eq(left[0] + 3, came[0]);
	pass_time(4 * MSEC);
	ck_assert_uint_eq(left[0], came[0]);
}
END_TEST

START_TEST(one_that_left_before_its_turn_only_keeps_the_order)
{
	struct pktbuf *pb;

	flow(0, GAP, SEC, 50 * MSEC);
	for (int i = 0; i < 100; i++) {
		pb = make(0, 5 * MSEC);
		pb->ahead = true;
		playout_input(p, pb, now);
		pass_time(GAP);
	}
	ck_assert_int_eq(most, 0);
	turn(0, 30 * MSEC);
	pb = make(0, 5 * MSEC);
	pb->ahead = true;
	playout_input(p, pb, now);
	ck_assert_uint_eq(left[0] + 2, came[0]);
	pass_time(22 * MSEC);
	ck_assert_uint_eq(left[0], came[0]);
	about(most, 20 * MSEC);
}
END_TEST

/* --- what is usual --- */

START_TEST(one_fast_packet_does_not_make_it_usual)
{
	flow(0, GAP, SEC, 50 * MSEC);
	about(wait_of(0, 10 * MSEC), 40 * MSEC);
	flow(0, GAP, 100 * MSEC, 50 * MSEC);
	about(wait_of(0, 10 * MSEC), 40 * MSEC);
}
END_TEST

/* Those that waited for one that was sent again are later than usual. */
START_TEST(late_ones_do_not_count_beside_others_on_time)
{
	for (int i = 0; i < 2000; i++) {
		turn(0, i % 10 == 0 ? 20 * MSEC : 60 * MSEC);
		pass_time(GAP);
	}
	ck_assert_int_eq(most, 0);
	ck_assert_int_eq(wait_of(0, 20 * MSEC), 0);
}
END_TEST

/* One is faster now and then only as its stamp is that of a second time. */
START_TEST(what_was_sent_again_is_not_usual)
{
	for (int i = 0; i < 2000; i++) {
		struct pktbuf *pb =
		    make(0, i % 10 == 0 ? 20 * MSEC : 60 * MSEC);

		pb->resent = i % 10 == 0;
		playout_input(p, pb, now);
		pass_time(GAP);
	}
	ck_assert_int_eq(most, 0);
	about(wait_of(0, 20 * MSEC), 40 * MSEC);
}
END_TEST

START_TEST(it_is_forgotten_after_a_second)
{
	flow(0, GAP, SEC, 50 * MSEC);
	flow(0, 100 * MSEC, 900 * MSEC, 50 * MSEC);
	about(wait_of(0, 30 * MSEC), 20 * MSEC);
	flow(0, 100 * MSEC, 300 * MSEC, 50 * MSEC);
	ck_assert_int_eq(wait_of(0, 30 * MSEC), 0);
}
END_TEST

/* Ten packets, and the end of their span is seen long after. */
START_TEST(what_is_old_does_not_become_new)
{
	flow(0, GAP, 10 * MSEC, 50 * MSEC);
	pass_time(10 * SEC);
	ck_assert_int_eq(wait_of(0, 10 * MSEC), 0);
	pass_time(100 * MSEC);
	ck_assert_int_eq(wait_of(0, 10 * MSEC), 0);
}
END_TEST

/* Longer within seconds, shorter within less than one. */
START_TEST(it_follows_the_path)
{
	flow(0, GAP, SEC, 20 * MSEC);
	flow(0, GAP, 6 * SEC, 60 * MSEC);
	ck_assert_int_eq(most, 0);
	about(wait_of(0, 40 * MSEC), 19 * MSEC);
	flow(0, GAP, 500 * MSEC, 20 * MSEC);
	ck_assert_int_le(most, 41 * MSEC);
	ck_assert_int_eq(wait_of(0, 20 * MSEC), 0);
}
END_TEST

/* As when BBR sends four packets a round trip to find the least one. */
START_TEST(a_short_time_of_fast_packets_is_no_shorter_path)
{
	flow(0, GAP, SEC, 50 * MSEC);
	flow(0, 3 * GAP, 250 * MSEC, 30 * MSEC);
	pass_time(150 * MSEC);
	flow(0, 3 * GAP, 250 * MSEC, 30 * MSEC);
	pass_time(50 * MSEC);
	ck_assert_int_ge(wait_of(0, 30 * MSEC), 12 * MSEC);
}
END_TEST

/* _i: how much the peer's clock is ahead; stamps wrap on the way. */
START_TEST(clocks_need_not_agree)
{
	skew = (_i - 3) * 11 * SEC + 1234567;
	for (int i = 0; i < 40; i++) {
		flow(0, GAP, SEC, 50 * MSEC);
		if (most != 0)
			ck_assert_int_eq(most, 0);
		about(wait_of(0, 30 * MSEC), 20 * MSEC);
		most = 0;
	}
}
END_TEST

/* --- ends --- */

START_TEST(a_reset_delivers_all_and_forgets)
{
	for (uint16_t bucket = 0; bucket < 3; bucket++)
		flow(bucket, GAP, SEC / 4, 50 * MSEC);
	for (uint16_t bucket = 0; bucket < 3; bucket++)
		turn(bucket, 20 * MSEC);
	ck_assert_uint_eq(playout_stats(p)->packets, 3);
	playout_reset(p);
	ck_assert_uint_eq(playout_stats(p)->packets, 0);
	for (uint16_t bucket = 0; bucket < 3; bucket++)
		ck_assert_int_eq(wait_of(bucket, 20 * MSEC), 0);
}
END_TEST

START_TEST(without_room_nothing_waits)
{
	flow(0, GAP, SEC, 50 * MSEC);
	pktbuf_set_quota(pool, PKTBUF_PLAYOUT, 4000);
	for (int i = 0; i < 100; i++) {
		turn(0, 10 * MSEC);
		if (came[0] - left[0] > 3)
			ck_abort_msg("%u wait", came[0] - left[0]);
	}
	pass_time(50 * MSEC);
	ck_assert_uint_eq(left[0], came[0]);
}
END_TEST

/* However much waits here. */
START_TEST(the_resequencer_keeps_its_room)
{
	size_t quota = MEMORY / 8;

	flow(0, GAP, SEC, 90 * MSEC);
	pktbuf_set_quota(pool, PKTBUF_PLAYOUT, quota);
	pktbuf_set_quota(pool, PKTBUF_RESEQ, 0);
	for (int i = 0; i < 10000; i++)
		turn(0, 10 * MSEC);
	ck_assert_uint_gt(playout_stats(p)->no_memory, 1000);
	ck_assert_uint_le(pktbuf_used(pool, PKTBUF_PLAYOUT), quota);
	ck_assert_uint_gt(pktbuf_used(pool, PKTBUF_PLAYOUT), quota - 4000);
	pass_time(100 * MSEC);
	ck_assert_uint_eq(left[0], came[0]);
}
END_TEST

START_TEST(what_waits_at_the_end_is_freed)
{
	flow(0, GAP, SEC, 50 * MSEC);
	for (int i = 0; i < 10; i++)
		turn(0, 10 * MSEC);
	ck_assert_uint_eq(playout_stats(p)->packets, 10);
}
END_TEST

/* Whatever comes: in order, all of it, and not later than that. */
START_TEST(nothing_is_lost_or_overtaken)
{
	srandom((unsigned)_i);
	for (int i = 0; i < 5000; i++) {
		mono_t delay = random() % (random() % 2 ? 300 : 30) * MSEC;
		struct pktbuf *pb = make((uint16_t)(random() % 3), delay);

		pb->ahead = random() % 10 == 0;
		playout_input(p, pb, now);
		if (random() % 8 == 0)
			pass_time(random() % 20 * MSEC);
	}
	pass_time(SEC);
	ck_assert_int_le(most, NEVER_LONGER + TICK);
	ck_assert_mem_eq(came, left, sizeof(came));
	ck_assert_uint_eq(playout_stats(p)->packets, 0);
	ck_assert_int_eq(playout_run(p, now), MONO_NEVER);
}
END_TEST

Suite *
playout_suite(void)
{
	Suite *s = suite_create("playout");
	TCase *tc = tcase_create("playout");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
	    tc, a_packet_faster_than_usual_waits_for_the_usual_delay);
	tcase_add_test(tc, a_slower_one_does_not);
	tcase_add_test(tc, what_is_hardly_early_passes);
	tcase_add_test(tc, a_flow_that_sends_little_waits_for_nothing);
	tcase_add_test(tc, a_clump_of_its_packets_is_no_bulk);
	tcase_add_test(tc, bursts_of_a_sparse_flow_are_no_bulk);
	tcase_add_test(tc, an_urgent_packet_never_waits);
	tcase_add_test(tc, a_tcp_flow_begins_with_the_delay_of_its_line);
	tcase_add_test(tc, it_waits_for_no_more_than_that);
	tcase_add_test(tc, it_begins_again_after_a_pause);
	tcase_add_test(tc, another_flow_of_the_bucket_begins_with_its_syn);
	tcase_add_test(tc, a_call_or_a_game_begins_at_once);
	tcase_add_test(tc, what_a_bulk_flow_knows_counts_more);
	tcase_add_test(tc, buckets_do_not_know_each_other);
	tcase_add_test(tc, none_waits_longer_than_a_tenth_of_a_second);
	tcase_add_test(tc, later_ones_stay_behind_those_that_wait);
	tcase_add_test(tc, one_that_left_before_its_turn_only_keeps_the_order);
	tcase_add_test(tc, one_fast_packet_does_not_make_it_usual);
	tcase_add_test(tc, late_ones_do_not_count_beside_others_on_time);
	tcase_add_test(tc, what_was_sent_again_is_not_usual);
	tcase_add_test(tc, it_is_forgotten_after_a_second);
	tcase_add_test(tc, what_is_old_does_not_become_new);
	tcase_add_test(tc, it_follows_the_path);
	tcase_add_test(tc, a_short_time_of_fast_packets_is_no_shorter_path);
	tcase_add_loop_test(tc, clocks_need_not_agree, 0, 7);
	tcase_add_test(tc, a_reset_delivers_all_and_forgets);
	tcase_add_test(tc, without_room_nothing_waits);
	tcase_add_test(tc, the_resequencer_keeps_its_room);
	tcase_add_test(tc, what_waits_at_the_end_is_freed);
	tcase_add_loop_test(tc, nothing_is_lost_or_overtaken, 0, 20);
	suite_add_tcase(s, tc);
	return s;
}
