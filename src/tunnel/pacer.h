/*
 * The gap between two packets, computed from the configured rate: one pacer
 * per link and direction, in integer nanoseconds.
 *
 * Documented depth: over any window of T that ends with a packet for which
 * pacer_ready was asked, a link sends at most R x T plus that packet plus
 * PACER_DEPTH of R plus, if the process was not scheduled in time while packets
 * waited, PACER_LATE_MAX of R, the latter repaid at no more than 1.25 R.
 * Priority packets and parity are sent without asking: they exceed it by the
 * debt that they leave, and ordinary ones wait until that is paid.  At the
 * line's entrance a burst looks up to 1 ms of R longer, as packets leave in
 * batches.
 */
#ifndef MLVPN_TUNNEL_PACER_H
#define MLVPN_TUNNEL_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define PACER_DEPTH (1 * NSEC_PER_MSEC)
#define PACER_LATE_MAX (5 * NSEC_PER_MSEC)
#define PACER_IDLE_MAX (50 * NSEC_PER_MSEC)

struct pacer {
	uint64_t rate_Bps;	 /* 0: not limited */
	uint32_t overhead_bytes; /* added to each packet (ATM, PPPoE) */
	/* state */
	uint64_t remainder; /* of a ns not yet charged, in 1 / rate_Bps */
	mono_t due_at;	    /* when the credit is 0 again; later: debt */
	mono_t late;	    /* lateness to be repaid */
	mono_t idle;	    /* credit that nobody wanted */
	bool backlogged;    /* packets waited when the credit ran out */
};

void pacer_init(
    struct pacer *p, uint64_t rate_Bps, uint32_t overhead_bytes, mono_t now);
/* A new rate; debt and credit keep their meaning in time. */
void pacer_set_rate(
    struct pacer *p, uint64_t rate_Bps, uint32_t overhead_bytes);
/* May a packet be sent now (credit >= 0)?  Caps unused credit. */
bool pacer_ready(struct pacer *p, mono_t now);
/* Debits a packet of len outer IP bytes; priority packets may run into debt. */
void pacer_charge(struct pacer *p, size_t len, mono_t now);
/* Was the link idle for as long as a packet takes, half of the time that nobody
 * wanted counted, PACER_IDLE_MAX at most?  Debits that. */
bool pacer_use_idle(struct pacer *p, size_t len, mono_t now);
/* The caller had more to send when the credit ran out (or had not): only then
 * is lateness repaid. */
void pacer_set_backlogged(struct pacer *p, bool backlogged);
/* When pacer_ready will be true: now or earlier if it is. */
mono_t pacer_ready_at(const struct pacer *p);
/* The debt in ns, 0 if there is credit. */
mono_t pacer_debt(const struct pacer *p, mono_t now);
/* How long len bytes take at the rate, rounded up; 0 when not limited. */
mono_t pacer_cost(const struct pacer *p, size_t len);

#endif
