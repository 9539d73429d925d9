/*
 * Keys change under load, and nothing is lost; a password changes, and the old
 * one is good for ten minutes more.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static const char *const ciphers[] = { "aes-256-gcm", "chacha20-poly1305",
	"none" };

static struct sim_setup
with_cipher(unsigned lines, const char *cipher)
{
	struct sim_setup su = sim_setup(lines);

	su.end[CLIENT].cipher = su.end[SERVER].cipher = cipher;
	return su;
}

static uint64_t
handshakes(struct sim *s, int end)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->setup.lines; i++)
		n += sim_link(s, end, i)->stats.handshakes;
	return n;
}

static void
rekey(struct sim *s)
{
	s->calling = CLIENT;
	tunnel_rekey(s->end[CLIENT].t, s->now);
	sim_wake(&s->end[CLIENT], s->now);
}

struct both {
	struct sim_flow *up, *down;
};

static struct both
load_both(struct sim *s, mono_t stop_at)
{
	return (struct both){ sim_load(s, CLIENT, 1000000, stop_at),
		sim_load(s, SERVER, 1000000, stop_at) };
}

static void
nothing_lost(const struct both *f)
{
	ck_assert_uint_gt(f->up->sent, 1000);
	ck_assert_uint_eq(f->up->got, f->up->sent);
	ck_assert_uint_eq(f->down->got, f->down->sent);
}

START_TEST(new_keys_under_load_lose_nothing)
{
	struct sim_setup su = with_cipher(3, ciphers[_i]);
	struct sim *s = sim_new_up(&su);
	struct both f = load_both(s, 10 * SEC);

	for (int k = 0; k < 8; k++) {
		sim_for(s, 1100 * MSEC + (mono_t)(sim_chance(s) * 50 * MSEC));
		rekey(s);
	}
	sim_until(s, 11 * SEC);
	nothing_lost(&f);
	ck_assert_uint_eq(handshakes(s, CLIENT), 3 * 9);
	ck_assert_uint_eq(handshakes(s, SERVER), 3 * 9);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Wishes come faster than handshakes take. */
START_TEST(impatient_renewals_lose_nothing)
{
	struct sim_setup su = with_cipher(2, ciphers[_i]);
	struct sim *s = sim_new_up(&su);
	struct both f = load_both(s, 6 * SEC);

	for (int k = 0; k < 500; k++) {
		sim_for(s, (mono_t)(sim_chance(s) * 20 * MSEC));
		rekey(s);
	}
	sim_until(s, 7 * SEC);
	nothing_lost(&f);
	sim_for(s, 10 * SEC);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(sim_link(s, CLIENT, i)->cur.epoch,
		    sim_link(s, SERVER, i)->cur.epoch);
		ck_assert(!sim_link(s, CLIENT, i)->next.session.used);
	}
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Harms handshakes only, so that every lost packet is the engine's doing. */
static bool
harm_handshakes(struct sim *s, void *ctx, struct sim_dgram *d)
{
	const double *loss = ctx;

	return d->data[0] == WIRE_DATA || sim_chance(s) >= *loss;
}

START_TEST(lost_handshakes_lose_no_packet)
{
	struct sim_setup su = with_cipher(2, ciphers[_i % 3]);
	double loss = 0.4;
	struct sim *s;
	struct both f;

	su.seed = (uint64_t)_i;
	s = sim_new_up(&su);
	s->filter = harm_handshakes;
	s->filter_ctx = &loss;
	f = load_both(s, 81 * SEC);
	for (int k = 0; k < 20; k++) {
		sim_for(s, 4 * SEC);
		rekey(s);
	}
	sim_until(s, 82 * SEC);
	nothing_lost(&f);
	ck_assert_uint_ge(handshakes(s, CLIENT), 2 * 14);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(reordering_and_copies_lose_no_packet)
{
	struct sim_setup su = with_cipher(2, ciphers[_i % 3]);
	struct sim *s;
	struct both f;

	su.seed = 100 + (uint64_t)_i;
	s = sim_new_up(&su);
	for (unsigned i = 0; i < 2; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].reorder = 0.2;
			s->line[i].dir[d].reorder_delay = 60 * MSEC;
			s->line[i].dir[d].jitter = 10 * MSEC;
			s->line[i].dir[d].dup = 0.1;
		}
	f = load_both(s, 10 * SEC);
	for (int k = 0; k < 30; k++) {
		sim_for(s, 300 * MSEC);
		rekey(s);
	}
	sim_until(s, 12 * SEC);
	nothing_lost(&f);
	sim_check(s);
	sim_free(s);
}
END_TEST

static bool
drop_type(struct sim *s, void *ctx, struct sim_dgram *d)
{
	const int *type = ctx;

	(void)s;
	return d->data[0] != *type;
}

