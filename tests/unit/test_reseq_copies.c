/*
 * The resequencer and packets that come late, or more than once: each of them
 * is delivered, and once.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "reseq_peer.h"

Suite *reseq_copies_suite(void);

/* --- late ones --- */

START_TEST(what_comes_late_is_delivered_once)
{
	begin_hole();
	pass_time(RESEQ_HOLD);
	GOT("0 2");
	come(1, 1, 0);
	come(1, 0, 0);
	GOT("1");
	come(3, 0, 0);
	GOT("3");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 1);
}
END_TEST

START_TEST(what_was_skipped_may_come_late)
{
	begin_hole();
	skip(1);
	come(1, 1, 0);
	come(1, 1, 0);
	GOT("0 2 1");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
}
END_TEST

START_TEST(what_comes_after_a_second_is_of_no_use)
{
	begin_hole();
	come(4, 0, 1);
	pass_time(RESEQ_HOLD);
	now += RESEQ_LATE_MAX - 1;
	come(1, 1, 0);
	GOT("0 2 4 1");
	now++;
	come(3, 1, 0);
	GOT("");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 1);
}
END_TEST

START_TEST(of_a_large_hole_the_end_may_come_late)
{
	come(0, 0, 0);
	come(3000, 0, 1);
	pass_time(RESEQ_HOLD);
	GOT("0 3000");
	quiet = true;
	come_range(1, 3000);
	ck_assert_uint_eq(reseq_stats(r)->late, 1024);
	ck_assert_uint_eq(ndelivered, 2 + 1024);
	come_range(1, 3000);
	ck_assert_uint_eq(ndelivered, 2 + 1024);
}
END_TEST

START_TEST(late_numbers_wrap)
{
	come_range(FQ_SEQ_MASK - 1, FQ_SEQ_MASK);
	come(2, 0, 1);
	pass_time(RESEQ_HOLD);
	GOT("4194302 2");
	come(0, 1, 0);
	come(FQ_SEQ_MASK, 1, 0);
	come(FQ_SEQ_MASK, 1, 0);
	GOT("0 4194303");
	ck_assert_uint_eq(reseq_stats(r)->late, 2);
}
END_TEST

/* When we begin, what is on its way may have been overtaken. */
START_TEST(earlier_than_the_first_is_delivered_once)
{
	come(500, 0, 0);
	come(490, 1, 0);
	come(499, 1, 0);
	come(490, 0, 0);
	come(501, 0, 0);
	GOT("500 490 499 501");
	ck_assert_uint_eq(reseq_stats(r)->late, 2);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 1);
	now += RESEQ_LATE_MAX - MS;
	come(491, 1, 0);
	GOT("491");
	now += MS;
	come(491, 1, 0);
	come(499, 1, 0);
	come(498, 1, 0);
	GOT("");
}
END_TEST

/* --- copies --- */

START_TEST(a_copy_of_what_was_delivered_is_dropped)
{
	come_range(0, 3);
	come(1, 1, 0);
	come(2, 1, 0);
	come(0, 1, 0);
	come(3, 0, 0);
	GOT("0 1 2 3");
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 3);
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

START_TEST(a_copy_of_what_waits_is_dropped)
{
	begin_hole();
	come(3, 0, 0);
	come(2, 0, 1);
	come(3, 0, 0);
	ck_assert_uint_eq(reseq_stats(r)->packets, 2);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 2);
	come(1, 1, 0);
	GOT("0 1 2 3");
}
END_TEST

/* A line falls silent, all that is not acknowledged comes again. */
START_TEST(a_storm_of_copies_changes_nothing)
{
	quiet = true;
	come_range(0, 5000);
	for (int i = 0; i < 3; i++)
		for (uint32_t k = 1000; k < 5000; k++) {
			come(k, 1, 0);
			now += 150 * NSEC_PER_USEC;
		}
	ck_assert_uint_eq(ndelivered, 5000);
	ck_assert_uint_eq(reseq_stats(r)->duplicates, 12000);
	quiet = false;
	got();
	come(5001, 0, 1);
	come(5000, 1, 0);
	GOT("5000 5001");
}
END_TEST

