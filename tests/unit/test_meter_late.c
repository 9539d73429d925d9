/*
 * The meter on lines that reorder: how long late packets are waited for.  The
 * last test compares it with books that are kept about each single packet.
 */
#include "config.h"

#include <stdlib.h>

#include "meter_line.h"

Suite *meter_late_suite(void);

/* Packet seq is late by that much: from then on gaps are given 1.25 times it.
 * Uses seq and seq + 1. */
static void
reorder_by(uint64_t seq, mono_t late)
{
	come(seq + 1);
	now += late;
	come(seq);
}

/* --- patience --- */

START_TEST(a_gap_waits_as_long_as_late_packets_needed)
{
	mono_t at;

	come(0);
	reorder_by(1, 8 * MS);
	ck_assert_int_eq(m.reorder, 10 * MS);
	at = now;
	come(4);
	now += MS;
	come(6);
	ck_assert_int_eq(meter_due_at(&m), at + 10 * MS);
	report();
	assert_hole(0, 5, 1, true);
	assert_hole(1, 3, 1, true);
	ck_assert_uint_eq(m.lost, 0);
	now = at + 10 * MS;
	report();
	assert_hole(0, 5, 1, true);
	assert_hole(1, 3, 1, false);
	ck_assert_uint_eq(m.lost, 1);
	ck_assert_int_eq(meter_due_at(&m), at + 11 * MS);
	now = at + 11 * MS;
	report();
	assert_hole(0, 5, 1, false);
	ck_assert_int_eq(meter_due_at(&m), MONO_NEVER);
	ck_assert_uint_eq(m.lost, 2);
}
END_TEST

START_TEST(the_latest_packet_says_how_long)
{
	come(0);
	reorder_by(1, 8 * MS);
	reorder_by(3, 2 * MS);
	ck_assert_int_eq(m.reorder, 10 * MS);
	reorder_by(5, 16 * MS);
	ck_assert_int_eq(m.reorder, 20 * MS);
	reorder_by(7, 3600 * SEC);
	ck_assert_int_eq(m.reorder, METER_REORDER_MAX);
}
END_TEST

START_TEST(both_halves_of_a_hole_are_as_old_as_it_was)
{
	mono_t at = now;

	come(0);
	come(4);
	now += 4 * MS;
	come(2);
	ck_assert_int_eq(meter_due_at(&m), at + 5 * MS);
	now = at + 5 * MS;
	report();
	assert_hole(0, 3, 1, false);
	assert_hole(1, 1, 1, false);
}
END_TEST

START_TEST(what_was_declared_lost_stays_so_when_patience_grows)
{
	come(0);
	come(3);
	report();
	now += 20 * MS;
	come(5);
	come(1);
	ck_assert_int_eq(m.reorder, 25 * MS);
	report();
	assert_hole(0, 4, 1, true);
	assert_hole(1, 2, 1, false);
	ck_assert_int_eq(meter_due_at(&m), now + 25 * MS);
}
END_TEST

START_TEST(patience_ends_when_no_packet_is_late_any_more)
{
	mono_t at;

	come(0);
	reorder_by(1, 32 * MS);
	at = now;
	now = at + 10 * SEC - 1;
	report();
	ck_assert_int_eq(m.reorder, 40 * MS);
	now = at + 10 * SEC;
	report();
	ck_assert_int_eq(m.reorder, 20 * MS);
	now = at + 35 * SEC;
	come(4);
	ck_assert_int_eq(m.reorder, 5 * MS);
	ck_assert_int_eq(meter_due_at(&m), now + 5 * MS);
	now = at + 3600 * SEC;
	come(6);
	ck_assert_int_eq(m.reorder, 0);
	ck_assert_int_eq(meter_due_at(&m), at + 35 * SEC);
}
END_TEST

START_TEST(a_late_packet_lets_patience_last)
{
	come(0);
	reorder_by(1, 32 * MS);
	now += 9 * SEC;
	reorder_by(3, MS);
	now += 9 * SEC;
	report();
	ck_assert_int_eq(m.reorder, 40 * MS);
}
END_TEST

/* --- any line --- */

#define PACKETS 30000

static struct packet {
	uint64_t seq;
	mono_t at; /* comes; MONO_NEVER */
} sent[PACKETS];
static bool has_come[PACKETS];

