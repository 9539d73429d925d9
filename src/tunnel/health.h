/*
 * Which links are fit to carry packets.  A line that brings nothing for longer
 * than its delays explain, or that loses too much, is put on trial: its packets
 * in flight go by other lines, and it gets copies of live packets until enough
 * of them have arrived.  On trial it is still up; when nothing at all arrives
 * it goes down.  Before that, as soon as something is overdue, it is quiet and
 * gets no more than copies.
 */
#ifndef MLVPN_TUNNEL_HEALTH_H
#define MLVPN_TUNNEL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/loss.h"
#include "tunnel/report.h"

#define HEALTH_SILENCE (40 * NSEC_PER_MSEC) /* and 4 deviations */
#define HEALTH_PERIODS 3     /* of silence: down; the first one: on trial */
#define HEALTH_MISSES 3	     /* packets: one may just be lost */
#define HEALTH_GOOD_COPIES 5 /* in a row, after silence */
/* Loss is judged over so many packets and so long, as losses come in bursts. */
#define HEALTH_LOSS_SPAN 128
#define HEALTH_LOSS_TIME (500 * NSEC_PER_MSEC)
#define HEALTH_LOSS_MAX 30    /* per cent */
#define HEALTH_LOSS_COPIES 20 /* at most a tenth lost, after loss; doubled */
#define HEALTH_LOSS_COPIES_MAX 640
#define HEALTH_COPY_GAP (10 * NSEC_PER_MSEC)
#define HEALTH_COPY_GAP_MAX (1 * NSEC_PER_SEC) /* where none arrives */
/* Lossy again within this: it has to prove itself for longer. */
#define HEALTH_TRUST (30 * NSEC_PER_SEC)
/* After loss at speed that a few copies did not have, the rate stays below what
 * came through for so long; doubled with each relapse. */
#define HEALTH_POLICED_HOLD (2 * NSEC_PER_SEC)

/* The reports of the peer decide how often a line of the log is due. */
#define HEALTH_LOG_PERIOD (30 * NSEC_PER_SEC)

enum health_cause { HEALTH_SILENT, HEALTH_LOSSY, HEALTH_RETURNED };

struct trial {
	bool on;
	enum health_cause cause;
	mono_t since;
	mono_t ended_at;	 /* of the last one */
	uint32_t needed;	 /* copies that have to arrive */
	struct loss_totals from; /* where the copies are counted from */
	mono_t copied_at;
	unsigned in_vain;  /* copies since one arrived */
	unsigned relapses; /* lossy again soon after */
	bool logged;	   /* the log says that it is lossy */
};

/* What the reports said of loss lately; a trial ends a span. */
struct loss_span {
	struct loss_totals from;
	mono_t since;
	uint32_t percent; /* of the last full span */
};

struct tunnel;
struct link;
struct pktbuf;

/* How long a busy line may be silent beyond its delay. */
mono_t health_patience(const struct link *l);
/* A report's part on l: what was sent before `expected` and is later than what
 * the report names is missing. */
void health_report(struct tunnel *t, struct link *l,
    const struct report_link *r, mono_t expected, mono_t now);
/* Is it to carry nothing but copies, as long as there is a better one? */
bool health_is_suspect(const struct link *l);
/* A report lacks something of l that should have been in it, or does not. */
void health_overdue(struct tunnel *t, struct link *l, bool overdue);
/* l came up: after a failure it has to prove itself. */
void health_up(struct tunnel *t, struct link *l, mono_t now);
/* l went down. */
void health_down(struct link *l);
/* What the peer's totals were says nothing of what they will be. */
void health_forget(struct link *l);
/* pb has just been sent by another link: copies for those on trial. */
void health_copy(struct tunnel *t, struct pktbuf *pb, mono_t now);

#endif
