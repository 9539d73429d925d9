/*
 * A token bucket for requests: so many at once, then one more every period.
 * The only state is the instant at which it is full again.
 */
#ifndef MLVPN_PRIV_BUCKET_H
#define MLVPN_PRIV_BUCKET_H

#include <stdbool.h>

#include "base/util.h"

struct bucket {
	unsigned burst;
	mono_t period;
	mono_t full_at; /* when it holds burst tokens again */
};

static inline void
bucket_init(struct bucket *b, unsigned burst, mono_t period)
{
	b->burst = burst;
	b->period = period;
	b->full_at = 0;
}

/* When will there be n tokens? */
static inline mono_t
bucket_at(const struct bucket *b, unsigned n)
{
	return b->full_at - (mono_t)(b->burst - n) * b->period;
}

/* Is there a token?  Then it is taken. */
static inline bool
bucket_take(struct bucket *b, mono_t now)
{
	if (b->full_at < now)
		b->full_at = now;
	if (bucket_at(b, 1) > now)
		return false;
	b->full_at += b->period;
	return true;
}

#endif
