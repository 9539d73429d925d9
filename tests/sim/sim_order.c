/*
 * Lines of unequal delay as one: flows see their packets in order, soon, and
 * at the sum of the rates.
 */
#include "config.h"

#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define MBIT 125000

/* What a flow's receiver sees. */
struct watch {
	sim_packet_fn *inner; /* the flow's own */
	int from;
	uint64_t last_id;   /* packets enter a tunnel in the order of ids */
	uint64_t reordered; /* packets that came after later ones */
	mono_t last_at;
	mono_t gap;    /* longest without a packet */
	unsigned gaps; /* longer than 20 ms */
};

static struct watch watch;

static void
on_packet(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct watch *w = &watch;

	if (at != w->from) {
		mono_t gap = w->last_at == 0 ? 0 : s->now - w->last_at;

		if (p->id < w->last_id)
			w->reordered++;
		else
			w->last_id = p->id;
		if (gap > w->gap)
			w->gap = gap;
		w->gaps += gap > 20 * MSEC;
		w->last_at = s->now;
	}
	if (w->inner != NULL)
		w->inner(s, f, at, p);
}

static void
watch_flow(struct sim_flow *f)
{
	watch = (struct watch){ .inner = f->on_packet, .from = f->from };
	f->on_packet = on_packet;
}

static struct sim_bulk *
watched_bulk(struct sim *s, int from)
{
	struct sim_bulk *b = sim_bulk(s, from);

	watch_flow(s->flows);
	return b;
}

struct shape {
	unsigned rate_mbit;
	unsigned delay_ms; /* one way */
	unsigned jitter_ms;
};

static struct sim_setup
setup_of(const struct shape *lines, unsigned n)
{
	struct sim_setup su = sim_setup(n);

	for (unsigned i = 0; i < n; i++) {
		su.up_Bps[i] = su.down_Bps[i] =
		    (uint64_t)lines[i].rate_mbit * MBIT;
		su.delay[i] = (mono_t)lines[i].delay_ms * MSEC;
	}
	return su;
}

static struct sim *
world_of(const struct shape *lines, unsigned n, uint64_t seed)
{
	struct sim_setup su = setup_of(lines, n);
	struct sim *s;

	su.seed = seed;
	s = sim_new(&su);
	for (unsigned i = 0; i < n; i++)
		for (int d = 0; d < 2; d++)
			s->line[i].dir[d].jitter =
			    (mono_t)lines[i].jitter_ms * MSEC;
	ck_assert(sim_wait_up(s, n, 5 * SEC));
	return s;
}

/* Inner TCP payload that the lines can carry in a second. */
static double
ceiling(const struct shape *lines, unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += lines[i].rate_mbit * (double)MBIT;
	return sum * (SIM_MTU - 40) / (SIM_MTU + 60);
}

static mono_t
spread(const struct shape *lines, unsigned n)
{
	unsigned least = UINT32_MAX, most = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = lines[i].delay_ms;

		if (d < least)
			least = d;
		if (d + lines[i].jitter_ms > most)
			most = d + lines[i].jitter_ms;
	}
	return (mono_t)(most - least) * MSEC;
}

static unsigned
random_lines(struct shape lines[4], uint64_t seed)
{
	uint64_t r = seed * 7919 + 1;
	unsigned n = 2 + (unsigned)(sim_random(&r) % 3);

	for (unsigned i = 0; i < n; i++)
		lines[i] = (struct shape){
			2 + (unsigned)(sim_random(&r) % 20),
			1 + (unsigned)(sim_random(&r) % 100),
			(unsigned)(sim_random(&r) % 6),
		};
	return n;
}

START_TEST(lossless_lines_deliver_in_order)
{
	struct shape lines[4];
	unsigned n = random_lines(lines, (uint64_t)_i);
	struct sim *s = world_of(lines, n, (uint64_t)_i + 1);
	struct sim_bulk *b = watched_bulk(s, _i % 2);
	mono_t until = s->now + 3 * SEC;
	const struct reseq_stats *st = reseq_stats(s->end[1 - _i % 2].t->reseq);
	double most =
	    ceiling(lines, n) * (double)spread(lines, n) / (double)SEC;

	while (s->now < until) {
		sim_for(s, 10 * MSEC);
		/* What the faster lines bring until the slowest has its turn,
		 * its jitter and a burst. */
		if ((double)st->bytes > 1.3 * most + 50000)
			ck_abort_msg(
			    "%zu bytes wait, not %.0f", st->bytes, most);
	}
	ck_assert_msg(watch.reordered == 0 && st->late == 0 &&
			  st->deadlines == 0 && st->no_memory == 0,
	    "world %d, %u lines: %llu reordered, %llu late, %llu deadlines", _i,
	    n, (unsigned long long)watch.reordered,
	    (unsigned long long)st->late, (unsigned long long)st->deadlines);
	ck_assert_uint_gt(sim_bulk_bytes(b), 100000);
	sim_check(s);
	sim_free(s);
	sim_bulk_free(b);
}
END_TEST

