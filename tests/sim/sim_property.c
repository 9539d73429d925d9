/*
 * What holds in every world of lines, good and bad: order, bounded waits, work
 * conservation, shares, no starvation, bounded resends and memory.  SIM_SEED=n
 * runs world n alone, SIM_WORLDS=n that many in each of the 20 tests.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

#define WORLDS 100 /* in one test */
#define TESTS 20
#define SAMPLE (700 * USEC)
#define EF 0xb8

enum kind {
	GOOD,	 /* delay and jitter, rates as configured */
	LOSSY,	 /* single losses and bursts */
	FAILING, /* one line swallows everything for a second */
	WRONG,	 /* lines are slower or faster than configured */
	ODD,	 /* a line reorders, one copies, one gets slower */
	KINDS
};

struct world {
	struct watch watch;
	struct sim *s;
	struct sim_setup su;
	uint64_t r; /* state of chance */
	enum kind kind;
	bool wide;		     /* delays up to 400 ms */
	mono_t delay_min, delay_max; /* jitter included */
	mono_t jitter;
	unsigned cut; /* line, FAILING */
	/* what each line carried at the beginning of a span, by end */
	uint64_t before[2][LINKS_MAX];
	bool missed[2][LINKS_MAX]; /* it was not in use all the time */
	struct sim_flow *load, *sparse, *urgent, *back;
	struct sim_bulk *bulk;
	bool sampling;
};

#define HOLDS(w, condition) WATCH_MUST(&(w)->watch, condition)

static uint64_t
upto(struct world *w, uint64_t n)
{
	return sim_upto(&w->r, n);
}

static void
sample(struct sim *s, void *arg)
{
	struct world *w = arg;

	if (!w->sampling)
		return;
	watch_check(&w->watch);
	for (int end = 0; end < 2; end++)
		for (unsigned i = 0; i < s->setup.lines; i++)
			w->missed[end][i] |= !sim_link(s, end, i)->in_use;
	/* Nothing is lost, so nobody may think so. */
	for (unsigned i = 0; w->kind == GOOD && i < s->setup.lines; i++)
		HOLDS(w, sim_link(s, CLIENT, i)->in_use &&
			     sim_link(s, SERVER, i)->in_use);
	sim_at(s, s->now + SAMPLE, sample, w);
}

/* --- worlds --- */

static void
choose_lines(struct world *w)
{
	struct sim_setup *su = &w->su;
	mono_t most = 100;

	*su = sim_setup(2 + (unsigned)upto(w, 2));
	if (upto(w, 11) == 0)
		su->lines = 5 + (unsigned)upto(w, 11);
	w->wide = upto(w, 2) == 0;
	if (w->wide)
		most = 400;
	su->seed = w->watch.seed;
	su->end[CLIENT].cipher = su->end[SERVER].cipher = "none";
	if (upto(w, 1) == 0)
		su->end[CLIENT].general = su->end[SERVER].general =
		    "memory = 4";
	w->delay_min = MONO_NEVER;
	for (unsigned i = 0; i < su->lines; i++) {
		su->up_Bps[i] = 60000 + 20000 * upto(w, 20);
		su->down_Bps[i] = 60000 + 20000 * upto(w, 20);
		su->delay[i] = (mono_t)(1 + upto(w, (uint64_t)most - 1)) * MSEC;
		if (su->delay[i] < w->delay_min)
			w->delay_min = su->delay[i];
		if (su->delay[i] > w->delay_max)
			w->delay_max = su->delay[i];
	}
}

/* A burst takes datagrams, not time: it would last for handshakes. */
static void
spoil(struct world *w, struct sim_dir *dir, uint64_t rate_Bps)
{
	static const unsigned percents[] = { 50, 70, 100, 150 };

	dir->jitter = (mono_t)upto(w, 5) * MSEC;
	if (dir->jitter > w->jitter)
		w->jitter = dir->jitter;
	switch (w->kind) {
	case LOSSY:
		dir->loss = (double)upto(w, 40) / 1000;
		if (upto(w, 3) == 0) {
			dir->burst = 0.002;
			dir->burst_end = 0.2;
		}
		break;
	case WRONG:
		dir->rate_Bps = rate_Bps * percents[upto(w, 3)] / 100;
		dir->queue_bytes = dir->rate_Bps / 4;
		break;
	case ODD:
		if (upto(w, 2) == 0) {
			dir->reorder = (double)upto(w, 100) / 1000;
			dir->reorder_delay = (mono_t)upto(w, 100) * MSEC;
		}
		if (upto(w, 2) == 0)
			dir->dup = (double)upto(w, 100) / 1000;
		break;
	default:
		break;
	}
}

