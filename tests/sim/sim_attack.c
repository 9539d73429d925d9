/*
 * What somebody on the path or far from it can send: nothing happens but that
 * a counter moves.
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define KEPT_MAX 4096

/* Datagrams that an attacker has recorded. */
struct record {
	struct {
		int to;
		unsigned line;
		union addr src;
		size_t len;
		uint8_t data[SIM_MTU + 100];
	} kept[KEPT_MAX];
	size_t n;
	int type; /* 0: all */
};

static bool
keep(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct record *r = ctx;

	(void)s;
	if (r->n == KEPT_MAX || (r->type != 0 && d->data[0] != r->type))
		return true;
	r->kept[r->n].to = d->to;
	r->kept[r->n].line = d->line;
	r->kept[r->n].src = d->src;
	r->kept[r->n].len = d->len;
	memcpy(r->kept[r->n++].data, d->data, d->len);
	return true;
}

static struct record *
start_record(struct sim *s, int type)
{
	struct record *r = calloc(1, sizeof(*r));

	ck_assert_ptr_nonnull(r);
	r->type = type;
	s->filter = keep;
	s->filter_ctx = r;
	return r;
}

static void
stop_record(struct sim *s)
{
	s->filter = NULL;
}

static union addr
stranger(void)
{
	union addr a = { 0 };

	a.in4.sin_family = AF_INET;
	a.in4.sin_addr.s_addr = htonl(0xc6336401);
	a.in4.sin_port = htons(6666);
	return a;
}

static struct link_stats
sum(struct sim *s, int end)
{
	struct link_stats all = { 0 };

	for (unsigned i = 0; i < s->setup.lines; i++) {
		const struct link_stats *st = &sim_link(s, end, i)->stats;

		all.drop_malformed += st->drop_malformed;
		all.drop_auth += st->drop_auth;
		all.drop_replay += st->drop_replay;
		all.drop_stranger += st->drop_stranger;
		all.drop_limit += st->drop_limit;
		all.flaps += st->flaps;
		all.handshakes += st->handshakes;
	}
	return all;
}

static uint64_t
drops(const struct link_stats *st)
{
	return st->drop_malformed + st->drop_auth + st->drop_replay +
	       st->drop_stranger + st->drop_limit;
}

/* Still up, never down, all memory free, and packets still pass. */
static void
unharmed(struct sim *s)
{
	struct sim_flow *up, *down;
	mono_t stop_at = s->now - s->start + SEC;

	up = sim_stream(s, CLIENT, 500, 10 * MSEC, stop_at);
	down = sim_stream(s, SERVER, 500, 10 * MSEC, stop_at);
	sim_for(s, 12 * SEC);
	for (int i = 0; i < 2; i++) {
		struct sim_end *e = &s->end[i];

		ck_assert_uint_eq(e->t->nup, s->setup.lines);
		ck_assert_uint_eq(e->events[TUNNEL_LINK_DOWN], 0);
		for (int use = 0; use < PKTBUF_USES; use++)
			ck_assert_uint_eq(
			    pktbuf_used(e->t->pool, (enum pktbuf_use)use), 0);
		ck_assert_uint_le(pktbuf_pool_bytes(e->t->pool), 2 << 20);
	}
	ck_assert_uint_eq(up->got, up->sent);
	ck_assert_uint_eq(down->got, down->sent);
}

/* An idle bond: what it sends from now on are keepalives and answers. */
static struct sim *
idle_bond(const char *cipher)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = cipher;
	s = sim_new_up(&su);
	sim_until(s, 5 * SEC);
	return s;
}

static const char *const ciphers[] = { "auto", "none" };

