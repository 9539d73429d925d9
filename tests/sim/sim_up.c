/*
 * Links come up where the two files agree, quickly; where they do not, nothing
 * comes up, and the log says what to change.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

static const char *const ciphers[] = { "auto", "aes-256-gcm",
	"chacha20-poly1305", "none" };

START_TEST(all_links_come_up_in_two_round_trips)
{
	struct sim_setup su = sim_setup((unsigned)_i);
	struct sim *s = sim_new(&su);

	/* 5 ms to resolve, HELLO, REPLY, first packet; the answer to that. */
	ck_assert(sim_wait_up(s, su.lines, 5 * SEC));
	ck_assert_int_le(s->now - s->start, 60 * MSEC);
	ck_assert_uint_eq(sim_log_count(s, CLIENT, ": up, peer "), su.lines);
	ck_assert_uint_eq(sim_log_count(s, SERVER, ": up, peer "), su.lines);
	ck_assert_uint_eq(sim_log_count(s, CLIENT, "bond: up"), 1);
	ck_assert_uint_eq(sim_log_count(s, SERVER, "bond: up"), 1);
	ck_assert_uint_ge(sim_log_count(s, CLIENT, "rtt 20 ms"), su.lines);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_UP], su.lines);
	sim_check(s);
	sim_free(s);
}
END_TEST

static void
exchange(struct sim *s)
{
	struct sim_flow *up = sim_stream(s, CLIENT, 1000, 5 * MSEC, 3 * SEC);
	struct sim_flow *down = sim_stream(s, SERVER, 600, 5 * MSEC, 3 * SEC);

	sim_until(s, 4 * SEC);
	ck_assert_uint_gt(up->sent, 500);
	ck_assert_uint_eq(up->got, up->sent);
	ck_assert_uint_eq(down->got, down->sent);
	sim_check(s);
}

START_TEST(every_cipher_carries_packets)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = ciphers[_i];
	s = sim_new_up(&su);
	exchange(s);
	sim_free(s);
}
END_TEST

START_TEST(auto_agrees_with_every_sealing_cipher)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.end[_i / 2].cipher = ciphers[1 + _i % 2];
	s = sim_new_up(&su);
	ck_assert_int_eq(sim_link(s, CLIENT, 0)->cur.cipher,
	    _i % 2 == 0 ? SESSION_AES_256_GCM : SESSION_CHACHA20_POLY1305);
	exchange(s);
	sim_free(s);
}
END_TEST

START_TEST(tap_carries_frames)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.end[CLIENT].tuntap = su.end[SERVER].tuntap = "tap";
	s = sim_new_up(&su);
	exchange(s);
	sim_free(s);
}
END_TEST

/* Runs two minutes; nothing may come up. */
static struct sim *
refused(const struct sim_setup *su)
{
	struct sim *s = sim_new(su);

	ck_assert(!sim_wait_up(s, su->lines, 50 * SEC));
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 0);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 0);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_UP], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_UP], 0);
	return s;
}

/* One line of the log at each end, however long it lasts. */
static void
told_once(struct sim *s, int end, const char *text)
{
	ck_assert_msg(sim_log_count(s, end, text) == 1,
	    "%s: \"%s\" is there %zu times; first of all: %s",
	    end == CLIENT ? "client" : "server", text,
	    sim_log_count(s, end, text),
	    s->nlogs > 0 ? s->logs[0].text : "none");
	ck_assert_uint_eq(sim_log_count(s, end, "link l0: "), 1);
}

START_TEST(different_ciphers_are_refused)
{
	/* client, server */
	static const char *const pairs[][2] = {
		{ "aes-256-gcm", "chacha20-poly1305" },
		{ "chacha20-poly1305", "aes-256-gcm" },
		{ "none", "auto" },
		{ "auto", "none" },
		{ "none", "aes-256-gcm" },
		{ "chacha20-poly1305", "none" },
	};
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[CLIENT].cipher = pairs[_i][0];
	su.end[SERVER].cipher = pairs[_i][1];
	s = refused(&su);
	told_once(s, CLIENT, "make cipher equal in both files");
	told_once(s, SERVER, "make cipher equal in both files");
	sim_free(s);
}
END_TEST