static void
spoil_lines(struct world *w)
{
	for (unsigned i = 0; i < w->su.lines; i++) {
		spoil(w, &w->s->line[i].dir[CLIENT], w->su.up_Bps[i]);
		spoil(w, &w->s->line[i].dir[SERVER], w->su.down_Bps[i]);
	}
	w->delay_max += w->jitter;
}

static uint64_t
rate_of(const struct world *w, int end, unsigned line)
{
	return end == CLIENT ? w->su.up_Bps[line] : w->su.down_Bps[line];
}

/* What the lines of an end can carry together. */
static uint64_t
sum_of(const struct world *w, int end)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->su.lines; i++) {
		uint64_t rate = rate_of(w, end, i);
		uint64_t real = w->s->line[i].dir[end].rate_Bps;

		sum += real != 0 && real < rate ? real : rate;
	}
	return sum;
}

static void
start_flows(struct world *w)
{
	struct sim *s = w->s;

	w->sparse =
	    sim_stream(s, CLIENT, 100 + upto(w, 300), 20 * MSEC, MONO_NEVER);
	w->urgent =
	    sim_stream(s, CLIENT, 100 + upto(w, 100), 20 * MSEC, MONO_NEVER);
	w->urgent->tos = EF;
	if (upto(w, 2) != 0)
		w->urgent->stop_at = s->now;
	/* The latter does not saturate. */
	w->back = sim_load(s, SERVER,
	    sum_of(w, SERVER) * 5 / (upto(w, 1) == 0 ? 4 : 12), MONO_NEVER);
	if (upto(w, 3) == 0) {
		w->bulk = sim_bulk_cc(s, CLIENT, (enum sim_cc)upto(w, 2));
		w->load = s->flows;
	} else
		w->load =
		    sim_load(s, CLIENT, sum_of(w, CLIENT) * 5 / 4, MONO_NEVER);
	for (struct sim_flow *f = s->flows; f != NULL; f = f->next)
		watch_flow(&w->watch, f);
}

static mono_t
least(mono_t a, mono_t b)
{
	return a < b ? a : b;
}

/* The hold that doc/engine.rst has, from what the lines really do. */
static void
set_bounds(struct world *w)
{
	mono_t spread = w->delay_max - w->delay_min;
	mono_t slowest =
	    w->delay_min + least(spread, SCHED_SPREAD_MAX) + w->jitter;

	w->watch.in_order = w->kind == GOOD;
	w->watch.paced = w->kind != WRONG && w->kind != ODD;
	w->watch.spread = spread;
	w->watch.delay_max = w->delay_max;
	w->watch.hold =
	    least(RESEQ_HOLD_MAX, 4 * (slowest + 5 * MSEC) + 8 * w->jitter / 2);
	if (w->watch.hold < RESEQ_HOLD)
		w->watch.hold = RESEQ_HOLD;
	if (w->kind == WRONG || w->kind == ODD) {
		w->watch.spread += RESEQ_EXPECT_MAX;
		w->watch.hold = RESEQ_HOLD_MAX;
	}
}

static void
make_world(struct world *w)
{
	choose_lines(w);
	w->s = sim_new(&w->su);
	watch_start(&w->watch, w->s, w->watch.seed);
	HOLDS(w, sim_wait_up(w->s, w->su.lines, 5 * SEC));
	spoil_lines(w);
	set_bounds(w);
	w->sampling = true;
	sample(w->s, w);
	start_flows(w);
}

/* --- what it does --- */

