/*
 * What reports show of a line: they are taken together in steps, and a run is
 * steps whose delay shows a queue, one after the other.
 */
#include "config.h"

#include "tunnel/rate_steps.h"

#define MS NSEC_PER_MSEC

/* Shorter ones hold too few packets; 20 ms lets reports of 25 ms be a step. */
#define STEP (20 * MS)
#define QUANTUM_BYTES 1500
#define THIN 10 /* a tenth of the rate is next to idle */
#define LOSS_GAIN (1.0 / 16)
#define LOSS_PACKETS 400.0 /* of which few reports of few packets learn */
#define LOSS_MAX 0.5

mono_t
rate_quantum(const struct rate *r)
{
	return QUANTUM_BYTES * NSEC_PER_SEC / (mono_t)r->now_Bps;
}

mono_t
rate_excess_queue(const struct rate *r)
{
	return RATE_EXCESS + 4 * r->excess.noise + rate_quantum(r);
}

mono_t
rate_excess_some(const struct rate *r)
{
	return RATE_EXCESS / 3 + 4 * r->excess.noise + rate_quantum(r);
}

double
rate_passed(const struct rate *r, uint64_t bytes, mono_t span)
{
	return span <= 0 ? 0
			 : (double)bytes * 1e9 / (double)span / (1 - r->loss);
}

/* Where the operator's queue is the one that grows, ours is empty; but then the
 * rate limits nothing unless nearly all of it is used. */
bool
rate_is_used(const struct rate *r)
{
	double Bps = rate_passed(r, r->step.bytes, r->step.span);

	return Bps >= (r->step.backlogged ? 0.8 : 0.97) * (double)r->now_Bps;
}

bool
rate_gather(struct rate *r, const struct delay *d, const struct rate_sample *s)
{
	struct rate_span *t = &r->step;

	if (t->span == 0)
		t->backlogged = true;
	if (s->bytes > 0 && (t->bytes == 0 || d->low < t->low))
		t->low = d->low;
	t->span += s->span > 0 ? s->span : 0;
	t->bytes += s->bytes;
	t->packets += s->packets;
	t->numbered += s->numbered;
	t->backlogged = t->backlogged && s->backlogged;
	return t->bytes > 0 && t->span >= STEP;
}

/* The loss that has nothing to do with how much we send. */
static void
learn_loss(struct rate *r)
{
	double sent = (double)r->step.numbered, got = (double)r->step.packets;
	double gain = sent / LOSS_PACKETS;

	if (got == 0 || sent < got)
		return;
	if (gain > LOSS_GAIN)
		gain = LOSS_GAIN;
	r->loss += (1 - got / sent - r->loss) * gain;
	if (r->loss > LOSS_MAX)
		r->loss = LOSS_MAX;
}

/* Nothing came for a while: that is no rate. */
static bool
is_stall(const struct rate *r)
{
	return r->step.span > 4 * STEP + 2 * rate_quantum(r) &&
	       r->step.span > 3 * r->usual_span;
}

/* A run goes on until the excess is half of what it began with. */
static void
follow_run(struct rate *r)
{
	if (!r->running && r->excess.now > rate_excess_queue(r)) {
		r->running = true;
		r->run_first = r->excess.now;
		r->run_span = r->run_high = 0;
		r->run_bytes = 0;
	} else if (r->running && r->excess.now <= rate_excess_queue(r) / 2)
		r->running = false;
	else if (r->running && !r->stalled) {
		r->run_span += r->step.span;
		r->run_bytes += r->step.bytes;
		if (r->excess.now > rate_excess_queue(r))
			r->run_high += r->step.span;
	}
}

void
rate_observe(struct rate *r, const struct rate_sample *s)
{
	double Bps = (double)r->step.bytes * 1e9 / (double)r->step.span;

	if (r->excess.steps == 0)
		r->usual_span = r->step.span;
	r->stalled = is_stall(r);
	r->usual_span += (r->step.span - r->usual_span) / 8;
	excess_step(&r->excess, r->step.low, r->step.span,
	    THIN * Bps < (double)r->now_Bps);
	if (r->phase != RATE_DRAIN && r->excess.now <= rate_excess_some(r)) {
		r->rtt = s->rtt;
		learn_loss(r);
	}
	r->best_Bps -= r->best_Bps / 256;
	if (!r->stalled && Bps > (double)r->best_Bps)
		r->best_Bps = (uint64_t)Bps;
	follow_run(r);
}
