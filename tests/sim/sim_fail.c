/*
 * Lines, addresses and processes come and go; what is left carries the traffic.
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>

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

/* _i: with cipher none */
START_TEST(a_dead_line_is_noticed_within_its_timeout_and_heals)
{
	struct sim_setup su = three_lines();
	struct sim_flow *f;
	struct sim *s;

	if (_i == 1)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	sim_until(s, 5 * SEC);
	sim_cut(s, 1, true);
	sim_for(s, TIMEOUT + 20 * MSEC);
	both_have(s, 2);
	ck_assert(!sim_link(s, CLIENT, 1)->up);
	ck_assert_uint_eq(sim_log_count(s, -1,
			      "down, peer 10.1.0.2:5001, rtt 20 ms, no "
			      "answer for 2 s"),
	    1);
	ck_assert_uint_eq(sim_log_count(s, SERVER, "no answer for 2 s"), 1);
	f = sim_load(s, CLIENT, 1000000, 30 * SEC);
	sim_until(s, 30 * SEC);
	sim_cut(s, 1, false);
	ck_assert(sim_wait_up(s, 3, 2 * SEC));
	ck_assert_uint_eq(f->got, f->sent);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 1);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 1);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_BOND_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Under load, in one direction only: both ends have to find out. */
START_TEST(a_line_cut_in_one_direction_goes_down_at_both_ends)
{
	struct sim_setup su = three_lines();
	struct sim_flow *up, *down;
	struct sim *s = sim_new_up(&su);

	sim_until(s, 5 * SEC);
	if (_i >= 2) {
		sim_load(s, CLIENT, 500000, 60 * SEC);
		sim_load(s, SERVER, 500000, 60 * SEC);
		sim_until(s, 6 * SEC);
	}
	s->line[2].dir[_i % 2].cut = true;
	/* The last proof may be as old as a keepalive was under way. */
	sim_for(s, TIMEOUT + 100 * MSEC);
	both_have(s, 2);
	up = sim_stream(s, CLIENT, 500, 10 * MSEC, 60 * SEC);
	down = sim_stream(s, SERVER, 500, 10 * MSEC, 60 * SEC);
	sim_until(s, 60 * SEC);
	both_have(s, 2);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 1);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 1);
	sim_for(s, SEC);
	ck_assert_uint_eq(up->got, up->sent);
	ck_assert_uint_eq(down->got, down->sent);
	s->line[2].dir[_i % 2].cut = false;
	ck_assert(sim_wait_up(s, 3, 3 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Keepalives of the tunnel are 250 ms apart. */
START_TEST(a_line_that_was_silent_for_a_moment_is_back_as_soon)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	const struct sim_dir *line = &s->line[1].dir[CLIENT];
	const struct link *l = sim_link(s, CLIENT, 1);
	uint64_t before;
	mono_t healed;

	sim_load(s, CLIENT, 1000000, MONO_NEVER);
	sim_until(s, 5 * SEC);
	sim_cut(s, 1, true);
	while (l->up)
		sim_for(s, 5 * MSEC);
	sim_for(s, 100 * MSEC);
	sim_cut(s, 1, false);
	healed = s->now;
	while (!l->in_use && s->now < healed + SEC)
		sim_for(s, 5 * MSEC);
	ck_assert_int_le(s->now - healed, 150 * MSEC);
	/* If it is not back soon it costs next to nothing. */
	sim_cut(s, 1, true);
	while (l->up)
		sim_for(s, 5 * MSEC);
	before = line->packets;
	sim_for(s, 10 * SEC);
	ck_assert_uint_ge(line->packets - before, 40);
	ck_assert_uint_le(line->packets - before, 100);
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(all_lines_cut_and_back)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	for (unsigned i = 0; i < 3; i++)
		sim_cut(s, i, true);
	sim_stream(s, CLIENT, 200, 10 * MSEC, 200 * SEC);
	sim_for(s, 150 * SEC);
	both_have(s, 0);
	ck_assert(!s->end[CLIENT].bond_up);
	ck_assert(!s->end[SERVER].bond_up);
	ck_assert_uint_gt(s->end[CLIENT].t->stats.drop_no_link, 10000);
	for (unsigned i = 0; i < 3; i++)
		sim_cut(s, i, false);
	ck_assert(sim_wait_up(s, 3, 3 * SEC));
	ck_assert(s->end[CLIENT].bond_up && s->end[SERVER].bond_up);
	sim_check(s);
	sim_free(s);
}
END_TEST

static void
toggle(struct sim *s, void *arg)
{
	unsigned line = (unsigned)(uintptr_t)arg;
	struct sim_dir *d = &s->line[line].dir[sim_random(&s->random) % 2];

	d->cut = !d->cut;
	sim_at(
	    s, s->now + (mono_t)(sim_chance(s) * 4 * (double)SEC), toggle, arg);
}

START_TEST(flapping_lines_leave_the_others_alone)
{
	struct sim_setup su = three_lines();
	struct sim_flow *f;
	struct sim *s;

	su.seed = (uint64_t)_i;
	s = sim_new_up(&su);
	sim_at(s, s->now, toggle, (void *)(uintptr_t)1);
	sim_at(s, s->now, toggle, (void *)(uintptr_t)2);
	f = sim_stream(s, CLIENT, 500, 5 * MSEC, 300 * SEC);
	sim_until(s, 300 * SEC);
	ck_assert_uint_eq(sim_link(s, CLIENT, 0)->stats.flaps, 0);
	ck_assert_uint_eq(sim_link(s, SERVER, 0)->stats.flaps, 0);
	ck_assert_uint_gt(f->got, f->sent / 2);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* _i: which end. */
START_TEST(a_process_that_died_is_replaced)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	struct sim_flow *f;

	sim_stream(s, CLIENT, 500, 10 * MSEC, 100 * SEC);
	for (int k = 0; k < 5; k++) {
		sim_for(s, 3 * SEC + (mono_t)(sim_random(&s->random) % SEC));
		sim_restart(s, _i);
		sim_for(s, TIMEOUT + SEC);
		both_have(s, 3);
		f = sim_stream(
		    s, SERVER, 500, 10 * MSEC, s->now - s->start + SEC);
		sim_for(s, 2 * SEC);
		ck_assert_uint_eq(f->got, f->sent);
	}
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(an_orderly_end_is_noticed_at_once)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	sim_for(s, 3 * SEC);
	sim_stop(s, _i);
	sim_for(s, 50 * MSEC);
	ck_assert_uint_eq(s->end[1 - _i].t->nup, 0);
	ck_assert_uint_eq(sim_log_count(s, 1 - _i, "peer closed"), 3);
	ck_assert(!s->end[1 - _i].bond_up);
	sim_for(s, 30 * SEC);
	sim_start(s, _i);
	ck_assert(sim_wait_up(s, 3, 2 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(a_client_that_roams_is_followed)
{
	struct sim_setup su = three_lines();
	struct sim_flow *up, *down;
	struct sim *s = sim_new_up(&su);

	up = sim_stream(s, CLIENT, 500, 5 * MSEC, 20 * SEC);
	down = sim_stream(s, SERVER, 500, 5 * MSEC, 20 * SEC);
	for (int k = 0; k < 10; k++) {
		sim_for(s, 1500 * MSEC);
		sim_roam(s, 1);
	}
	sim_until(s, 22 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(sim_log_count(s, SERVER, "peer moved from"), 10);
	ck_assert(addr_equal(
	    &sim_link(s, SERVER, 1)->path.peer, &s->line[1].addr[CLIENT]));
	ck_assert_uint_eq(up->got, up->sent);
	/* Downwards a round trip's share of the line is lost each time. */
	ck_assert_uint_ge(down->got, down->sent - 10 * 6);
	sim_check(s);
	sim_free(s);
}
END_TEST

static bool
drop_probe_answers(struct sim *s, void *ctx, struct sim_dgram *d)
{
	const union addr *real = ctx;

	(void)s;
	/* Whoever sends from the new address never gets an answer through. */
	return !(d->from == SERVER && !addr_equal(&d->dst, real));
}

START_TEST(the_path_moves_only_after_the_probe_was_answered)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	union addr real = s->line[1].addr[CLIENT];

	sim_for(s, 3 * SEC);
	sim_roam(s, 1);
	s->filter = drop_probe_answers;
	s->filter_ctx = &real;
	sim_stream(s, CLIENT, 500, 10 * MSEC, 6 * SEC);
	sim_until(s, 4 * SEC);
	ck_assert(addr_equal(&sim_link(s, SERVER, 1)->path.peer, &real));
	s->filter = NULL;
	sim_until(s, 6 * SEC);
	ck_assert(!addr_equal(&sim_link(s, SERVER, 1)->path.peer, &real));
	sim_free(s);
}
END_TEST

/* Without keys nobody roams, but a new handshake finds the way. */
START_TEST(without_cipher_a_new_address_needs_a_handshake)
{
	struct sim_setup su = three_lines();
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	sim_for(s, 3 * SEC);
	sim_roam(s, 1);
	sim_for(s, TIMEOUT + 3 * SEC);
	both_have(s, 3);
	ck_assert_uint_eq(sim_log_count(s, SERVER, "peer moved"), 0);
	ck_assert(addr_equal(
	    &sim_link(s, SERVER, 1)->path.peer, &s->line[1].addr[CLIENT]));
	sim_free(s);
}
END_TEST

/* The server asks before its time-out ends, and the client follows. */
START_TEST(a_server_that_moves_is_followed)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	sim_for(s, 3 * SEC);
	s->line[0].addr[SERVER].in4.sin_addr.s_addr ^= htonl(0x100);
	sim_for(s, TIMEOUT);
	both_have(s, 3);
	ck_assert_uint_eq(sim_log_count(s, CLIENT, "peer moved"), 1);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	sim_free(s);
}
END_TEST

START_TEST(the_servers_new_address_is_resolved_anew)
{
	struct sim_setup su = three_lines();
	struct sim *s;

	/* In clear nobody is followed. */
	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	sim_for(s, 3 * SEC);
	s->line[0].addr[SERVER].in4.sin_addr.s_addr ^= htonl(0x100);
	ck_assert(sim_wait_up(s, 2, TIMEOUT + SEC));
	ck_assert(sim_wait_up(s, 3, 4 * SEC));
	sim_free(s);
}
END_TEST

START_TEST(a_lost_socket_is_asked_for_and_used)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);
	struct sim_end *e = &s->end[_i];

	sim_for(s, 3 * SEC);
	e->no_sockets = true;
	s->calling = _i;
	tunnel_link_socket(e->t, 0, 0, ENODEV, s->now);
	sim_wake(e, s->now);
	ck_assert_uint_eq(e->t->nup, 2);
	ck_assert_uint_eq(
	    sim_log_count(s, _i, "socket lost: No such device"), 1);
	sim_for(s, 10 * SEC);
	both_have(s, 2);
	e->no_sockets = false;
	ck_assert(sim_wait_up(s, 3, 20 * SEC));
	sim_free(s);
}
END_TEST

START_TEST(a_send_error_takes_the_link_down_and_it_comes_back)
{
	struct sim_setup su = three_lines();
	struct sim *s = sim_new_up(&su);

	sim_for(s, 3 * SEC);
	s->calling = CLIENT;
	tunnel_link_error(s->end[CLIENT].t, 0, ENETUNREACH, s->now);
	sim_wake(&s->end[CLIENT], s->now);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 2);
	ck_assert_uint_eq(
	    sim_log_count(s, CLIENT, "send error: Network is unreachable"), 1);
	ck_assert(sim_wait_up(s, 3, SEC));
	sim_free(s);
}
END_TEST