START_TEST(few_copies_change_nothing_however_old)
{
	quiet = true;
	come_range(0, 100);
	for (int i = 0; i < 500; i++) {
		come(70 + (uint32_t)i % 30, 1, 0);
		now += 100 * MS;
	}
	ck_assert_uint_eq(ndelivered, 100);
}
END_TEST

/* Whose packet it was, and what became of it, adds up by link. */
START_TEST(the_caller_learns_what_became_of_a_packet)
{
	const struct reseq_stats *st = reseq_stats(r);

	ck_assert_int_eq(come(0, 0, 0), RESEQ_PASSED);
	ck_assert_int_eq(come(2, 0, 1), RESEQ_HELD);
	ck_assert_int_eq(come(3, 2, 0), RESEQ_HELD);
	ck_assert_int_eq(come(3, 1, 0), RESEQ_DUPLICATE);
	ck_assert_uint_eq(st->packets_of[0], 1);
	ck_assert_uint_eq(st->packets_of[1], 0);
	ck_assert_uint_eq(st->packets_of[2], 1);
	pass_time(RESEQ_HOLD);
	ck_assert_uint_eq(st->packets_of[0] + st->packets_of[2], 0);
	ck_assert_int_eq(come(1, 1, 0), RESEQ_LATE);
	ck_assert_int_eq(come(1, 0, 0), RESEQ_DUPLICATE);
	ck_assert_int_eq(come(0, 0, 0), RESEQ_DUPLICATE);
	GOT("0 2 3 1");
}
END_TEST

/* --- those that were sent again --- */

static char again_text[64]; /* which were, as far as it was seen */

static void
note_again(const struct pktbuf *pb)
{
	size_t used = strlen(again_text);

	if (pb->resent)
		snprintf(again_text + used, sizeof(again_text) - used, "%u",
		    pb->bucket_seq);
}

static void
come_aged(uint32_t seq, mono_t age, bool ahead)
{
	struct arrival a = { 0, seq, seq % 3, 0, false, age };

	come_in(&a, ahead);
	now += MS;
}

/* 0 and 4 have come, and the stamp of 4 is the present, at first. */
static void
begin_again(bool ahead)
{
	again_text[0] = '\0';
	observe = note_again;
	come_aged(0, 10 * MS, false);
	come_aged(4, 0, ahead);
}

START_TEST(a_late_one_was_not_sent_again)
{
	begin_again(false);
	come_aged(2, 5 * MS, false);
	come_aged(1, 500 * MS, false);
	come_aged(3, 10 * SEC, false);
	GOT("0 1 2 3 4");
	ck_assert_str_eq(again_text, "");
}
END_TEST

/* Whether it is the next one or waits. */
START_TEST(a_later_stamp_was_not_the_first)
{
	begin_again(false);
	now += 20 * MS;
	come_aged(3, 10 * MS, false);
	come_aged(1, 10 * MS, false);
	come_aged(2, 50 * MS, false);
	GOT("0 1 2 3 4");
	ck_assert_str_eq(again_text, "13");
}
END_TEST

/* The stamp of one that was sent again itself proves nothing. */
START_TEST(several_in_a_row_were_sent_again)
{
	begin_again(false);
	now += 20 * MS;
	come_aged(3, 8 * MS, false);
	come_aged(2, 10 * MS, false);
	come_aged(1, 12 * MS, false);
	GOT("0 1 2 3 4");
	ck_assert_str_eq(again_text, "123");
}
END_TEST

/* What was taken from behind left before those before it. */
START_TEST(of_what_left_ahead_no_stamp_proves_anything)
{
	begin_again(true);
	now += 20 * MS;
	come_aged(1, 10 * MS, false);
	come_aged(2, 10 * MS, false);
	come_aged(5, 15 * MS, false);
	come_aged(3, 10 * MS, false);
	GOT("0 1 2 3 4 5");
	ck_assert_str_eq(again_text, "3");
}
END_TEST