START_TEST(random_datagrams_get_no_answer)
{
	struct sim *s = idle_bond(ciphers[_i / 2]);
	int end = _i % 2;
	uint64_t sent = s->end[end].sent;
	struct link_stats before = sum(s, end), after;
	union addr from = stranger();
	uint8_t data[1500];

	for (int k = 0; k < 20000; k++) {
		size_t len = sim_random(&s->random) % sizeof(data) + 1;

		/* Many look like ours at first sight. */
		if (k % 4 == 0)
			len = HS_LEN;
		for (size_t i = 0; i < len; i += 8) {
			uint64_t r = sim_random(&s->random);

			memcpy(data + i, &r, len - i < 8 ? len - i : 8);
		}
		if (k % 3 == 0)
			data[0] = (uint8_t)(k % 7);
		if (k % 5 == 0)
			data[1] =
			    (uint8_t)(k % 2 == 0
					  ? WIRE_VERSION
					  : sim_link(s, end, 0)->cur.epoch);
		sim_inject(s, end, (unsigned)k % 2,
		    k % 6 == 0 ? &s->line[k % 2].addr[1 - end] : &from, data,
		    len);
		if (k % 100 == 0)
			sim_for(s, MSEC / 10);
	}
	after = sum(s, end);
	ck_assert_uint_eq(s->end[end].sent, sent);
	ck_assert_uint_eq(drops(&after) - drops(&before), 20000);
	unharmed(s);
	/* The log is not theirs to fill. */
	ck_assert_uint_le(s->nlogs, 10);
	sim_free(s);
}
END_TEST

START_TEST(a_replayed_hello_gets_one_answer_a_second)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;
	struct record *r;
	union addr from = stranger();
	uint64_t sent, allowed;
	mono_t until;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = ciphers[_i];
	s = sim_new(&su);
	r = start_record(s, WIRE_HELLO);
	ck_assert(sim_wait_up(s, 1, SEC));
	stop_record(s);
	ck_assert_uint_ge(r->n, 1);
	sim_for(s, 3 * SEC);
	sent = s->end[SERVER].sent;
	until = s->now + 20 * SEC;
	while (s->now < until) {
		sim_inject(s, SERVER, 0, &from, r->kept[0].data, HS_LEN);
		sim_for(s, 5 * MSEC);
	}
	/* The server's answers to the keepalives of an idle client. */
	allowed = 21 + 11;
	ck_assert_uint_le(s->end[SERVER].sent - sent, allowed);
	ck_assert_uint_gt(sum(s, SERVER).drop_limit, 3000);
	ck_assert_uint_eq(sum(s, SERVER).handshakes, 1);
	unharmed(s);
	free(r);
	sim_free(s);
}
END_TEST

/* Many recorded hellos, e.g. of a day. */
START_TEST(many_replayed_hellos_cost_eight_answers_a_second)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s;
	struct record *r;
	union addr from = stranger();
	uint64_t sent;
	mono_t until;

	s = sim_new(&su);
	r = start_record(s, WIRE_HELLO);
	ck_assert(sim_wait_up(s, 1, SEC));
	for (int k = 0; k < 100; k++) {
		sim_for(s, 1200 * MSEC);
		s->calling = CLIENT;
		tunnel_rekey(s->end[CLIENT].t, s->now);
		sim_wake(&s->end[CLIENT], s->now);
	}
	sim_for(s, SEC);
	stop_record(s);
	ck_assert_uint_ge(r->n, 101);
	sim_for(s, 20 * SEC);
	sent = s->end[SERVER].sent;
	until = s->now + 10 * SEC;
	for (size_t k = 0; s->now < until; k++) {
		sim_inject(s, SERVER, 0, &from, r->kept[k % r->n].data, HS_LEN);
		sim_for(s, 2 * MSEC);
	}
	/* Eight wait at a time, and none makes room within a second. */
	ck_assert_uint_le(s->end[SERVER].sent - sent, 11 * 8 + 6);
	ck_assert_uint_eq(s->end[SERVER].t->nup, 1);
	/* They may keep a new process out while it lasts, not longer. */
	sim_restart(s, CLIENT);
	ck_assert(sim_wait_up(s, 1, 3 * SEC));
	free(r);
	sim_free(s);
}
END_TEST

/* Data, control, replies: everything is sent again, from the same and from
 * another address. */
