/*
 * The world: a heap of events in virtual time, and the two engines with what a
 * worker process would do for them.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "sim.h"

#define START (1000 * SEC)
#define SOCKET_TIME (1 * MSEC)
#define RESOLVE_TIME (5 * MSEC)
#define SPINS_MAX 2000

static void end_run(struct sim *s, void *arg);

/* --- chance --- */

/* splitmix64 */
uint64_t
sim_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double
sim_chance(struct sim *s)
{
	return (double)(sim_random(&s->random) >> 11) / 9007199254740992.0;
}

static mono_t
span_up_to(struct sim *s, mono_t span)
{
	return (mono_t)(sim_chance(s) * (double)span);
}

/* --- events --- */

static bool
sooner(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
push(struct sim *s, struct sim_event ev)
{
	size_t i;

	if (s->nheap == s->heap_size) {
		s->heap_size = s->heap_size == 0 ? 1024 : s->heap_size * 2;
		s->heap = reallocarray(s->heap, s->heap_size, sizeof(*s->heap));
		SIM_MUST(s->heap != NULL);
	}
	ev.order = s->order++;
	for (i = s->nheap++; i > 0 && sooner(&ev, &s->heap[(i - 1) / 2]);
	     i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = ev;
}

static struct sim_event
pop(struct sim *s)
{
	struct sim_event top = s->heap[0], last = s->heap[--s->nheap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->nheap) {
		if (child + 1 < s->nheap &&
		    sooner(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!sooner(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

void
sim_at(struct sim *s, mono_t at, sim_fn *fn, void *arg)
{
	push(s, (struct sim_event){ .at = at, .fn = fn, .arg = arg });
}

void
sim_at_owned(struct sim *s, mono_t at, sim_fn *fn, void *arg)
{
	push(s, (struct sim_event){
		    .at = at, .fn = fn, .arg = arg, .owned = true });
}

/* Events up to that instant. */
static void
run_to(struct sim *s, mono_t at)
{
	while (s->nheap > 0 && s->heap[0].at <= at) {
		struct sim_event ev = pop(s);

		SIM_MUST(ev.at >= s->now);
		s->now = ev.at;
		ev.fn(s, ev.arg);
		if (ev.owned)
			free(ev.arg);
	}
	s->now = at;
}

void
sim_until(struct sim *s, mono_t at)
{
	run_to(s, s->start + at);
}

void
sim_for(struct sim *s, mono_t span)
{
	run_to(s, s->now + span);
}

/* --- what the engine asks for --- */

static uint8_t *
op_space(void *ctx, size_t size)
{
	struct sim_end *e = ctx;

	SIM_MUST(size <= sizeof(e->space));
	return e->space;
}

static unsigned
line_of(const struct sim_end *e, unsigned slot)
{
	return (unsigned)atoi(e->t->links[slot].conf.name + 1);
}

static void
op_send(void *ctx, unsigned slot, size_t len, const struct path *path)
{
	struct sim_end *e = ctx;
	struct sim *s = e->sim;
	struct sim_dgram *d = malloc(sizeof(*d) + len);

	SIM_MUST(d != NULL);
	SIM_MUST(slot < LINKS_MAX);
	SIM_MUST(e->t->links[slot].family != 0);
	SIM_MUST(len > 0);
	d->line = line_of(e, slot);
	d->from = e->role;
	d->to = 1 - e->role;
	d->src = s->line[d->line].addr[e->role];
	d->dst = path->peer;
	d->len = len;
	memcpy(d->data, e->space, len);
	e->sent++;
	e->sent_bytes += len + SIM_OUTER;
	sim_line_send(s, d);
}

struct delivery {
	int end;
	size_t len;
	uint8_t data[];
};

static void
hand_over(struct sim *s, void *arg)
{
	struct delivery *d = arg;

	sim_flow_deliver(s, d->end, d->data, d->len);
}

static void
op_deliver(void *ctx, struct pktbuf *pb)
{
	struct sim_end *e = ctx;
	struct delivery *d = malloc(sizeof(*d) + pb->len);

	SIM_MUST(d != NULL);
	d->end = e->role;
	d->len = pb->len;
	memcpy(d->data, pb->data, pb->len);
	pktbuf_free(e->t->pool, pb);
	sim_at_owned(e->sim, e->sim->now, hand_over, d);
}

struct request {
	struct tunnel *t;
	int end;
	unsigned slot;
};

static void
open_socket(struct sim *s, void *arg)
{
	struct request *r = arg;
	struct sim_end *e = &s->end[r->end];
	unsigned line;

	if (e->t != r->t || !e->t->links[r->slot].used)
		return;
	if (e->no_sockets) {
		tunnel_link_socket(e->t, r->slot, 0, ENODEV, s->now);
		sim_wake(e, s->now);
		return;
	}
	line = line_of(e, r->slot);
	if (r->end == CLIENT) /* a new socket has a new port */
		addr_set_port(
		    &s->line[line].addr[CLIENT], 40000 + e->next_port++);
	tunnel_link_socket(e->t, r->slot, AF_INET, 0, s->now);
	sim_wake(e, s->now);
}

static void
resolved(struct sim *s, void *arg)
{
	struct request *r = arg;
	struct sim_end *e = &s->end[r->end];

	if (e->t != r->t || !e->t->links[r->slot].used)
		return;
	tunnel_link_addrs(e->t, r->slot,
	    &s->line[line_of(e, r->slot)].addr[SERVER], 1, s->now);
	sim_wake(e, s->now);
}

static void
op_event(void *ctx, enum tunnel_event event, unsigned slot)
{
	struct sim_end *e = ctx;
	struct request *r;

	e->events[event]++;
	if (event == TUNNEL_BOND_UP || event == TUNNEL_BOND_DOWN)
		e->bond_up = event == TUNNEL_BOND_UP;
	if (event != TUNNEL_WANT_SOCKET && event != TUNNEL_WANT_ADDRESS)
		return;
	r = malloc(sizeof(*r));
	SIM_MUST(r != NULL);
	*r = (struct request){ e->t, e->role, slot };
	if (event == TUNNEL_WANT_SOCKET)
		sim_at_owned(e->sim, e->sim->now + SOCKET_TIME, open_socket, r);
	else
		sim_at_owned(e->sim, e->sim->now + RESOLVE_TIME, resolved, r);
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	struct sim_end *e = ctx;
	uint8_t *p = buf;

	for (uint64_t r; len > 0; len -= len < 8 ? len : 8, p += 8) {
		r = sim_random(&e->random);
		memcpy(p, &r, len < 8 ? len : 8);
	}
}

static void
on_log(void *ctx, int priority, const char *line)
{
	struct sim *s = ctx;
	struct sim_log *l;

	(void)priority;
	if (getenv("SIM_VERBOSE") != NULL)
		fprintf(stderr, "%10.6f %s: %s\n",
		    (double)(s->now - s->start) / (double)SEC,
		    s->calling == CLIENT ? "client" : "server", line);
	if (s->nlogs == SIM_LOGS_MAX)
		return;
	l = &s->logs[s->nlogs++];
	l->at = s->now;
	l->end = s->calling;
	snprintf(l->text, sizeof(l->text), "%s", line);
}

size_t
sim_log_count(struct sim *s, int end, const char *part)
{
	size_t n = 0;

	for (size_t i = 0; i < s->nlogs; i++)
		n += (end == -1 || s->logs[i].end == end) &&
		     strstr(s->logs[i].text, part) != NULL;
	return n;
}

void
sim_log_clear(struct sim *s)
{
	s->nlogs = 0;
}

static void
set_psk(struct sim *s, int end)
{
	uint8_t psk[HS_PSK_LEN];

	memset(psk, s->setup.end[end].psk, sizeof(psk));
	ck_assert_int_eq(tunnel_set_psk(s->end[end].t, psk, s->now), 0);
}

void
sim_reload(struct sim *s, int end, bool with_psk)
{
	struct sim_end *e = &s->end[end];
	struct conf *next = sim_conf(s, end);

	s->calling = end;
	conf_assign_slots(e->t->conf, next);
	tunnel_reload(e->t, next, s->now);
	if (with_psk)
		set_psk(s, end);
	sim_wake(e, s->now);
}

void
sim_start(struct sim *s, int end)
{
	struct sim_end *e = &s->end[end];
	struct tunnel_ops ops = { op_space, op_send, op_deliver, op_event,
		op_random, e };
	struct conf *conf = sim_conf(s, end);

	s->calling = end;
	conf_assign_slots(NULL, conf);
	e->t = tunnel_new(conf, &ops, s->now);
	SIM_MUST(e->t != NULL);
	tunnel_set_mtu(e->t, SIM_MTU, s->now);
	set_psk(s, end);
	sim_wake(e, s->now);
}

/* --- the ends --- */

void
sim_wake(struct sim_end *e, mono_t at)
{
	struct sim *s = e->sim;

	if (at == MONO_NEVER)
		return;
	if (at < s->now)
		at = s->now;
	if (at > s->now && s->setup.late_max != 0)
		at += span_up_to(s, s->setup.late_max);
	if (at < e->busy_until)
		at = e->busy_until;
	if (at >= e->run_at)
		return;
	e->run_at = at;
	sim_at(s, at, end_run, e);
}

/* A loop that makes no progress would burn the processor. */
static void
count_run(struct sim_end *e)
{
	struct sim *s = e->sim;

	if (e->woken_at != s->now) {
		e->woken_at = s->now;
		e->wakeups++;
	}
	if (e->spin_at + 10 * USEC < s->now) {
		e->spin_at = s->now;
		e->spins = 0;
	}
	SIM_MUST(++e->spins < SPINS_MAX); /* a busy loop */
}

static void
end_run(struct sim *s, void *arg)
{
	struct sim_end *e = arg;
	mono_t next;

	if (e->run_at != s->now || e->t == NULL)
		return;
	e->run_at = MONO_NEVER;
	count_run(e);
	s->calling = e->role;
	next = tunnel_run(e->t, s->now);
	if (s->setup.stall_max != 0 && s->now >= e->stall_at) {
		e->busy_until = s->now + span_up_to(s, s->setup.stall_max);
		e->stall_at =
		    e->busy_until + span_up_to(s, 2 * s->setup.stall_gap);
	}
	sim_wake(e, next);
}

struct link *
sim_link(struct sim *s, int end, unsigned line)
{
	struct tunnel *t = s->end[end].t;

	for (unsigned i = 0; t != NULL && i < LINKS_MAX; i++)
		if (t->links[i].used &&
		    (unsigned)atoi(t->links[i].conf.name + 1) == line)
			return &t->links[i];
	return NULL;
}

void
sim_inject(struct sim *s, int to, unsigned line, const union addr *src,
    const uint8_t *data, size_t len)
{
	struct sim_end *e = &s->end[to];
	struct link *l = sim_link(s, to, line);
	struct path from = { .peer = *src };
	struct pktbuf *pb;

	if (l == NULL)
		return;
	pb = pktbuf_alloc(e->t->pool, len);
	SIM_MUST(pb != NULL);
	memcpy(pb->data, data, len);
	pb->len = (uint32_t)len;
	s->calling = to;
	tunnel_dgram(e->t, l->slot, pb, &from, s->now);
	sim_wake(e, s->now);
}

/* --- birth and death --- */

struct sim *
sim_new(const struct sim_setup *setup)
{
	struct sim *s = calloc(1, sizeof(*s));

	SIM_MUST(s != NULL);
	s->setup = *setup;
	s->now = s->start = START;
	s->random = setup->seed;
	s->logs = calloc(SIM_LOGS_MAX, sizeof(*s->logs));
	SIM_MUST(s->logs != NULL);
	log_set_level(LOG_INFO);
	log_set_sink(on_log, s);
	for (unsigned i = 0; i < setup->lines; i++)
		sim_line_init(s, i);
	for (int i = 0; i < 2; i++) {
		struct sim_end *e = &s->end[i];

		e->sim = s;
		e->role = i;
		e->run_at = MONO_NEVER;
		e->random = sim_random(&s->random);
		sim_start(s, i);
	}
	return s;
}

uint64_t
sim_handing_over(const struct sim *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->nheap; i++)
		n += s->heap[i].fn == hand_over;
	return n;
}

static void
bury(struct sim *s, int end)
{
	struct sim_end *e = &s->end[end];

	s->calling = end;
	e->dropped = sim_dropped(e);
	e->refused = sim_refused(e);
	e->gone_sent += e->t->stats.tx_packets;
	e->gone_data += e->t->stats.tx_data;
	e->gone_restored += e->t->stats.restored;
	tunnel_free(e->t);
	e->t = NULL;
	e->run_at = MONO_NEVER;
	e->bond_up = false;
}

void
sim_restart(struct sim *s, int end)
{
	bury(s, end);
	sim_start(s, end);
}

void
sim_stop(struct sim *s, int end)
{
	s->calling = end;
	tunnel_stop(s->end[end].t, s->now);
	bury(s, end);
}

void
sim_free(struct sim *s)
{
	for (int i = 0; i < 2; i++)
		if (s->end[i].t != NULL)
			tunnel_free(s->end[i].t);
	for (size_t i = 0; i < s->nheap; i++)
		if (s->heap[i].owned)
			free(s->heap[i].arg);
	sim_flows_free(s);
	log_set_sink(NULL, NULL);
	free(s->heap);
	free(s->fate);
	free(s->logs);
	free(s);
}

bool
sim_wait_up(struct sim *s, unsigned n, mono_t limit)
{
	mono_t end = s->now + limit;

	for (;;) {
		const struct tunnel *c = s->end[CLIENT].t;
		const struct tunnel *v = s->end[SERVER].t;

		if (c != NULL && v != NULL && c->nup == n && v->nup == n)
			return true;
		if (s->now >= end)
			return false;
		run_to(s, s->now + 1 * MSEC);
	}
}

struct sim *
sim_new_up(const struct sim_setup *setup)
{
	struct sim *s = sim_new(setup);

	ck_assert(sim_wait_up(s, setup->lines, 5 * SEC));
	return s;
}

/* --- conservation --- */
