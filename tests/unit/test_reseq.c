/*
 * The resequencer: what waits for whom and for how long, and that nothing that
 * a peer numbers makes it wait, work or hold without bound.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tunnel/fq.h"
#include "tunnel/reseq.h"
#include "tunnel/wire.h"

Suite *reseq_suite(void);

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define LEN 100 /* bytes of a packet */

static struct pktbuf_pool *pool;
static struct reseq *r;
static mono_t now;
static char log_text[512]; /* what was delivered, as text */
static uint64_t ncome, ndelivered;
static bool quiet; /* counts only */

static void
deliver(void *ctx, struct pktbuf *pb)
{
	size_t used = strlen(log_text);

	ck_assert_ptr_eq(ctx, &now);
	if (pb->use != PKTBUF_IO || pb->len != LEN)
		ck_abort_msg("use %u, len %u", pb->use, pb->len);
	ndelivered++;
	if (!quiet)
		snprintf(log_text + used, sizeof(log_text) - used,
		    pb->priority ? "%sp%u" : "%s%u", used == 0 ? "" : " ",
		    pb->bucket * 1000 + pb->bucket_seq);
	pktbuf_free(pool, pb);
}

static void
setup(void)
{
	pool = pktbuf_pool_new(64 << 20);
	r = reseq_new(pool, deliver, &now);
	ck_assert_ptr_nonnull(r);
	reseq_set_links(r, 7);
	now = 1000 * SEC;
	log_text[0] = '\0';
	ncome = ndelivered = 0;
	quiet = false;
}

static void
teardown(void)
{
	reseq_free(r);
	for (unsigned u = 0; u < PKTBUF_USES; u++)
		ck_assert_uint_eq(pktbuf_used(pool, u), 0);
	pktbuf_pool_free(pool);
}

/* What was delivered since the last call: bucket * 1000 + number. */
static const char *
got(void)
{
	static char text[sizeof(log_text)];

	memcpy(text, log_text, sizeof(text));
	log_text[0] = '\0';
	return text;
}

#define GOT(text) ck_assert_str_eq(got(), text)

struct arrival {
	uint16_t bucket;
	uint32_t seq;
	unsigned link, prev;
	bool priority;
	mono_t age; /* since it was sent */
};

/* A packet as link_input() hands it over. */
static void
come_as(const struct arrival *a)
{
	struct pktbuf *pb = pktbuf_alloc(pool, LEN);
	uint32_t stamp = wire_stamp(now - a->age);

	if (pb == NULL)
		ck_abort_msg("no buffer");
	pb->len = LEN;
	pb->bucket = a->bucket;
	pb->bucket_seq = a->seq;
	pb->priority = a->priority;
	pb->stamp = stamp;
	pb->link = (uint8_t)a->link;
	pb->prev_link = (uint8_t)a->prev;
	ncome++;
	reseq_input(r, pb, now);
	reseq_heard(r, a->link, stamp, now);
}

/* Of bucket 0, sent 10 ms ago. */
static void
come(uint32_t seq, unsigned link, unsigned prev)
{
	struct arrival a = { 0, seq, link, prev, false, 10 * MS };

	come_as(&a);
}

/* A keepalive, sent so long ago. */
static void
speak(unsigned link, mono_t age)
{
	reseq_heard(r, link, wire_stamp(now - age), now);
}

/* --- order --- */

START_TEST(nothing_waits_without_a_hole)
{
	come(55, 0, 0);
	GOT("55");
	come(56, 1, 0);
	come(57, 0, 1);
	come(58, 2, 0);
	GOT("56 57 58");
	ck_assert_uint_eq(reseq_stats(r)->held, 0);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

START_TEST(the_order_is_restored)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	come(5, 0, 0);
	GOT("0");
	ck_assert_uint_eq(reseq_stats(r)->packets, 3);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 3 * LEN);
	come(3, 2, 0);
	GOT("");
	come(1, 1, 0);
	GOT("1 2 3 4 5");
	ck_assert_uint_eq(reseq_stats(r)->held, 4);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 0);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

