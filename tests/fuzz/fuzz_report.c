/*
 * Reports of a peer that lies.  Whatever decodes keeps the promises of
 * report.h, and has one encoding: the bytes that it came from.  Where room is
 * short it says less, but nothing else.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/report.h"
#include "tunnel/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_link(const struct report_link *r)
{
	uint64_t above = r->highest;

	require(r->link < LINKS_MAX && r->highest <= WIRE_SEQ_MAX);
	require(r->floor <= r->highest);
	require(r->highest - r->floor <= REPORT_REACH);
	require(r->owd_min <= WIRE_STAMP_MASK);
	require(r->owd_last <= WIRE_STAMP_MASK);
	require(r->nholes <= REPORT_HOLES);
	for (size_t i = 0; i < r->nholes; i++) {
		const struct report_hole *h = &r->holes[i];

		require(h->count > 0 && h->count <= REPORT_HOLE_MAX);
		require(h->first >= r->floor && h->first + h->count <= above);
		above = h->first;
	}
}

static void
check_same_holes(
    const struct report_link *a, const struct report_link *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		require(a->holes[i].first == b->holes[i].first);
		require(a->holes[i].count == b->holes[i].count);
		require(a->holes[i].pending == b->holes[i].pending);
	}
}

/* Encodes with that much room and decodes again. */
static void
check_again(const struct report_link *r, const uint8_t *p, size_t room)
{
	struct report_link again;
	uint8_t *out = malloc(room + 1);
	size_t len, left_out;

	require(out != NULL);
	len = report_put(out, room, r);
	require(len <= room && (len > 0) == (room >= REPORT_LINK_LEN));
	if (len > 0) {
		require(report_get(&again, out, len) == len);
		check_link(&again);
		require(again.nholes <= r->nholes);
		left_out = r->nholes - again.nholes;
		require(room - len < REPORT_HOLE_LEN || left_out == 0);
		require(memcmp(out, p, 21) == 0);
		check_same_holes(&again, r, again.nholes);
		if (left_out == 0) {
			require(again.floor == r->floor);
			require(memcmp(out, p, len) == 0);
		} else
			require(
			    again.floor == r->holes[again.nholes].first +
					       r->holes[again.nholes].count);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct report_link r;
	size_t len;

	while ((len = report_get(&r, data, size)) > 0) {
		require(len <= size);
		check_link(&r);
		check_again(&r, data, len);
		check_again(&r, data, len + 1);
		check_again(&r, data, len - 1);
		check_again(&r, data, (len + REPORT_LINK_LEN) / 2);
		check_again(&r, data, REPORT_LINK_LEN - 1);
		data += len;
		size -= len;
	}
	return 0;
}
