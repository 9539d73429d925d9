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

#include "sim.h"

#define WORLDS 10 /* in one test */
#define TESTS 20
#define FRONT (WIRE_HEADER_LEN + WIRE_SESSION_LEN + WIRE_INNER_LEN)
#define ID (20 + 8 + 12) /* of an inner packet, where sim_packet has it */
#define FLOWS_MAX 8
#define SAMPLE (700 * USEC)

#define HOLDS(w, condition)                                                    \
	do {                                                                   \
		if (!(condition))                                              \
			fails(w, #condition);                                  \
	} while (0)

enum kind { GOOD, LOSSY, FAILING, KINDS };

/* What the lines saw of a packet. */
struct trace {
	uint8_t sends;
	mono_t first_at, last_at;
};

struct world {
	struct sim *s;
	uint64_t seed;
	enum kind kind;
	mono_t delay_min, delay_max; /* jitter included */
	struct trace *traces;	     /* by id */
	size_t ntraces;
	uint64_t first_bytes[2], again_bytes[2]; /* inner */
	uint64_t highest[FLOWS_MAX];		 /* id that was delivered */
	mono_t got_at[FLOWS_MAX];
	mono_t gap[FLOWS_MAX]; /* longest without a packet */
	uint64_t reordered;
	mono_t waited; /* longest, after the last copy had left */
	bool sampling;
};

static struct world *current; /* of callbacks that know only the flow */

static void
fails(const struct world *w, const char *what)
{
	ck_abort_msg("world %llu, %.3f s: not true: %s",
	    (unsigned long long)w->seed,
	    (double)(w->s->now - w->s->start) / (double)SEC, what);
}

static uint64_t
upto(uint64_t *r, uint64_t n)
{
	return sim_random(r) % (n + 1);
}

/* --- what goes by the lines and comes out --- */

static struct trace *
trace_of(struct world *w, uint64_t id)
{
	if (id >= w->ntraces) {
		size_t n = (size_t)id * 2 + 1024;

		w->traces = reallocarray(w->traces, n, sizeof(*w->traces));
		SIM_MUST(w->traces != NULL);
		memset(w->traces + w->ntraces, 0,
		    (n - w->ntraces) * sizeof(*w->traces));
		w->ntraces = n;
	}
	return &w->traces[id];
}

static bool
on_line(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct world *w = ctx;
	struct trace *tr;

	if (d->data[0] != WIRE_DATA)
		return true;
	tr = trace_of(w, get_be64(d->data + FRONT + ID));
	tr->last_at = s->now;
	/* What a link gets that is not in use is a copy. */
	if (!sim_link(s, d->from, d->line)->in_use)
		return true;
	if (tr->sends++ == 0) {
		tr->first_at = s->now;
		w->first_bytes[d->from] += d->len - WIRE_CLEAR_OVERHEAD;
	} else
		w->again_bytes[d->from] += d->len - WIRE_CLEAR_OVERHEAD;
	HOLDS(w, tr->sends <= ARQ_SENDS_MAX);
	HOLDS(w, s->now - tr->first_at <= ARQ_AGE_MAX);
	return true;
}

static void
on_packet(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct world *w = current;
	const struct trace *tr = trace_of(w, p->id);
	mono_t waited = s->now - tr->last_at;
	const struct reseq_stats *st = reseq_stats(s->end[at].t->reseq);

	HOLDS(w, tr->sends > 0);
	if (waited > w->waited)
		w->waited = waited;
	if (w->got_at[f->id] != 0 && s->now - w->got_at[f->id] > w->gap[f->id])
		w->gap[f->id] = s->now - w->got_at[f->id];
	w->got_at[f->id] = s->now;
	if (p->id >= w->highest[f->id]) {
		w->highest[f->id] = p->id;
		return;
	}
	/* Nobody had waited for it any more. */
	w->reordered++;
	HOLDS(w, w->kind != GOOD);
	HOLDS(w, s->now - tr->first_at >= RESEQ_HOLD || st->skipped > 0 ||
		     st->no_memory > 0);
}

/* --- at any instant --- */

static void
check_end(const struct world *w, int end)
{
	const struct sim *s = w->s;
	const struct tunnel *t = s->end[end].t;
	size_t memory = (size_t)t->conf->memory_bytes;

	HOLDS(w, pktbuf_pool_bytes(t->pool) <= memory);
	HOLDS(w, pktbuf_used(t->pool, PKTBUF_QUEUE) <= memory / 2);
	HOLDS(w, pktbuf_used(t->pool, PKTBUF_RETAIN) <= memory / 4);
	HOLDS(w, pktbuf_used(t->pool, PKTBUF_RESEQ) <= memory / 4);
	HOLDS(w, t->arq.budget >= 0 && t->arq.budget <= ARQ_BUDGET_MAX);
	/* No link has credit, and is worth it, while something waits, unless
	 * the engine is about to run. */
	HOLDS(w, t->nup == 0 || fq_empty(t->fq) ||
		     s->end[end].run_at == s->now ||
		     sched_ready_at(t) >= s->now);
	/* The rest took its flow's turn. */
	HOLDS(w, w->again_bytes[end] <=
		     w->first_bytes[end] * ARQ_BUDGET_SHARE / 100 +
			 ARQ_BUDGET_MAX + fq_stats(t->fq)->requeued * SIM_MTU);
}

static void
sample(struct sim *s, void *arg)
{
	struct world *w = arg;

	if (!w->sampling)
		return;
	check_end(w, CLIENT);
	check_end(w, SERVER);
	sim_at(s, s->now + SAMPLE, sample, w);
}

/* --- worlds --- */

static void
random_lines(struct world *w, struct sim_setup *su, uint64_t *r)
{
	w->delay_min = MONO_NEVER;
	for (unsigned i = 0; i < su->lines; i++) {
		su->up_Bps[i] = 60000 + 20000 * upto(r, 20);
		su->down_Bps[i] = 60000 + 20000 * upto(r, 20);
		su->delay[i] = (mono_t)(1 + upto(r, 99)) * MSEC;
		if (su->delay[i] < w->delay_min)
			w->delay_min = su->delay[i];
		if (su->delay[i] > w->delay_max)
			w->delay_max = su->delay[i];
	}
}

static void
spoil_lines(struct world *w, uint64_t *r)
{
	struct sim *s = w->s;
	mono_t most = 0;

	for (unsigned i = 0; i < s->setup.lines; i++)
		for (int d = 0; d < 2; d++) {
			struct sim_dir *dir = &s->line[i].dir[d];

			dir->jitter = (mono_t)upto(r, 5) * MSEC;
			if (dir->jitter > most)
				most = dir->jitter;
			if (w->kind != LOSSY)
				continue;
			dir->loss = (double)upto(r, 40) / 1000;
			if (upto(r, 3) == 0) {
				dir->burst = 0.002;
				dir->burst_end = 0.2;
			}
		}
	w->delay_max += most;
}

static struct sim_flow *
watched(struct sim_flow *f)
{
	SIM_MUST(f->id < FLOWS_MAX);
	f->on_packet = on_packet;
	return f;
}

static uint64_t
rate_of(const struct sim_setup *su, int end)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < su->lines; i++)
		sum += end == CLIENT ? su->up_Bps[i] : su->down_Bps[i];
	return sum;
}

