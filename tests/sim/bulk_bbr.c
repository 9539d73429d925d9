/*
 * BBR, version 1 (Cardwell et al. 2016), after the one in Linux: STARTUP,
 * DRAIN, eight phases of PROBE_BW, PROBE_RTT every ten seconds, and room for
 * acknowledgements that come in clumps.  Without its detector of policers.
 */
#include "config.h"

#include "bulk.h"

#define HIGH_GAIN (2885.0 / 1000)
#define CWND_GAIN 2.0
#define PACE_MARGIN 0.99
#define CWND_PROBE 4
#define MIN_RTT_TIME (10 * SEC)
#define PROBE_RTT_TIME (200 * MSEC)
#define FULL_GROWTH 1.25
#define FULL_ROUNDS 3
#define EXTRA_ROUNDS 5
#define EXTRA_MAX 0.1 /* s of btl_bw */
#define PHASES 8

enum mode { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

static const double gains[PHASES] = { 1.25, 0.75, 1, 1, 1, 1, 1, 1 };

static double
seconds(mono_t t)
{
	return (double)t / (double)SEC;
}

static void
set_mode(struct sim_bulk *b, enum mode mode)
{
	struct bulk_bbr *v = &b->bbr;

	v->mode = mode;
	v->cwnd_gain = mode == PROBE_BW ? CWND_GAIN : HIGH_GAIN;
	v->pacing_gain = mode == STARTUP ? HIGH_GAIN
			 : mode == DRAIN ? 1 / HIGH_GAIN
					 : 1;
	if (mode == PROBE_RTT)
		v->cwnd_gain = 1;
	if (mode != PROBE_BW)
		return;
	/* Any phase but the one that drains. */
	v->phase = (unsigned)(sim_random(&b->sim->random) % (PHASES - 1));
	v->phase = v->phase == 0 ? 0 : v->phase + 1;
	v->phase_at = b->sim->now;
	v->pacing_gain = gains[v->phase];
}

static void
init(struct sim_bulk *b)
{
	set_mode(b, STARTUP);
	b->pace = HIGH_GAIN * BULK_CWND_INIT * 1000; /* 1 ms */
}

static double
bdp(const struct sim_bulk *b)
{
	if (b->bbr.min_rtt == 0)
		return BULK_CWND_INIT;
	return b->bbr.btl_bw * seconds(b->bbr.min_rtt);
}

/* The most of the last rounds that showed what the path can do. */
static void
filter_bw(struct bulk_bbr *v, double bw)
{
	unsigned slot = (unsigned)(v->round % BULK_BW_ROUNDS);

	if (v->bw_round[slot] != v->round)
		v->bw[slot] = 0;
	v->bw_round[slot] = v->round;
	if (bw > v->bw[slot])
		v->bw[slot] = bw;
	v->btl_bw = 0;
	for (size_t i = 0; i < BULK_BW_ROUNDS; i++)
		if (v->bw_round[i] + BULK_BW_ROUNDS > v->round &&
		    v->bw[i] > v->btl_bw)
			v->btl_bw = v->bw[i];
}

static void
update_bw(struct sim_bulk *b, const struct bulk_sample *rs)
{
	struct bulk_bbr *v = &b->bbr;
	mono_t span = b->sim->now - rs->prior_at;
	double bw;

	v->round_start = false;
	if (!rs->valid)
		return;
	if (rs->prior_delivered >= v->round_end) {
		v->round_end = b->delivered;
		v->round++;
		v->round_start = true;
	}
	span = span > rs->send_span ? span : rs->send_span;
	if (span <= 0 || span < b->min_rtt)
		return;
	bw = (double)(b->delivered - rs->prior_delivered) / seconds(span);
	if (!rs->limited || bw >= v->btl_bw)
		filter_bw(v, bw);
}

static void
update_extra(struct sim_bulk *b, const struct bulk_sample *rs)
{
	struct bulk_bbr *v = &b->bbr;
	double expected = v->btl_bw * seconds(b->sim->now - v->epoch_at), extra;

	if (v->round_start && v->round >= v->extra_round + EXTRA_ROUNDS) {
		v->extra_round = v->round;
		v->extra[1] = v->extra[0];
		v->extra[0] = 0;
	}
	if (v->epoch_acked <= expected) {
		v->epoch_acked = 0;
		v->epoch_at = b->sim->now;
		expected = 0;
	}
	v->epoch_acked += (double)rs->acked;
	extra = v->epoch_acked - expected;
	extra = extra < b->cwnd ? extra : b->cwnd;
	if (extra > v->extra[0])
		v->extra[0] = extra;
}

static double
extra_cwnd(const struct bulk_bbr *v)
{
	double extra = v->extra[0] > v->extra[1] ? v->extra[0] : v->extra[1];

	if (!v->full)
		return 0;
	return extra < EXTRA_MAX * v->btl_bw ? extra : EXTRA_MAX * v->btl_bw;
}

static void
check_full(struct bulk_bbr *v, const struct bulk_sample *rs)
{
	if (v->full || !v->round_start || rs->limited)
		return;
	if (v->btl_bw >= v->full_bw * FULL_GROWTH) {
		v->full_bw = v->btl_bw;
		v->full_rounds = 0;
		return;
	}
	v->full = ++v->full_rounds >= FULL_ROUNDS;
}

static void
update_phase(struct sim_bulk *b)
{
	struct bulk_bbr *v = &b->bbr;
	bool over = b->sim->now - v->phase_at > v->min_rtt;
	double flying = (double)b->flying;

	if (v->mode != PROBE_BW)
		return;
	if (v->pacing_gain > 1)
		over =
		    over && (b->lost > 0 || flying >= v->pacing_gain * bdp(b));
	else if (v->pacing_gain < 1)
		over = over || flying <= bdp(b);
	if (!over)
		return;
	v->phase = (v->phase + 1) % PHASES;
	v->phase_at = b->sim->now;
	v->pacing_gain = gains[v->phase];
}

static void
probe_rtt(struct sim_bulk *b)
{
	struct bulk_bbr *v = &b->bbr;

	v->limited = b->delivered + b->flying;
	if (v->probe_done_at == 0 && b->flying <= CWND_PROBE)
		v->probe_done_at = b->sim->now + PROBE_RTT_TIME;
	if (v->probe_done_at == 0 || b->sim->now < v->probe_done_at)
		return;
	v->min_rtt_at = b->sim->now;
	if (b->cwnd < v->prior_cwnd)
		b->cwnd = v->prior_cwnd;
	set_mode(b, v->full ? PROBE_BW : STARTUP);
}

static void
update_min_rtt(struct sim_bulk *b, mono_t rtt)
{
	struct bulk_bbr *v = &b->bbr;
	bool old = b->sim->now > v->min_rtt_at + MIN_RTT_TIME;

	if (rtt > 0 && (v->min_rtt == 0 || rtt < v->min_rtt || old)) {
		old = old && v->min_rtt != 0;
		v->min_rtt = rtt;
		v->min_rtt_at = b->sim->now;
	}
	if (old && v->mode != PROBE_RTT && v->min_rtt != 0) {
		v->prior_cwnd = b->ca == BULK_OPEN || b->cwnd > v->prior_cwnd
				    ? b->cwnd
				    : v->prior_cwnd;
		v->probe_done_at = 0;
		set_mode(b, PROBE_RTT);
	}
	if (v->mode == PROBE_RTT)
		probe_rtt(b);
}

static void
set_pace(struct sim_bulk *b)
{
	struct bulk_bbr *v = &b->bbr;
	double pace = v->pacing_gain * v->btl_bw * PACE_MARGIN;

	if (v->btl_bw > 0 && (v->full || pace > b->pace))
		b->pace = pace;
}

static void
set_cwnd(struct sim_bulk *b, const struct bulk_sample *rs)
{
	struct bulk_bbr *v = &b->bbr;
	double quantum = b->pace / 1000 > 2 ? b->pace / 1000 : 2;
	double target = v->cwnd_gain * bdp(b) + extra_cwnd(v) + 3 * quantum;
	double acked = (double)rs->acked, flying = (double)b->flying;

	if (b->ca == BULK_RECOVERY && v->round < v->conserve_until) {
		if (b->cwnd < flying + acked)
			b->cwnd = flying + acked;
	} else if (v->full)
		b->cwnd = b->cwnd + acked < target ? b->cwnd + acked : target;
	else if (b->cwnd < target || b->delivered < BULK_CWND_INIT)
		b->cwnd += acked;
	if (b->cwnd < CWND_PROBE)
		b->cwnd = CWND_PROBE;
	if (v->mode == PROBE_RTT && b->cwnd > CWND_PROBE)
		b->cwnd = CWND_PROBE;
}

static void
on_ack(struct sim_bulk *b, const struct bulk_sample *rs)
{
	struct bulk_bbr *v = &b->bbr;

	update_bw(b, rs);
	update_extra(b, rs);
	update_phase(b);
	check_full(v, rs);
	if (v->mode == STARTUP && v->full)
		set_mode(b, DRAIN);
	if (v->mode == DRAIN && (double)b->flying <= bdp(b))
		set_mode(b, PROBE_BW);
	update_min_rtt(b, rs->rtt);
	set_pace(b);
	set_cwnd(b, rs);
}

static void
on_loss(struct sim_bulk *b)
{
	struct bulk_bbr *v = &b->bbr;

	if (v->mode != PROBE_RTT)
		v->prior_cwnd = b->cwnd;
	v->conserve_until = v->round + 1;
	v->round_end = b->delivered;
	b->cwnd = (double)b->flying + 1;
}

static void
on_recovered(struct sim_bulk *b)
{
	if (b->cwnd < b->bbr.prior_cwnd)
		b->cwnd = b->bbr.prior_cwnd;
}

static void
on_undo(struct sim_bulk *b)
{
	b->bbr.full_bw = 0;
	b->bbr.full_rounds = 0;
	on_recovered(b);
}

static void
on_timeout(struct sim_bulk *b)
{
	if (b->bbr.mode != PROBE_RTT && b->cwnd > CWND_PROBE)
		b->bbr.prior_cwnd = b->cwnd;
	b->bbr.full_bw = 0;
	b->cwnd = 1;
}

const struct bulk_cc bulk_bbr = { init, on_ack, on_loss, on_undo, on_recovered,
	on_timeout, .classic = false };
