/*
 * Stamps wrap at 67 s, so each value is placed by its signed distance from the
 * one before and the axis goes on without a seam.  The origin is arbitrary and
 * each link may be a whole number of wraps off: delay_diff takes these out.
 *
 * The least is kept in two halves of the window, as a list of samples would
 * cost memory and time: it covers 5 to 10 s.  In that time clocks that differ
 * by 200 ppm drift 2 ms apart, which is what RATE_EXCESS has to spare.
 */
#include "config.h"

#include "tunnel/delay.h"
#include "tunnel/wire.h"

#define HALF (DELAY_WINDOW / 2)
#define WRAP (WIRE_STAMP_UNIT * (WIRE_STAMP_MASK + 1))
#define GAIN 4 /* 1/4 for each report: about 100 ms of reports */

void
delay_reset(struct delay *d)
{
	*d = (struct delay){ 0 };
}

static void
smooth(struct delay *d)
{
	mono_t error = d->last - d->mean;

	/* As in RFC 6298 the deviation is from the mean before. */
	d->var += ((error < 0 ? -error : error) - d->var) / GAIN;
	d->mean += error / GAIN;
}

static void
keep_least(struct delay *d, mono_t now)
{
	mono_t halves = (now - d->half_at) / HALF;

	if (halves > 0) {
		d->min_before = halves == 1 ? d->min_now : d->low;
		d->min_now = d->low;
		/* In steps of a half, or silence would stretch the window. */
		d->half_at += halves * HALF;
	}
	if (d->low < d->min_now)
		d->min_now = d->low;
}

void
delay_sample(struct delay *d, uint32_t owd_min, uint32_t owd_last, mono_t now)
{
	mono_t above = wire_stamp_diff(owd_last, owd_min);

	if (!d->known)
		d->last =
		    (mono_t)(owd_last & WIRE_STAMP_MASK) * WIRE_STAMP_UNIT;
	else
		d->last += wire_stamp_diff(
		    owd_last, (uint32_t)(d->last / WIRE_STAMP_UNIT));
	/* A peer that contradicts itself: the least is above the last. */
	d->low = d->last - mono_later(above, 0);
	if (!d->known) {
		d->known = true;
		d->mean = d->last;
		d->var = 0;
		delay_rebase(d, d->low, now);
		return;
	}
	smooth(d);
	keep_least(d, now);
}

mono_t
delay_min(const struct delay *d)
{
	return d->min_now < d->min_before ? d->min_now : d->min_before;
}

void
delay_rebase(struct delay *d, mono_t base, mono_t now)
{
	d->min_now = d->min_before = base;
	d->half_at = now;
}

mono_t
delay_excess(const struct delay *d)
{
	mono_t excess = d->last - delay_min(d);

	return d->known && excess > 0 ? excess : 0;
}

mono_t
delay_diff(const struct delay *a, const struct delay *b)
{
	mono_t diff = (a->mean - b->mean) % WRAP;

	if (diff >= WRAP / 2)
		return diff - WRAP;
	if (diff < -WRAP / 2)
		return diff + WRAP;
	return diff;
}
