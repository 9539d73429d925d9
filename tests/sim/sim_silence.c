/*
 * One end is not heard any more: by one direction of a line, by all lines, or
 * because its process has died and another one has taken its place.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "sim.h"

/* --- one direction --- */

/* By a NAT router's entry, which a new socket would give up. */
START_TEST(a_socket_that_still_brings_packets_is_kept)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct sim_end *e = &s->end[CLIENT];
	uint64_t arrived;

	sim_load(s, SERVER, 1800000, 30 * SEC);
	sim_load(s, CLIENT, 1000000, 30 * SEC);
	sim_for(s, 2 * SEC);
	s->line[0].dir[CLIENT].cut = true;
	sim_for(s, 4 * SEC);
	ck_assert(!sim_link(s, CLIENT, 0)->up);
	arrived = s->line[0].dir[SERVER].data_arrived;
	sim_for(s, 4 * SEC);
	ck_assert_uint_gt(s->line[0].dir[SERVER].data_arrived - arrived, 1000);
	ck_assert_uint_eq(e->events[TUNNEL_WANT_SOCKET], 2);
	s->line[0].dir[CLIENT].cut = false;
	ck_assert(sim_wait_up(s, 2, 2 * SEC));
	sim_until(s, 31 * SEC);
	ck_assert_uint_eq(e->events[TUNNEL_WANT_SOCKET], 2);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* The peer has given the line up as well: from then on a new one may help. */
