/*
 * SIGHUP: links come, go, move and change; what did not change carries on.
 */
#include "config.h"

#include <check.h>

#include "sim.h"

#define TIMEOUT (2 * SEC)

static struct sim_setup
three_lines(void)
{
	struct sim_setup su = sim_setup(3);

	su.timeout_ms = TIMEOUT / MSEC;
	return su;
}

static void
both_have(struct sim *s, unsigned n)
{
	ck_assert_uint_eq(s->end[CLIENT].t->nup, n);
	ck_assert_uint_eq(s->end[SERVER].t->nup, n);
}

/* It is agreed, and is what the pacer goes by, less a trim at most. */
static void
sends_at(struct sim *s, int end, unsigned line, uint64_t rate_Bps)
{
	const struct link *l = sim_link(s, end, line);

	ck_assert_uint_eq(l->rate.now_Bps, rate_Bps);
	ck_assert_uint_eq(l->pacer.rate_Bps, rate_pace(&l->rate));
	ck_assert_uint_ge(l->pacer.rate_Bps, rate_Bps - rate_Bps / 64);
}

START_TEST(reloads_leave_unchanged_links_alone)
{
	struct sim_setup su = three_lines();
	struct sim_flow *up, *down;
	struct sim *s;

	su.lines = 4;
	su.removed = 1U << 3;
	s = sim_new(&su);
	ck_assert(sim_wait_up(s, 3, SEC));
	up = sim_stream(s, CLIENT, 500, 5 * MSEC, 30 * SEC);
	down = sim_stream(s, SERVER, 500, 5 * MSEC, 30 * SEC);
	sim_for(s, SEC);
	s->setup.removed = 0; /* one more */
	sim_reload(s, SERVER, false);
	sim_for(s, 100 * MSEC);
	sim_reload(s, CLIENT, false);
	ck_assert(sim_wait_up(s, 4, 3 * SEC));
	sim_for(s, SEC);
	s->setup.up_Bps[0] = s->setup.down_Bps[1] = 2500000; /* other rates */
	sim_reload(s, CLIENT, false);
	sim_reload(s, SERVER, false);
	sim_for(s, SEC);
	sends_at(s, CLIENT, 0, 2500000);
	sends_at(s, SERVER, 1, 2500000);
	sends_at(s, CLIENT, 1, 1250000);
	sends_at(s, SERVER, 0, 1250000);
	s->setup.timeout_ms = 5000; /* another time-out */
	sim_reload(s, CLIENT, false);
	sim_reload(s, SERVER, false);
	sim_for(s, 3 * SEC);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	s->setup.removed = 1; /* one less; its last packets are in flight */
	sim_reload(s, CLIENT, false);
	sim_for(s, SEC);
	sim_reload(s, SERVER, false);
	sim_until(s, 32 * SEC);
	both_have(s, 3);
	ck_assert_uint_ge(up->got, up->sent - 4);
	ck_assert_uint_ge(down->got, down->sent - 4);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 1);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 1);
	sim_free(s);
}
END_TEST

static void
set_rate(struct sim *s, uint64_t rate_Bps)
{
	s->setup.up_Bps[0] = rate_Bps;
	sim_reload(s, CLIENT, false);
	sim_for(s, SEC);
}

/* Bytes a second that enter the first line, all lines being full. */
static uint64_t
sent_Bps(struct sim *s)
{
	uint64_t before = s->line[0].dir[CLIENT].bytes;

	sim_for(s, 4 * SEC);
	return (s->line[0].dir[CLIENT].bytes - before) / 4;
}