static void
begin_span(struct world *w)
{
	for (int end = 0; end < 2; end++)
		for (unsigned i = 0; i < w->su.lines; i++)
			w->before[end][i] = w->s->line[i].dir[end].bytes;
	memset(w->missed, 0, sizeof(w->missed));
}

/*
 * Each line that is worth it carries what its rate allows, each other one
 * next to nothing: packets that queue would come by it too late.
 */
static void
check_shares(struct world *w, int end, mono_t span)
{
	const struct sim *s = w->s;
	mono_t fastest = MONO_NEVER;

	for (unsigned i = 0; i < w->su.lines; i++)
		if (!s->line[i].dir[end].cut && w->su.delay[i] < fastest)
			fastest = w->su.delay[i];
	for (unsigned i = 0; i < w->su.lines; i++) {
		uint64_t got = s->line[i].dir[end].bytes - w->before[end][i];
		uint64_t rated =
		    rate_of(w, end, i) * (uint64_t)(span / MSEC) / 1000;
		mono_t later = w->su.delay[i] - fastest;

		if (s->line[i].dir[end].cut)
			continue;
		/* A burst of losses can swallow all that shows a line alive. */
		if (w->kind == LOSSY && w->missed[end][i])
			HOLDS(w, got >= rated / 2);
		else if (later + 10 * MSEC < SCHED_SPREAD_MAX)
			HOLDS(w, got >= rated * 9 / 10);
		/* What is sent again may go by any. */
		if (w->kind == GOOD && later - 10 * MSEC > SCHED_SPREAD_MAX)
			HOLDS(w, got <= rated / 10 + 1000);
		/* It has borrowed a packet or two, or pays for them; and where
		 * some are lost, it had time for a parity before. */
		HOLDS(w, got <= rated + (w->kind == LOSSY ? 3 : 2) * 1500);
	}
}

static void
check_full(struct world *w, mono_t span)
{
	if (w->bulk == NULL)
		check_shares(w, CLIENT, span);
	if (w->back->gap == 0)
		return;
	if ((uint64_t)(SIM_MTU * SEC / w->back->gap) > sum_of(w, SERVER))
		check_shares(w, SERVER, span);
}

static void
end_losses(struct sim *s)
{
	for (unsigned i = 0; i < s->setup.lines; i++)
		for (int d = 0; d < 2; d++) {
			struct sim_dir *dir = &s->line[i].dir[d];

			dir->loss = dir->burst = 0;
			dir->in_burst = false;
		}
}

static void
fail_and_heal(struct world *w)
{
	struct sim *s = w->s;

	w->cut = (unsigned)upto(w, w->su.lines - 1);
	sim_cut(s, w->cut, true);
	/* Until that is noticed; then the others do all that they can. */
	sim_for(s, 400 * MSEC + 3 * w->delay_max);
	begin_span(w);
	sim_for(s, 600 * MSEC);
	check_full(w, 600 * MSEC);
	sim_cut(s, w->cut, false);
	/* It may have gone down: a handshake, then copies that are told of. */
	sim_for(s, 2 * SEC + 6 * w->delay_max);
	HOLDS(w, sim_link(s, CLIENT, w->cut)->in_use);
	HOLDS(w, sim_link(s, SERVER, w->cut)->in_use);
}

/* A second of all that happens, after one in which delays are learnt. */
static void
live(struct world *w)
{
	struct sim *s = w->s;

	sim_for(s, SEC);
	sim_flow_reset(w->load);
	begin_span(w);
	if (w->kind == FAILING) {
		fail_and_heal(w);
		return;
	}
	if (w->kind == ODD)
		s->line[0].dir[CLIENT].delay += (mono_t)upto(w, 200) * MSEC;
	sim_for(s, SEC);
	if (w->kind == GOOD || w->kind == LOSSY)
		check_full(w, SEC);
	end_losses(s);
}