/* A peer counts from 0, so what came first may have overtaken others. */
START_TEST(the_first_packets_come_in_order)
{
	come(2, 0, 1);
	come(1, 1, 0);
	GOT("");
	come(0, 0, 0);
	GOT("0 1 2");
	/* If we are the one that is new, they have come already. */
	reseq_reset(r);
	come(5, 0, 0);
	GOT("");
	speak(1, 0);
	speak(2, 0);
	GOT("5");
	come(6, 0, 0);
	GOT("6");
}
END_TEST

START_TEST(the_hole_of_one_bucket_does_not_delay_another)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	come(0, 0, 0);
	come(2, 0, 1);
	come_as(&other);
	other.seq = 1;
	come_as(&other);
	GOT("0 1000 1001");
	come(1, 1, 0);
	GOT("1 2");
}
END_TEST

START_TEST(priority_packets_have_a_space_of_their_own)
{
	struct arrival urgent = { 0, 97, 0, 0, true, 10 * MS };

	come(0, 0, 0);
	come(2, 0, 1);
	come_as(&urgent);
	urgent.seq = 99;
	urgent.prev = 1;
	come_as(&urgent);
	GOT("0 p97");
	come(1, 1, 0);
	GOT("1 2");
	urgent.seq = 98;
	urgent.link = 1;
	come_as(&urgent);
	GOT("p98 p99");
}
END_TEST

START_TEST(numbers_wrap)
{
	come(FQ_SEQ_MASK - 1, 0, 0);
	come(0, 0, 1);
	come(1, 0, 0);
	GOT("4194302");
	come(FQ_SEQ_MASK, 1, 0);
	GOT("4194303 0 1");
	come(2, 0, 0);
	GOT("2");
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

START_TEST(late_packets_are_delivered)
{
	come(0, 0, 0);
	come(2, 0, 0);
	GOT("0 2");
	come(1, 0, 0);
	GOT("1");
	come(3, 0, 0);
	GOT("3");
	ck_assert_uint_eq(reseq_stats(r)->late, 1);
}
END_TEST

START_TEST(a_copy_of_what_waits_is_dropped)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(3, 0, 0);
	come(2, 0, 1);
	come(3, 0, 0);
	ck_assert_uint_eq(reseq_stats(r)->packets, 2);
	come(1, 1, 0);
	GOT("0 1 2 3");
}
END_TEST

/* --- holes that will not be filled --- */

/* A line keeps its order: what it did not bring before is lost. */
START_TEST(a_loss_on_the_same_line_costs_nothing)
{
	come(0, 0, 0);
	come(2, 0, 0);
	GOT("0 2");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
}
END_TEST

START_TEST(a_hole_is_given_up_when_its_line_brought_something_later)
{
	come(0, 0, 0);
	come(2, 0, 1);
	speak(1, 11 * MS); /* sent before the one that waits */
	speak(1, 10 * MS); /* sent with it: the missing one may be behind */
	speak(2, 0);	   /* another line proves nothing */
	GOT("0");
	speak(1, 10 * MS - WIRE_STAMP_UNIT);
	GOT("2");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

START_TEST(what_the_line_said_before_counts)
{
	come(0, 0, 0);
	speak(1, 5 * MS);
	come(2, 0, 1);
	GOT("0 2");
}
END_TEST

START_TEST(for_many_missing_packets_all_lines_have_to_be_past)
{
	come(0, 0, 0);
	come(4, 0, 1);
	speak(1, 0);
	GOT("0");
	speak(2, 0);
	GOT("4");
	ck_assert_uint_eq(reseq_stats(r)->holes, 1);
	/* On a line that is alone there is no other to wait for. */
	reseq_set_links(r, 1);
	come(8, 0, 0);
	GOT("8");
}
END_TEST

START_TEST(each_hole_is_judged_by_itself)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	come(6, 0, 1);
	speak(1, 0);
	GOT("0 2");
	come(3, 2, 0);
	GOT("3 4 6");
}
END_TEST

