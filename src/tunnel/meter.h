/*
 * What arrived of one link's packets, what is missing and how long packets
 * were on their way: the receiving half of a report.  Lines usually keep their
 * order, so a gap is a loss at once; on a line that was seen to reorder, a gap
 * is given as much time as late packets needed.
 */
#ifndef MLVPN_TUNNEL_METER_H
#define MLVPN_TUNNEL_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/report.h"

#define METER_HOLES REPORT_HOLES
/* So many are listed although the peer may know them. */
#define METER_REPEATED 64
/* Longest time that a gap may wait for late packets. */
#define METER_REORDER_MAX (50 * NSEC_PER_MSEC)
/* A hole has been told often enough after so many reports and so long. */
#define METER_TOLD_ENOUGH 6
#define METER_HOLE_AGE (250 * NSEC_PER_MSEC)
/* One that never had room is forgotten: nobody waits for it any more. */
#define METER_HOLE_AGE_MAX (1 * NSEC_PER_SEC)

struct meter_hole {
	uint64_t first;
	uint32_t count;
	uint32_t told; /* reports that declared it lost */
	mono_t at;     /* when it was noticed */
};

struct meter {
	/* state */
	bool started;
	uint64_t highest, floor; /* as in a report */
	uint64_t first;		 /* nothing below is missed */
	uint32_t packets, bytes;
	uint32_t owd_min, owd_last; /* of those that came in order */
	bool owd_fresh;	 /* owd_min has a value since the last report */
	uint32_t delay;	 /* smoothed, see wire_delay */
	mono_t heard_at; /* when highest came */
	mono_t data_at;	 /* when the latest data came; 0: none yet */
	mono_t left_at;	 /* when the oldest hole was noticed for which the last
			    report had no room; MONO_NEVER */
	mono_t reorder;	 /* how late a packet may be; decays */
	mono_t reorder_at;
	size_t nholes;
	struct meter_hole holes[METER_HOLES]; /* lowest first */
	/* stats */
	uint64_t lost;	    /* packets that were declared lost */
	uint64_t reordered; /* packets that came after later ones */
};

/* Forgets everything, stats too: the peer's numbers start anew. */
void meter_reset(struct meter *m);
/* An authentic packet: its link sequence (never the same twice), outer bytes
 * and the peer's stamp. */
void meter_note(struct meter *m, uint64_t seq, uint32_t outer_bytes,
    uint32_t stamp, mono_t now);
/* When a hole that no report has declared yet will be worth one: now or earlier
 * if it is already; MONO_NEVER. */
mono_t meter_due_at(const struct meter *m);
/* The link's part of a report (but for its number), with so many holes at most;
 * false before the first packet.  What it declares lost counts as told. */
bool meter_report(
    struct meter *m, struct report_link *r, size_t holes, mono_t now);

#endif