/* The flow that never fills anything. */
static void
check_sparse(struct world *w)
{
	const struct sim_flow *f = w->sparse;
	uint64_t missing = f->sent - f->got;

	if (w->kind == GOOD) {
		HOLDS(w, missing == 0);
		HOLDS(w, w->watch.flows[f->id].gap[SERVER] <=
			     20 * MSEC + (w->wide ? 400 : 100) * MSEC);
		HOLDS(w, sim_flow_delay(w->sparse, 0.5) <=
			     w->delay_min + w->jitter + 30 * MSEC);
	} else if (w->delay_max <= 150 * MSEC)
		HOLDS(w, missing <= f->sent / 20 + 3);
	/* Until such a line is known to be dead some have had their second. */
	else
		HOLDS(w, missing <= f->sent / 4 + 3);
}

static void
check_urgent(struct world *w)
{
	const struct sim_flow *f = w->urgent;

	HOLDS(w, f->sent - f->got <= (w->kind == GOOD ? 0 : f->sent / 20 + 3));
}

static void
check_order(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		const struct reseq_stats *st =
		    reseq_stats(w->s->end[i].t->reseq);

		if (w->kind == GOOD)
			HOLDS(w, st->deadlines == 0 && st->late == 0 &&
				     st->skipped == 0);
		/* What waits for a hole, and for the next one; for its turn,
		 * which may come late; and for what real lines queue. */
		if (w->kind != WRONG &&
		    sum_of(w, 1 - i) *
			    (uint64_t)((3 * w->watch.spread +
					   2 * w->watch.hold) /
				       MSEC) /
			    1000 <
			w->s->end[i].t->conf->memory_bytes / 4)
			HOLDS(w, st->no_memory == 0);
	}
	/* The line, then the wait for what a slower one brings. */
	if (w->kind == GOOD)
		HOLDS(w, w->watch.waited <=
			     w->delay_max + w->watch.spread + 5 * MSEC);
}

static void
check_bulk(struct world *w)
{
	const struct sim_bulk_stats *st;

	if (w->bulk == NULL)
		return;
	st = sim_bulk_stats(w->bulk);
	HOLDS(w, st->bytes > 0);
	if (w->kind == GOOD) {
		HOLDS(w, st->timeouts == 0);
		HOLDS(w, st->reordered[CLIENT] == 0);
		HOLDS(w, st->reordered[SERVER] == 0);
	}
}

static void
tell(const struct world *w)
{
	if (getenv("SIM_VERBOSE") == NULL)
		return;
	fprintf(stderr,
	    "world %llu: kind %d, %u lines%s%s: waited %lld ms, for one hole "
	    "%lld of %lld, gap %lld ms, %llu reordered\n",
	    (unsigned long long)w->watch.seed, w->kind, w->su.lines,
	    w->wide ? ", wide" : "", w->bulk != NULL ? ", TCP" : "",
	    (long long)(w->watch.waited / MSEC),
	    (long long)(w->watch.hole_waits / MSEC),
	    (long long)(w->watch.hold / MSEC),
	    (long long)(w->watch.flows[w->sparse->id].gap[SERVER] / MSEC),
	    (unsigned long long)w->watch.reordered);
}

static void
run_world(uint64_t seed)
{
	struct world world = { .watch.seed = seed }, *w = &world;

	w->r = seed * 7919 + 13;
	w->kind = (enum kind)(seed % KINDS);
	make_world(w);
	live(w);
	for (struct sim_flow *f = w->s->flows; f != NULL; f = f->next)
		f->stop_at = w->s->now;
	w->sampling = false;
	sim_for(w->s, 8 * SEC);
	tell(w);
	sim_check_empty(w->s);
	check_sparse(w);
	check_urgent(w);
	check_order(w);
	check_bulk(w);
	sim_check(w->s);
	sim_free(w->s);
	sim_bulk_free(w->bulk);
	watch_end(&w->watch);
}

START_TEST(properties_hold_in_every_world)
{
	sim_worlds(_i, TESTS, WORLDS, run_world);
}
END_TEST

Suite *sim_property_suite(void);

Suite *
sim_property_suite(void)
{
	Suite *suite = suite_create("sim_property");
	TCase *tc = tcase_create("property");

	tcase_set_timeout(tc, 1000);
	tcase_add_loop_test(tc, properties_hold_in_every_world, 0, TESTS);
	suite_add_tcase(suite, tc);
	return suite;
}
