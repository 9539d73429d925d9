/*
 * Parity: what of a group can be made of the others, and when a link sends it.
 */
#include "config.h"

#include <check.h>

#include "bond_end.h"
#include "packets.h"
#include "tunnel/parity.h"

#define RATE 1250000 /* a full packet takes 1.2 ms */
#define LEN 1000
#define KNOWN_AT 50 /* the sequence of the parity that comes first */

/* WIRE_PARITY is neither the one nor the other for bond_end.h. */
#define PARITY_SENT(e) (!(e)->data && (e)->in.control == 0)

Suite *parity_suite(void);

static struct link *l;
static struct parity_rx rx;
static struct wire_inner sum_in;
static uint8_t sum[2048];
static size_t sum_len;
static bool tap;
static double restored; /* by the peer, in all */

/* The parity comes that has been made up, as seq. */
static struct pktbuf *
restore(uint64_t seq, unsigned span)
{
	struct link_arrival a = {
		.h.seq = seq, .in = sum_in, .packet = sum, .len = sum_len
	};
	struct pktbuf *pb;

	a.in.flags |= (uint8_t)(span << WIRE_PARITY_SHIFT);
	pb = parity_restore(&rx, t->pool, &a, tap, now);
	sum_in = a.in;
	return pb;
}

static void
setup(void)
{
	start_end(1, RATE);
	l = &t->links[0];
	sum_len = 0;
	sum_in = (struct wire_inner){ 0 };
	memset(sum, 0, sizeof(sum));
	tap = false;
	restored = 0;
	/* From the first parity on what comes is kept. */
	ck_assert_ptr_null(restore(KNOWN_AT, 0));
}

static void
teardown(void)
{
	parity_forget(&rx, t->pool);
	parity_drop(&l->parity_tx, t->pool);
	stop_end();
}

/* --- what came --- */

/* The n-th packet of a group: all differ. */
static struct packet
made(unsigned n, size_t payload)
{
	struct packet p;

	packet_ip(&p, 4 + 2 * (n % 2), IPPROTO_UDP, payload);
	memset(p.bytes + p.l4, (int)n + 1, payload);
	return p;
}

static struct wire_inner
header(unsigned n)
{
	return (struct wire_inner){ .bucket = (uint16_t)(n * 37 % 1024),
		.bucket_seq = 4194303 - n,
		.stamp = 1000 + n,
		.link = n % 16,
		.flags = n % 2 == 0 ? WIRE_F_AHEAD : WIRE_F_PRIORITY };
}

static void
add(const struct packet *p, const struct wire_inner *in)
{
	for (size_t i = 0; i < p->len; i++)
		sum[i] ^= p->bytes[i];
	if (p->len > sum_len)
		sum_len = p->len;
	sum_in.bucket ^= in->bucket;
	sum_in.bucket_seq ^= in->bucket_seq;
	sum_in.link ^= in->link;
	sum_in.flags ^= in->flags;
}

static void
hear(uint64_t seq, const struct packet *p, const struct wire_inner *in)
{
	struct pktbuf *pb = pktbuf_alloc(t->pool, p->len);
	const struct link_arrival a = {
		.h.seq = seq, .in = *in, .packet = pb->data, .len = p->len
	};

	memcpy(pb->data, p->bytes, p->len);
	pb->len = (uint32_t)p->len;
	parity_heard(&rx, t->pool, &a, pb, now);
	/* As when it has been delivered: the header goes. */
	memset(pb->data - WIRE_INNER_LEN, 0xff, WIRE_INNER_LEN);
	pktbuf_free(t->pool, pb);
}

static void
hear_control(uint64_t seq, enum wire_control control)
{
	const struct link_arrival a = { .h.seq = seq,
		.in.control = (uint8_t)control };

	parity_heard(&rx, t->pool, &a, NULL, now);
}

/* A group of n packets, first to first + n - 1; of mask lost ones. */
static void
group(uint64_t first, unsigned n, unsigned lost)
{
	for (unsigned i = 0; i < n; i++) {
		struct packet p = made(i, 100 + 50 * (i * 7 % 5));
		struct wire_inner in = header(i);

		add(&p, &in);
		if ((lost & 1U << i) == 0)
			hear(first + i, &p, &in);
	}
}

