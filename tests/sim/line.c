/*
 * A line: a rate with a queue before it, then delay, jitter, loss, duplication
 * and reordering, each direction on its own.
 */
#include "config.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void
make_addr(union addr *a, uint32_t host, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->in4.sin_family = AF_INET;
	a->in4.sin_addr.s_addr = htonl(host);
	a->in4.sin_port = htons(port);
}

void
sim_line_init(struct sim *s, unsigned line)
{
	struct sim_line *l = &s->line[line];

	make_addr(
	    &l->addr[CLIENT], 0x0a000001 + line, (uint16_t)(40000 + line));
	make_addr(&l->addr[SERVER], 0x0a010001 + line,
	    (uint16_t)(5000 + line + s->setup.port));
	for (int i = 0; i < 2; i++)
		l->dir[i].delay = s->setup.delay[line];
}

void
sim_cut(struct sim *s, unsigned line, bool cut)
{
	s->line[line].dir[CLIENT].cut = cut;
	s->line[line].dir[SERVER].cut = cut;
}

void
sim_roam(struct sim *s, unsigned line)
{
	union addr *a = &s->line[line].addr[CLIENT];
	uint64_t r = sim_random(&s->random);

	make_addr(a, 0x0a020000 + (uint32_t)(r & 0xffff),
	    (uint16_t)(1024 + (r >> 16) % 60000));
}

uint64_t
sim_data_bytes(const struct sim *s, int end, unsigned line)
{
	return s->line[line].dir[end].data_bytes;
}

static struct sim_dgram *
copy(const struct sim_dgram *d)
{
	struct sim_dgram *c = malloc(sizeof(*c) + d->len);

	SIM_MUST(c != NULL);
	memcpy(c, d, sizeof(*c) + d->len);
	return c;
}

static void
arrive(struct sim *s, void *arg)
{
	struct sim_dgram *d = arg;
	struct sim_dir *dir = &s->line[d->line].dir[d->from];
	struct sim_end *e = &s->end[d->to];
	struct link *l = sim_link(s, d->to, d->line);
	bool data = d->data[0] == WIRE_DATA;

	if (dir->cut || l == NULL || l->family == 0 ||
	    !addr_equal(&d->dst, &s->line[d->line].addr[d->to])) {
		dir->data_lost += data;
		return;
	}
	if (s->now < e->busy_until) {
		sim_at_owned(s, e->busy_until, arrive, copy(d));
		return;
	}
	dir->data_arrived += data;
	if (s->arrival != NULL)
		s->arrival(s, s->filter_ctx, d);
	sim_inject(s, d->to, d->line, &d->src, d->data, d->len);
}

static bool
is_lost(struct sim *s, struct sim_dir *dir)
{
	if (dir->burst > 0) {
		if (dir->in_burst)
			dir->in_burst = sim_chance(s) >= dir->burst_end;
		else
			dir->in_burst = sim_chance(s) < dir->burst;
	}
	return dir->cut || dir->in_burst ||
	       (dir->loss > 0 && sim_chance(s) < dir->loss);
}

/* When it leaves the line's queue; -1: that is full. */
static mono_t
serve(struct sim *s, struct sim_dir *dir, size_t outer)
{
	uint64_t backlog;

	if (dir->rate_Bps == 0)
		return s->now;
	outer += dir->overhead;
	if (dir->free_at < s->now)
		dir->free_at = s->now;
	backlog =
	    (uint64_t)(dir->free_at - s->now) * dir->rate_Bps / (uint64_t)SEC;
	if (dir->queue_bytes != 0 && backlog + outer > dir->queue_bytes) {
		dir->queue_drops++;
		return -1;
	}
	dir->free_at +=
	    (mono_t)((uint64_t)outer * (uint64_t)SEC / dir->rate_Bps);
	return dir->free_at;
}

/* Box and Muller. */
static double
normal(struct sim *s)
{
	double u = 1.0 - sim_chance(s), v = sim_chance(s);

	return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979 * v);
}

static mono_t
arrival(struct sim *s, struct sim_dir *dir, mono_t at)
{
	mono_t end = at;

	at += dir->delay;
	if (dir->sigma > 0)
		at += (mono_t)(normal(s) * (double)dir->sigma);
	if (at < end)
		at = end;
	if (dir->jitter > 0)
		at += (mono_t)(sim_chance(s) * (double)dir->jitter);
	if (dir->reorder > 0 && sim_chance(s) < dir->reorder)
		return at + dir->reorder_delay;
	if (at < dir->last_at)
		at = dir->last_at;
	dir->last_at = at;
	return at;
}

void
sim_line_send(struct sim *s, struct sim_dgram *d)
{
	struct sim_dir *dir = &s->line[d->line].dir[d->from];
	size_t outer = d->len + SIM_OUTER;
	bool data = d->data[0] == WIRE_DATA;
	mono_t at;

	dir->packets++;
	dir->bytes += outer;
	dir->data += data;
	dir->data_bytes += data ? outer : 0;
	if (s->filter != NULL && !s->filter(s, s->filter_ctx, d))
		goto lost;
	if ((at = serve(s, dir, outer)) == -1 || is_lost(s, dir))
		goto lost;
	if (dir->dup > 0 && sim_chance(s) < dir->dup) {
		dir->data_copied += data;
		sim_at_owned(s, arrival(s, dir, at), arrive, copy(d));
	}
	sim_at_owned(s, arrival(s, dir, at), arrive, d);
	return;
lost:
	dir->data_lost += data;
	free(d);
}