static uint64_t
line_bytes(const struct sim *s, unsigned line)
{
	return s->line[line].dir[CLIENT].bytes;
}

/* Once it is full, each line carries what its rate allows. */
static void
check_shares(struct world *w, const uint64_t before[LINKS_MAX], mono_t span)
{
	const struct sim_setup *su = &w->s->setup;

	for (unsigned i = 0; i < su->lines; i++) {
		uint64_t got = line_bytes(w->s, i) - before[i];
		uint64_t rated = su->up_Bps[i] * (uint64_t)(span / MSEC) / 1000;

		HOLDS(w, got >= rated * 9 / 10);
		/* It has borrowed a packet or two, or pays for them. */
		HOLDS(w, got <= rated + 2 * 1500);
	}
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

/* A second of all that happens, after one in which rates are learnt. */
static void
live(struct world *w, uint64_t *r)
{
	struct sim *s = w->s;
	unsigned line = (unsigned)upto(r, s->setup.lines - 1);
	uint64_t before[LINKS_MAX];

	sim_for(s, SEC);
	for (unsigned i = 0; i < s->setup.lines; i++)
		before[i] = line_bytes(s, i);
	if (w->kind == FAILING)
		sim_cut(s, line, true);
	sim_for(s, SEC);
	if (w->kind == GOOD)
		check_shares(w, before, SEC);
	if (w->kind == GOOD)
		return;
	/* What flew on a line that died is settled once that works again. */
	sim_cut(s, line, false);
	end_losses(s);
	sim_for(s, SEC);
}

static void
check_idle(struct world *w)
{
	for (int i = 0; i < 2; i++)
		for (int use = 0; use < PKTBUF_USES; use++)
			HOLDS(w, pktbuf_used(w->s->end[i].t->pool,
				     (enum pktbuf_use)use) == 0);
}

/* The flow that never fills anything. */
static void
check_sparse(struct world *w, const struct sim_flow *f)
{
	uint64_t missing = f->sent - f->got;

	if (w->kind == GOOD)
		HOLDS(w, missing == 0);
	else
		HOLDS(w, missing <= f->sent / 20 + 3);
	if (w->kind == GOOD)
		HOLDS(w, w->gap[f->id] <= 20 * MSEC + 100 * MSEC);
}

static void
check_order(struct world *w)
{
	mono_t spread = w->delay_max - w->delay_min, most;

	for (int i = 0; i < 2; i++) {
		const struct reseq_stats *st =
		    reseq_stats(w->s->end[i].t->reseq);

		if (w->kind == GOOD)
			HOLDS(w, st->deadlines == 0 && st->late == 0 &&
				     st->skipped == 0);
		HOLDS(w, st->no_memory == 0);
	}
	/* The line, then the wait for what a slower one brings, and for what
	 * is lost as long as it may be sent again. */
	most = w->delay_max + spread + 5 * MSEC;
	if (w->kind != GOOD)
		most += ARQ_AGE_MAX + RESEQ_HOLD_MAX;
	HOLDS(w, w->waited <= most);
}

static void
end_world(struct world *w)
{
	sim_check(w->s);
	sim_free(w->s);
	free(w->traces);
}

static void
run_world(uint64_t seed)
{
	struct world world = { .seed = seed }, *w = &world;
	struct sim_flow *load, *sparse, *back;
	struct sim_setup su;
	uint64_t r = seed * 7919 + 13;

	current = w;
	su = sim_setup(2 + (unsigned)upto(&r, 3));
	su.seed = seed;
	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	if (upto(&r, 1) == 0)
		su.end[CLIENT].general = su.end[SERVER].general = "memory = 4";
	w->kind = (enum kind)(seed % KINDS);
	random_lines(w, &su, &r);
	w->s = sim_new(&su);
	w->s->filter = on_line;
	w->s->filter_ctx = w;
	/* A burst takes datagrams, not time: it would last for handshakes. */
	HOLDS(w, sim_wait_up(w->s, su.lines, 5 * SEC));
	spoil_lines(w, &r);
	w->sampling = true;
	sample(w->s, w);
	load = watched(
	    sim_load(w->s, CLIENT, rate_of(&su, CLIENT) * 5 / 4, MONO_NEVER));
	sparse = watched(sim_stream(
	    w->s, CLIENT, 100 + upto(&r, 300), 20 * MSEC, MONO_NEVER));
	back = watched(sim_load(w->s, SERVER,
	    rate_of(&su, SERVER) / (1 + upto(&r, 3)), MONO_NEVER));
	live(w, &r);
	load->stop_at = sparse->stop_at = back->stop_at = w->s->now;
	w->sampling = false;
	sim_for(w->s, 8 * SEC);
	check_idle(w);
	check_sparse(w, sparse);
	check_order(w);
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr,
		    "world %llu: waited %lld ms, gap %lld ms, %llu "
		    "reordered\n",
		    (unsigned long long)seed, (long long)(w->waited / MSEC),
		    (long long)(w->gap[sparse->id] / MSEC),
		    (unsigned long long)w->reordered);
	end_world(w);
}

START_TEST(properties_hold_in_every_world)
{
	const char *only = getenv("SIM_SEED"), *n = getenv("SIM_WORLDS");
	uint64_t worlds = n != NULL ? strtoull(n, NULL, 10) : WORLDS;

	if (only != NULL) {
		if (_i == 0)
			run_world(strtoull(only, NULL, 10));
		return;
	}
	for (uint64_t k = 0; k < worlds; k++)
		run_world((uint64_t)_i + k * TESTS);
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
