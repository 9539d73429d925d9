/*
 * What the tests of many random worlds share: chance, a choice of worlds, and
 * what no world may exceed.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

#define ID (20 + 8 + 12) /* of an inner packet, where flow.c puts it */

uint64_t
sim_upto(uint64_t *r, uint64_t n)
{
	return sim_random(r) % (n + 1);
}

uint64_t
sim_dgram_id(const struct sim_dgram *d)
{
	return get_be64(d->data + SIM_FRONT + ID);
}

struct wire_inner
sim_dgram_inner(const struct sim_dgram *d)
{
	struct wire_inner in;

	wire_get_inner(&in, d->data[0] == WIRE_CONTROL,
	    d->data + SIM_FRONT - WIRE_INNER_LEN);
	return in;
}

void
sim_worlds(int i, unsigned tests, unsigned worlds, void (*run)(uint64_t seed))
{
	const char *only = getenv("SIM_SEED"), *n = getenv("SIM_WORLDS");

	if (only != NULL) {
		if (i == 0)
			run(strtoull(only, NULL, 10));
		return;
	}
	if (n != NULL)
		worlds = (unsigned)strtoul(n, NULL, 10);
	for (unsigned k = 0; k < worlds; k++)
		run((uint64_t)i + (uint64_t)k * tests);
}

void
sim_check_memory(const struct tunnel *t)
{
	size_t memory = (size_t)t->conf->memory_bytes;

	SIM_MUST(pktbuf_pool_bytes(t->pool) <= memory);
	SIM_MUST(pktbuf_used(t->pool, PKTBUF_QUEUE) <= memory / 8 * 3);
	SIM_MUST(pktbuf_used(t->pool, PKTBUF_RETAIN) <= memory / 4);
	SIM_MUST(pktbuf_used(t->pool, PKTBUF_RESEQ) <= memory / 4);
	SIM_MUST(pktbuf_used(t->pool, PKTBUF_PLAYOUT) <= memory / 8);
	SIM_MUST(t->arq.nskips <= ARQ_SKIPS);
}

void
sim_check_empty(struct sim *s)
{
	for (int i = 0; i < 2; i++)
		for (int use = 0; use < PKTBUF_USES; use++)
			SIM_MUST(pktbuf_used(s->end[i].t->pool,
				     (enum pktbuf_use)use) == 0);
}
