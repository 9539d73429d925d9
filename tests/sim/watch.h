/*
 * Sees what the lines carry and what comes out, and holds it against what the
 * engine promises of any world: at most three resends, none after a second, no
 * packet behind later ones of its flow unless it was given up, no wait beyond
 * that for one hole, no line idle while something waits that it could carry.
 * All of that from the lines' own delays and rates, not from what the engine
 * thinks of them.  Inner packets have to be readable: cipher none, no tap.
 */
#ifndef MLVPN_TESTS_WATCH_H
#define MLVPN_TESTS_WATCH_H

#include "sim.h"

#define WATCH_FLOWS 16

/* What the lines saw of a packet. */
struct watch_packet {
	uint8_t sends;
	bool priority;
	bool ahead; /* of its turn, by a slower line */
	uint16_t bucket;
	uint32_t seq;			      /* in its bucket */
	mono_t first_at, last_at, arrived_at; /* 0: not yet */
};

struct watch_flow {
	sim_packet_fn *inner; /* the flow's own */
	/* by the end where packets come out */
	uint64_t first[2], highest[2]; /* ids */
	mono_t sent_at[2]; /* latest of what came out, and of those before */
	mono_t got_at[2];
	mono_t gap[2]; /* longest without a packet */
};

struct watch {
	/* conf */
	struct sim *s;
	uint64_t seed;
	bool in_order; /* nothing is ever given up */
	bool anew;     /* an end began anew, and with it all numbers */
	bool paced;    /* rates and delays of the lines are what they seem */
	mono_t spread; /* between the lines, jitter included */
	mono_t delay_max;
	mono_t hold; /* the longest for one hole */
	/* state */
	struct watch_packet *packets; /* by id */
	size_t npackets;
	uint64_t *skips[2]; /* numbers that the end gave up */
	size_t nskips[2], skips_size[2];
	struct watch_flow flows[WATCH_FLOWS];
	mono_t busy_until[2][LINKS_MAX]; /* by the rate, a ms saved up */
	/* stats */
	uint64_t first_bytes[2], again_bytes[2]; /* inner */
	uint64_t urgent_bytes[2];		 /* of these, again */
	uint64_t reordered;
	uint64_t restored[2]; /* that no line has brought */
	mono_t waited;	      /* longest, after the last copy had left */
	mono_t hole_waits;    /* longest, for one hole */
};

/* From now on; fails the test with the seed where something is not kept. */
void watch_start(struct watch *w, struct sim *s, uint64_t seed);
void watch_flow(struct watch *w, struct sim_flow *f);
/* Whenever nothing is just happening. */
void watch_check(struct watch *w);
/* Has the line been without work for a while that an end could give it? */
bool watch_is_idle(const struct watch *w, int end, unsigned line);
void watch_end(struct watch *w);
_Noreturn void watch_fails(const struct watch *w, const char *what);

#define WATCH_MUST(w, condition)                                               \
	do {                                                                   \
		if (!(condition))                                              \
			watch_fails(w, #condition);                            \
	} while (0)

#endif
