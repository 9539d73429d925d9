/*
 * A meter and the packets of one line that it sees, in invented time.
 */
#ifndef MLVPN_TESTS_METER_LINE_H
#define MLVPN_TESTS_METER_LINE_H

#include <check.h>
#include <string.h>

#include "tunnel/meter.h"
#include "tunnel/wire.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define BASE UINT64_C(100000)
#define LEN 1000

static struct meter m;
static struct report_link r;
static mono_t now;

static inline void
setup(void)
{
	meter_reset(&m);
	memset(&r, 0xff, sizeof(r));
	now = 1000 * SEC;
}

/* A packet that was on its way for 20 ms. */
static inline void
come(uint64_t seq)
{
	meter_note(&m, BASE + seq, LEN, wire_stamp(now - 20 * MS), now);
}

static inline void
come_all(uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++)
		come(seq);
}

static inline void
report(void)
{
	uint64_t above = m.highest;

	ck_assert(meter_report(&m, &r, REPORT_HOLES, now));
	ck_assert_uint_eq(r.highest, m.highest);
	ck_assert_uint_le(r.floor, r.highest);
	ck_assert_uint_le(r.highest - r.floor, REPORT_REACH);
	ck_assert_uint_le(r.nholes, REPORT_HOLES);
	for (size_t i = 0; i < r.nholes; i++) {
		const struct report_hole *h = &r.holes[i];

		if (h->count < 1 || h->count > REPORT_HOLE_MAX ||
		    h->first + h->count > above || h->first < r.floor)
			ck_abort_msg("hole %zu is wrong", i);
		above = h->first;
	}
}

static inline void
assert_hole(size_t i, uint64_t first, uint32_t count, bool pending)
{
	ck_assert_uint_lt(i, r.nholes);
	ck_assert_uint_eq(r.holes[i].first, BASE + first);
	ck_assert_uint_eq(r.holes[i].count, count);
	ck_assert(r.holes[i].pending == pending);
}

#endif
