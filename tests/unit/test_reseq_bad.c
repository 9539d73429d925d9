/*
 * The resequencer when things go wrong: numbers begin anew or make no sense,
 * memory is full.  Nothing that a peer numbers makes it wait, work or hold
 * without bound.
 */
#include "config.h"

#include <check.h>

#include "reseq_peer.h"

Suite *reseq_bad_suite(void);

/* --- numbers that begin anew --- */

START_TEST(a_new_peer_counts_anew)
{
	come(100, 0, 0);
	come(102, 0, 1);
	reseq_reset(r, now);
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
	speak(1, 500 * MS);
	reseq_reset(r, now);
	begin_hole();
	pass_time(RESEQ_HOLD);
	GOT("0 2");
}
END_TEST

/* Neither a skip nor a hole nor what came late. */
START_TEST(what_an_old_peer_numbered_means_nothing)
{
	come(50, 0, 0);
	come(52, 0, 1);
	come(49, 1, 0);
	pass_time(RESEQ_HOLD);
	skip(54);
	GOT("50 49 52");
	reseq_reset(r, now);
	come_range(0, 49);
	got();
	come_range(49, 56);
	GOT("49 50 51 52 53 54 55");
	come(51, 1, 0);
	GOT("");
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

/* Not the last half of them, of which nothing was skipped. */
START_TEST(a_skip_holds_however_many_numbers_came_before)
{
	const uint32_t half = (FQ_SEQ_MASK + 1) / 2, step = half / 4;
	const uint32_t at = half - 3;

	for (uint32_t seq = 0; seq < at; seq += step) {
		come(seq, 0, 0);
		pass_time(SEC);
	}
	come(at, 0, 0);
	pass_time(SEC);
	got();
	come(at + 1, 0, 0);
	skip(at + 2);
	come(at + 3, 0, 0);
	GOT("2097150 2097152");
	ck_assert_uint_eq(reseq_stats(r)->skipped, 1);
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
	ck_assert_uint_eq(
	    reseq_stats(r)->packets + ndelivered + reseq_stats(r)->duplicates,
	    ncome);
	now += RESEQ_HOLD;
	reseq_run(r, now);
	ck_assert_uint_eq(ndelivered + reseq_stats(r)->duplicates, ncome);
}
END_TEST

/* --- any --- */

/*
 * Whatever the numbers: every packet goes on after a while unless it counts as
 * a copy, and memory stays in its quota.
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
			reseq_reset(r, now);
		if (rnd(&rng) % 4 == 0)
			reseq_skip(r, a.priority, a.bucket,
			    a.seq + (uint32_t)(rnd(&rng) % 20), now);
		come_as(&a);
		if (pktbuf_used(pool, PKTBUF_RESEQ) > quota)
			ck_abort_msg("quota exceeded");
		now += (mono_t)(rnd(&rng) % (2 * MS));
		next = reseq_run(r, now);
		if (next <= now ||
		    (next != MONO_NEVER &&
			next > now + RESEQ_EXPECT_MAX + RESEQ_HOLD))
			ck_abort_msg(
			    "next run in %lld", (long long)(next - now));
	}
	pass_time(RESEQ_EXPECT_MAX + RESEQ_HOLD);
	ck_assert_uint_eq(reseq_stats(r)->packets, 0);
	ck_assert_uint_eq(reseq_stats(r)->bytes, 0);
	ck_assert_uint_eq(ndelivered + reseq_stats(r)->duplicates, ncome);
	ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
}
END_TEST

Suite *
reseq_bad_suite(void)
{
	Suite *s = suite_create("reseq_bad");
	TCase *tc = tcase_create("bad");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_new_peer_counts_anew);
	tcase_add_test(tc, what_an_old_peers_line_said_proves_nothing);
	tcase_add_test(tc, what_an_old_peer_numbered_means_nothing);
	tcase_add_test(tc, a_jump_begins_anew);
	tcase_add_test(tc, a_skip_holds_however_many_numbers_came_before);
	tcase_add_test(tc, without_room_packets_go_on_in_order);
	tcase_add_test(tc, without_room_a_packet_frees_what_follows_it);
	tcase_add_test(tc, no_room_at_all_is_no_trouble);
	tcase_add_test(tc, numbers_that_run_backwards_are_bounded);
	tcase_add_loop_test(tc, no_numbers_keep_packets_for_long, 0, 10);
	suite_add_tcase(s, tc);
	return s;
}