static void
is_the_lost_one(struct pktbuf *pb, unsigned n)
{
	struct packet p = made(n, 100 + 50 * (n * 7 % 5));
	struct wire_inner in = header(n);

	ck_assert_ptr_nonnull(pb);
	ck_assert_uint_eq(pb->len, p.len);
	ck_assert_mem_eq(pb->data, p.bytes, p.len);
	ck_assert_uint_eq(sum_in.bucket, in.bucket);
	ck_assert_uint_eq(sum_in.bucket_seq, in.bucket_seq);
	ck_assert_uint_eq(sum_in.link, in.link);
	ck_assert_uint_eq(sum_in.flags, in.flags);
	pktbuf_free(t->pool, pb);
}

START_TEST(any_lost_packet_is_made_of_the_others)
{
	unsigned n = (unsigned)_i;

	group(100, 10, 1U << n);
	is_the_lost_one(restore(110, 10), n);
}
END_TEST

START_TEST(a_group_of_one_is_a_copy)
{
	group(100, 1, 1);
	is_the_lost_one(restore(101, 1), 0);
}
END_TEST

START_TEST(the_longest_span_is_kept)
{
	group(100, WIRE_PARITY_SPAN, 1);
	is_the_lost_one(restore(100 + WIRE_PARITY_SPAN, WIRE_PARITY_SPAN), 0);
}
END_TEST

START_TEST(two_lost_packets_cannot_be_made)
{
	group(100, 10, 1 << 3 | 1 << 4);
	ck_assert_ptr_null(restore(110, 10));
}
END_TEST

START_TEST(nothing_lost_makes_nothing)
{
	group(100, 10, 0);
	ck_assert_ptr_null(restore(110, 10));
}
END_TEST

START_TEST(a_lost_control_packet_makes_nothing)
{
	group(100, 5, 0);
	/* 105 was no data, and has not come. */
	ck_assert_ptr_null(restore(106, 6));
}
END_TEST

START_TEST(a_control_packet_between_is_no_part_of_the_sum)
{
	hear_control(105, WIRE_REPORT);
	group(100, 5, 1 << 2);
	is_the_lost_one(restore(106, 6), 2);
}
END_TEST

START_TEST(what_came_before_parity_was_known_is_missing)
{
	parity_forget(&rx, t->pool);
	group(100, 10, 1);
	ck_assert_ptr_null(restore(110, 10));
}
END_TEST

START_TEST(nothing_is_kept_when_the_peer_sends_none_any_more)
{
	group(100, 10, 0);
	ck_assert_uint_gt(pktbuf_used(t->pool, PKTBUF_IO), 0);
	now += PARITY_IDLE + 1;
	hear_control(110, WIRE_KEEPALIVE);
	ck_assert_uint_eq(pktbuf_used(t->pool, PKTBUF_IO), 0);
}
END_TEST

/* --- what cannot be --- */

/* A frame has no length of its own but what its IP header says. */
START_TEST(frames_are_made_if_they_carry_ip)
{
	struct wire_inner in = header(0);
	struct packet p;
	struct pktbuf *pb;

	tap = true;
	packet_ip(&p, 4, IPPROTO_UDP, 200);
	packet_frame(&p, _i == 0 ? 0x0800 : 0x0806, 1);
	add(&p, &in);
	pb = restore(100, 1);
	ck_assert((pb != NULL) == (_i == 0));
	if (pb != NULL)
		ck_assert_uint_eq(pb->len, p.len);
	pktbuf_free(t->pool, pb);
}
END_TEST

START_TEST(a_sum_that_is_shorter_than_its_packets_makes_nothing)
{
	group(100, 10, 1);
	sum_len = 60;
	ck_assert_ptr_null(restore(110, 10));
}
END_TEST

/* Numbers begin at 1: what has come is a whole group, less the first. */
START_TEST(a_span_from_before_the_first_number_makes_nothing)
{
	parity_forget(&rx, t->pool);
	ck_assert_ptr_null(restore(1, 0));
	group(1, 14, 1);
	ck_assert_ptr_null(restore(15, 15));
	sum_in.flags &= WIRE_PARITY_FLAGS;
	is_the_lost_one(restore(15, 14), 0);
}
END_TEST

