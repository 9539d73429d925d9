/*
 * The rows of a benchmark in virtual time: which lines, what happens to them,
 * and what came of it.
 *
 * bench_sim.c        options, one process for each world, the table
 * bench_sim_rows.c   the rows
 * bench_sim_world.c  a world of a row, and what is measured in it
 * bench_sim_fail.c   worlds in which something happens to a line
 */
#ifndef MLVPN_TESTS_BENCH_SIM_H
#define MLVPN_TESTS_BENCH_SIM_H

#include "../sim/sim.h"

#define BENCH_LINES 4
#define BENCH_FLOWS 4
#define BENCH_OUTER 60 /* bytes around an inner packet: IP, UDP, ours */

struct bench_line {
	double up_mbit, down_mbit; /* 0: as up */
	double delay_ms, sigma_ms;
	double loss, burst; /* %, mean number of packets */
};

struct bench_world;

struct bench_row {
	const char *name;
	unsigned n;
	struct bench_line line[BENCH_LINES];
	unsigned start_s; /* 0: as usual */
	bool both;	  /* directions loaded */
	bool no_rates;	  /* in the files */
	unsigned percent; /* of the rates, in the files; 0: 100 */
	unsigned queue_ms;
	void (*scenario)(struct bench_world *w); /* NULL: nothing happens */
};

struct bench_opts {
	int from;
	enum sim_cc cc;
	unsigned flows;
	uint64_t seed;
	unsigned seconds;
	unsigned start_s; /* 0: the row's */
	bool verbose;
};

/* Of the flows that one end sends. */
struct bench_way {
	double goodput, ceiling; /* Mbit/s of payload */
	uint64_t resent, spurious, timeouts, reordered, reordered_acks;
	double gap_ms;	 /* longest without progress of a bulk flow */
	double p50, p99; /* ms of the sparse flow over the fastest line */
	uint64_t sparse_lost;
	struct reseq_stats reseq;
};

struct bench_result {
	bool valid; /* else its process died */
	struct bench_way way[2];
	double overhead; /* %, of all bytes of both directions */
	char note[160];
};

struct bench_world {
	const struct bench_row *row;
	const struct bench_opts *opts;
	unsigned mask; /* lines of the row that exist */
	unsigned line_of[BENCH_LINES];
	struct sim *s;
	struct sim_bulk *bulk[2][BENCH_FLOWS];
	struct sim_flow *sparse[2];
	mono_t fastest;
	mono_t begun_at, reset_at;
	/* Sums at the reset. */
	uint64_t line_bytes, first_bytes, ack_bytes[2];
	struct reseq_stats reseq[2];
	/* A sparse packet sent that long after the event was still slow. */
	mono_t event_at, slow_until;
	struct bench_result *out;
};

extern const struct bench_row bench_rows[];
extern const size_t bench_nrows;

/* bench_sim_world.c */

/* Measures the row's world with those of its lines. */
void bench_run(const struct bench_row *row, unsigned mask,
    const struct bench_opts *opts, struct bench_result *out);
/* Until so long after the flows began. */
void bench_until(struct bench_world *w, double at_s);
void bench_reset(struct bench_world *w);
void bench_collect(struct bench_world *w);
void bench_note(struct bench_world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* bench_sim_fail.c */

void bench_blackhole(struct bench_world *w);
void bench_heal(struct bench_world *w);
void bench_slow(struct bench_world *w);
void bench_halved(struct bench_world *w);
void bench_tenth(struct bench_world *w);
void bench_optimist(struct bench_world *w);
void bench_edge(struct bench_world *w);

#endif