/* Slower and faster again, while there is more to send than all carry. */
START_TEST(another_rate_is_what_is_sent)
{
	static const uint64_t rates[] = { 1250000, 600000, 1000000, 300000 };
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	uint64_t sent;

	sim_load(s, CLIENT, 4000000, 60 * SEC);
	for (size_t i = 0; i < nitems_of(rates); i++) {
		set_rate(s, rates[i]);
		sends_at(s, CLIENT, 0, rates[i]);
		sent = sent_Bps(s);
		ck_assert_uint_le(sent, rates[i] + rates[i] / 100);
		ck_assert_uint_ge(sent, rates[i] - rates[i] / 20);
	}
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* A link that starts anew within the same process: _i the end. */
START_TEST(a_moved_link_stays_up_afterwards)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	sim_load(s, CLIENT, 1000000, 5 * SEC);
	sim_load(s, SERVER, 1000000, 5 * SEC);
	sim_for(s, 5 * SEC);
	s->setup.end[_i].link =
	    _i == CLIENT ? "bindhost = 0.0.0.0" : "interface = eth9";
	sim_reload(s, _i, false);
	ck_assert(sim_wait_up(s, 3, 3 * TIMEOUT));
	s->end[CLIENT].events[TUNNEL_LINK_DOWN] = 0;
	s->end[SERVER].events[TUNNEL_LINK_DOWN] = 0;
	sim_for(s, 200 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_free(s);
}
END_TEST

/* As when a link moves from a slow line to a fast one. */
START_TEST(a_late_goodbye_does_not_end_what_came_after)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	struct sim_dir *d;

	sim_for(s, 5 * SEC);
	for (unsigned i = 0; i < 3; i++)
		s->line[i].dir[CLIENT].delay = 600 * MSEC;
	s->setup.end[CLIENT].link = "bindhost = 0.0.0.0";
	sim_reload(s, CLIENT, false);
	for (unsigned i = 0; i < 3; i++) {
		d = &s->line[i].dir[CLIENT];
		d->delay = 10 * MSEC;
		d->last_at = 0;
	}
	sim_for(s, 500 * MSEC);
	both_have(s, 3);
	sim_for(s, 5 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* The same, removed and added again, in another slot. */
START_TEST(a_link_that_was_away_stays_up_afterwards)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	sim_load(s, CLIENT, 1000000, 5 * SEC);
	sim_load(s, SERVER, 1000000, 5 * SEC);
	sim_for(s, 5 * SEC);
	s->setup.removed = 2;
	sim_reload(s, _i, false);
	sim_for(s, 5 * SEC);
	s->setup.removed = 0;
	sim_reload(s, _i, false);
	ck_assert(sim_wait_up(s, 3, 3 * TIMEOUT));
	s->end[CLIENT].events[TUNNEL_LINK_DOWN] = 0;
	s->end[SERVER].events[TUNNEL_LINK_DOWN] = 0;
	sim_for(s, 200 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_free(s);
}
END_TEST

/* Each file has its own time-out: the other end need not know it. */
START_TEST(a_shorter_timeout_at_one_end_holds)
{
	struct sim_setup su = three_lines();
	struct sim *s;

	su.timeout_ms = 60000;
	su.end[_i].link = "timeout = 1";
	s = sim_new_up(&su);
	sim_until(s, 60 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_cut(s, 1, true);
	sim_for(s, 1200 * MSEC);
	ck_assert(!sim_link(s, _i, 1)->up);
	sim_cut(s, 1, false);
	ck_assert(sim_wait_up(s, 3, 3 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Idle: the last proof is older than the new time-out. */
START_TEST(a_timeout_made_shorter_takes_no_link_down)
{
	struct sim_setup su = three_lines();
	struct sim *s;

	su.timeout_ms = 60000;
	s = sim_new_up(&su);
	sim_until(s, 31900 * MSEC);
	s->setup.end[_i].link = "timeout = 1";
	sim_reload(s, _i, false);
	sim_for(s, 20 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_reload_suite(void);

Suite *
sim_reload_suite(void)
{
	Suite *suite = suite_create("sim_reload");
	TCase *tc = tcase_create("reload");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, reloads_leave_unchanged_links_alone);
	tcase_add_test(tc, another_rate_is_what_is_sent);
	tcase_add_loop_test(tc, a_moved_link_stays_up_afterwards, 0, 2);
	tcase_add_loop_test(tc, a_link_that_was_away_stays_up_afterwards, 0, 2);
	tcase_add_test(tc, a_late_goodbye_does_not_end_what_came_after);
	tcase_add_loop_test(tc, a_shorter_timeout_at_one_end_holds, 0, 2);
	tcase_add_loop_test(
	    tc, a_timeout_made_shorter_takes_no_link_down, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}