static int
by_arrival(const void *a, const void *b)
{
	const struct packet *pa = a, *pb = b;

	if (pa->at != pb->at)
		return pa->at < pb->at ? -1 : 1;
	return pa->seq < pb->seq ? -1 : 1;
}

/* One packet each ms; some are lost, alone or in a row, some are late. */
static void
send_all(double loss, double burst, double late, mono_t late_max)
{
	for (size_t i = 0; i < PACKETS; i++) {
		bool before = i > 0 && sent[i - 1].at == MONO_NEVER;

		sent[i].seq = i;
		sent[i].at = now + (mono_t)i * MS;
		if (drand48() < (before ? burst : loss))
			sent[i].at = MONO_NEVER;
		else if (drand48() < late)
			sent[i].at += (mono_t)(drand48() * (double)late_max);
	}
	sent[0].at = now;
	memset(has_come, 0, sizeof(has_come));
	qsort(sent, PACKETS, sizeof(sent[0]), by_arrival);
}

/* The holes are what has not come above the floor; what has not come at all is
 * lost or not declared yet. */
static void
check_books(void)
{
	uint64_t seq, missing = 0, undeclared = 0;
	const struct meter_hole *h = m.holes, *end = h + m.nholes;

	for (seq = m.first; seq <= m.highest; seq++) {
		bool listed = h < end && seq >= h->first;

		if (!has_come[seq - BASE])
			missing++;
		if (seq >= m.floor && listed == has_come[seq - BASE])
			ck_abort_msg("number %u", (unsigned)(seq - BASE));
		if (!listed)
			continue;
		if (h->told == 0)
			undeclared++;
		if (seq == h->first + h->count - 1)
			h++;
	}
	ck_assert_ptr_eq(h, end);
	ck_assert_uint_eq(m.lost, missing - undeclared);
}

static void
check_report(void)
{
	struct report_link got;
	uint8_t p[REPORT_MAX];
	bool pending = false;
	size_t len;

	report();
	ck_assert_int_gt(meter_due_at(&m), now);
	for (size_t i = 0; i < r.nholes; i++)
		pending |= r.holes[i].pending;
	ck_assert(pending == (meter_due_at(&m) != MONO_NEVER));
	r.link = 3;
	len = report_put(p, sizeof(p), &r);
	ck_assert_uint_eq(report_get(&got, p, len), len);
	ck_assert_uint_eq(got.floor, r.floor);
	ck_assert_uint_eq(got.nholes, r.nholes);
}

/* Loss, loss after loss, share and most of what is late in ms. */
static const double lines[][4] = { { 0.02, 0.02, 0, 0 }, { 0.01, 0.9, 0, 0 },
	{ 0.001, 0.999, 0, 0 }, { 0, 0, 0.05, 20 }, { 0.02, 0.5, 0.1, 8 },
	{ 0.2, 0.3, 0.9, 100 }, { 0.01, 0.1, 0.01, 1000 } };

START_TEST(the_books_are_right_on_any_line)
{
	const double *line = lines[_i];
	mono_t report_at = now;

	srand48(_i + 1);
	send_all(line[0], line[1], line[2], (mono_t)(line[3] * 1e6));
	for (size_t i = 0; i < PACKETS && sent[i].at != MONO_NEVER; i++) {
		now = sent[i].at;
		has_come[sent[i].seq] = true;
		come(sent[i].seq);
		if (i % 128 == 0)
			check_books();
		if (now < report_at && meter_due_at(&m) > now)
			continue;
		check_report();
		report_at = now + 25 * MS;
	}
	now += SEC;
	check_report();
	check_books();
}
END_TEST

Suite *
meter_late_suite(void)
{
	Suite *s = suite_create("meter_late");
	TCase *tc = tcase_create("meter_late");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_gap_waits_as_long_as_late_packets_needed);
	tcase_add_test(tc, the_latest_packet_says_how_long);
	tcase_add_test(tc, both_halves_of_a_hole_are_as_old_as_it_was);
	tcase_add_test(tc, what_was_declared_lost_stays_so_when_patience_grows);
	tcase_add_test(tc, patience_ends_when_no_packet_is_late_any_more);
	tcase_add_test(tc, a_late_packet_lets_patience_last);
	tcase_add_loop_test(
	    tc, the_books_are_right_on_any_line, 0, nitems_of(lines));
	suite_add_tcase(s, tc);
	return s;
}
