/*
 * The world of one honest end and one that lies, see liar.h.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liar.h"

#define RECOVERY (15 * SEC)

struct link *
liar_link(struct liar *x, unsigned line)
{
	return sim_link(x->s, x->end, line);
}

uint64_t
liar_below(struct liar *x, uint64_t n)
{
	return sim_random(&x->random) % n;
}

/* --- what goes by the lines --- */

static void
count_data(struct liar *x, const struct sim_dgram *d)
{
	uint64_t id = sim_dgram_id(d);

	/* A link that is not in use gets copies. */
	if (!sim_link(x->s, x->honest, d->line)->in_use) {
		x->copies++;
		return;
	}
	if (id >= x->sends_size) {
		size_t size = (size_t)id * 2 + 4096;

		x->sends = realloc(x->sends, size);
		SIM_MUST(x->sends != NULL);
		memset(x->sends + x->sends_size, 0, size - x->sends_size);
		x->sends_size = size;
	}
	x->sends[id]++;
	SIM_MUST(x->sends[id] <= ARQ_SENDS_MAX);
	x->first += x->sends[id] == 1;
	x->again += x->sends[id] > 1;
}

static bool
on_line(struct sim *s, void *ctx, struct sim_dgram *d)
{
	struct liar *x = ctx;
	bool data = d->data[0] == WIRE_DATA, lies = s->now < x->until;
	uint8_t *inner = d->data + SIM_FRONT - WIRE_INNER_LEN;
	struct wire_inner in;

	if (d->data[0] != WIRE_DATA && d->data[0] != WIRE_CONTROL)
		return true;
	wire_get_inner(&in, !data, inner);
	if (d->from == x->honest && data)
		count_data(x, d);
	else if (d->from == x->honest && in.control == WIRE_REPORT) {
		x->reports++;
		x->report_bytes += d->len + SIM_OUTER;
	} else if (d->from == x->end && lies) {
		if (data)
			x->number = (uint32_t)in.bucket << 22 | in.bucket_seq;
		if (x->a->mute && !data && in.control == WIRE_REPORT &&
		    !x->lying)
			return false;
		if (x->a->holes && data) {
			in.bucket_seq = (in.bucket_seq * 2) & FQ_SEQ_MASK;
			in.bucket = (uint16_t)liar_below(x, FQ_BUCKETS);
			wire_put_inner(inner, !data, &in);
		}
		if (x->a->stamps) {
			in.stamp = (uint32_t)liar_below(x, WIRE_STAMP_MASK + 1);
			wire_put_inner(inner, !data, &in);
		}
	}
	return true;
}

static void
lie(struct sim *s, void *arg)
{
	struct liar *x = arg;
	struct sim_end *e = &s->end[x->end];
	uint8_t payload[REPORT_MAX];

	if (s->now >= x->until)
		return;
	for (unsigned i = 0; i < LIAR_LINES; i++) {
		struct link *l = liar_link(x, i);
		struct pacer pacer = l->pacer;
		struct link_control c = { .control = x->a->control,
			.payload = payload,
			.len = x->a->lie(x, i, payload) };

		if (!l->cur.used)
			continue;
		x->lying = true;
		s->calling = x->end;
		link_send_control(e->t, l, &c, s->now);
		x->lying = false;
		l->pacer = pacer; /* who floods does not mind his pace */
	}
	sim_at(s, s->now + x->a->gap, lie, x);
}

/* --- the honest end --- */

static uint64_t
line_bytes(const struct liar *x)
{
	const struct sim *s = x->s;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < LIAR_LINES; i++)
		bytes += s->line[i].dir[x->honest].bytes;
	return bytes;
}

static void
live_for(struct liar *x, mono_t span)
{
	struct sim *s = x->s;
	uint64_t before = line_bytes(x);
	mono_t end = s->now + span;

	while (s->now < end) {
		sim_for(s, 10 * MSEC);
		sim_check_memory(s->end[CLIENT].t);
		sim_check_memory(s->end[SERVER].t);
	}
	/* Whatever it is made to send, the lines' rates hold. */
	if (!x->a->unrated)
		ck_assert_uint_le(line_bytes(x) - before,
		    LIAR_LINES * LIAR_RATE / 1000 * (uint64_t)(span / MSEC) +
			65536);
}

static void
reset_flows(struct liar *x)
{
	sim_flow_reset(x->load);
	sim_flow_reset(x->sparse);
	sim_flow_reset(x->back);
}

/* Lines of that rate, of which nobody said so. */
static void
make_real(struct sim *s)
{
	for (unsigned i = 0; i < LIAR_LINES; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].rate_Bps = LIAR_RATE;
			s->line[i].dir[d].queue_bytes = LIAR_RATE / 4;
		}
}

