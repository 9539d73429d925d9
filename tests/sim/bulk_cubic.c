/*
 * CUBIC (RFC 9438) as in Linux: fast convergence, and HyStart's end of slow
 * start by delay (Ha and Rhee 2011).
 */
#include "config.h"

#include <math.h>

#include "bulk.h"

#define CUBIC_C 0.4
#define CUBIC_BETA 0.7
#define RENO_GAIN (3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA))
#define HYSTART_CWND 16
#define HYSTART_SAMPLES 8
#define HYSTART_MIN (4 * MSEC)
#define HYSTART_MAX (16 * MSEC)

static void
init(struct sim_bulk *b)
{
	(void)b;
}

/* The round trip has grown: the line is full. */
static void
hystart(struct sim_bulk *b, mono_t rtt)
{
	struct bulk_cubic *c = &b->cubic;
	mono_t more = b->min_rtt / 8;

	if (b->una >= c->round_end) {
		c->round_end = b->next;
		c->samples = 0;
		c->round_rtt = MONO_NEVER;
	}
	if (rtt == 0 || b->cwnd < HYSTART_CWND)
		return;
	c->round_rtt = mono_earlier(c->round_rtt, rtt);
	more = more < HYSTART_MIN ? HYSTART_MIN : more;
	more = more > HYSTART_MAX ? HYSTART_MAX : more;
	if (c->samples < HYSTART_SAMPLES)
		c->samples++;
	else if (c->round_rtt > b->min_rtt + more)
		b->ssthresh = b->cwnd;
}

/* Proportional rate reduction (RFC 6937): spread over a round trip. */
static void
reduce(struct sim_bulk *b, double acked)
{
	struct bulk_cubic *c = &b->cubic;
	double flying = (double)b->flying, quota;

	c->prr_acked += acked;
	if (flying > b->ssthresh)
		quota = ceil(c->prr_acked * b->ssthresh / c->prr_flying) -
			(double)(b->sent - c->prr_sent);
	else {
		quota = c->prr_acked - (double)(b->sent - c->prr_sent);
		quota = (quota > acked ? quota : acked) + 1;
		quota = fmin(b->ssthresh - flying, quota);
	}
	b->cwnd = flying + fmax(quota, b->sent == c->prr_sent ? 1 : 0);
}

static void
on_ack(struct sim_bulk *b, const struct bulk_sample *rs)
{
	struct bulk_cubic *c = &b->cubic;
	double t, target, acked = (double)rs->acked;

	if (b->ca == BULK_RECOVERY) {
		reduce(b, acked);
		return;
	}
	if (b->cwnd < b->ssthresh) {
		b->cwnd += acked;
		if (b->cc->hystart)
			hystart(b, rs->rtt);
		return;
	}
	if (c->epoch_at == 0) {
		c->epoch_at = b->sim->now;
		c->reno = b->cwnd;
		if (c->w_max < b->cwnd)
			c->w_max = b->cwnd;
		c->k = cbrt((c->w_max - b->cwnd) / CUBIC_C);
	}
	t = (double)(b->sim->now - c->epoch_at + b->srtt) / (double)SEC - c->k;
	target = CUBIC_C * t * t * t + c->w_max;
	if (target > b->cwnd * 1.5)
		target = b->cwnd * 1.5;
	/* Never slower than Reno with this beta. */
	c->reno += acked * RENO_GAIN / b->cwnd;
	target = fmax(target, c->reno);
	if (target > b->cwnd)
		b->cwnd += acked * (target - b->cwnd) / b->cwnd;
	else
		b->cwnd += acked * 0.01 / b->cwnd;
	if (b->cwnd > BULK_WINDOW / 2)
		b->cwnd = BULK_WINDOW / 2;
}

static void
on_loss(struct sim_bulk *b)
{
	struct bulk_cubic *c = &b->cubic;

	c->prior_w_max = c->w_max;
	c->prior_cwnd = b->cwnd;
	c->prior_ssthresh = b->ssthresh;
	c->w_max =
	    b->cwnd < c->w_max ? b->cwnd * (1 + CUBIC_BETA) / 2 : b->cwnd;
	b->ssthresh = fmax(b->cwnd * CUBIC_BETA, BULK_CWND_MIN);
	c->epoch_at = 0;
	c->prr_acked = 0;
	c->prr_flying = (double)b->flying;
	c->prr_sent = b->sent;
}

static void
on_undo(struct sim_bulk *b)
{
	struct bulk_cubic *c = &b->cubic;

	if (b->cwnd < c->prior_cwnd)
		b->cwnd = c->prior_cwnd;
	if (b->ssthresh < c->prior_ssthresh)
		b->ssthresh = c->prior_ssthresh;
	c->w_max = c->prior_w_max;
	c->epoch_at = 0;
}

static void
on_recovered(struct sim_bulk *b)
{
	if (b->ca == BULK_RECOVERY)
		b->cwnd = b->ssthresh;
}

static void
on_timeout(struct sim_bulk *b)
{
	on_loss(b);
	b->cwnd = 1;
}

#define CUBIC init, on_ack, on_loss, on_undo, on_recovered, on_timeout

const struct bulk_cc bulk_plain = { CUBIC, .hystart = false };
const struct bulk_cc bulk_cubic = { CUBIC, .hystart = true };
const struct bulk_cc bulk_classic = { CUBIC, .hystart = true, .classic = true };