START_TEST(a_lost_auth_is_repeated)
{
	struct sim_setup su = with_cipher(1, "none");
	int type = WIRE_AUTH;
	struct sim *s = sim_new(&su);

	s->filter = drop_type;
	s->filter_ctx = &type;
	sim_until(s, 700 * MSEC);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 0);
	s->filter = NULL;
	ck_assert(sim_wait_up(s, 1, 400 * MSEC));
	sim_free(s);
}
END_TEST

/* Keys are renewed every hour, also while the lines are idle. */
START_TEST(keys_are_renewed_every_hour)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s = sim_new_up(&su);

	sim_until(s, 3590 * SEC);
	ck_assert_uint_eq(handshakes(s, SERVER), 2);
	sim_until(s, 3610 * SEC);
	ck_assert_uint_eq(handshakes(s, SERVER), 4);
	sim_until(s, 10 * 3610 * SEC);
	ck_assert_uint_eq(handshakes(s, SERVER), 2 + 2 * 10);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	sim_free(s);
}
END_TEST

/* Handshakes fail for long: the keys serve on, but not for ever. */
START_TEST(keys_end_when_nothing_renews_them)
{
	struct sim_setup su = sim_setup(1);
	int type = WIRE_HELLO;
	struct sim *s = sim_new_up(&su);

	s->filter = drop_type;
	s->filter_ctx = &type;
	sim_until(s, 10700 * SEC);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 1);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 1);
	sim_until(s, 10820 * SEC);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, 0);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 0);
	ck_assert_uint_ge(sim_log_count(s, -1, "keys expired"), 1);
	s->filter = NULL;
	ck_assert(sim_wait_up(s, 1, 2 * SEC));
	sim_free(s);
}
END_TEST

/* _i: which end changes its password first. */
START_TEST(a_new_password_is_taken_over_without_loss)
{
	struct sim_setup su = with_cipher(2, _i / 2 == 0 ? "auto" : "none");
	struct sim *s = sim_new_up(&su);
	struct both f = load_both(s, 20 * SEC);
	int first = _i % 2;

	for (int k = 0; k < 2; k++) {
		int end = k == 0 ? first : 1 - first;

		sim_for(s, 3 * SEC);
		s->setup.end[end].psk = 9;
		s->setup.end[end].password = "a new one, fairly long";
		sim_reload(s, end, true);
	}
	sim_for(s, 3 * SEC);
	rekey(s);
	sim_until(s, 21 * SEC);
	nothing_lost(&f);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_ge(handshakes(s, SERVER), 2 * 2);
	sim_check(s);
	sim_free(s);
}
END_TEST

START_TEST(the_old_password_is_good_for_ten_minutes)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s = sim_new_up(&su);

	sim_until(s, 10 * SEC);
	s->setup.end[_i].psk = 9;
	sim_reload(s, _i, true);
	/* The other end knows the old one only. */
	sim_until(s, 300 * SEC);
	sim_restart(s, 1 - _i);
	ck_assert(sim_wait_up(s, 1, 15 * SEC));
	sim_until(s, 580 * SEC);
	sim_restart(s, 1 - _i);
	sim_for(s, 20 * MSEC);
	ck_assert(sim_wait_up(s, 1, 20 * SEC));
	sim_until(s, 615 * SEC);
	sim_restart(s, 1 - _i);
	sim_for(s, 100 * SEC);
	ck_assert_uint_eq(s->end[1 - _i].t->nup, 0);
	s->setup.end[1 - _i].psk = 9;
	sim_reload(s, 1 - _i, true);
	ck_assert(sim_wait_up(s, 1, 5 * SEC));
	sim_free(s);
}
END_TEST

/* cipher is changed by reload, first on one end, then on the other. */
START_TEST(a_new_cipher_is_taken_over)
{
	struct sim_setup su = with_cipher(2, "aes-256-gcm");
	struct sim *s = sim_new_up(&su);
	struct both f = load_both(s, 20 * SEC);

	for (int k = 0; k < 2; k++) {
		int end = k == 0 ? _i : 1 - _i;

		sim_for(s, 3 * SEC);
		s->setup.end[end].cipher = "chacha20-poly1305";
		sim_reload(s, end, false);
	}
	sim_for(s, 6 * SEC);
	rekey(s);
	sim_until(s, 21 * SEC);
	nothing_lost(&f);
	ck_assert_int_eq(
	    sim_link(s, CLIENT, 0)->cur.cipher, SESSION_CHACHA20_POLY1305);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	sim_free(s);
}
END_TEST

struct held {
	struct sim_dgram *d; /* the first packet under the new keys */
};

