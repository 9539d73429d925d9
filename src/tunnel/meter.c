/*
 * The numbers from floor to highest have arrived, but for the holes.  A hole is
 * made at the top, so that holes get younger from the lowest to the highest.  A
 * report lists them from the highest down: those that it had no room for are
 * the lowest, and remain to be told.
 */
#include "config.h"

#include <string.h>

#include "tunnel/meter.h"
#include "tunnel/wire.h"

/* A packet moves the mean of the delay by 1/GAIN; after a gap of more than
 * PAUSE/GAIN by gap/PAUSE, 1/GAIN_PAUSE at most, as a queue may have gone
 * meanwhile; after ANEW it is the mean, as stamps may have wrapped. */
#define GAIN 16
#define GAIN_PAUSE 2
#define PAUSE (1 * NSEC_PER_SEC)
#define ANEW (20 * NSEC_PER_SEC)

/* Where no packet is late, the time that a gap is given is halved so often. */
#define REORDER_HALF (10 * NSEC_PER_SEC)

static void
decay_reorder(struct meter *m, mono_t now)
{
	while (m->reorder > 0 && now - m->reorder_at >= REORDER_HALF) {
		m->reorder /= 2;
		m->reorder_at += REORDER_HALF;
	}
}

/* What is missing there is not listed any more, hence lost. */
static void
abandon(struct meter *m, const struct meter_hole *h)
{
	if (h->told == 0)
		m->lost += h->count;
	m->floor = h->first + h->count;
}

static void
abandon_lowest(struct meter *m, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		abandon(m, &m->holes[i]);
	m->nholes -= n;
	memmove(m->holes, m->holes + n, m->nholes * sizeof(m->holes[0]));
}

static void
raise_floor(struct meter *m, uint64_t floor)
{
	size_t n = 0;

	while (n < m->nholes && m->holes[n].first + m->holes[n].count <= floor)
		n++;
	abandon_lowest(m, n);
	if (m->nholes > 0 && m->holes[0].first < floor) {
		struct meter_hole *h = &m->holes[0], below = *h;

		below.count = (uint32_t)(floor - h->first);
		abandon(m, &below);
		h->first = floor;
		h->count -= below.count;
	}
	m->floor = floor;
}

/* At place i; where there are too many the lowest goes, be it this one. */
static void
insert_hole(struct meter *m, size_t i, const struct meter_hole *h)
{
	if (m->nholes == METER_HOLES) {
		if (i == 0) {
			abandon(m, h);
			return;
		}
		abandon_lowest(m, 1);
		i--;
	}
	memmove(m->holes + i + 1, m->holes + i,
	    (m->nholes - i) * sizeof(m->holes[0]));
	m->holes[i] = *h;
	m->nholes++;
}

/* The numbers between highest and seq have not come yet. */
static void
note_gap(struct meter *m, uint64_t seq, mono_t now)
{
	uint64_t count = seq - m->highest - 1;
	struct meter_hole h = { m->highest + 1, (uint32_t)count, 0, now };

	decay_reorder(m, now);
	if (count > REPORT_REACH) {
		raise_floor(m, seq);
		m->lost += count;
	} else
		insert_hole(m, m->nholes, &h);
}

/* The packet at seq has come: its hole ends before it, begins after it, falls
 * apart or is none any more. */
static void
fill_hole(struct meter *m, size_t i, uint64_t seq)
{
	struct meter_hole *h = &m->holes[i], below = *h;

	below.count = (uint32_t)(seq - h->first);
	h->first = seq + 1;
	h->count -= below.count + 1;
	if (h->count == 0 && below.count == 0) {
		m->nholes--;
		memmove(h, h + 1, (m->nholes - i) * sizeof(*h));
	} else if (h->count == 0)
		*h = below;
	else if (below.count > 0)
		insert_hole(m, i, &below);
}

static void
note_late(struct meter *m, uint64_t seq, mono_t now)
{
	const struct meter_hole *h;
	size_t i = m->nholes;
	mono_t late;

	if (seq < m->floor) {
		m->reordered++;
		if (seq >= m->first) /* of a hole that was abandoned */
			m->lost--;
		return;
	}
	while (i > 0 && m->holes[i - 1].first > seq)
		i--;
	if (i == 0)
		return;
	h = &m->holes[--i];
	if (seq - h->first >= h->count)
		return;
	m->reordered++;
	if (h->told > 0)
		m->lost--;
	decay_reorder(m, now);
	late = now - h->at;
	late = mono_earlier(late + late / 4, METER_REORDER_MAX);
	if (m->reorder < late)
		m->reorder = late;
	m->reorder_at = now;
	fill_hole(m, i, seq);
}