START_TEST(random_sums_make_ip_packets_or_nothing)
{
	for (uint64_t seq = 100; seq < 400; seq++) {
		struct packet p = made((unsigned)seq, 300);
		struct wire_inner in = header((unsigned)seq);
		struct pktbuf *pb;

		hear(seq, &p, &in);
		for (size_t i = 0; i < sizeof(sum); i++)
			sum[i] = (uint8_t)(seq * 31 + i * i);
		sum_len = seq * 5 % 1400;
		sum_in = (struct wire_inner){ 0 };
		pb = restore(seq + 2, 1 + (unsigned)(seq % 15));
		if (pb != NULL)
			ck_assert_uint_le(pb->len, sum_len);
		pktbuf_free(t->pool, pb);
	}
}
END_TEST

/* --- what is sent --- */

/* So many percent of what the link sends are lost. */
static void
lossy(unsigned percent)
{
	l->tx_loss = (struct loss_meter){ 0 };
	loss_meter_update(&l->tx_loss, 0, 0, now);
	loss_meter_update(&l->tx_loss, 1000, 1000 - 10 * percent, now);
}

static size_t
parity_sent_of(size_t *data)
{
	size_t n = 0;

	*data = 0;
	for (size_t i = 0; i < nsent; i++) {
		n += PARITY_SENT(&sent[i]);
		*data += sent[i].data;
	}
	return n;
}

/* One packet of a flow in each gap, for a second. */
static size_t
flow_of(mono_t gap, size_t *data)
{
	nsent = 0;
	for (mono_t end = now + SEC; now < end;) {
		input(1, LEN);
		run_for(gap);
	}
	return parity_sent_of(data);
}

START_TEST(a_line_that_loses_nothing_has_no_parity)
{
	size_t data;

	ck_assert_uint_eq(flow_of(2 * MS, &data), 0);
	ck_assert_uint_ge(data, 499);
}
END_TEST

static const struct {
	unsigned percent, size;
} sizes[] = { { 1, 15 }, { 3, 5 }, { 5, 3 }, { 15, 1 }, { 25, 1 } };

START_TEST(the_more_is_lost_the_smaller_is_a_group)
{
	size_t parity, data;

	lossy(sizes[_i].percent);
	for (unsigned n = 0; n < 60; n++)
		send_by(0, 1, 100);
	parity = parity_sent_of(&data);
	ck_assert_uint_eq(data, 60);
	ck_assert_uint_eq(parity, 60 / sizes[_i].size);
	ck_assert_uint_eq(l->stats.parity, parity);
}
END_TEST

START_TEST(a_full_line_has_none)
{
	size_t data;

	lossy(5);
	/* 50 ms of idle time are used up first. */
	flow_of(MS / 2, &data);
	ck_assert_uint_eq(flow_of(MS / 2, &data), 0);
	ck_assert_uint_gt(data, 1000);
}
END_TEST

START_TEST(a_packet_alone_has_its_parity_before_a_resend_could_come)
{
	size_t data;

	lossy(1);
	input(1, LEN);
	run_for(WAY / 2 - 1);
	ck_assert_uint_eq(parity_sent_of(&data), 0);
	run_for(2);
	ck_assert_uint_eq(parity_sent_of(&data), 1);
	ck_assert_uint_eq(data, 1);
}
END_TEST

/* All numbers of a group lie in the span that its parity names. */
START_TEST(control_packets_between_do_not_make_the_span_too_long)
{
	const struct link_control skip = { .control = WIRE_SKIP };
	uint64_t first = 0;
	size_t n = 0;

	lossy(1);
	for (unsigned i = 0; i < 60; i++) {
		send_by(0, 1, 100);
		for (unsigned k = 0; k < i % 4; k++)
			link_send_control(t, l, &skip, now);
	}
	for (size_t i = 0; i < nsent; i++) {
		const struct sent *e = &sent[i];
		unsigned span = e->in.flags >> WIRE_PARITY_SHIFT;

		if (e->in.control != 0)
			continue;
		if (first == 0)
			first = e->seq;
		if (!PARITY_SENT(e))
			continue;
		ck_assert_uint_eq(e->seq - span, first);
		first = 0;
		n++;
	}
	ck_assert_uint_eq(n, l->stats.parity);
}
END_TEST

/* Packets at 1 in 5 ms for some seconds, of which the peer says each 250 ms how
 * many it has restored: that part of what is lost. */