START_TEST(a_fallback_carries_only_while_it_must)
{
	struct sim_setup su = three_lines();
	struct sim_flow *f;
	struct sim *s;

	su.lines = 2;
	s = sim_new_up(&su);
	for (int end = 0; end < 2; end++) {
		struct sim_end *e = &s->end[end];
		struct conf *conf = (struct conf *)(uintptr_t)e->t->conf;

		conf->links[1].fallback_only = true;
		e->t->links[1].conf.fallback_only = true;
		tunnel_retune(e->t);
	}
	f = sim_stream(s, CLIENT, 1000, 2 * MSEC, 30 * SEC);
	sim_until(s, 10 * SEC);
	ck_assert_uint_eq(s->line[1].dir[CLIENT].data, 0);
	sim_cut(s, 0, true);
	sim_until(s, 20 * SEC);
	ck_assert_uint_gt(s->line[1].dir[CLIENT].data, 3000);
	sim_cut(s, 0, false);
	ck_assert(sim_wait_up(s, 2, 3 * SEC));
	/* It has to prove itself first. */
	sim_for(s, 500 * MSEC);
	s->line[1].dir[CLIENT].data = 0;
	sim_for(s, 3 * SEC);
	ck_assert_uint_eq(s->line[1].dir[CLIENT].data, 0);
	ck_assert_uint_gt(f->got, f->sent * 3 / 4);
	sim_free(s);
}
END_TEST

