/*
 * Reports as bytes.  Holes are distances from the highest number, which makes
 * them short and lets them be checked without any number below zero.
 */
#include "config.h"

#include "base/util.h"
#include "tunnel/report.h"
#include "tunnel/wire.h"

#define PENDING 0x80

static void
put_be24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	put_be16(p + 1, (uint16_t)v);
}

static uint32_t
get_be24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | get_be16(p + 1);
}

/* How many holes there is room for, from the highest on, within reach. */
static size_t
holes_that_fit(const struct report_link *r, size_t room)
{
	size_t n, max = (room - REPORT_LINK_LEN) / REPORT_HOLE_LEN;

	for (n = 0; n < r->nholes && n < max; n++)
		if (r->highest - r->holes[n].first > REPORT_REACH)
			break;
	return n;
}

size_t
report_put(uint8_t *out, size_t room, const struct report_link *r)
{
	uint64_t floor = r->floor < r->highest ? r->floor : r->highest;
	size_t n;

	if (room < REPORT_LINK_LEN)
		return 0;
	n = holes_that_fit(r, room);
	if (n < r->nholes && floor < r->holes[n].first + r->holes[n].count)
		floor = r->holes[n].first + r->holes[n].count;
	if (r->highest - floor > REPORT_REACH)
		floor = r->highest - REPORT_REACH;
	out[0] = r->link;
	put_be48(out + 1, r->highest);
	put_be32(out + 7, r->packets);
	put_be32(out + 11, r->bytes);
	put_be24(out + 15, r->owd_min & WIRE_STAMP_MASK);
	put_be24(out + 18, r->owd_last & WIRE_STAMP_MASK);
	put_be16(out + 21, (uint16_t)(r->highest - floor));
	out[23] = (uint8_t)n;
	out += REPORT_LINK_LEN;
	for (size_t i = 0; i < n; i++, out += REPORT_HOLE_LEN) {
		const struct report_hole *h = &r->holes[i];

		put_be16(
		    out, (uint16_t)(r->highest - (h->first + h->count - 1)));
		out[2] = (uint8_t)(h->count | (h->pending ? PENDING : 0));
	}
	return REPORT_LINK_LEN + n * REPORT_HOLE_LEN;
}

/* Each hole begins below the one before and ends at the floor or above. */
static bool
get_holes(struct report_link *r, const uint8_t *p)
{
	uint64_t reach = r->highest - r->floor, below = 0;

	for (size_t i = 0; i < r->nholes; i++, p += REPORT_HOLE_LEN) {
		uint32_t last = get_be16(p);
		uint32_t count = p[2] & REPORT_HOLE_MAX;
		uint32_t first = last + count - 1; /* the further one */

		if (count == 0 || last <= below || first > reach)
			return false;
		r->holes[i] = (struct report_hole){ r->highest - first, count,
			(p[2] & PENDING) != 0 };
		below = first;
	}
	return true;
}

size_t
report_get(struct report_link *r, const uint8_t *p, size_t len)
{
	uint64_t reach;

	if (len < REPORT_LINK_LEN)
		return 0;
	r->link = p[0];
	r->highest = get_be48(p + 1);
	r->packets = get_be32(p + 7);
	r->bytes = get_be32(p + 11);
	r->owd_min = get_be24(p + 15);
	r->owd_last = get_be24(p + 18);
	reach = get_be16(p + 21);
	r->nholes = p[23];
	if (r->link >= LINKS_MAX || r->owd_min > WIRE_STAMP_MASK ||
	    r->owd_last > WIRE_STAMP_MASK || reach > r->highest ||
	    (len - REPORT_LINK_LEN) / REPORT_HOLE_LEN < r->nholes)
		return 0;
	r->floor = r->highest - reach;
	if (!get_holes(r, p + REPORT_LINK_LEN))
		return 0;
	return REPORT_LINK_LEN + r->nholes * REPORT_HOLE_LEN;
}
