/*
 * The rate at which a link may send: the configured one, or less while the
 * line proves slower, or what the line was found to carry where no rate is
 * configured.  Congestion is delay that grows (LEDBAT, BBR), never mere loss.
 *
 * While the one-way delay is RATE_EXCESS above its 10 s minimum the rate falls
 * below what the peer reports to arrive, until the queue at the operator is
 * drained; then it probes upward by 5 % a round trip as long as it is used.
 * Where draining does not bring the delay down, the path has got longer: the
 * minimum is taken anew and the rate comes back.  Without a configured rate it
 * doubles each round trip until the delay shows the line's end.
 */
#ifndef MLVPN_TUNNEL_RATE_H
#define MLVPN_TUNNEL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/delay.h"

#define RATE_EXCESS (15 * NSEC_PER_MSEC)
#define RATE_FLOOR_BPS 4000	    /* bytes per second; never slower */
#define RATE_FIRST_BPS 125000	    /* where nothing is configured */

struct rate {
	/* conf */
	uint64_t conf_Bps; /* 0: not configured */
	/* state */
	uint64_t now_Bps; /* to pace at; never 0 */
	/* more: the implementer's */
};

/* What a report says since the one before. */
struct rate_sample {
	uint32_t bytes;	 /* that arrived, outer, since the report before */
	mono_t span;	 /* the peer's time between the two reports */
	mono_t rtt;	 /* of the link, smoothed */
	bool backlogged; /* we had more to send all the time */
};

void rate_init(struct rate *r, uint64_t conf_Bps, mono_t now);
/* SIGHUP or a handshake changed it. */
void rate_set_conf(struct rate *r, uint64_t conf_Bps, mono_t now);
/* After delay_sample for the same report; may rebase d.  True: now_Bps is
 * another. */
bool rate_report(struct rate *r, struct delay *d,
    const struct rate_sample *s, mono_t now);
/* Is the line known to be slower than configured, or just being drained? */
bool rate_is_limited(const struct rate *r);

#endif
