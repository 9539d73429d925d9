/*
 * What the parts of the model TCP share: bulk.c sends, finds losses and
 * receives, a struct bulk_cc says how much may be on its way.
 */
#ifndef MLVPN_TESTS_BULK_H
#define MLVPN_TESTS_BULK_H

#include <bsd/sys/queue.h>

#include "sim.h"

#define BULK_WINDOW 32768 /* packets; a power of two */
#define BULK_PAYLOAD (SIM_MTU - 40)
#define BULK_CWND_MIN 2
#define BULK_CWND_INIT 10
#define BULK_BW_ROUNDS 10 /* of BBR's filter */

enum bulk_ca { BULK_OPEN, BULK_RECOVERY, BULK_TIMEOUT };
enum bulk_state { BULK_EMPTY, BULK_FLYING, BULK_LOST, BULK_DONE };

struct bulk_segment {
	TAILQ_ENTRY(bulk_segment) entry; /* of flying or lost */
	enum bulk_state state;
	uint64_t seq;
	unsigned tries; /* transmissions */
	mono_t sent_at;
	/* For the delivery rate: how things stood when it was sent. */
	uint64_t delivered;
	mono_t delivered_at, first_sent_at;
	bool limited; /* the rate is not what the path can do */
};

TAILQ_HEAD(bulk_list, bulk_segment);

/* What one acknowledgement tells. */
struct bulk_sample {
	uint64_t acked; /* packets */
	mono_t rtt;	/* 0: none */
	/* The delivery rate, of the packet sent last among them. */
	uint64_t prior_delivered;
	mono_t prior_at, send_span;
	bool valid, limited;
};

struct bulk_cc {
	void (*init)(struct sim_bulk *b);
	void (*on_ack)(struct sim_bulk *b, const struct bulk_sample *rs);
	void (*on_loss)(struct sim_bulk *b); /* once in a round trip */
	void (*on_undo)(struct sim_bulk *b); /* that was a false alarm */
	void (*on_recovered)(struct sim_bulk *b);
	void (*on_timeout)(struct sim_bulk *b);
	bool hystart;
	bool classic; /* three packets above one mean that it is lost */
};

struct bulk_cubic {
	double w_max, prior_w_max, prior_cwnd, prior_ssthresh;
	mono_t epoch_at;	      /* of the curve; 0: none */
	double reno;		      /* its window since then */
	double k;		      /* s from there to w_max */
	double prr_acked, prr_flying; /* of this recovery */
	uint64_t prr_sent;
	/* HyStart */
	uint64_t round_end;
	unsigned samples;
	mono_t round_rtt;
};

struct bulk_bbr {
	unsigned mode;
	double pacing_gain, cwnd_gain;
	double bw[BULK_BW_ROUNDS]; /* packets/s, the most of each round */
	uint64_t bw_round[BULK_BW_ROUNDS];
	uint64_t limited; /* by ourselves, until so many are delivered */
	double btl_bw;
	uint64_t round, round_end;
	bool round_start;
	double full_bw;
	unsigned full_rounds;
	bool full;
	mono_t min_rtt, min_rtt_at, probe_done_at;
	unsigned phase;
	mono_t phase_at;
	double prior_cwnd;
	uint64_t conserve_until; /* round */
	/* Acknowledgements come in clumps: what came beyond btl_bw. */
	mono_t epoch_at;
	double epoch_acked, extra[2];
	uint64_t extra_round;
};

/* An arrival, as selective acknowledgements tell of it. */
struct bulk_arrival {
	uint64_t seq;
	unsigned tries;
};

struct sim_bulk {
	struct sim *sim;
	struct sim_flow *flow;
	const struct bulk_cc *cc;
	/* sender */
	struct bulk_segment segs[BULK_WINDOW];
	struct bulk_list flying_list; /* by time of transmission */
	struct bulk_list lost_list;   /* by number */
	uint64_t una, next;
	uint64_t sent; /* with what was sent again */
	uint64_t flying, lost, sacked;
	uint64_t highest[3];   /* the three highest that arrived, plus 1 */
	uint64_t scan;	       /* classic: all below have been judged */
	double cwnd, ssthresh; /* packets */
	double pace;	       /* packets/s; 0: not paced */
	mono_t pace_at;
	bool pace_waits;
	enum bulk_ca ca;
	uint64_t recover; /* one reduction until this is acknowledged */
	uint64_t marked, spurious; /* of this recovery */
	mono_t srtt, rttvar, min_rtt;
	mono_t rack_at;	 /* when the latest packet that arrived was sent */
	mono_t rack_rtt; /* and how long it took */
	bool reord_seen;
	unsigned reo_steps; /* quarters of min_rtt that are borne */
	uint64_t reo_round; /* no step before this is acknowledged */
	unsigned reo_calm;  /* recoveries until they shrink again */
	mono_t reo_at, probe_at, rto_from;
	unsigned backoff;
	uint64_t delivered;
	mono_t delivered_at, first_sent_at;
	struct bulk_cubic cubic;
	struct bulk_bbr bbr;
	/* receiver */
	uint8_t seen[BULK_WINDOW];
	uint64_t expected; /* all below have arrived */
	struct bulk_arrival log[2 * BULK_WINDOW];
	uint64_t arrivals, told; /* the sender knows of those below told */
	unsigned unacked;
	mono_t ack_at;
	uint64_t last_id[2]; /* by end */
	mono_t progress_at;
	/* both */
	mono_t event_at; /* of the earliest event */
	struct sim_bulk_stats stats;
};

extern const struct bulk_cc bulk_plain, bulk_cubic, bulk_classic, bulk_bbr;

#endif
