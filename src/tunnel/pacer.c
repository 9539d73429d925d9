/*
 * Credit is kept as an instant: due_at is when the bytes sent so far have been
 * paid for.  Every packet moves it by its exact cost (the remainder of the
 * division is carried), so the rate does not drift whatever the packet sizes.
 *
 * Why the bound holds: credit above PACER_DEPTH is cut off by moving due_at,
 * and only what was cut off may be given back, at most PACER_LATE_MAX of it.
 */
#include "config.h"

#include "tunnel/pacer.h"

#define REPAY_SHARE 5 /* 1/5 of each cost: 1 / (1 - 1/5) = 1.25 R */

void
pacer_init(
    struct pacer *p, uint64_t rate_Bps, uint32_t overhead_bytes, mono_t now)
{
	*p = (struct pacer){
		.rate_Bps = rate_Bps,
		.overhead_bytes = overhead_bytes,
		.due_at = now,
	};
}

void
pacer_set_rate(struct pacer *p, uint64_t rate_Bps, uint32_t overhead_bytes)
{
	p->overhead_bytes = overhead_bytes;
	if (rate_Bps == p->rate_Bps)
		return;
	/* due_at did not move while there was no limit. */
	if (p->rate_Bps == 0) {
		p->backlogged = false;
		p->late = 0;
	}
	p->rate_Bps = rate_Bps;
	p->remainder = 0;
}

/* Cuts credit to PACER_DEPTH and remembers what lateness has cost. */
static void
cap(struct pacer *p, mono_t now)
{
	mono_t excess = now - p->due_at - PACER_DEPTH;

	if (excess <= 0)
		return;
	p->due_at += excess;
	if (!p->backlogged) {
		p->idle = mono_earlier(p->idle + excess / 2, PACER_IDLE_MAX);
		return;
	}
	p->late += excess;
	if (p->late > PACER_LATE_MAX)
		p->late = PACER_LATE_MAX;
}

bool
pacer_ready(struct pacer *p, mono_t now)
{
	if (p->rate_Bps == 0)
		return true;
	cap(p, now);
	return now >= p->due_at;
}

void
pacer_charge(struct pacer *p, size_t len, mono_t now)
{
	uint64_t scaled; /* bytes x 10^9 */
	mono_t cost, repaid;

	if (p->rate_Bps == 0)
		return;
	cap(p, now);
	scaled = ((uint64_t)len + p->overhead_bytes) * (uint64_t)NSEC_PER_SEC +
		 p->remainder;
	p->remainder = scaled % p->rate_Bps;
	cost = (mono_t)(scaled / p->rate_Bps);
	repaid = cost / REPAY_SHARE;
	if (repaid > p->late)
		repaid = p->late;
	p->late -= repaid;
	p->due_at += cost - repaid;
}

bool
pacer_use_idle(struct pacer *p, size_t len, mono_t now)
{
	mono_t cost = pacer_cost(p, len);

	if (p->rate_Bps == 0)
		return true;
	cap(p, now);
	if (cost > p->idle)
		return false;
	p->idle -= cost;
	return true;
}

void
pacer_set_backlogged(struct pacer *p, bool backlogged)
{
	p->backlogged = backlogged;
}

mono_t
pacer_ready_at(const struct pacer *p)
{
	return p->rate_Bps == 0 ? 0 : p->due_at;
}

mono_t
pacer_debt(const struct pacer *p, mono_t now)
{
	if (p->rate_Bps == 0 || p->due_at <= now)
		return 0;
	return p->due_at - now;
}

mono_t
pacer_cost(const struct pacer *p, size_t len)
{
	uint64_t ns;

	if (p->rate_Bps == 0)
		return 0;
	ns = ((uint64_t)len + p->overhead_bytes) * (uint64_t)NSEC_PER_SEC;
	return (mono_t)((ns + p->rate_Bps - 1) / p->rate_Bps);
}