START_TEST(stamps_wrap)
{
	mono_t turn = (WIRE_STAMP_MASK + INT64_C(1)) * WIRE_STAMP_UNIT;

	now = 20 * turn + 9 * MS;
	come(0, 0, 0);
	come(2, 0, 1);
	ck_assert_uint_gt(wire_stamp(now - 10 * MS), wire_stamp(now));
	speak(1, 12 * MS);
	GOT("0");
	speak(1, 5 * MS);
	GOT("2");
}
END_TEST

/* As stamps wrap, 40 s ago would look like later than now. */
START_TEST(what_a_line_said_long_ago_proves_nothing)
{
	speak(1, 0);
	if (_i == 1) {
		/* One that comes late does not renew it. */
		now += 19 * SEC;
		speak(1, 19 * SEC + MS);
		now -= 19 * SEC;
	}
	now += 38 * SEC;
	come(0, 0, 0);
	come(2, 0, 1);
	GOT("0");
	come(1, 1, 0);
	GOT("1 2");
}
END_TEST

/* --- deadlines --- */

START_TEST(a_hole_is_given_up_after_150_ms)
{
	mono_t start = now;

	come(0, 0, 0);
	now += 20 * MS;
	come(2, 0, 1);
	come(3, 0, 0);
	ck_assert_int_eq(reseq_run(r, now), now + 150 * MS);
	now += 150 * MS - 1;
	ck_assert_int_eq(reseq_run(r, now), now + 1);
	GOT("0");
	now++;
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	GOT("2 3");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 1);
	ck_assert_int_eq(now - start, 170 * MS);
}
END_TEST

START_TEST(the_deadline_moves_when_packets_flow)
{
	come(0, 0, 0);
	come(2, 0, 1);
	come(4, 0, 2);
	now += 100 * MS;
	come(1, 1, 0);
	GOT("0 1 2");
	ck_assert_int_eq(reseq_run(r, now), now + 150 * MS);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("4");
}
END_TEST

START_TEST(the_earliest_deadline_is_next)
{
	struct arrival other = { 1, 0, 0, 0, false, 10 * MS };

	come(0, 0, 0);
	come_as(&other);
	come(2, 0, 1);
	now += 30 * MS;
	other.seq = 2;
	other.prev = 1;
	come_as(&other);
	GOT("0 1000");
	ck_assert_int_eq(reseq_run(r, now), now + 120 * MS);
	now += 120 * MS;
	/* The line has let a deadline pass, that is enough. */
	reseq_run(r, now);
	got();
	now += 30 * MS;
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	ck_assert_uint_eq(ndelivered, 4);
}
END_TEST

START_TEST(a_silent_line_is_waited_for_once)
{
	come(0, 0, 0);
	come(2, 0, 1);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("0 2");
	come(4, 0, 1);
	come(6, 0, 1);
	GOT("4 6");
	/* More of them missing is no reason to wait either. */
	now += 20 * MS;
	come(9, 0, 1);
	GOT("");
	speak(2, 0);
	GOT("9");
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 1);
	/* It works again: its packets are worth the wait. */
	speak(1, 20 * MS);
	come(11, 0, 1);
	GOT("");
	come(10, 1, 0);
	GOT("10 11");
}
END_TEST

START_TEST(who_brought_the_packet_that_waits_is_not_silent)
{
	come(0, 0, 0);
	come(3, 0, 1);
	now += 150 * MS;
	reseq_run(r, now);
	GOT("0 3");
	come(5, 1, 0);
	GOT("");
	come(4, 0, 0);
	GOT("4 5");
}
END_TEST

