/*
 * Base is the least delay ever seen and not that of a window: it rises by what
 * clocks may drift, so that a queue which grows by 1 ms/s is not forgotten
 * (LEDBAT, RFC 6817, has a window and this weakness).
 *
 * Noise is how much the delay of a step differs from the line through the two
 * steps before: ramps of a queue cancel out of that.  Normal jitter that keeps
 * the order, of any sigma at 1 to 1000 Mbit/s, gives an excess of 2.3 noise in
 * the mean and of 4 noise in one step of ten (measured with the model of the
 * unit test of rate.c).
 *
 * Packets that keep their order also wait for those before them, so that the
 * least delay of a busy line with jitter is several sigma above that of an idle
 * one.  Base may follow that where idleness ends and where the noise abates,
 * but never by more than the noise explains.
 */
#include "config.h"

#include "tunnel/excess.h"

#define MS NSEC_PER_MSEC

/* Two clocks differ by up to 200 ppm. */
#define DRIFT_PPM 300
/* No operator queues that much: the axis of the delays is another one. */
#define EXCESS_MAX (4 * NSEC_PER_SEC)
#define NOISE_STEPS 16
#define JUMP_SPARE (5 * MS)
#define LEAST_STEPS 8
#define IDLE_STEPS 4
#define IDLE_SPAN (500 * MS) /* a long step counts as several */
#define FRESH_STEPS 8	     /* in which a busy line's delay settles */
#define FRESH_RISE 8	     /* times noise: idle to busy, at any sigma */

/* The least of the last 8 to 16 steps. */
static mono_t
recent_least(const struct excess *x)
{
	return mono_earlier(x->least[0], x->least[1]);
}

static void
learn_least(struct excess *x, mono_t low)
{
	if (x->steps % LEAST_STEPS == 0) {
		x->least[1] = x->steps == 0 ? low : x->least[0];
		x->least[0] = low;
	}
	x->least[0] = mono_earlier(x->least[0], low);
}

static void
learn_jump(struct excess *x, mono_t low)
{
	mono_t jump = (low - 2 * x->before[0] + x->before[1]) / 2;

	x->before[1] = x->before[0];
	x->before[0] = low;
	x->steps++;
	if (x->steps < 3)
		return;
	if (jump < 0)
		jump = -jump;
	/* A path that changes is not noise. */
	if (x->steps > NOISE_STEPS)
		jump = mono_earlier(jump, 4 * x->jump + JUMP_SPARE);
	x->jump += (jump - x->jump) /
		   (mono_t)(x->steps < NOISE_STEPS ? x->steps : NOISE_STEPS);
}

static void
learn_noise(struct excess *x)
{
	mono_t least = recent_least(x), less;

	if (x->noise <= 2 * x->jump) {
		x->noise = mono_later(x->noise - x->noise / 128, x->jump);
		return;
	}
	/* It has become calmer.  Until base has followed, what counts as a
	 * queue, base and 4 noise, stays where it was. */
	less = x->noise / 32;
	x->noise -= less;
	if (x->base < least)
		x->base = mono_earlier(x->base + 4 * less, least);
}

/* Idleness ends. */
static void
follow(struct excess *x, mono_t low, mono_t span, bool is_thin)
{
	mono_t up;

	if (is_thin) {
		x->thin += 1 + (uint64_t)(span / IDLE_SPAN);
		x->fresh = 0;
		return;
	}
	if (excess_is_idle(x)) {
		x->fresh = FRESH_STEPS;
		x->rise = FRESH_RISE * x->noise;
	}
	x->thin = 0;
	if (x->fresh == 0)
		return;
	x->fresh--;
	up = mono_earlier(low - x->base, x->rise);
	if (up > 0) {
		x->base += up;
		x->rise -= up;
	}
}

void
excess_step(struct excess *x, mono_t low, mono_t span, bool is_thin)
{
	learn_least(x, low);
	learn_jump(x, low);
	learn_noise(x);
	follow(x, low, span, is_thin);
	x->base += span / 1000000 * DRIFT_PPM;
	if (x->steps == 1 || low < x->base || low > x->base + EXCESS_MAX)
		x->base = low;
	x->now = low - x->base;
	x->last = x->steps == 1 ? 0 : x->before[1] - x->base;
}

bool
excess_is_idle(const struct excess *x)
{
	return x->thin >= IDLE_STEPS;
}

mono_t
excess_standing(const struct excess *x)
{
	return recent_least(x) - x->base;
}

void
excess_creep(struct excess *x)
{
	mono_t up = mono_earlier(excess_standing(x), x->noise / 16);

	if (up > 0)
		excess_rebase(x, up);
}

void
excess_rebase(struct excess *x, mono_t part)
{
	x->base += part;
	x->now -= part;
	x->last -= part;
}