void
meter_reset(struct meter *m)
{
	memset(m, 0, sizeof(*m));
	m->left_at = MONO_NEVER;
}

static void
note_delay(struct meter *m, uint32_t delay, mono_t since)
{
	int32_t part = GAIN;

	if (since > ANEW)
		part = 1;
	else if (since > PAUSE / GAIN)
		part = since < PAUSE / GAIN_PAUSE ? (int32_t)(PAUSE / since)
						  : GAIN_PAUSE;
	m->delay = wire_delay_mean(m->delay, delay, part);
}

void
meter_note(struct meter *m, uint64_t seq, uint32_t outer_bytes, uint32_t stamp,
    mono_t now)
{
	m->packets++;
	m->bytes += outer_bytes;
	if (!m->started) {
		m->started = true;
		m->first = m->floor = seq;
		m->heard_at = now;
		m->delay = wire_delay(stamp, now);
	} else if (seq <= m->highest) {
		note_late(m, seq, now);
		return;
	} else if (seq > m->highest + 1)
		note_gap(m, seq, now);
	note_delay(m, wire_delay(stamp, now), now - m->heard_at);
	m->highest = seq;
	m->heard_at = now;
	if (seq - m->floor > REPORT_REACH)
		raise_floor(m, seq - REPORT_REACH);
	m->owd_last = (wire_stamp(now) - stamp) & WIRE_STAMP_MASK;
	if (!m->owd_fresh || wire_stamp_diff(m->owd_last, m->owd_min) < 0)
		m->owd_min = m->owd_last;
	m->owd_fresh = true;
}

mono_t
meter_due_at(const struct meter *m)
{
	mono_t due_at = MONO_NEVER;

	if (m->left_at != MONO_NEVER)
		return m->left_at + m->reorder;
	for (size_t i = m->nholes; i > 0 && m->holes[i - 1].told == 0; i--)
		due_at = m->holes[i - 1].at + m->reorder;
	return due_at;
}

/* Names a hole in parts, from above; true when all of it had room. */
static bool
list_hole(struct report_link *r, const struct meter_hole *h, bool pending,
    size_t holes)
{
	uint32_t part, left = h->count;

	for (; left > 0 && r->nholes < holes; left -= part) {
		part = left < REPORT_HOLE_MAX ? left : REPORT_HOLE_MAX;
		r->holes[r->nholes++] =
		    (struct report_hole){ h->first + left - part, part,
			    pending };
	}
	if (left > 0)
		r->floor = h->first + left;
	return left == 0;
}

/* Names the highest ones, and declares what is late enough; returns how many
 * are left, the lowest. */
static size_t
list_holes(struct meter *m, struct report_link *r, size_t holes, mono_t now)
{
	size_t i, repeated = holes < METER_REPEATED ? holes : METER_REPEATED;
	bool all = true;

	for (i = m->nholes; all && i > 0; i--) {
		struct meter_hole *h = &m->holes[i - 1];
		bool pending = h->told == 0 && now - h->at < m->reorder;

		if (r->nholes >= (h->told > 0 ? repeated : holes)) {
			r->floor = h->first + h->count;
			break;
		}
		all = list_hole(r, h, pending, holes);
		if (pending)
			continue;
		if (h->told++ == 0)
			m->lost += h->count;
	}
	return i;
}

/* The lowest ones, which the peer must have heard of by now, or need not. */
static void
forget_holes(struct meter *m, mono_t now)
{
	size_t n = 0;

	for (; n < m->nholes; n++) {
		const struct meter_hole *h = &m->holes[n];
		bool enough = h->told >= METER_TOLD_ENOUGH &&
			      now - h->at >= METER_HOLE_AGE;

		if (!enough &&
		    (h->told > 0 || now - h->at < METER_HOLE_AGE_MAX))
			break;
	}
	abandon_lowest(m, n);
}

bool
meter_report(struct meter *m, struct report_link *r, size_t holes, mono_t now)
{
	size_t left;

	if (!m->started)
		return false;
	decay_reorder(m, now);
	r->highest = m->highest;
	r->floor = m->floor;
	r->packets = m->packets;
	r->bytes = m->bytes;
	r->owd_min = m->owd_fresh ? m->owd_min : m->owd_last;
	r->owd_last = m->owd_last;
	m->owd_fresh = false;
	r->nholes = 0;
	left = list_holes(m, r, holes, now);
	m->left_at = MONO_NEVER;
	while (left > 0 && m->holes[left - 1].told == 0)
		m->left_at = m->holes[--left].at;
	forget_holes(m, now);
	return true;
}