START_TEST(replayed_packets_change_nothing)
{
	struct sim *s = idle_bond(ciphers[_i]);
	struct record *r = start_record(s, 0);
	struct link_stats before[2], after[2];
	uint64_t delivered[2], sent[2];
	union addr from = stranger();

	sim_stream(s, CLIENT, 400, 2 * MSEC, 7 * SEC);
	sim_stream(s, SERVER, 400, 2 * MSEC, 7 * SEC);
	sim_until(s, 6 * SEC);
	s->calling = CLIENT;
	tunnel_rekey(s->end[CLIENT].t, s->now);
	sim_wake(&s->end[CLIENT], s->now);
	sim_until(s, 8 * SEC);
	stop_record(s);
	for (int e = 0; e < 2; e++) {
		before[e] = sum(s, e);
		delivered[e] = s->end[e].delivered;
		sent[e] = s->end[e].sent;
	}
	for (size_t k = 0; k < r->n; k++)
		sim_inject(s, r->kept[k].to, r->kept[k].line,
		    k % 2 == 0 ? &from : &r->kept[k].src, r->kept[k].data,
		    r->kept[k].len);
	sim_for(s, 30 * MSEC);
	for (int e = 0; e < 2; e++) {
		after[e] = sum(s, e);
		ck_assert_uint_eq(s->end[e].delivered, delivered[e]);
		/* At most the answers to two replayed hellos, and a keepalive
		 * on each line. */
		ck_assert_uint_le(s->end[e].sent - sent[e], 4);
	}
	ck_assert_uint_ge(drops(&after[0]) - drops(&before[0]) +
			      drops(&after[1]) - drops(&before[1]),
	    r->n - 2);
	ck_assert_uint_gt(after[SERVER].drop_replay, 500);
	unharmed(s);
	free(r);
	sim_free(s);
}
END_TEST

/* Each bit of a datagram in turn; with cipher none payload is not protected
 * by us. */
static bool
flip(struct sim *s, void *ctx, struct sim_dgram *d)
{
	size_t *flips = ctx;
	size_t bit = sim_random(&s->random) % (d->len * 8);

	if (d->data[0] != WIRE_DATA && d->data[0] != WIRE_PARITY &&
	    sim_random(&s->random) % 4 != 0)
		return true;
	d->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	(*flips)++;
	return true;
}

START_TEST(flipped_bits_are_noticed)
{
	struct sim_setup su = sim_setup(2);
	struct sim_flow *f;
	struct sim *s;
	size_t flips = 0;

	su.seed = (uint64_t)_i;
	s = sim_new_up(&su);
	sim_until(s, 5 * SEC);
	s->filter = flip;
	s->filter_ctx = &flips;
	f = sim_stream(s, CLIENT, 300, MSEC, 10 * SEC);
	sim_until(s, 10 * SEC);
	ck_assert_uint_eq(f->got, 0);
	s->filter = NULL;
	ck_assert_uint_gt(sum(s, SERVER).drop_auth, 4000);
	ck_assert_uint_gt(flips, 5000);
	/* A line that brings no data may go down, once. */
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_le(s->end[i].events[TUNNEL_LINK_DOWN], 1);
		s->end[i].events[TUNNEL_LINK_DOWN] = 0;
	}
	unharmed(s);
	sim_free(s);
}
END_TEST

/* Flipped handshakes: none succeeds, none is answered, the next one does. */
static bool
flip_handshake(struct sim *s, void *ctx, struct sim_dgram *d)
{
	size_t *flips = ctx;
	size_t bit;

	if (d->len != HS_LEN || d->data[0] > WIRE_AUTH)
		return true;
	bit = *flips % (HS_LEN * 8);
	d->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	(*flips)++;
	(void)s;
	return true;
}

START_TEST(flipped_hellos_get_no_answer)
{
	struct sim_setup su = sim_setup(16);
	struct sim *s;
	size_t flips = 0;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = ciphers[_i];
	s = sim_new(&su);
	s->filter = flip_handshake;
	s->filter_ctx = &flips;
	sim_until(s, 70 * SEC);
	ck_assert_uint_gt(flips, HS_LEN * 8);
	ck_assert_uint_eq(s->end[SERVER].sent, 0);
	s->filter = NULL;
	ck_assert(sim_wait_up(s, 16, 2 * SEC));
	sim_free(s);
}
END_TEST

struct echo {
	int to;
	unsigned line;
	union addr src;
	size_t len;
	uint8_t data[];
};

static void
come_back(struct sim *s, void *arg)
{
	struct echo *e = arg;

	sim_inject(s, e->to, e->line, &e->src, e->data, e->len);
}