/* A packet may name any of 16 lines. */
START_TEST(a_line_that_does_not_exist_is_waited_for_once)
{
	come(0, 0, 0);
	come(2, 0, 15);
	GOT("0");
	now += 150 * MS;
	reseq_run(r, now);
	GOT("2");
	for (uint32_t i = 4; i < 100; i += 2)
		come(i, 0, 15);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	reseq_heard(r, 16, 0, now);
	reseq_heard(r, UINT32_MAX, 0, now);
}
END_TEST

/* --- numbers that begin anew --- */

START_TEST(a_new_peer_counts_anew)
{
	come(100, 0, 0);
	come(102, 0, 1);
	reseq_reset(r);
	GOT("100 102");
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	come(0, 0, 0);
	come(2, 0, 1);
	GOT("0");
	come(1, 1, 0);
	GOT("1 2");
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

START_TEST(what_an_old_peers_line_said_proves_nothing)
{
	speak(1, 0);
	reseq_reset(r);
	come(0, 0, 0);
	come(2, 0, 1);
	GOT("0");
}
END_TEST

START_TEST(packets_of_a_peer_that_is_gone_change_nothing)
{
	struct pktbuf *pb = pktbuf_alloc(pool, LEN);

	come(0, 0, 0);
	come(2, 0, 1);
	pb->len = LEN;
	pb->bucket_seq = 999;
	reseq_bypass(r, pb);
	GOT("0 999");
	come(1, 1, 0);
	GOT("1 2");
}
END_TEST

START_TEST(a_jump_begins_anew)
{
	come(100, 0, 0);
	come(102, 0, 1);
	come(2000000, 0, 0);
	GOT("100 102 2000000");
	come(2000002, 0, 1);
	come(2000001, 1, 0);
	GOT("2000001 2000002");
	come(0, 0, 0);
	GOT("0");
	come(2, 0, 1);
	come(1, 1, 0);
	GOT("1 2");
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

/* Numbers that went back a little look like late packets at first. */
START_TEST(numbers_that_went_back_are_followed)
{
	uint32_t i;

	come(5000, 0, 0);
	quiet = true;
	for (i = 0; i < 300; i++)
		come(i, 0, 0);
	ck_assert_uint_eq(ndelivered, 301);
	quiet = false;
	GOT("5000");
	come(301, 0, 1);
	GOT("");
	come(300, 1, 0);
	GOT("300 301");
}
END_TEST

/* --- memory --- */

static size_t
buffer_bytes(void)
{
	struct pktbuf *pb = pktbuf_alloc(pool, LEN);
	size_t bytes = pktbuf_used(pool, PKTBUF_IO);

	pktbuf_free(pool, pb);
	return bytes;
}

START_TEST(without_room_packets_go_on_in_order)
{
	pktbuf_set_quota(pool, PKTBUF_RESEQ, 3 * buffer_bytes());
	come(0, 0, 0);
	come(3, 0, 1);
	come(4, 0, 0);
	come(8, 0, 1);
	GOT("0");
	/* No room: what goes before it goes, what comes after it waits on. */
	come(6, 0, 1);
	GOT("3 4 6");
	ck_assert_uint_eq(reseq_stats(r)->no_memory, 1);
	ck_assert_uint_eq(reseq_stats(r)->packets, 1);
	come(7, 1, 0);
	GOT("7 8");
	come(9, 0, 0);
	GOT("9");
	ck_assert_uint_eq(reseq_stats(r)->held, 3);
}
END_TEST

START_TEST(without_room_a_packet_frees_what_follows_it)
{
	pktbuf_set_quota(pool, PKTBUF_RESEQ, 2 * buffer_bytes());
	come(0, 0, 0);
	come(4, 0, 1);
	come(5, 0, 0);
	come(3, 0, 1);
	GOT("0 3 4 5");
	come(6, 0, 0);
	GOT("6");
	/* A copy is none of these. */
	come(8, 0, 1);
	come(9, 0, 0);
	come(9, 0, 0);
	GOT("");
	ck_assert_uint_eq(reseq_stats(r)->no_memory, 1);
}
END_TEST

START_TEST(no_room_at_all_is_no_trouble)
{
	pktbuf_set_quota(pool, PKTBUF_RESEQ, 0);
	for (uint32_t i = 0; i < 20; i += 2)
		come(i, 0, 1);
	GOT("0 2 4 6 8 10 12 14 16 18");
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

/* Each of them has its place at the front, found from the end. */
START_TEST(numbers_that_run_backwards_are_bounded)
{
	quiet = true;
	come(0, 0, 0);
	for (uint32_t i = 0; i < 10000; i++)
		come(900000 - 2 * i, 0, 1);
	ck_assert_uint_le(reseq_stats(r)->packets, 8192);
	ck_assert_uint_eq(reseq_stats(r)->packets + ndelivered, ncome);
	now += 150 * MS;
	reseq_run(r, now);
	ck_assert_uint_eq(ndelivered, ncome);
}
END_TEST

/* --- any --- */

static uint64_t
rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

/*
 * Whatever the numbers: every packet goes on after a while, none is lost but
 * copies of what waits, and memory stays in its quota.
 */
START_TEST(no_numbers_keep_packets_for_long)
{
	uint64_t rng = 77 + (uint64_t)_i;
	size_t quota = 200 * buffer_bytes();

	quiet = true;
	pktbuf_set_quota(pool, PKTBUF_RESEQ, quota);
	for (int i = 0; i < 20000; i++) {
		struct arrival a = { (uint16_t)(rnd(&rng) % 40),
			(uint32_t)(rnd(&rng) % 200 + i / 20),
			(unsigned)(rnd(&rng) % 16), (unsigned)(rnd(&rng) % 16),
			rnd(&rng) % 8 == 0, (mono_t)(rnd(&rng) % (70 * SEC)) };
		mono_t next;

		if (rnd(&rng) % 500 == 0)
			a.seq = (uint32_t)rnd(&rng) & FQ_SEQ_MASK;
		if (rnd(&rng) % 1000 == 0)
			reseq_set_links(r, (uint32_t)rnd(&rng) & 0xffff);
		if (rnd(&rng) % 3000 == 0)
			reseq_reset(r);
		come_as(&a);
		if (pktbuf_used(pool, PKTBUF_RESEQ) > quota)
			ck_abort_msg("quota exceeded");
		now += (mono_t)(rnd(&rng) % (2 * MS));
		next = reseq_run(r, now);
		if (next <= now ||
		    (next != MONO_NEVER && next > now + RESEQ_HOLD_MAX))
			ck_abort_msg(
			    "next run in %lld", (long long)(next - now));
	}
	/* At most one deadline for each line. */
	for (int i = 0; i < LINKS_MAX; i++) {
		now += RESEQ_HOLD_MAX;
		reseq_run(r, now);
	}
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 0);
	ck_assert_uint_le(ndelivered, ncome);
	ck_assert_uint_gt(ndelivered, ncome * 8 / 10);
}
END_TEST

/* Lines that keep their order and lose packets: nothing is ever late. */
START_TEST(lossy_lines_deliver_in_order)
{
	enum { N = 4000, GAP = 250 }; /* us between packets */
	static struct arrival sent[N];
	static mono_t at[N];
	uint64_t rng = 1234 + (uint64_t)_i;
	mono_t delay[3], start = now, clear[3] = { 0 };
	unsigned prev[4] = { 0 };
	uint32_t seq[4] = { 0 };
	bool done[N] = { false };

	quiet = true;
	for (int k = 0; k < 3; k++)
		delay[k] = (mono_t)(1 + rnd(&rng) % 100) * MS;
	for (int i = 0; i < N; i++) {
		unsigned b = i < 4 ? (unsigned)i : (unsigned)(rnd(&rng) % 4);
		unsigned line = (unsigned)(rnd(&rng) % 3);

		at[i] = start + i * GAP * NSEC_PER_USEC + delay[line] +
			(mono_t)(rnd(&rng) % (3 * MS));
		if (at[i] < clear[line])
			at[i] = clear[line];
		/* From the first that comes, a bucket's numbers are known. */
		if (i < 4)
			at[i] = start + i * GAP * NSEC_PER_USEC;
		clear[line] = at[i];
		sent[i] =
		    (struct arrival){ (uint16_t)b, seq[b]++, line, prev[b],
			    false, at[i] - start - i * GAP * NSEC_PER_USEC };
		prev[b] = line;
		done[i] = i >= 4 && i < N - 100 && rnd(&rng) % 20 == 0;
	}
	for (;;) {
		int next = -1;

		/* By arrival; ties in the order of sending. */
		for (int i = 0; i < N && at[i] <= now + 110 * MS; i++)
			if (!done[i] && (next == -1 || at[i] < at[next]))
				next = i;
		if (next == -1) {
			if (now > start + 2 * SEC)
				break;
			now += 50 * MS;
			continue;
		}
		done[next] = true;
		now = at[next];
		reseq_run(r, now);
		come_as(&sent[next]);
	}
	now += SEC;
	reseq_run(r, now);
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 0);
	ck_assert_uint_eq(ndelivered, ncome);
	ck_assert_uint_gt(ncome, N * 9 / 10);
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
}
END_TEST

Suite *
reseq_suite(void)
{
	Suite *s = suite_create("reseq");
	TCase *tc = tcase_create("reseq");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_waits_without_a_hole);
	tcase_add_test(tc, the_order_is_restored);
	tcase_add_test(tc, the_first_packets_come_in_order);
	tcase_add_test(tc, the_hole_of_one_bucket_does_not_delay_another);
	tcase_add_test(tc, priority_packets_have_a_space_of_their_own);
	tcase_add_test(tc, numbers_wrap);
	tcase_add_test(tc, late_packets_are_delivered);
	tcase_add_test(tc, a_copy_of_what_waits_is_dropped);
	tcase_add_test(tc, a_loss_on_the_same_line_costs_nothing);
	tcase_add_test(
	    tc, a_hole_is_given_up_when_its_line_brought_something_later);
	tcase_add_test(tc, what_the_line_said_before_counts);
	tcase_add_test(tc, for_many_missing_packets_all_lines_have_to_be_past);
	tcase_add_test(tc, each_hole_is_judged_by_itself);
	tcase_add_test(tc, stamps_wrap);
	tcase_add_loop_test(tc, what_a_line_said_long_ago_proves_nothing, 0, 2);
	tcase_add_test(tc, a_hole_is_given_up_after_150_ms);
	tcase_add_test(tc, the_deadline_moves_when_packets_flow);
	tcase_add_test(tc, the_earliest_deadline_is_next);
	tcase_add_test(tc, a_silent_line_is_waited_for_once);
	tcase_add_test(tc, who_brought_the_packet_that_waits_is_not_silent);
	tcase_add_test(tc, a_line_that_does_not_exist_is_waited_for_once);
	tcase_add_test(tc, a_new_peer_counts_anew);
	tcase_add_test(tc, what_an_old_peers_line_said_proves_nothing);
	tcase_add_test(tc, packets_of_a_peer_that_is_gone_change_nothing);
	tcase_add_test(tc, a_jump_begins_anew);
	tcase_add_test(tc, numbers_that_went_back_are_followed);
	tcase_add_test(tc, without_room_packets_go_on_in_order);
	tcase_add_test(tc, without_room_a_packet_frees_what_follows_it);
	tcase_add_test(tc, no_room_at_all_is_no_trouble);
	tcase_add_test(tc, numbers_that_run_backwards_are_bounded);
	tcase_add_loop_test(tc, no_numbers_keep_packets_for_long, 0, 10);
	tcase_add_loop_test(tc, lossy_lines_deliver_in_order, 0, 10);
	suite_add_tcase(s, tc);
	return s;
}