struct sum_row {
	const char *name;
	unsigned n;
	struct shape lines[3];
};

static const struct sum_row rows[] = {
	{ "uneq3", 3, { { 100, 5, 0 }, { 20, 20, 0 }, { 5, 50, 0 } } },
	{ "rtt_40", 2, { { 50, 20, 0 }, { 50, 40, 0 } } },
	{ "fast_and_slow", 2, { { 20, 5, 1 }, { 10, 40, 3 } } },
};

/* One flow gets the sum, and another that sends little does not feel it. */
START_TEST(unequal_lines_add_up)
{
	const struct sum_row *row = &rows[_i];
	struct sim *s = world_of(row->lines, row->n, 1);
	struct sim_bulk *b = watched_bulk(s, CLIENT);
	struct sim_flow *sparse =
	    sim_stream(s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	mono_t idle = (mono_t)row->lines[0].delay_ms * MSEC, p50, p99;
	double got, most = ceiling(row->lines, row->n);

	sim_for(s, 4 * SEC);
	sim_flow_reset(sparse);
	got = -(double)sim_bulk_bytes(b);
	sim_for(s, 6 * SEC);
	got = (got + (double)sim_bulk_bytes(b)) / 6;
	ck_assert_msg(got > 0.95 * most, "%s: %.3f of the ceiling", row->name,
	    got / most);
	ck_assert_uint_eq(watch.reordered, 0);
	p50 = sim_flow_delay(sparse, 0.5);
	p99 = sim_flow_delay(sparse, 0.99);
	ck_assert_msg(p50 <= idle + 5 * MSEC && p99 <= idle + 15 * MSEC,
	    "%s: a sparse flow's delay is %lld us, p99 %lld us", row->name,
	    (long long)(p50 / USEC), (long long)(p99 / USEC));
	sim_free(s);
	sim_bulk_free(b);
}
END_TEST

/* What it swallowed goes by the others before anybody gives up waiting. */
START_TEST(a_black_hole_costs_a_short_gap)
{
	static const struct shape lines[] = { { 20, 10, 0 }, { 10, 25, 2 },
		{ 10, 15, 0 } };
	struct sim *s = world_of(lines, 3, 1);
	struct sim_flow *f = sim_load(s, CLIENT, 3000000, MONO_NEVER);
	const struct reseq_stats *st = reseq_stats(s->end[SERVER].t->reseq);
	uint64_t sent, got;

	watch_flow(f);
	sim_for(s, 2 * SEC);
	ck_assert_uint_eq(watch.gaps, 0);
	ck_assert_uint_eq(st->deadlines, 0);
	sim_cut(s, (unsigned)_i, true);
	sim_for(s, 5 * SEC);
	ck_assert_uint_eq(st->deadlines, 0);
	ck_assert_uint_le(watch.gaps, 3);
	ck_assert_int_le(watch.gap, 130 * MSEC);
	ck_assert_uint_eq(watch.reordered, 0);
	/* Heals. */
	sim_cut(s, (unsigned)_i, false);
	sim_for(s, 2 * SEC);
	sent = f->sent;
	got = f->got;
	sim_for(s, 3 * SEC);
	ck_assert_uint_ge(f->got - got + 5, f->sent - sent);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Random losses cost a round trip, and nothing else. */
START_TEST(losses_are_sent_again_in_time)
{
	static const struct shape lines[] = { { 20, 10, 2 }, { 20, 30, 2 } };
	struct sim *s = world_of(lines, 2, (uint64_t)_i + 1);
	struct sim_flow *f;
	const struct reseq_stats *st = reseq_stats(s->end[SERVER].t->reseq);

	for (unsigned i = 0; i < 2; i++)
		s->line[i].dir[CLIENT].loss = 0.02;
	f = sim_load(s, CLIENT, 4000000, MONO_NEVER);
	watch_flow(f);
	sim_for(s, 5 * SEC);
	ck_assert_uint_gt(st->holes, 100);
	ck_assert_uint_eq(st->late, 0);
	ck_assert_uint_eq(st->skipped, 0);
	ck_assert_uint_eq(st->deadlines, 0);
	ck_assert_uint_eq(watch.reordered, 0);
	ck_assert_int_le(sim_flow_delay(f, 0.99), 100 * MSEC);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* CUBIC alone would get a tenth of it. */
START_TEST(random_losses_leave_one_flow_nine_tenths)
{
	static const struct shape lines[] = { { 20, 10, 0 }, { 20, 10, 0 } };
	struct sim *s = world_of(lines, 2, (uint64_t)_i + 1);
	struct sim_bulk *b = sim_bulk_cc(s, _i % 2, SIM_CUBIC);
	double got;

	for (unsigned i = 0; i < 2; i++)
		for (int d = 0; d < 2; d++)
			s->line[i].dir[d].loss = 0.01;
	sim_for(s, 4 * SEC);
	sim_bulk_reset(b);
	sim_for(s, 6 * SEC);
	got = (double)sim_bulk_bytes(b) / 6 / ceiling(lines, 2);
	ck_assert_msg(got > 0.9, "%.3f of the ceiling", got);
	sim_free(s);
	sim_bulk_free(b);
}
END_TEST

/* A socket whose buffer is full takes a part of what it is given. */
struct refusal {
	struct sim *s;
	unsigned line;
	size_t len;
	uint8_t data[];
};

static void
refuse(struct sim *s, void *arg)
{
	struct refusal *r = arg;
	struct sim_end *e = &s->end[CLIENT];

	s->calling = CLIENT;
	tunnel_link_refused(e->t, sim_link(s, CLIENT, r->line)->slot, r->data,
	    r->len, ENOBUFS, s->now);
	sim_wake(e, s->now);
}

static bool
refuse_a_fifth(struct sim *s, void *ctx, struct sim_dgram *d)
{
	unsigned *refused = ctx;
	struct refusal *r;

	if (d->from != CLIENT || d->line != 0 || d->data[0] != WIRE_DATA ||
	    sim_random(&s->random) % 5 != 0)
		return true;
	r = malloc(sizeof(*r) + d->len);
	SIM_MUST(r != NULL);
	r->s = s;
	r->line = d->line;
	r->len = d->len;
	memcpy(r->data, d->data, d->len);
	(*refused)++;
	sim_at_owned(s, s->now, refuse, r);
	return false;
}

/* It goes again at once, by a link that takes it: no report has to tell. */
START_TEST(what_a_socket_refuses_goes_again_at_once)
{
	static const struct shape lines[] = { { 20, 10, 0 }, { 20, 10, 0 } };
	struct sim *s = world_of(lines, 2, 1);
	struct sim_flow *f = sim_load(s, CLIENT, 1000000, MONO_NEVER);
	unsigned refused = 0;

	watch_flow(f);
	sim_for(s, SEC);
	s->filter = refuse_a_fifth;
	s->filter_ctx = &refused;
	sim_flow_reset(f);
	sim_for(s, SEC);
	f->stop_at = s->now;
	s->filter = NULL;
	ck_assert_uint_ge(refused, 50);
	ck_assert_int_le(sim_flow_delay(f, 1.0), 20 * MSEC);
	ck_assert_int_le(sim_flow_delay(f, 0.99), 15 * MSEC);
	sim_for(s, SEC);
	ck_assert_uint_eq(watch.reordered, 0);
	ck_assert_uint_ge(f->got, f->sent);
	ck_assert(sim_link(s, CLIENT, 0)->in_use);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Its numbers begin anew, and packets of its predecessor are still on the
 * slow line. */
START_TEST(order_survives_a_restart)
{
	static const struct shape lines[] = { { 10, 5, 0 }, { 10, 60, 0 } };
	struct sim *s = world_of(lines, 2, 1);
	struct sim_flow *f = sim_load(s, _i % 2, 2000000, MONO_NEVER);
	const struct reseq_stats *st;
	uint64_t late;

	sim_for(s, 3 * SEC);
	sim_restart(s, _i / 2);
	ck_assert(sim_wait_up(s, 2, 30 * SEC));
	/* Both ends may still have to learn of it. */
	sim_for(s, 2 * SEC);
	st = reseq_stats(s->end[1 - _i % 2].t->reseq);
	late = st->late;
	watch_flow(f);
	sim_for(s, 2 * SEC);
	ck_assert_uint_gt(watch.last_id, 0);
	ck_assert_uint_eq(watch.reordered, 0);
	ck_assert_uint_eq(st->late, late);
	sim_check(s);
	sim_free(s);
}
END_TEST

Suite *sim_order_suite(void);

Suite *
sim_order_suite(void)
{
	Suite *suite = suite_create("sim_order");
	TCase *tc = tcase_create("order");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, lossless_lines_deliver_in_order, 0, 40);
	tcase_add_loop_test(
	    tc, unequal_lines_add_up, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_loop_test(tc, a_black_hole_costs_a_short_gap, 0, 3);
	tcase_add_loop_test(tc, losses_are_sent_again_in_time, 0, 4);
	tcase_add_loop_test(tc, random_losses_leave_one_flow_nine_tenths, 0, 4);
	tcase_add_test(tc, what_a_socket_refuses_goes_again_at_once);
	tcase_add_loop_test(tc, order_survives_a_restart, 0, 4);
	suite_add_tcase(suite, tc);
	return suite;
}