/* Everything comes back to its sender. */
static bool
mirror(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct echo *e = malloc(sizeof(*e) + d->len);
	uint64_t *n = ctx;

	SIM_MUST(e != NULL);
	e->to = d->from;
	e->line = d->line;
	e->src = d->dst;
	e->len = d->len;
	memcpy(e->data, d->data, d->len);
	/* Not while the engine is sending: a little later. */
	sim_at_owned(s, s->now + MSEC, come_back, e);
	(*n)++;
	return true;
}

START_TEST(our_own_packets_sent_back_change_nothing)
{
	struct sim_setup su = sim_setup(2);
	struct sim_flow *up, *down;
	uint64_t n = 0;
	struct sim *s;

	su.end[CLIENT].cipher = su.end[SERVER].cipher = ciphers[_i];
	s = sim_new(&su);
	s->filter = mirror;
	s->filter_ctx = &n;
	ck_assert(sim_wait_up(s, 2, 2 * SEC));
	up = sim_stream(s, CLIENT, 300, 5 * MSEC, 10 * SEC);
	down = sim_stream(s, SERVER, 300, 5 * MSEC, 10 * SEC);
	sim_until(s, 5 * SEC);
	s->calling = CLIENT;
	tunnel_rekey(s->end[CLIENT].t, s->now);
	sim_wake(&s->end[CLIENT], s->now);
	sim_until(s, 11 * SEC);
	ck_assert_uint_eq(up->got, up->sent);
	ck_assert_uint_eq(down->got, down->sent);
	ck_assert_uint_eq(sum(s, SERVER).handshakes, 4);
	ck_assert_uint_gt(n, 2000);
	/* Nobody is told of another client, or of a wrong password. */
	ck_assert_uint_eq(sim_log_count(s, -1, "mode ="), 0);
	s->filter = NULL;
	sim_for(s, 10 * MSEC);
	unharmed(s);
	sim_free(s);
}
END_TEST

/* True packets of the client, sent on by somebody else from elsewhere. */
START_TEST(a_stranger_diverts_nothing)
{
	struct sim_setup su = sim_setup(1);
	struct sim *s = sim_new_up(&su);
	struct record *r;
	union addr from = stranger();
	struct sim_flow *down;

	sim_for(s, 3 * SEC);
	r = start_record(s, 0);
	sim_cut(s, 0, true);
	sim_stream(s, CLIENT, 300, 10 * MSEC, 4 * SEC);
	sim_until(s, 4 * SEC);
	stop_record(s);
	/* Never seen by the server: authentic, and with the highest number. */
	for (size_t k = 0; k < r->n; k++)
		if (r->kept[k].to == SERVER)
			sim_inject(s, SERVER, 0, &from, r->kept[k].data,
			    r->kept[k].len);
	sim_cut(s, 0, false);
	down = sim_stream(s, SERVER, 300, 10 * MSEC, 6 * SEC);
	sim_until(s, 7 * SEC);
	ck_assert_uint_eq(down->got, down->sent);
	ck_assert(addr_equal(
	    &sim_link(s, SERVER, 0)->path.peer, &s->line[0].addr[CLIENT]));
	unharmed(s);
	free(r);
	sim_free(s);
}
END_TEST

Suite *sim_attack_suite(void);

Suite *
sim_attack_suite(void)
{
	Suite *suite = suite_create("sim_attack");
	TCase *tc = tcase_create("attack");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, random_datagrams_get_no_answer, 0, 4);
	tcase_add_loop_test(
	    tc, a_replayed_hello_gets_one_answer_a_second, 0, 2);
	tcase_add_test(tc, many_replayed_hellos_cost_eight_answers_a_second);
	tcase_add_loop_test(tc, replayed_packets_change_nothing, 0, 2);
	tcase_add_loop_test(tc, flipped_bits_are_noticed, 0, 2);
	tcase_add_loop_test(tc, flipped_hellos_get_no_answer, 0, 2);
	tcase_add_loop_test(tc, our_own_packets_sent_back_change_nothing, 0, 2);
	tcase_add_test(tc, a_stranger_diverts_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
