/*
 * A day in the life: handshakes, flaps, restarts, overload.  Afterwards all
 * memory is where it was.  Built with sanitizers, leaks show as well.
 */
#include "config.h"

#include <check.h>
#include <malloc.h>
#include <string.h>

#include "sim.h"

static size_t
sessions(struct sim *s)
{
	size_t n = 0;

	for (int e = 0; e < 2; e++)
		for (unsigned i = 0; i < s->setup.lines; i++) {
			const struct link *l = sim_link(s, e, i);

			n += l->cur.used + l->prev.used + l->next.session.used +
			     l->attempt.active;
			for (int k = 0; k < LINK_PENDING_MAX; k++)
				n += l->pending[k].used;
		}
	return n;
}

static void
hour(struct sim *s, unsigned k)
{
	sim_stream(s, CLIENT, 300, 50 * MSEC, s->now - s->start + 5 * SEC);
	sim_cut(s, k % 3, true);
	sim_for(s, 12 * SEC);
	sim_cut(s, k % 3, false);
	sim_for(s, 5 * SEC);
	if (k % 4 == 3) {
		s->calling = CLIENT;
		tunnel_rekey(s->end[CLIENT].t, s->now);
		sim_wake(&s->end[CLIENT], s->now);
	}
	sim_for(s, 600 * SEC);
}

START_TEST(a_day_of_handshakes_and_flaps_leaks_nothing)
{
	struct sim_setup su = sim_setup(3);
	struct mallinfo2 before, after;
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher =
	    _i == 0 ? "auto" : "none";
	s = sim_new_up(&su);
	for (unsigned k = 0; k < 10; k++)
		hour(s, k);
	before = mallinfo2();
	for (unsigned k = 0; k < 140; k++)
		hour(s, k);
	after = mallinfo2();
	sim_check_empty(s);
	/* cur at each end of each link, nothing else. */
	ck_assert_uint_eq(sessions(s), 6);
	ck_assert_uint_ge(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 150);
	/* The flows of the world itself: 300 delays each. */
	ck_assert_uint_lt(after.uordblks, before.uordblks + 140 * 16384);
	sim_free(s);
}
END_TEST

START_TEST(reloads_and_restarts_leak_nothing)
{
	struct sim_setup su = sim_setup(5);
	struct sim *s = sim_new_up(&su);

	for (unsigned k = 0; k < 100; k++) {
		s->setup.removed = (unsigned)sim_random(&s->random) & 0x1e;
		s->setup.up_Bps[0] = 100000 + 1000 * k;
		sim_reload(s, CLIENT, k % 7 == 0);
		sim_reload(s, SERVER, k % 7 == 0);
		sim_load(s, CLIENT, 500000, s->now - s->start + 50 * MSEC);
		sim_for(s, 200 * MSEC);
		if (k % 10 == 9)
			sim_restart(s, k % 20 < 10 ? CLIENT : SERVER);
	}
	s->setup.removed = 0;
	sim_reload(s, CLIENT, false);
	sim_reload(s, SERVER, false);
	ck_assert(sim_wait_up(s, 5, 20 * SEC));
	sim_for(s, 30 * SEC);
	sim_check_empty(s);
	ck_assert_uint_eq(sessions(s), 10);
	sim_free(s);
}
END_TEST

/* Floods of small packets into a small pool. */
START_TEST(overload_stays_within_the_limit)
{
	struct sim_setup su = sim_setup(1);
	struct sim_flow *f, *sparse;
	struct sim *s;

	su.end[CLIENT].general = "memory = 4";
	su.up_Bps[0] = 100000;
	s = sim_new_up(&su);
	for (int i = 0; i < 20; i++)
		f = sim_stream(
		    s, CLIENT, 100, 100 * USEC, s->now - s->start + SEC);
	sparse = sim_stream(s, CLIENT, 100, 20 * MSEC, s->now - s->start + SEC);
	for (int i = 0; i < 100; i++) {
		sim_for(s, 10 * MSEC);
		ck_assert_uint_le(
		    pktbuf_pool_bytes(s->end[CLIENT].t->pool), 4 << 20);
	}
	sim_for(s, 10 * SEC);
	ck_assert_uint_lt(f->got, f->sent);
	ck_assert_uint_ge(sparse->got, sparse->sent * 9 / 10);
	sim_check_empty(s);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_memory_suite(void);

Suite *
sim_memory_suite(void)
{
	Suite *suite = suite_create("sim_memory");
	TCase *tc = tcase_create("memory");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(
	    tc, a_day_of_handshakes_and_flaps_leaks_nothing, 0, 2);
	tcase_add_test(tc, reloads_and_restarts_leak_nothing);
	tcase_add_test(tc, overload_stays_within_the_limit);
	suite_add_tcase(suite, tc);
	return suite;
}
