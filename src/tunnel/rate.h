/*
 * The rate at which a link may send: the configured one, or less while the
 * line proves slower, or what the line was found to carry where no rate is
 * configured.  Congestion is delay that grows (LEDBAT, BBR), never mere loss.
 *
 * While the one-way delay stays RATE_EXCESS above its least, and above what
 * jitter explains, the rate falls below what the peer reports to arrive, until
 * the queue at the operator is drained; then it probes upward by 5 % a round
 * trip as long as it is used.  Where draining does not bring the delay down,
 * the path has got longer: the least is taken anew and the rate comes back.
 * Without a configured rate it lets what arrives double each round trip until
 * the delay shows the line's end.  A few milliseconds are no congestion, but a
 * line that is sent just what it carries keeps them for ever: it always gets a
 * little less, and some more less until they are gone.
 */
#ifndef MLVPN_TUNNEL_RATE_H
#define MLVPN_TUNNEL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/delay.h"
#include "tunnel/excess.h"

#define RATE_EXCESS (15 * NSEC_PER_MSEC)
#define RATE_FLOOR_BPS 4000    /* bytes per second; never slower */
#define RATE_FIRST_BPS 125000  /* where nothing is configured */
#define RATE_FIRST_BYTES 15000 /* or so much each round trip (RFC 6928) */

enum rate_phase {
	RATE_START, /* nothing configured: look for the line's end */
	RATE_CRUISE,
	RATE_DRAIN /* empty the operator's queue, or see that there is none */
};

/* Reports that are looked at together. */
struct rate_span {
	mono_t span, low; /* peer's time; least delay */
	uint64_t bytes, packets, numbered;
	bool backlogged;
};

struct rate {
	/* conf */
	uint64_t conf_Bps; /* 0: not configured */
	/* state */
	uint64_t now_Bps; /* that the line carries; never 0 */
	enum rate_phase phase;
	uint64_t line_Bps; /* what the line carried when it had a queue */
	/* what reports show */
	struct rate_span step, before; /* that, unless it stalled */
	mono_t usual_span;	       /* of a step */
	bool stalled;		       /* this one took much longer */
	double loss;	   /* share of packets, where there is no queue */
	uint64_t best_Bps; /* most that arrived lately */
	mono_t rtt;	   /* without a queue */
	struct excess excess;
	/* steps with an excess, in a row */
	bool running;
	mono_t run_first; /* excess of the first */
	mono_t run_span;  /* of those after it */
	mono_t run_high;  /* of these, where it is high enough to begin one */
	uint64_t run_bytes;
	/* RATE_START */
	uint64_t found_Bps; /* most that came through */
	unsigned flat;	    /* rounds without more */
	/* RATE_CRUISE */
	unsigned trim; /* this part of the rate less: drains the line */
	unsigned soft; /* steps with a small excess, in a row */
	mono_t rested; /* idle time that has drained what trim would */
	mono_t raise_at, lowered_at;
	/* RATE_DRAIN */
	uint64_t return_Bps; /* if it was a mistake */
	mono_t drain_at;     /* when the rate was lowered */
	double share;	     /* by so much below line_Bps */
	bool seen;	     /* packets sent since then have been reported */
	mono_t level;	     /* excess before what was expected */
	mono_t expected;     /* by how much it should have fallen from there */
	mono_t least_seen;   /* excess */
	mono_t seen_span;
	uint64_t seen_bytes;
	bool proved; /* it fell as a queue does */
	bool slower; /* it did before; then the line got slower still */
	uint64_t suspect_Bps; /* what one showed that was not proved */
	mono_t suspect_at;
	bool again; /* the second try, after one that showed no queue */
};

/* What a report says since the one before. */
struct rate_sample {
	/* That arrived, counted as the pacer does: outer, with the overhead for
	 * each packet.  0: nothing did; span still counts. */
	uint32_t bytes;
	/* That arrived, and by how much the highest sequence rose: the rest was
	 * lost.  Without these loss is taken for a slower line. */
	uint32_t packets, numbered;
	mono_t span;	 /* the peer's time between the two reports */
	mono_t rtt;	 /* of the link, smoothed */
	bool backlogged; /* we had more to send all the time */
	bool soonest;	 /* what must not wait takes this link */
};

void rate_init(struct rate *r, uint64_t conf_Bps, mono_t now);
/* The round trip of a handshake: where nothing else is known, it tells what the
 * line can surely take. */
void rate_begin(struct rate *r, mono_t rtt);
/* SIGHUP or a handshake changed it. */
void rate_set_conf(struct rate *r, uint64_t conf_Bps, mono_t now);
/* After delay_sample for the same report; without it when the report has no new
 * packet of the link (bytes 0).  May rebase d.  True: rate_pace is another. */
bool rate_report(
    struct rate *r, struct delay *d, const struct rate_sample *s, mono_t now);
/* So much of what was sent was lost, and next to nothing of a few packets: the
 * line is policed.  Goes on with what came through, and no faster for a while.
 */
void rate_policed(
    struct rate *r, unsigned lost_percent, mono_t hold, mono_t now);
/* At which to send, in bytes per second; never 0. */
uint64_t rate_pace(const struct rate *r);
/* Delays and totals begin anew; what the line carries stays known. */
void rate_forget(struct rate *r);
/* Until then a queue before the link says nothing, as the line's end is being
 * looked for and more was found of late; 0: it is not. */
mono_t rate_looks_until(const struct rate *r);
/* Is the line known to be slower than configured, or just being drained? */
bool rate_is_limited(const struct rate *r);

#endif