static struct liar *
start_world(const struct liar_attack *a, int end)
{
	struct sim_setup su = sim_setup(LIAR_LINES);
	struct liar *x = calloc(1, sizeof(*x));

	ck_assert_ptr_nonnull(x);
	su.end[CLIENT].cipher = su.end[SERVER].cipher = "none";
	su.end[CLIENT].general = su.end[SERVER].general = "memory = 4";
	su.delay[1] = 20 * MSEC;
	x->a = a;
	x->end = end;
	x->honest = 1 - end;
	x->random = 7;
	for (unsigned i = 0; a->unrated && i < LIAR_LINES; i++)
		su.up_Bps[i] = su.down_Bps[i] = 0;
	x->s = sim_new_up(&su);
	if (a->unrated)
		make_real(x->s);
	x->s->filter = on_line;
	x->s->filter_ctx = x;
	x->load = sim_load(x->s, x->honest, 3 * LIAR_RATE, MONO_NEVER);
	x->sparse = sim_stream(x->s, x->honest, 200, 20 * MSEC, MONO_NEVER);
	x->back = sim_load(x->s, x->end, LIAR_RATE / 4, MONO_NEVER);
	x->urgent = sim_stream(x->s, x->honest, 200, 2 * MSEC, MONO_NEVER);
	x->urgent->tos = 0xb8;
	if (!a->urgent)
		x->urgent->stop_at = x->s->now;
	live_for(x, SEC);
	return x;
}

static void
end_world(struct liar *x)
{
	struct sim *s = x->s;

	x->load->stop_at = x->sparse->stop_at = x->back->stop_at =
	    x->urgent->stop_at = s->now;
	sim_for(s, 20 * SEC);
	sim_check_empty(s);
	sim_check(s);
	sim_free(s);
	free(x->sends);
	free(x);
}

/* The honest end's own limits, as doc/engine.rst has them. */
static void
check_bounds(const struct liar *x)
{
	uint64_t ms = (uint64_t)(LIAR_ATTACK / MSEC);

	/* 1 %, what can be saved up, and one each 250 ms in any case. */
	ck_assert_uint_le(x->report_bytes,
	    LIAR_LINES * LIAR_RATE / FEEDBACK_SHARE * ms / 1000 +
		FEEDBACK_SAVED +
		x->report_bytes / x->reports *
		    (uint64_t)((LIAR_LINES + 1) *
			       (LIAR_ATTACK / FEEDBACK_GAP_MAX + 1)));
	ck_assert_uint_le(x->again, 3 * x->first + 1000);
}

/* Lies for a while; then all that was must be as before. */
struct liar *
liar_run(const struct liar_attack *a, int end)
{
	struct liar *x = start_world(a, end);
	struct sim *s = x->s;

	x->until = s->now + LIAR_ATTACK;
	x->reports = x->report_bytes = x->again = x->first = 0;
	if (a->lie != NULL)
		sim_at(s, s->now, lie, x);
	reset_flows(x);
	live_for(x, LIAR_ATTACK);
	check_bounds(x);
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr,
		    "load %llu, sparse %llu of %llu, back %llu of %llu; "
		    "%llu reports, %llu of %llu again, %llu copies\n",
		    (unsigned long long)x->load->got,
		    (unsigned long long)x->sparse->got,
		    (unsigned long long)x->sparse->sent,
		    (unsigned long long)x->back->got,
		    (unsigned long long)x->back->sent,
		    (unsigned long long)x->reports,
		    (unsigned long long)x->again, (unsigned long long)x->first,
		    (unsigned long long)x->copies);
	return x;
}

void
liar_recovers(struct liar *x)
{
	struct sim *s = x->s;
	uint64_t most = LIAR_LINES * LIAR_RATE;

	live_for(x, RECOVERY);
	reset_flows(x);
	live_for(x, 2 * SEC);
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr, "then %llu of %llu, sparse %llu of %llu\n",
		    (unsigned long long)x->load->got_bytes / 2,
		    (unsigned long long)most,
		    (unsigned long long)x->sparse->got,
		    (unsigned long long)x->sparse->sent);
	for (unsigned i = 0; i < LIAR_LINES; i++)
		ck_assert(sim_link(s, x->honest, i)->in_use);
	ck_assert_uint_ge(x->load->got_bytes / 2, most * 85 / 100);
	ck_assert_uint_ge(x->sparse->got + 3, x->sparse->sent);
	ck_assert_uint_ge(x->back->got, x->back->sent * 9 / 10);
	end_world(x);
}

void
liar_others_go_on(const struct liar *x, unsigned percent)
{
	ck_assert_uint_ge(x->sparse->got, x->sparse->sent * percent / 100);
	ck_assert_uint_ge(x->back->got, x->back->sent * percent / 100);
}
