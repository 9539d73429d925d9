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
	return suite;
}