START_TEST(a_socket_that_brings_nothing_is_renewed)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct sim_end *e = &s->end[CLIENT];

	sim_load(s, SERVER, 1800000, 40 * SEC);
	sim_for(s, 2 * SEC);
	s->line[0].dir[CLIENT].cut = true;
	while (sim_link(s, SERVER, 0)->up)
		sim_for(s, 100 * MSEC);
	ck_assert_uint_eq(e->events[TUNNEL_WANT_SOCKET], 2);
	sim_for(s, 3500 * MSEC);
	ck_assert_uint_eq(e->events[TUNNEL_WANT_SOCKET], 3);
	sim_for(s, 2500 * MSEC);
	ck_assert_uint_eq(e->events[TUNNEL_WANT_SOCKET], 4);
	s->line[0].dir[CLIENT].cut = false;
	ck_assert(sim_wait_up(s, 2, 3 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

/* --- a process that died --- */

struct both {
	struct sim_flow *up, *down;
};

/* A packet each 10 ms from now on. */
static struct both
flow_both(struct sim *s, mono_t span)
{
	mono_t stop_at = s->now - s->start + span;

	return (struct both){ sim_stream(s, CLIENT, 500, 10 * MSEC, stop_at),
		sim_stream(s, SERVER, 500, 10 * MSEC, stop_at) };
}

static void
nothing_lost(const struct both *f)
{
	ck_assert_uint_ge(f->up->sent, 50);
	ck_assert_uint_eq(f->up->got, f->up->sent);
	ck_assert_uint_eq(f->down->got, f->down->sent);
}

static uint64_t
downs(const struct sim *s, int end)
{
	return s->end[end].events[TUNNEL_LINK_DOWN];
}

/* _i: bits 0, 1: without cipher; one line only.  Bit 2: idle before. */
START_TEST(a_server_that_crashed_is_back_in_seconds)
{
	struct sim_setup su = sim_setup((_i & 2) != 0 ? 1 : 3);
	struct sim *s;
	struct both f;

	if ((_i & 1) != 0)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	for (unsigned k = 1; k <= 5; k++) {
		if ((_i & 4) == 0)
			flow_both(s, 20 * SEC);
		sim_for(s, 3 * SEC + (mono_t)(sim_random(&s->random) % SEC));
		sim_restart(s, SERVER);
		ck_assert(sim_wait_up(
		    s, su.lines, (_i & 4) == 0 ? 1500 * MSEC : 3300 * MSEC));
		sim_for(s, 50 * MSEC); /* the client learns of it */
		f = flow_both(s, SEC);
		sim_for(s, 2 * SEC);
		nothing_lost(&f);
		ck_assert_uint_eq(
		    sim_log_count(s, CLIENT, "bond: the peer has started anew"),
		    k);
	}
	ck_assert_uint_eq(downs(s, CLIENT), 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* The line by which nobody shakes hands carries nothing, whichever end died. */
START_TEST(a_crash_while_a_line_dies_costs_what_the_crash_does)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;
	struct both f;

	su.timeout_ms = 60000;
	su.delay[0] = 40 * MSEC;
	s = sim_new_up(&su);
	flow_both(s, 20 * SEC);
	sim_for(s, 3 * SEC);
	sim_cut(s, 1, true);
	sim_restart(s, _i == 0 ? SERVER : CLIENT);
	sim_for(s, 2 * SEC);
	f = flow_both(s, 5 * SEC);
	sim_for(s, 6 * SEC);
	nothing_lost(&f);
	sim_cut(s, 1, false);
	ck_assert(sim_wait_up(s, 2, 3 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

/* It is the client that speaks first. */
START_TEST(a_client_that_crashed_is_back_at_once)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s;
	struct both f;

	if (_i == 1)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	for (unsigned k = 1; k <= 5; k++) {
		flow_both(s, 20 * SEC);
		sim_for(s, 3 * SEC + (mono_t)(sim_random(&s->random) % SEC));
		sim_restart(s, CLIENT);
		ck_assert(sim_wait_up(s, 3, 100 * MSEC));
		f = flow_both(s, SEC);
		sim_for(s, 2 * SEC);
		nothing_lost(&f);
		ck_assert_uint_eq(
		    sim_log_count(s, SERVER, "bond: the peer has started anew"),
		    k);
	}
	ck_assert_uint_eq(downs(s, SERVER), 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

static void
cut_all(struct sim *s, bool cut)
{
	for (unsigned i = 0; i < s->setup.lines; i++)
		sim_cut(s, i, cut);
}

/* It takes its time to come back, and the client does not slacken. */
START_TEST(a_server_that_takes_long_is_back_soon_after_its_start)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.timeout_ms = 120000;
	s = sim_new_up(&su);
	sim_for(s, 3 * SEC);
	cut_all(s, true);
	sim_for(s, 50 * SEC + (mono_t)(_i * 100) * MSEC);
	sim_restart(s, SERVER);
	cut_all(s, false);
	ck_assert(sim_wait_up(s, 2, 1300 * MSEC));
	ck_assert_uint_eq(downs(s, CLIENT), 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* One line was dead meanwhile, and asks each second: the others need not wait
 * for more than its answer. */
START_TEST(one_link_that_finds_out_tells_the_others)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s = sim_new_up(&su);

	sim_for(s, 3 * SEC);
	sim_cut(s, 0, true);
	sim_for(s, 15 * SEC);
	ck_assert(!sim_link(s, CLIENT, 0)->up);
	/* The first question after the death is two seconds away. */
	while (s->end[CLIENT].t->keepalive_due_at - s->now < 900 * MSEC)
		sim_for(s, 10 * MSEC);
	sim_restart(s, SERVER);
	sim_cut(s, 0, false);
	ck_assert(sim_wait_up(s, 3, 1300 * MSEC));
	ck_assert_uint_eq(downs(s, CLIENT), 1);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* One that was there before is there again, with all that it knew; the other
 * one waits meanwhile. */
static void
exchange(struct sim *s, struct tunnel **other)
{
	struct sim_end *e = &s->end[SERVER];
	struct tunnel *t = e->t;

	e->t = *other;
	*other = t;
	e->run_at = MONO_NEVER;
	if (e->t == NULL)
		sim_start(s, SERVER);
	sim_wake(e, s->now);
}

/* _i: bit 0: without cipher.  Bit 1: idle.  Bit 2: the links go down first. */
START_TEST(servers_that_take_turns_are_each_found_again)
{
	struct sim_setup su = sim_setup(3);
	struct tunnel *other = NULL;
	struct sim *s;
	struct both f;

	if ((_i & 1) != 0)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	if ((_i & 4) != 0)
		su.timeout_ms = 1000;
	s = sim_new_up(&su);
	for (unsigned k = 1; k <= 6; k++) {
		if ((_i & 2) == 0)
			flow_both(s, 20 * SEC);
		sim_for(s, 3 * SEC + (mono_t)(sim_random(&s->random) % SEC));
		exchange(s, &other);
		sim_for(s, 4 * SEC);
		f = flow_both(s, SEC);
		sim_for(s, 2 * SEC);
		nothing_lost(&f);
		ck_assert_uint_eq(
		    sim_log_count(s, CLIENT, "bond: the peer has started anew"),
		    1);
		ck_assert_uint_eq(
		    sim_log_count(
			s, CLIENT, "bond: the peer's former process is back"),
		    k - 1);
	}
	tunnel_free(other);
	sim_free(s);
}
END_TEST

/* The link's keys are of this process since that instant. */
static void
learn(struct sim *s, int end, uint64_t instance, mono_t agreed_at)
{
	struct link *l = sim_link(s, end, 0);
	struct hs_peer peer = { .instance = instance, .mtu_bytes = SIM_MTU };

	l->cur.created_at = agreed_at;
	peer_learn(s->end[end].t, l, &peer, s->now);
}

/* What is late, or a copy held back, is under older keys than its own. */
START_TEST(an_old_handshake_replaces_nobody)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct tunnel *t = s->end[_i].t;
	uint64_t first = t->peer_instance;
	uint64_t second = first ^ UINT64_C(1) << 40;
	uint64_t unknown = first ^ UINT64_C(1) << 41;
	mono_t before = s->now;

	sim_for(s, 3 * SEC);
	learn(s, _i, second, s->now);
	ck_assert_uint_eq(t->peer_instance, second);
	t->watch.asked_at = before; /* it has long owed an answer */
	learn(s, _i, unknown, s->now - 1);
	ck_assert_uint_eq(t->peer_instance, second);
	learn(s, _i, first, s->now - 1);
	ck_assert_uint_eq(t->peer_instance, second);
	ck_assert(peer_is_gone(t, sim_link(s, _i, 0)));
	sim_free(s);
}
END_TEST

/* By different lines, say: one of them is enough. */
START_TEST(of_two_that_live_the_client_keeps_the_one_that_answers)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct tunnel *t = s->end[CLIENT].t;
	struct link *l = sim_link(s, CLIENT, 0);
	uint64_t first = t->peer_instance;
	uint64_t second = first ^ UINT64_C(1) << 40;

	sim_for(s, SEC);
	learn(s, CLIENT, second, s->now);
	ck_assert_uint_eq(t->peer_instance, second);
	t->watch.asked_at = 0;
	learn(s, CLIENT, first, s->now + 1);
	ck_assert_uint_eq(t->peer_instance, second);
	learn(s, CLIENT, second, s->now + 1);
	/* A second after the answer of the line that is its own is due. */
	t->watch.asked_at = s->now;
	l->srtt = 700 * MSEC;
	l->rttvar = 50 * MSEC;
	sim_link(s, CLIENT, 1)->srtt = 10 * SEC;
	learn(s, CLIENT, first, s->now + 1900 * MSEC - 1);
	ck_assert_uint_eq(t->peer_instance, second);
	learn(s, CLIENT, second, s->now + 1);
	learn(s, CLIENT, first, s->now + 1900 * MSEC);
	ck_assert_uint_eq(t->peer_instance, first);
	/* What was sealed for it before counts no more. */
	ck_assert(!peer_is_gone(t, sim_link(s, CLIENT, 0)));
	ck_assert(peer_is_gone(t, sim_link(s, CLIENT, 1)));
	sim_free(s);
}
END_TEST

/* A client that asks wants to be served. */
START_TEST(a_server_follows_the_client_that_asked_last)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct tunnel *t = s->end[SERVER].t;
	uint64_t first = t->peer_instance;
	uint64_t second = first ^ UINT64_C(1) << 40;

	learn(s, SERVER, second, s->now + 1);
	ck_assert_uint_eq(t->peer_instance, second);
	learn(s, SERVER, first, s->now + 2);
	ck_assert_uint_eq(t->peer_instance, first);
	sim_free(s);
}
END_TEST

/* --- silence that is none --- */

struct seen {
	unsigned hellos; /* datagrams */
	unsigned others; /* that were not the same as the one before */
	uint8_t last[HS_LEN];
};

static bool
watch_hellos(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct seen *seen = ctx;

	(void)s;
	if (d->data[0] != WIRE_HELLO || d->line != 0)
		return true;
	seen->hellos++;
	seen->others += memcmp(seen->last, d->data, HS_LEN) != 0;
	memcpy(seen->last, d->data, HS_LEN);
	return true;
}

static uint64_t
handshakes(struct sim *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->setup.lines; i++)
		n += sim_link(s, CLIENT, i)->stats.handshakes;
	return n;
}

/* All is dead: the same questions as after the time-out. */
START_TEST(dead_lines_get_one_hello_a_second)
{
	struct sim_setup su = sim_setup(2);
	struct seen seen = { 0 };
	struct sim *s;

	su.timeout_ms = _i == 0 ? 300000 : 10000;
	s = sim_new_up(&su);
	sim_for(s, 3 * SEC);
	s->filter = watch_hellos;
	s->filter_ctx = &seen;
	cut_all(s, true);
	sim_load(s, CLIENT, 500000, 300 * SEC);
	sim_for(s, 200 * SEC);
	ck_assert_uint_le(seen.hellos, 205);
	ck_assert_uint_ge(seen.hellos, 150);
	ck_assert_uint_le(seen.others, 22);
	cut_all(s, false);
	ck_assert(sim_wait_up(s, 2, 3 * SEC));
	sim_for(s, 3 * SEC);
	ck_assert_uint_eq(handshakes(s), 2 * 2);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Of which the client hears nothing for a while: it gets new keys, and what it
 * sends meanwhile arrives. */
START_TEST(a_silence_costs_new_keys_and_no_packet)
{
	struct sim_setup su = sim_setup(2);
	struct sim_flow *up;
	struct sim *s;

	if (_i == 1)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new_up(&su);
	up = sim_load(s, CLIENT, 500000, 20 * SEC);
	sim_for(s, 3 * SEC);
	s->line[0].dir[SERVER].cut = s->line[1].dir[SERVER].cut = true;
	sim_for(s, 4 * SEC);
	ck_assert_uint_eq(handshakes(s), 2);
	s->line[0].dir[SERVER].cut = s->line[1].dir[SERVER].cut = false;
	sim_for(s, 2 * SEC);
	ck_assert_uint_eq(handshakes(s), 4);
	sim_until(s, 22 * SEC);
	ck_assert_uint_eq(up->got, up->sent);
	ck_assert_uint_eq(handshakes(s), 4);
	for (int end = 0; end < 2; end++)
		ck_assert_uint_eq(downs(s, end), 0);
	ck_assert_uint_eq(sim_log_count(s, -1, "started anew"), 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

static bool
drop_in_turns(struct sim *s, void *ctx, struct sim_dgram *d)
{
	watch_hellos(s, ctx, d);
	return (s->now - s->start) % (2 * SEC) >= 1500 * MSEC;
}

/* Whoever can drop packets makes handshakes as often as he likes, but not more
 * often than the back-off lets him. */
START_TEST(silence_again_and_again_makes_few_handshakes)
{
	struct sim_setup su = sim_setup(2);
	struct seen seen = { 0 };
	struct sim *s = sim_new_up(&su);

	sim_until(s, 2 * SEC);
	s->filter = drop_in_turns;
	s->filter_ctx = &seen;
	sim_load(s, CLIENT, 500000, 600 * SEC);
	sim_until(s, 600 * SEC);
	/* One each 48 to 64 s after five that came sooner, within 62 s; it
	 * takes up to 2 s until the next silence. */
	ck_assert_uint_le(handshakes(s), 2 * (1 + 5 + 600 / 48));
	ck_assert_uint_ge(handshakes(s), 2 * (1 + 5 + (600 - 62) / 66));
	ck_assert_uint_le(seen.hellos, 100);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Others go on, or the one direction is alive. */
START_TEST(who_hears_anything_begins_nothing)
{
	struct sim_setup su = sim_setup(3);
	struct sim *s = sim_new_up(&su);

	sim_load(s, SERVER, 500000, 60 * SEC);
	sim_for(s, 3 * SEC);
	sim_cut(s, 0, true);
	sim_for(s, 100 * MSEC);
	ck_assert(sim_link(s, CLIENT, 1)->up);
	for (unsigned i = 1; i < 3; i++)
		s->line[i].dir[CLIENT].cut = true;
	sim_for(s, 6 * SEC);
	ck_assert_uint_eq(handshakes(s), 3);
	ck_assert_uint_eq(s->end[CLIENT].t->watch.tries, 0);
	sim_free(s);
}
END_TEST

/* An answer is lost, and then it was this process that did not run. */
START_TEST(our_own_stall_is_no_silence_of_the_peer)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);
	struct sim_end *e = &s->end[CLIENT];

	sim_for(s, 3 * SEC);
	cut_all(s, true);
	while (e->t->watch.asked_at == 0)
		sim_for(s, 10 * MSEC);
	e->busy_until = s->now + 5 * SEC;
	sim_for(s, 5 * SEC - MSEC);
	cut_all(s, false);
	tunnel_stalled(e->t, 5 * SEC, s->now);
	sim_for(s, 3 * SEC);
	ck_assert_uint_eq(handshakes(s), 2);
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(an_idle_lossy_line_is_not_taken_for_dead)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s = sim_new_up(&su);

	for (int dir = 0; dir < 2; dir++)
		s->line[0].dir[dir].loss = 0.1;
	sim_until(s, 600 * SEC);
	/* A fifth of the questions get no answer, four in a row hardly. */
	ck_assert_uint_le(handshakes(s), 3);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_silence_suite(void);

Suite *
sim_silence_suite(void)
{
	Suite *suite = suite_create("sim_silence");
	TCase *tc = tcase_create("direction");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_socket_that_still_brings_packets_is_kept);
	tcase_add_test(tc, a_socket_that_brings_nothing_is_renewed);
	suite_add_tcase(suite, tc);
	tc = tcase_create("death");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_server_that_crashed_is_back_in_seconds, 0, 8);
	tcase_add_loop_test(
	    tc, a_crash_while_a_line_dies_costs_what_the_crash_does, 0, 2);
	tcase_add_loop_test(tc, a_client_that_crashed_is_back_at_once, 0, 2);
	tcase_add_loop_test(
	    tc, a_server_that_takes_long_is_back_soon_after_its_start, 0, 5);
	tcase_add_test(tc, one_link_that_finds_out_tells_the_others);
	tcase_add_loop_test(
	    tc, servers_that_take_turns_are_each_found_again, 0, 8);
	tcase_add_loop_test(tc, an_old_handshake_replaces_nobody, 0, 2);
	tcase_add_test(
	    tc, of_two_that_live_the_client_keeps_the_one_that_answers);
	tcase_add_test(tc, a_server_follows_the_client_that_asked_last);
	suite_add_tcase(suite, tc);
	tc = tcase_create("silence");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, dead_lines_get_one_hello_a_second, 0, 2);
	tcase_add_loop_test(tc, a_silence_costs_new_keys_and_no_packet, 0, 2);
	tcase_add_test(tc, silence_again_and_again_makes_few_handshakes);
	tcase_add_test(tc, who_hears_anything_begins_nothing);
	tcase_add_test(tc, our_own_stall_is_no_silence_of_the_peer);
	tcase_add_test(tc, an_idle_lossy_line_is_not_taken_for_dead);
	suite_add_tcase(suite, tc);
	return suite;
}