START_TEST(idle_links_cost_next_to_nothing)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s = sim_new_up(&su);
	uint64_t wakeups[2], bytes[2];

	sim_until(s, 60 * SEC);
	for (int i = 0; i < 2; i++) {
		wakeups[i] = s->end[i].wakeups;
		bytes[i] = s->end[i].sent_bytes;
	}
	sim_until(s, 1060 * SEC);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_lt(s->end[i].wakeups - wakeups[i], 5 * 1000);
		/* 0.5 kbit/s a line, each way */
		ck_assert_uint_lt(
		    s->end[i].sent_bytes - bytes[i], 3 * 1000 * 500 / 8);
	}
	both_have(s, 3);
	sim_free(s);
}
END_TEST

Suite *sim_fail_suite(void);

Suite *
sim_fail_suite(void)
{
	Suite *suite = suite_create("sim_fail");
	TCase *tc = tcase_create("fail");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
	    tc, a_dead_line_is_noticed_within_its_timeout_and_heals, 0, 2);
	tcase_add_loop_test(
	    tc, a_line_cut_in_one_direction_goes_down_at_both_ends, 0, 4);
	tcase_add_test(tc, a_line_that_was_silent_for_a_moment_is_back_as_soon);
	tcase_add_test(tc, all_lines_cut_and_back);
	tcase_add_loop_test(tc, flapping_lines_leave_the_others_alone, 0, 3);
	tcase_add_loop_test(tc, a_process_that_died_is_replaced, 0, 2);
	tcase_add_loop_test(tc, an_orderly_end_is_noticed_at_once, 0, 2);
	tcase_add_test(tc, a_client_that_roams_is_followed);
	tcase_add_test(tc, the_path_moves_only_after_the_probe_was_answered);
	tcase_add_test(tc, without_cipher_a_new_address_needs_a_handshake);
	tcase_add_test(tc, a_server_that_moves_is_followed);
	tcase_add_test(tc, the_servers_new_address_is_resolved_anew);
	tcase_add_loop_test(tc, a_lost_socket_is_asked_for_and_used, 0, 2);
	tcase_add_test(tc, a_send_error_takes_the_link_down_and_it_comes_back);
	tcase_add_test(tc, a_fallback_carries_only_while_it_must);
	tcase_add_test(tc, idle_links_cost_next_to_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