START_TEST(a_stamp_is_later_across_the_wrap)
{
	now = 20 * (WIRE_STAMP_MASK + 1) * WIRE_STAMP_UNIT - 3 * MS;
	begin_again(false);
	come_aged(1, 0, false);
	now += 20 * MS;
	come_aged(2, 0, false);
	come_aged(3, 40 * MS, false);
	GOT("0 1 2 3 4");
	ck_assert_str_eq(again_text, "12");
}
END_TEST

/* --- any --- */

#define PACKETS 4000
#define BUCKETS 4

struct event {
	mono_t at;
	struct arrival a;
	bool skip;
};

static struct event events[PACKETS * 4];
static size_t nevents;
static bool arrived[BUCKETS][PACKETS], seen[BUCKETS][PACKETS];
static uint32_t stamps[BUCKETS][PACKETS]; /* the first ones */
static uint32_t last[BUCKETS];
static unsigned reordered, resent, found;

static void
see(const struct pktbuf *pb)
{
	bool *s = &seen[pb->bucket][pb->bucket_seq];

	if (*s)
		ck_abort_msg("%u came twice", pb->bucket_seq);
	*s = true;
	resent += pb->stamp != stamps[pb->bucket][pb->bucket_seq];
	found += pb->resent;
	if (pb->resent && pb->stamp == stamps[pb->bucket][pb->bucket_seq])
		ck_abort_msg("%u was sent once", pb->bucket_seq);
	reordered += pb->bucket_seq < last[pb->bucket];
	last[pb->bucket] = pb->bucket_seq;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x < y ? -1 : 1;
}

struct world {
	uint64_t rng;
	mono_t delay[3];
	mono_t clear[3]; /* a line keeps the order of what is new */
	double loss, copies;
	bool silent; /* never skips */
};

static bool
happens(struct world *w, double chance)
{
	return (double)(rnd(&w->rng) % 1000000) < chance * 1000000;
}

/* Sends at an instant by a line; returns when the sender may know it lost, or
 * 0. */
static mono_t
transmit(struct world *w, const struct arrival *a, mono_t at, bool again)
{
	mono_t took = w->delay[a->link] + (mono_t)(rnd(&w->rng) % (3 * MS));
	struct event *e = &events[nevents];

	if (happens(w, w->loss))
		return at + 2 * w->delay[a->link] + 5 * MS;
	if (!again && at + took < w->clear[a->link])
		took = w->clear[a->link] - at;
	if (!again)
		w->clear[a->link] = at + took;
	*e = (struct event){ at + took, *a, false };
	e->a.age = took;
	nevents++;
	arrived[a->bucket][a->seq] = true;
	return 0;
}

/* Once, again if it is lost, and then no more. */
static void
send_out(struct world *w, struct arrival a, mono_t at)
{
	mono_t lost_at = transmit(w, &a, at, false);
	bool copied = lost_at == 0 && happens(w, w->copies);

	if (lost_at == 0 && !copied)
		return;
	a.link = (a.link + 1) % 3;
	if (copied) {
		transmit(w, &a, at + (mono_t)(rnd(&w->rng) % (200 * MS)), true);
		return;
	}
	lost_at = transmit(w, &a, lost_at, true);
	if (lost_at != 0 && !w->silent)
		events[nevents++] =
		    (struct event){ lost_at + w->delay[0], a, true };
}

