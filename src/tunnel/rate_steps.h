/*
 * What rate.c decides upon.  Nobody else uses it.
 */
#ifndef MLVPN_TUNNEL_RATE_STEPS_H
#define MLVPN_TUNNEL_RATE_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/delay.h"
#include "tunnel/rate.h"

/* One packet more or less in the queue is no excess: 24 ms at 0.5 Mbit/s. */
mono_t rate_quantum(const struct rate *r);
/* More is a queue, if it lasts. */
mono_t rate_excess_queue(const struct rate *r);
/* Up to this the rate may grow. */
mono_t rate_excess_some(const struct rate *r);
/* What the line let through, in bytes per second: more than what arrived, as
 * packets that are lost at random have used it. */
double rate_passed(const struct rate *r, uint64_t bytes, mono_t span);
/* Did we need what we may send? */
bool rate_is_used(const struct rate *r);
/* Takes reports together; true when it is time to look at them. */
bool rate_gather(
    struct rate *r, const struct delay *d, const struct rate_sample *s);
/* What a step that is complete shows. */
void rate_observe(struct rate *r, const struct rate_sample *s);

#endif
