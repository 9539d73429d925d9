/*
 * Reports in both directions: when we send one and by which links, and what one
 * from the peer means for the links and for the packets in flight.
 */
#ifndef MLVPN_TUNNEL_FEEDBACK_H
#define MLVPN_TUNNEL_FEEDBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/wire.h"

#define FEEDBACK_GAP (25 * NSEC_PER_MSEC)      /* of reports while busy */
#define FEEDBACK_GAP_SLOW (50 * NSEC_PER_MSEC) /* ... while little comes */
#define FEEDBACK_BUSY_BYTES 4096	       /* what is more than little */
#define FEEDBACK_HOLE_GAP (3 * NSEC_PER_MSEC)  /* of those for new holes */
#define FEEDBACK_GAP_MAX (250 * NSEC_PER_MSEC) /* however slow we may send */
#define FEEDBACK_SHARE 100  /* reports may take 1/100 of what we may send */
#define FEEDBACK_SAVED 4096 /* bytes of that, saved up or owed at most */
/* Without a report for so long, and a round trip, we ask for one. */
#define FEEDBACK_ASK (60 * NSEC_PER_MSEC)
#define FEEDBACK_ASK_MAX (1 * NSEC_PER_SEC)
/* A line that carried packets and is silent for so long may be dead: the peer
 * is told at once, and reports take two lines. */
#define FEEDBACK_QUIET (25 * NSEC_PER_MSEC)

struct feedback_stats {
	uint64_t tx_reports, rx_reports;
	uint64_t bad_reports; /* that named what was never sent, or garbage */
	uint64_t asks;	      /* sent */
};

struct feedback {
	/* ours */
	unsigned owed;	/* reports that are still to follow */
	unsigned first; /* link that has the most room in the next one */
	uint32_t bytes; /* data that came since the last one */
	mono_t reported_at;
	int64_t credit; /* bytes that reports may take */
	mono_t credit_at;
	/* the peer's */
	bool told;	     /* told_stamp is valid */
	uint32_t told_stamp; /* of its clock, in the latest one */
	mono_t told_at;	     /* when any came */
	mono_t asked_at;
	unsigned asks; /* in a row without a report */
	struct feedback_stats stats;
};

struct tunnel;

/* Data of that many outer bytes came by l. */
void feedback_heard_data(
    struct tunnel *t, struct link *l, uint32_t bytes, mono_t now);
/* Sends what is due, asks where the peer is silent; the next deadline. */
mono_t feedback_run(struct tunnel *t, mono_t now);
/* When we ask for a report; earlier than feedback_run said once packets were
 * sent. */
mono_t feedback_ask_at(const struct tunnel *t);
/* The peer asks for a report by this link.  feedback_run answers, when all that
 * has come by now was read, as a report speaks for all links; at most once each
 * FEEDBACK_HOLE_GAP, each FEEDBACK_GAP_MAX once the share is used up. */
void feedback_asked(struct link *l);
/* A report of the peer, which left its clock at stamp. */
void feedback_input(struct tunnel *t, const uint8_t *payload, size_t len,
    uint32_t stamp, mono_t now);
/* The peer began anew: what it told counts for nothing. */
void feedback_reset(struct tunnel *t);

#endif
