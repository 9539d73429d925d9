/*
 * What part of a link's packets is lost, from the totals of whoever receives
 * them: the highest number that came, and how many packets did.  Only their
 * growth means anything, and it is asked for over several windows, as each
 * answer decides something else:
 *
 *   loss_meter     the last ten seconds or so, each direction, by the totals in
 *		    keepalives: for the status, and whether packets have to be
 *		    sent again all the time (shape.c)
 *   health.c       the latest 128 packets or more, by reports: takes the line
 *		    out of use; and the copies of a trial, which bring it back
 *   rate_steps.c   while the line has no queue, so loss at random, by reports:
 *		    what arrives is the line's rate but for that
 *
 * Which packets are lost is known by their numbers: of the peer's to meter.c,
 * of ours, by the peer's reports, to retain.c.
 */
#ifndef MLVPN_TUNNEL_LOSS_H
#define MLVPN_TUNNEL_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

/* Totals where counting began. */
struct loss_totals {
	bool known;
	uint64_t highest;
	uint32_t packets; /* modulo 2^32 */
};

/* Their growth since: more may arrive than is expected, as some were late. */
struct loss_growth {
	uint64_t expected;
	uint32_t arrived;
};

/* Counting begins here. */
void loss_begin(struct loss_totals *t, uint64_t highest, uint32_t packets);
/* ... and with the next totals, whatever these are. */
void loss_forget(struct loss_totals *t);
/* False: it has not begun, or they are older, or the peer began anew. */
bool loss_since(const struct loss_totals *t, uint64_t highest, uint32_t packets,
    struct loss_growth *g);

/* A mean that is halved every few seconds. */
struct loss_meter {
	struct loss_totals last;
	double expected, arrived; /* packets, decaying */
	mono_t decayed_at;
};

void loss_meter_update(
    struct loss_meter *m, uint64_t highest, uint32_t packets, mono_t now);
/* 0..1 */
double loss_meter_value(const struct loss_meter *m);

#endif
