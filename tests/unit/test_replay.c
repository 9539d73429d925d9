/*
 * The replay window: a table of sequences and verdicts, after WireGuard's
 * selftest, then a comparison with a window that remembers everything.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/replay.h"

#define W REPLAY_WINDOW
#define TOP ((UINT64_C(1) << 48) - 1)

Suite *replay_suite(void);

static const struct {
	uint64_t seq;
	bool accepted;
} steps[] = {
	{ 0, true },
	{ 1, true },
	{ 1, false },
	{ 9, true },
	{ 8, true },
	{ 7, true },
	{ 7, false },
	{ W, true },
	{ W - 1, true },
	{ W - 1, false },
	{ W - 2, true },
	{ 2, true },
	{ 2, false },
	{ W + 16, true },
	{ 3, false }, /* too old from now on */
	{ W + 16, false },
	{ W * 4, true },
	{ W * 4 - (W - 1), true }, /* the oldest that fits */
	{ 10, false },
	{ W * 4 - W, false }, /* one older */
	{ W * 4 - (W + 1), false },
	{ W * 4 - (W - 2), true },
	{ W * 4 + 1 - W, false },
	{ 0, false },
	{ TOP - W - 1, true }, /* further than the window is long */
	{ W * 4 + 1, false },
	{ TOP, true },
	{ TOP - 1, true },
	{ TOP - 1, false },
	{ TOP - 2, true },
	{ TOP - (W - 1), true },
	{ TOP - W, false },
	{ TOP, false },
	{ 0, false },
};

START_TEST(window_follows_the_table)
{
	struct replay r;

	replay_init(&r);
	for (size_t i = 0; i < nitems_of(steps); i++)
		ck_assert_msg(
		    replay_accept(&r, steps[i].seq) == steps[i].accepted,
		    "step %zu, sequence %llu", i,
		    (unsigned long long)steps[i].seq);
}
END_TEST

START_TEST(ascending_sequences_are_accepted_once)
{
	struct replay r;

	replay_init(&r);
	for (uint64_t i = 1; i <= 3 * W; i++)
		if (!replay_accept(&r, i))
			ck_abort_msg("%llu refused", (unsigned long long)i);
	for (uint64_t i = 0; i <= 3 * W; i++)
		if (replay_accept(&r, i))
			ck_abort_msg("%llu again", (unsigned long long)i);
}
END_TEST

START_TEST(descending_sequences_are_accepted_once)
{
	struct replay r;

	replay_init(&r);
	for (uint64_t i = W; i > 0; i--)
		ck_assert(replay_accept(&r, i));
	ck_assert(!replay_accept(&r, 0));
	for (uint64_t i = W; i > 0; i--)
		ck_assert(!replay_accept(&r, i));
}
END_TEST

/* A link's sequence goes on while its keys change, so it rarely starts at 0. */
START_TEST(first_packet_may_have_any_sequence)
{
	struct replay r;

	replay_init(&r);
	ck_assert(replay_accept(&r, 1000000));
	ck_assert(!replay_accept(&r, 1000000));
	ck_assert(replay_accept(&r, 1000000 - (W - 1)));
	ck_assert(!replay_accept(&r, 1000000 - W));
}
END_TEST

#define PLAYED 60000

START_TEST(agrees_with_a_window_that_remembers_all)
{
	static bool seen[PLAYED * 4];
	struct replay r;
	uint64_t highest = 0, base = 0;

	replay_init(&r);
	srand(1);
	for (size_t i = 0; i < PLAYED; i++) {
		uint64_t back = (uint64_t)rand() % (W + 200);
		uint64_t seq;
		bool fresh;

		base += (uint64_t)rand() % 4;
		seq = base > back ? base - back : 0;
		fresh = !seen[seq] && seq + W > highest;
		if (replay_accept(&r, seq) != fresh)
			ck_abort_msg("wrong of %llu", (unsigned long long)seq);
		seen[seq] = true;
		if (seq > highest)
			highest = seq;
	}
}
END_TEST

Suite *
replay_suite(void)
{
	Suite *s = suite_create("replay");
	TCase *tc = tcase_create("replay");

	tcase_add_test(tc, window_follows_the_table);
	tcase_add_test(tc, ascending_sequences_are_accepted_once);
	tcase_add_test(tc, descending_sequences_are_accepted_once);
	tcase_add_test(tc, first_packet_may_have_any_sequence);
	tcase_add_test(tc, agrees_with_a_window_that_remembers_all);
	suite_add_tcase(s, tc);
	return s;
}
