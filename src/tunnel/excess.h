/*
 * Which part of a link's delay is a queue: how far the least delay of a few
 * reports is above the least ever seen, and how much of that jitter explains.
 */
#ifndef MLVPN_TUNNEL_EXCESS_H
#define MLVPN_TUNNEL_EXCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

/* All in ns. */
struct excess {
	mono_t now;   /* above base, at this step */
	mono_t last;  /* the same at the step before */
	mono_t noise; /* how much it jumps; slow to forget */
	/* state */
	uint64_t steps;
	mono_t base;	  /* the least delay */
	mono_t before[2]; /* delay at this step and at the one before */
	mono_t least[2];  /* delay in this and the last few steps */
	mono_t jump;	  /* what noise follows */
	uint64_t thin;	  /* steps with hardly a packet, in a row */
	unsigned fresh;	  /* steps in which base may rise, */
	mono_t rise;	  /* by so much */
};

/* The least delay of the packets of a step, how long that was, and whether it
 * had hardly a packet.  All zero is a good beginning. */
void excess_step(struct excess *x, mono_t low, mono_t span, bool is_thin);
/* Nothing has been sent to speak of for some steps. */
bool excess_is_idle(const struct excess *x);
/* The least above base of the last 8 to 16 steps. */
mono_t excess_standing(const struct excess *x);
/* What there is keeps the rate from growing: base follows the least of late by
 * a part of the noise, lest a base from quieter times do so for ever. */
void excess_creep(struct excess *x);
/* So much of the excess is none: the path is longer. */
void excess_rebase(struct excess *x, mono_t part);

#endif
