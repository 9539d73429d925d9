/*
 * A link's number on the wire is the client's to give, and it may give it to
 * another one while the server still has keys of the first.
 */
#include "config.h"

#include <check.h>

#include "sim.h"

/* No two links of the server go by one number. */
static void
check_numbers(struct sim *s)
{
	const struct link *links = s->end[SERVER].t->links;
	unsigned taken = 0;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (!links[i].used || !links[i].cur.used)
			continue;
		ck_assert_uint_eq(taken & 1U << links[i].wire_id, 0);
		taken |= 1U << links[i].wire_id;
	}
}

/* The client's file has all but one of the server's three lines. */
static struct sim *
start_without(const struct sim_setup *su)
{
	struct sim *s = sim_new(su);

	s->setup.removed = 0;
	sim_reload(s, SERVER, false);
	ck_assert(sim_wait_up(s, 2, SEC));
	return s;
}

/* What the server sends is told of, hence repaired, by every line that is up.
 */
static void
check_reports(struct sim *s, unsigned up)
{
	struct sim_flow *f;
	mono_t end;

	check_numbers(s);
	for (unsigned i = 0; i < s->setup.lines; i++)
		s->line[i].dir[SERVER].loss = 0.03;
	end = s->now - s->start + 5 * SEC;
	f = sim_stream(s, SERVER, 1000, 2 * MSEC, end);
	sim_for(s, 6 * SEC);
	ck_assert_uint_gt(f->sent, 2000);
	ck_assert_uint_eq(f->got, f->sent);
	for (unsigned i = 0; i < s->setup.lines; i++) {
		struct link *l = sim_link(s, SERVER, i);

		if (l == NULL || !l->up)
			continue;
		up--;
		ck_assert(l->delay.known);
		ck_assert_uint_eq(l->retain.data, 0);
	}
	ck_assert_uint_eq(up, 0);
	check_numbers(s);
	sim_check(s);
}

/* The line has died, is taken out of the file, and the client starts anew. */
START_TEST(the_number_of_a_dead_line_is_free)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.timeout_ms = 2000;
	s = sim_new_up(&su);
	sim_for(s, SEC);
	sim_cut(s, 0, true);
	sim_for(s, 5 * SEC);
	s->setup.removed = 1;
	sim_restart(s, CLIENT);
	sim_for(s, 5 * SEC);
	ck_assert(sim_link(s, SERVER, 1)->up);
	check_reports(s, 1);
	sim_free(s);
}
END_TEST

/* Its goodbye is lost, so that the server still takes it for alive. */
START_TEST(the_number_of_a_removed_line_is_free)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s;

	su.removed = 1U << 2;
	s = start_without(&su);
	sim_for(s, SEC);
	sim_cut(s, 0, true);
	s->setup.removed = 1U << 2 | 1;
	sim_reload(s, CLIENT, false);
	sim_for(s, SEC);
	s->setup.removed = 1;
	sim_reload(s, CLIENT, false);
	sim_for(s, SEC);
	ck_assert(!sim_link(s, SERVER, 0)->up);
	ck_assert(sim_link(s, SERVER, 2)->up);
	check_reports(s, 2);
	ck_assert_uint_eq(
	    sim_log_count(s, SERVER, "its number is another's now"), 1);
	sim_free(s);
}
END_TEST

/* Each gets the number of another one at once. */
START_TEST(numbers_may_go_round)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s;

	su.seed = (uint64_t)_i + 1;
	su.removed = 1;
	s = start_without(&su);
	s->setup.removed = 0;
	sim_reload(s, CLIENT, false);
	ck_assert(sim_wait_up(s, 3, SEC));
	for (unsigned i = 0; i < 3; i++)
		s->line[i].dir[CLIENT].delay =
		    (mono_t)(sim_random(&s->random) % 30) * MSEC;
	sim_restart(s, CLIENT);
	sim_for(s, SEC);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 3);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 3);
	check_reports(s, 3);
	sim_free(s);
}
END_TEST

Suite *sim_number_suite(void);

Suite *
sim_number_suite(void)
{
	Suite *suite = suite_create("sim_number");
	TCase *tc = tcase_create("number");

	tcase_add_test(tc, the_number_of_a_dead_line_is_free);
	tcase_add_test(tc, the_number_of_a_removed_line_is_free);
	tcase_add_loop_test(tc, numbers_may_go_round, 0, 8);
	suite_add_tcase(suite, tc);
	return suite;
}