static size_t
parity_while(mono_t span, double part)
{
	uint64_t before = l->stats.parity;

	for (mono_t end = now + span; now < end; now += 5 * MS) {
		lossy(10);
		restored += 0.1 * part;
		send_by(0, 1, 100);
		run_for(MS);
		nsent = 0;
		if (now / (250 * MS) != (now + 5 * MS) / (250 * MS))
			parity_told(l, (uint64_t)restored, now);
	}
	return l->stats.parity - before;
}

START_TEST(parity_that_restores_goes_on)
{
	parity_while(20 * SEC, 0.7);
	ck_assert_uint_ge(parity_while(SEC, 0.7), 80);
}
END_TEST

START_TEST(parity_that_restores_next_to_nothing_is_given_up_for_a_while)
{
	size_t n = parity_while(5 * SEC, 0.1);

	ck_assert_uint_gt(n, PARITY_JUDGED * 5);
	ck_assert_uint_lt(n, 400);
	ck_assert_uint_eq(parity_while(4 * SEC, 0.1), 0);
	/* It is tried again. */
	ck_assert_uint_gt(parity_while(PARITY_PAUSE, 0.1), 0);
}
END_TEST

START_TEST(a_peer_that_begins_anew_is_judged_anew)
{
	parity_while(2 * SEC, 0.7);
	l->parity_worth.restored = 1000000;
	parity_while(5 * SEC, 0.7);
	ck_assert_uint_ge(parity_while(SEC, 0.7), 80);
}
END_TEST

START_TEST(nor_has_one_that_is_configured_so)
{
	size_t data;

	lossy(10);
	l->conf.parity = false;
	for (unsigned n = 0; n < 60; n++)
		send_by(0, 1, 100);
	ck_assert_uint_eq(parity_sent_of(&data), 0);
}
END_TEST

START_TEST(a_link_that_is_not_in_use_has_none)
{
	size_t data;

	lossy(50);
	l->in_use = false;
	send_by(0, 1, 100);
	ck_assert_uint_eq(parity_sent_of(&data), 0);
	ck_assert_ptr_null(l->parity_tx.sum);
}
END_TEST

Suite *
parity_suite(void)
{
	Suite *s = suite_create("parity");
	TCase *tc = tcase_create("parity");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, any_lost_packet_is_made_of_the_others, 0, 10);
	tcase_add_test(tc, a_group_of_one_is_a_copy);
	tcase_add_test(tc, the_longest_span_is_kept);
	tcase_add_test(tc, two_lost_packets_cannot_be_made);
	tcase_add_test(tc, nothing_lost_makes_nothing);
	tcase_add_test(tc, a_lost_control_packet_makes_nothing);
	tcase_add_test(tc, a_control_packet_between_is_no_part_of_the_sum);
	tcase_add_test(tc, what_came_before_parity_was_known_is_missing);
	tcase_add_test(tc, nothing_is_kept_when_the_peer_sends_none_any_more);
	tcase_add_test(
	    tc, a_sum_that_is_shorter_than_its_packets_makes_nothing);
	tcase_add_loop_test(tc, frames_are_made_if_they_carry_ip, 0, 2);
	tcase_add_test(tc, a_span_from_before_the_first_number_makes_nothing);
	tcase_add_test(tc, random_sums_make_ip_packets_or_nothing);
	tcase_add_test(tc, a_line_that_loses_nothing_has_no_parity);
	tcase_add_loop_test(tc, the_more_is_lost_the_smaller_is_a_group, 0,
	    (int)nitems_of(sizes));
	tcase_add_test(tc, a_full_line_has_none);
	tcase_add_test(
	    tc, a_packet_alone_has_its_parity_before_a_resend_could_come);
	tcase_add_test(
	    tc, control_packets_between_do_not_make_the_span_too_long);
	tcase_add_test(tc, parity_that_restores_goes_on);
	tcase_add_test(
	    tc, parity_that_restores_next_to_nothing_is_given_up_for_a_while);
	tcase_add_test(tc, a_peer_that_begins_anew_is_judged_anew);
	tcase_add_test(tc, nor_has_one_that_is_configured_so);
	tcase_add_test(tc, a_link_that_is_not_in_use_has_none);
	suite_add_tcase(s, tc);
	return s;
}