/* ... and all that the client says after it. */
static bool
hold_back(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct held *held = ctx;
	size_t size = sizeof(*d) + d->len;

	(void)s;
	if (held->d == NULL && d->data[0] == WIRE_CONTROL) {
		held->d = malloc(size);
		SIM_MUST(held->d != NULL);
		memcpy(held->d, d, size);
	}
	return held->d == NULL || d->from != CLIENT;
}

/* _i: it is held back for too long. */
START_TEST(keys_not_used_in_time_come_to_nothing)
{
	struct sim_setup su = sim_setup(1);
	struct held held = { 0 };
	struct sim *s = sim_new(&su);

	s->filter = hold_back;
	s->filter_ctx = &held;
	sim_for(s, SEC);
	ck_assert_ptr_nonnull(held.d);
	sim_for(s, _i == 0 ? 13 * SEC : 15 * SEC);
	ck_assert(!sim_link(s, SERVER, 0)->cur.used);
	sim_inject(s, SERVER, 0, &held.d->src, held.d->data, held.d->len);
	ck_assert_int_eq(sim_link(s, SERVER, 0)->cur.used, _i == 0);
	free(held.d);
	sim_free(s);
}
END_TEST

static const struct hs_pending *
began_now(struct sim *s)
{
	struct link *l = sim_link(s, SERVER, 0);

	for (size_t i = 0; i < LINK_PENDING_MAX; i++)
		if (l->pending[i].used && l->pending[i].created_at == s->now)
			return &l->pending[i];
	return NULL;
}

/* The client gets an answer that it can use.  _i: it asks too late for it. */
START_TEST(a_question_that_is_late_begins_a_handshake)
{
	struct sim_setup su = sim_setup(1);
	struct held held = { 0 };
	struct sim *s = sim_new(&su);
	uint8_t hello[HS_LEN];

	s->filter = hold_back;
	s->filter_ctx = &held;
	sim_for(s, SEC);
	ck_assert_ptr_nonnull(held.d);
	memcpy(hello, sim_link(s, SERVER, 0)->pending[0].hello, HS_LEN);
	sim_for(s, _i == 0 ? 13 * SEC : 15 * SEC);
	sim_inject(s, SERVER, 0, &held.d->src, hello, HS_LEN);
	ck_assert_int_eq(began_now(s) != NULL, _i == 1);
	free(held.d);
	sim_free(s);
}
END_TEST

static bool
drop_all(struct sim *s, void *ctx, struct sim_dgram *d)
{
	(void)s;
	(void)ctx;
	(void)d;
	return false;
}

/* The client makes its link anew, and its farewell is lost: what was on its way
 * there comes once more. */
START_TEST(a_link_that_begins_anew_loses_nothing)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s = sim_new_up(&su);
	struct sim_flow *down = sim_load(s, SERVER, 500000, 10 * SEC);

	sim_for(s, 3 * SEC);
	s->setup.end[CLIENT].link = "bindport = 7001";
	s->filter = drop_all;
	sim_reload(s, CLIENT, false);
	s->filter = NULL;
	sim_until(s, 11 * SEC);
	ck_assert_uint_eq(s->end[SERVER].events[TUNNEL_LINK_DOWN], 0);
	ck_assert_uint_eq(handshakes(s, CLIENT), 1);
	ck_assert_uint_eq(handshakes(s, SERVER), 2);
	ck_assert_uint_eq(down->got, down->sent);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_rekey_suite(void);

Suite *
sim_rekey_suite(void)
{
	Suite *suite = suite_create("sim_rekey");
	TCase *tc = tcase_create("rekey");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, new_keys_under_load_lose_nothing, 0, 3);
	tcase_add_loop_test(tc, impatient_renewals_lose_nothing, 0, 3);
	tcase_add_loop_test(tc, lost_handshakes_lose_no_packet, 0, 6);
	tcase_add_loop_test(tc, reordering_and_copies_lose_no_packet, 0, 6);
	tcase_add_test(tc, a_lost_auth_is_repeated);
	tcase_add_loop_test(tc, keys_not_used_in_time_come_to_nothing, 0, 2);
	tcase_add_loop_test(
	    tc, a_question_that_is_late_begins_a_handshake, 0, 2);
	tcase_add_test(tc, keys_are_renewed_every_hour);
	tcase_add_test(tc, keys_end_when_nothing_renews_them);
	tcase_add_loop_test(
	    tc, a_new_password_is_taken_over_without_loss, 0, 4);
	tcase_add_loop_test(tc, the_old_password_is_good_for_ten_minutes, 0, 2);
	tcase_add_loop_test(tc, a_new_cipher_is_taken_over, 0, 2);
	tcase_add_test(tc, a_link_that_begins_anew_loses_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
