/*
 * Totals are packets of one numbering: a number may come late, and none comes
 * twice.
 */
#include "config.h"

#include "tunnel/loss.h"

#define HALF (5 * NSEC_PER_SEC)

void
loss_begin(struct loss_totals *t, uint64_t highest, uint32_t packets)
{
	*t = (struct loss_totals){ true, highest, packets };
}

void
loss_forget(struct loss_totals *t)
{
	t->known = false;
}

bool
loss_since(const struct loss_totals *t, uint64_t highest, uint32_t packets,
    struct loss_growth *g)
{
	g->expected = highest - t->highest;
	g->arrived = packets - t->packets;
	return t->known && highest >= t->highest && g->arrived <= INT32_MAX;
}

void
loss_meter_update(
    struct loss_meter *m, uint64_t highest, uint32_t packets, mono_t now)
{
	struct loss_growth g;

	if (loss_since(&m->last, highest, packets, &g)) {
		m->expected += (double)g.expected;
		m->arrived += g.arrived;
	}
	loss_begin(&m->last, highest, packets);
	if (now - m->decayed_at >= HALF) {
		m->expected /= 2;
		m->arrived /= 2;
		m->decayed_at = now;
	}
}

double
loss_meter_value(const struct loss_meter *m)
{
	if (m->expected < 1 || m->arrived >= m->expected)
		return 0;
	return 1 - m->arrived / m->expected;
}
