/*
 * The lines that people have: rates in Mbit/s, one-way delays in ms.
 */
#include "config.h"

#include "bench_sim.h"

#define LINE(rate, delay)                                                      \
	{                                                                      \
		.up_mbit = rate, .delay_ms = delay                             \
	}
#define LINE_J(rate, delay, sigma)                                             \
	{                                                                      \
		.up_mbit = rate, .delay_ms = delay, .sigma_ms = sigma          \
	}
#define LINE_L(rate, delay, percent)                                           \
	{                                                                      \
		.up_mbit = rate, .delay_ms = delay, .loss = percent            \
	}
#define LINE_JL(rate, delay, sigma, percent)                                   \
	{                                                                      \
		.up_mbit = rate, .delay_ms = delay, .sigma_ms = sigma,         \
		.loss = percent                                                \
	}
#define EQ2 .n = 2, .line = { LINE(50, 10), LINE(50, 10) }
#define UNEQ3 .n = 3, .line = { LINE(100, 5), LINE(20, 20), LINE(5, 50) }
#define LATE .start_s = 30

const struct bench_row bench_rows[] = {
	{ "eq2", EQ2 },
	{ "uneq3", UNEQ3 },
	{ "dsl4", .n = 4,
	    .line = { LINE_J(20, 15, 3), LINE_J(20, 15, 3), LINE_J(20, 15, 3),
		LINE_J(20, 15, 3) } },
	{ "loss1", .n = 2, .line = { LINE_L(50, 10, 1), LINE_L(50, 10, 1) } },
	{ "loss5", .n = 2, .line = { LINE_L(50, 10, 5), LINE_L(50, 10, 5) } },
	{ "burst", .n = 2,
	    .line = { { .up_mbit = 50, .delay_ms = 10, .loss = 1, .burst = 8 },
		LINE(50, 10) } },
	{ "gig2", .n = 2, .line = { LINE(500, 5), LINE(300, 8) } },
	{ "updown", .n = 2,
	    .line = { { .up_mbit = 10, .down_mbit = 100, .delay_ms = 10 },
		{ .up_mbit = 5, .down_mbit = 30, .delay_ms = 30 } },
	    .both = true },
	{ "baseline", .n = 2, .line = { LINE(50, 20), LINE(50, 20) }, LATE },
	{ "rtt_40", .n = 2, .line = { LINE(50, 20), LINE(50, 40) }, LATE },
	{ "rtt_70", .n = 2, .line = { LINE(50, 20), LINE(50, 70) }, LATE },
	{ "rtt_120", .n = 2, .line = { LINE(50, 20), LINE(50, 120) }, LATE },
	{ "rtt_320", .n = 2, .line = { LINE(50, 20), LINE(50, 320) }, LATE },
	{ "jit_5", .n = 2, .line = { LINE_J(50, 20, 5), LINE_J(50, 20, 5) },
	    LATE },
	{ "jit_20", .n = 2, .line = { LINE_J(50, 20, 20), LINE_J(50, 20, 20) },
	    LATE },
	{ "loss_05", .n = 2,
	    .line = { LINE_L(50, 20, 0.5), LINE_L(50, 20, 0.5) }, LATE },
	{ "loss_2", .n = 2, .line = { LINE_L(50, 20, 2), LINE_L(50, 20, 2) },
	    LATE },
	{ "bw_4to1", .n = 2, .line = { LINE(50, 20), LINE(12, 20) }, LATE },
	{ "bw_10to1", .n = 2, .line = { LINE(100, 20), LINE(10, 20) }, LATE },
	{ "dual_lte", .n = 2,
	    .line = { LINE_JL(40, 30, 5, 0.5), LINE_JL(25, 45, 8, 0.5) },
	    LATE },
	{ "fiber_lte", .n = 2,
	    .line = { LINE(300, 8), LINE_JL(30, 40, 8, 0.5) }, LATE },
	{ "lte_starlink", .n = 2,
	    .line = { LINE_J(40, 35, 8), LINE_JL(100, 50, 25, 1) }, LATE },
	{ "lte_geo", .n = 2,
	    .line = { LINE(40, 35), LINE_JL(20, 320, 20, 0.5) }, LATE },
	{ "congested", .n = 2,
	    .line = { LINE_JL(20, 50, 20, 2), LINE_JL(15, 60, 25, 2) }, LATE },
	{ "dsl_geo", .n = 2, .line = { LINE(5, 20), LINE(50, 320) }, LATE },
	{ "norate_eq2", EQ2, .no_rates = true, .queue_ms = 300 },
	{ "norate_uneq3", UNEQ3, .no_rates = true, .queue_ms = 300 },
	{ "norate_far", .n = 2, .line = { LINE(50, 40), LINE(50, 40) },
	    .no_rates = true, .queue_ms = 300 },
	{ "norate_short", .n = 1, .line = { LINE(20, 20) }, .no_rates = true,
	    .queue_ms = 10 },
	{ "blackhole_eq2", EQ2, .scenario = bench_blackhole },
	{ "blackhole_uneq3", UNEQ3, .scenario = bench_blackhole },
	{ "heal", EQ2, .scenario = bench_heal },
	{ "slow200", EQ2, .scenario = bench_slow },
	{ "over", .n = 2, .line = { LINE(20, 15), LINE(10, 25) },
	    .percent = 130, .queue_ms = 30 },
	{ "halved", EQ2, .queue_ms = 300, .scenario = bench_halved },
	{ "tenth", EQ2, .queue_ms = 300, .scenario = bench_tenth },
	{ "optimist", EQ2, .queue_ms = 300, .scenario = bench_optimist },
	{ "edge50", EQ2, .scenario = bench_edge },
};

const size_t bench_nrows = nitems_of(bench_rows);
