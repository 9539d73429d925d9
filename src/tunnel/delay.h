/*
 * One-way delay of a link in our direction, from the peer's reports.  The two
 * clocks differ by an unknown offset that is the same for all links, so delays
 * of links compare exactly, and nothing else does.
 */
#ifndef MLVPN_TUNNEL_DELAY_H
#define MLVPN_TUNNEL_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define DELAY_WINDOW (10 * NSEC_PER_SEC) /* of the minimum */

/* All in ns on one axis for all links, with an unknown origin. */
struct delay {
	bool known;
	mono_t last; /* as reported last */
	mono_t low;  /* least of the packets of that report */
	mono_t mean; /* smoothed, 1/4 for each report */
	mono_t var;  /* mean deviation, smoothed as in RFC 6298 */
	/* least in the window: of the running half and the half before */
	mono_t min_now, min_before;
	mono_t half_at; /* when the running half began */
};

void delay_reset(struct delay *d);
/*
 * A report's least and last delay, WIRE_STAMP_UNIT modulo 2^20.  The axis goes
 * on where the delay before was: right when they are less than 33 s apart.
 */
void delay_sample(
    struct delay *d, uint32_t owd_min, uint32_t owd_last, mono_t now);
/* Least of the window; only when known. */
mono_t delay_min(const struct delay *d);
/* The path has changed: the least begins anew with base. */
void delay_rebase(struct delay *d, mono_t base, mono_t now);
/* last - min: what waits in queues; 0 when not known. */
mono_t delay_excess(const struct delay *d);
/* a's mean less b's, modulo the wrap of stamps: right up to 33 s apart. */
mono_t delay_diff(const struct delay *a, const struct delay *b);

#endif