static void
play(struct world *w)
{
	uint32_t seq[BUCKETS] = { 0 };
	unsigned prev[BUCKETS] = { 0 };
	mono_t at = now;

	nevents = 0;
	memset(arrived, 0, sizeof(arrived));
	memset(seen, 0, sizeof(seen));
	memset(last, 0, sizeof(last));
	reordered = resent = found = 0;
	for (int i = 0; i < PACKETS; i++, at += 250 * NSEC_PER_USEC) {
		uint16_t b = (uint16_t)(rnd(&w->rng) % BUCKETS);
		struct arrival a = { b, seq[b]++, (unsigned)(rnd(&w->rng) % 3),
			prev[b], false, 0 };

		prev[b] = a.link;
		stamps[b][a.seq] = wire_stamp(at);
		send_out(w, a, at);
	}
	qsort(events, nevents, sizeof(events[0]), by_time);
	quiet = true;
	observe = see;
	for (size_t i = 0; i < nevents; i++) {
		const struct event *e = &events[i];

		pass_time(e->at - now);
		if (e->skip)
			reseq_skip(r, false, e->a.bucket, e->a.seq, now);
		else
			come_as(&e->a);
	}
	pass_time(RESEQ_EXPECT_MAX + RESEQ_HOLD);
	for (int b = 0; b < BUCKETS; b++)
		for (int i = 0; i < PACKETS; i++)
			if (arrived[b][i] != seen[b][i])
				ck_abort_msg("%d of %d was lost", i, b);
	ck_assert_uint_eq(ndelivered + reseq_stats(r)->duplicates, ncome);
}

/* A sender that repairs in time, or says that it does not. */
START_TEST(lossy_lines_deliver_in_order)
{
	struct world w = {
		.rng = 1234 + (uint64_t)_i, .loss = 0.05, .copies = 0.05
	};

	for (int k = 0; k < 3; k++)
		w.delay[k] = (mono_t)(1 + rnd(&w.rng) % 30) * MS;
	play(&w);
	ck_assert_uint_eq(reordered, 0);
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
	ck_assert_uint_gt(reseq_stats(r)->duplicates, 50);
	ck_assert_uint_gt(resent, 100);
	ck_assert_uint_gt(found, resent * 9 / 10);
}
END_TEST

/* Too late for many, and nothing is said. */
START_TEST(bad_lines_deliver_everything_once)
{
	struct world w = { .rng = 4321 + (uint64_t)_i,
		.loss = 0.2,
		.copies = 0.3,
		.silent = true };

	for (int k = 0; k < 3; k++)
		w.delay[k] = (mono_t)(1 + rnd(&w.rng) % 200) * MS;
	play(&w);
	ck_assert_uint_gt(reseq_stats(r)->deadlines, 20);
	ck_assert_uint_gt(reseq_stats(r)->duplicates, 300);
}
END_TEST

Suite *
reseq_copies_suite(void)
{
	Suite *s = suite_create("reseq_copies");
	TCase *tc = tcase_create("copies");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_comes_late_is_delivered_once);
	tcase_add_test(tc, what_was_skipped_may_come_late);
	tcase_add_test(tc, what_comes_after_a_second_is_of_no_use);
	tcase_add_test(tc, of_a_large_hole_the_end_may_come_late);
	tcase_add_test(tc, late_numbers_wrap);
	tcase_add_test(tc, earlier_than_the_first_is_delivered_once);
	tcase_add_test(tc, a_copy_of_what_was_delivered_is_dropped);
	tcase_add_test(tc, a_copy_of_what_waits_is_dropped);
	tcase_add_test(tc, a_storm_of_copies_changes_nothing);
	tcase_add_test(tc, few_copies_change_nothing_however_old);
	tcase_add_test(tc, the_caller_learns_what_became_of_a_packet);
	tcase_add_test(tc, a_late_one_was_not_sent_again);
	tcase_add_test(tc, a_later_stamp_was_not_the_first);
	tcase_add_test(tc, several_in_a_row_were_sent_again);
	tcase_add_test(tc, of_what_left_ahead_no_stamp_proves_anything);
	tcase_add_test(tc, a_stamp_is_later_across_the_wrap);
	tcase_add_loop_test(tc, lossy_lines_deliver_in_order, 0, 10);
	tcase_add_loop_test(tc, bad_lines_deliver_everything_once, 0, 10);
	suite_add_tcase(s, tc);
	return s;
}