START_TEST(a_wrong_password_is_named_on_both_ends)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[SERVER].psk = 1;
	s = refused(&su);
	told_once(s, CLIENT, "same password?");
	told_once(s, SERVER, "wrong password");
	/* Silence for one who does not know it. */
	ck_assert_uint_eq(s->end[SERVER].sent, 0);
	sim_free(s);
}
END_TEST

START_TEST(the_founding_challenge_asks_for_the_password_itself)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	su.end[SERVER].password = "another one altogether";
	s = refused(&su);
	sim_free(s);
}
END_TEST

START_TEST(tun_and_tap_are_refused)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[_i].tuntap = "tap";
	s = refused(&su);
	told_once(s, CLIENT, "make tuntap equal in both files");
	told_once(s, SERVER, "make tuntap equal in both files");
	sim_free(s);
}
END_TEST

START_TEST(different_names_are_refused)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[SERVER].prefix = "m";
	s = refused(&su);
	told_once(s, CLIENT, "the same name in both files");
	ck_assert_uint_eq(
	    sim_log_count(s, SERVER, "the same name in both files"), 1);
	sim_free(s);
}
END_TEST

START_TEST(two_clients_are_told)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[SERVER].mode = "client";
	s = refused(&su);
	ck_assert_uint_eq(sim_log_count(s, CLIENT, "mode = server"), 1);
	ck_assert_uint_eq(sim_log_count(s, SERVER, "mode = server"), 1);
	sim_free(s);
}
END_TEST

START_TEST(two_servers_wait_in_silence)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;

	su.end[CLIENT].mode = "server";
	s = refused(&su);
	ck_assert_uint_eq(s->end[CLIENT].sent, 0);
	ck_assert_uint_eq(s->end[SERVER].sent, 0);
	sim_free(s);
}
END_TEST

START_TEST(links_come_up_through_loss_and_reordering)
{
	struct sim_setup su = sim_setup(4);
	struct sim *s;

	su.seed = (uint64_t)_i;
	if (_i % 2 == 1)
		su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	s = sim_new(&su);
	for (unsigned i = 0; i < su.lines; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].loss = 0.3;
			s->line[i].dir[d].dup = 0.3;
			s->line[i].dir[d].reorder = 0.3;
			s->line[i].dir[d].reorder_delay = 300 * MSEC;
		}
	ck_assert(sim_wait_up(s, su.lines, 20 * SEC));
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(a_late_socket_and_a_late_address_are_awaited)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new(&su);

	s->end[CLIENT].no_sockets = true;
	sim_until(s, 30 * SEC);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 0);
	ck_assert_uint_eq(s->end[CLIENT].sent, 0);
	/* Asked for again and again, but ever more slowly. */
	ck_assert_uint_ge(s->end[CLIENT].events[TUNNEL_WANT_SOCKET], 6);
	ck_assert_uint_le(s->end[CLIENT].events[TUNNEL_WANT_SOCKET], 20);
	s->end[CLIENT].no_sockets = false;
	ck_assert(sim_wait_up(s, 2, 65 * SEC));
	sim_free(s);
}
END_TEST

Suite *sim_up_suite(void);

Suite *
sim_up_suite(void)
{
	Suite *suite = suite_create("sim_up");
	TCase *tc = tcase_create("up");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, all_links_come_up_in_two_round_trips, 1, 17);
	tcase_add_loop_test(tc, every_cipher_carries_packets, 0, 4);
	tcase_add_loop_test(tc, auto_agrees_with_every_sealing_cipher, 0, 4);
	tcase_add_test(tc, tap_carries_frames);
	tcase_add_loop_test(tc, different_ciphers_are_refused, 0, 6);
	tcase_add_test(tc, a_wrong_password_is_named_on_both_ends);
	tcase_add_test(tc, the_founding_challenge_asks_for_the_password_itself);
	tcase_add_loop_test(tc, tun_and_tap_are_refused, 0, 2);
	tcase_add_test(tc, different_names_are_refused);
	tcase_add_test(tc, two_clients_are_told);
	tcase_add_test(tc, two_servers_wait_in_silence);
	tcase_add_loop_test(
	    tc, links_come_up_through_loss_and_reordering, 0, 20);
	tcase_add_test(tc, a_late_socket_and_a_late_address_are_awaited);
	suite_add_tcase(suite, tc);
	return suite;
}
