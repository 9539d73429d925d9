/*
 * The wire format's fields, against bytes that were computed elsewhere: they
 * have to come out the same on every machine.
 */
#include "config.h"

#include <check.h>

#include "hex.h"
#include "tunnel/wire.h"
#include "vectors/crypto_vectors.h"

Suite *wire_suite(void);

START_TEST(header_is_big_endian)
{
	struct wire_header h = { WIRE_DATA, 0x5a, UINT64_C(0x0102030405f6) };
	uint8_t out[WIRE_HEADER_LEN];

	wire_put_header(out, &h);
	ck_assert_hex(out, sizeof(out), "055a0102030405f6");
	h = (struct wire_header){ 0 };
	ck_assert_int_eq(wire_get_header(&h, out, sizeof(out)), 0);
	ck_assert_uint_eq(h.type, WIRE_DATA);
	ck_assert_uint_eq(h.epoch, 0x5a);
	ck_assert_uint_eq(h.seq, UINT64_C(0x0102030405f6));
}
END_TEST

START_TEST(header_carries_the_highest_sequence)
{
	struct wire_header h = { WIRE_CONTROL, 0xff, WIRE_SEQ_MAX };
	uint8_t out[WIRE_HEADER_LEN];

	wire_put_header(out, &h);
	ck_assert_hex(out, sizeof(out), "06ffffffffffffff");
	ck_assert_int_eq(wire_get_header(&h, out, sizeof(out)), 0);
	ck_assert_uint_eq(h.seq, WIRE_SEQ_MAX);
}
END_TEST

START_TEST(short_header_is_refused)
{
	const uint8_t p[WIRE_HEADER_LEN] = { WIRE_DATA };
	struct wire_header h;

	for (size_t len = 0; len < WIRE_HEADER_LEN; len++)
		ck_assert_int_eq(wire_get_header(&h, p, len), -1);
	ck_assert_int_eq(wire_get_header(&h, NULL, 0), -1);
}
END_TEST

START_TEST(unknown_type_is_refused)
{
	uint8_t p[WIRE_HEADER_LEN] = { 0 };
	struct wire_header h;

	for (unsigned type = 0; type < 256; type++) {
		bool known = type >= WIRE_HELLO && type <= WIRE_PARITY;

		p[0] = (uint8_t)type;
		ck_assert_int_eq(
		    wire_get_header(&h, p, sizeof(p)), known ? 0 : -1);
	}
}
END_TEST

START_TEST(handshake_types_have_no_epoch_or_sequence)
{
	uint8_t p[WIRE_HEADER_LEN] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct wire_header h;

	for (uint8_t type = WIRE_HELLO; type <= WIRE_AUTH; type++) {
		p[0] = type;
		ck_assert_int_eq(wire_get_header(&h, p, sizeof(p)), 0);
		ck_assert_uint_eq(h.type, type);
		ck_assert_uint_eq(h.epoch, 0);
		ck_assert_uint_eq(h.seq, 0);
	}
}
END_TEST

START_TEST(inner_header_of_data)
{
	struct wire_inner in = { .bucket = 0x2a5,
		.bucket_seq = 0x31415f,
		.stamp = 0xabcde,
		.link = 9,
		.flags = 0x85 };
	struct wire_inner got;
	uint8_t out[WIRE_INNER_LEN];

	wire_put_inner(out, false, &in);
	ck_assert_hex(out, sizeof(out), VEC_INNER_DATA);
	wire_get_inner(&got, false, out);
	ck_assert_uint_eq(got.bucket, in.bucket);
	ck_assert_uint_eq(got.bucket_seq, in.bucket_seq);
	ck_assert_uint_eq(got.stamp, in.stamp);
	ck_assert_uint_eq(got.link, in.link);
	ck_assert_uint_eq(got.flags, in.flags);
	ck_assert_uint_eq(got.control, 0);
	ck_assert_uint_eq(got.echo_stamp, 0);
}
END_TEST

START_TEST(inner_header_of_control)
{
	struct wire_inner in = { .control = WIRE_KEEPALIVE_ACK,
		.echo_stamp = 0x12345,
		.stamp = 0xfedcb,
		.flags = WIRE_F_ECHO };
	struct wire_inner got;
	uint8_t out[WIRE_INNER_LEN];

	wire_put_inner(out, true, &in);
	ck_assert_hex(out, sizeof(out), "20012345fedcb008");
	ck_assert_hex(out, sizeof(out), VEC_INNER_CONTROL);
	wire_get_inner(&got, true, out);
	ck_assert_uint_eq(got.control, WIRE_KEEPALIVE_ACK);
	ck_assert_uint_eq(got.echo_stamp, 0x12345);
	ck_assert_uint_eq(got.echo_held, 0);
	ck_assert_uint_eq(got.stamp, 0xfedcb);
	ck_assert_uint_eq(got.link, 0);
	ck_assert_uint_eq(got.flags, WIRE_F_ECHO);
	ck_assert_uint_eq(got.bucket, 0);
	ck_assert_uint_eq(got.bucket_seq, 0);
}
END_TEST

START_TEST(every_flag_has_its_bit)
{
	static const uint8_t flags[] = { WIRE_F_PARTIAL_CSUM, WIRE_F_PRIORITY,
		WIRE_F_AHEAD, WIRE_F_ECHO };
	struct wire_inner got, in = { .flags = flags[_i] };
	uint8_t out[WIRE_INNER_LEN];

	for (int control = 0; control < 2; control++) {
		wire_put_inner(out, control, &in);
		ck_assert_uint_eq(out[WIRE_INNER_LEN - 1], 1U << _i);
		wire_get_inner(&got, control, out);
		ck_assert_uint_eq(got.flags, flags[_i]);
	}
}
END_TEST

/* A sequence that has outgrown its bits must not change its neighbour. */
START_TEST(wide_values_stay_in_their_field)
{
	struct wire_inner in = {
		.bucket_seq = 0x400000, .stamp = 0x100000, .link = 0x10
	};
	struct wire_inner wide = { .control = 0x10, .echo_stamp = 0x100000 };
	uint8_t out[WIRE_INNER_LEN];

	wire_put_inner(out, false, &in);
	ck_assert_hex(out, sizeof(out), "0000000000000000");
	wire_put_inner(out, true, &wide);
	ck_assert_hex(out, sizeof(out), "0000000000000000");
	in = (struct wire_inner){ .bucket = 0x400 };
	wire_put_inner(out, false, &in);
	ck_assert_hex(out, sizeof(out), "0000000000000000");
}
END_TEST

START_TEST(counts_are_big_endian)
{
	struct wire_counts c = { UINT64_C(0x0102030405f6), UINT64_MAX - 1,
		0x0a0b0c0d };
	uint8_t out[WIRE_COUNTS_LEN];

	wire_put_counts(out, &c);
	ck_assert_hex(out, sizeof(out), VEC_COUNTS);
	c = (struct wire_counts){ 0 };
	wire_get_counts(&c, out);
	ck_assert_uint_eq(c.highest, UINT64_C(0x0102030405f6));
	ck_assert_uint_eq(c.received, UINT64_MAX - 1);
	ck_assert_uint_eq(c.restored, 0x0a0b0c0d);
}
END_TEST

#define SPAN (WIRE_STAMP_UNIT * (WIRE_STAMP_MASK + 1)) /* 67.1 s */

START_TEST(stamps_wrap)
{
	mono_t start = 1000 * SPAN - 5 * WIRE_STAMP_UNIT;

	ck_assert_uint_eq(wire_stamp(0), 0);
	ck_assert_uint_eq(wire_stamp(WIRE_STAMP_UNIT - 1), 0);
	ck_assert_uint_eq(wire_stamp(start), WIRE_STAMP_MASK - 4);
	ck_assert_uint_eq(wire_stamp(start + 6 * WIRE_STAMP_UNIT), 1);
	ck_assert_int_eq(wire_stamp_age(wire_stamp(start), start), 0);
	for (mono_t age = 0; age < SPAN; age += 33333333)
		ck_assert_int_eq(
		    wire_stamp_age(wire_stamp(start), start + age), age);
	ck_assert_int_eq(wire_stamp_age(wire_stamp(start), start + SPAN), 0);
}
END_TEST

START_TEST(age_is_finer_than_the_stamp)
{
	mono_t sent_at = 7 * SPAN;

	ck_assert_int_eq(
	    wire_stamp_age(wire_stamp(sent_at), sent_at + 100123), 100123);
	/* Of the stamp itself the remainder is lost: at most one unit. */
	ck_assert_int_eq(
	    wire_stamp_age(wire_stamp(sent_at + 63999), sent_at + 64000),
	    64000);
}
END_TEST

START_TEST(echo_leaves_out_the_time_it_was_held)
{
	mono_t sent_at = SPAN - WIRE_STAMP_UNIT, rtt = 30 * NSEC_PER_MSEC;
	mono_t got_at = 123456789, held = 2 * NSEC_PER_SEC;
	uint32_t echo =
	    wire_stamp_echo(wire_stamp(sent_at), got_at, got_at + held);
	mono_t seen = wire_stamp_rtt(echo, sent_at + rtt + held);

	ck_assert_int_ge(seen, rtt);
	ck_assert_int_le(seen, rtt + WIRE_STAMP_UNIT);
}
END_TEST

START_TEST(fast_clock_of_the_peer_gives_no_huge_rtt)
{
	mono_t now = 5 * SPAN;

	ck_assert_int_eq(
	    wire_stamp_rtt(wire_stamp(now + WIRE_STAMP_UNIT), now), 0);
	ck_assert_int_eq(
	    wire_stamp_rtt(wire_stamp(now + NSEC_PER_SEC / 2), now), 0);
	ck_assert_int_eq(
	    wire_stamp_rtt(wire_stamp(now - 60 * NSEC_PER_SEC), now),
	    60 * NSEC_PER_SEC);
}
END_TEST

/* Whatever is above 20 bits does not count. */
START_TEST(stamps_differ_by_less_than_half_a_turn)
{
	uint32_t half = (WIRE_STAMP_MASK + 1) / 2;

	for (uint32_t b = 0; b <= 2 * WIRE_STAMP_MASK; b += 4099) {
		ck_assert_int_eq(wire_stamp_diff(b, b), 0);
		ck_assert_int_eq(wire_stamp_diff(b + 3, b & WIRE_STAMP_MASK),
		    3 * WIRE_STAMP_UNIT);
		ck_assert_int_eq(wire_stamp_diff(b & WIRE_STAMP_MASK, b + 3),
		    -3 * WIRE_STAMP_UNIT);
		ck_assert_int_eq(wire_stamp_diff(b + half - 1, b),
		    SPAN / 2 - WIRE_STAMP_UNIT);
		ck_assert_int_eq(wire_stamp_diff(b + half, b), -SPAN / 2);
		ck_assert_int_eq(wire_stamp_diff(b + half + 1, b),
		    -SPAN / 2 + WIRE_STAMP_UNIT);
	}
}
END_TEST

/* _i: how far the peer's clock is ahead. */
START_TEST(delays_differ_alike_where_stamps_wrap)
{
	mono_t skew = (_i - 4) * 11 * NSEC_PER_SEC;
	mono_t unit = WIRE_STAMP_UNIT;

	for (mono_t now = 7 * SPAN; now < 9 * SPAN; now += NSEC_PER_SEC / 3) {
		uint32_t a = wire_delay(wire_stamp(now + skew), now);
		mono_t later = now + 20 * NSEC_PER_SEC;
		uint32_t b =
		    wire_delay(wire_stamp(later - 625 * unit + skew), later);

		/* Each is rounded twice. */
		ck_assert_int_le(wire_delay_diff(b, a), (625 + 1) * unit);
		ck_assert_int_ge(wire_delay_diff(b, a), (625 - 1) * unit);
		ck_assert_int_eq(wire_delay_diff(a, b), -wire_delay_diff(b, a));
	}
}
END_TEST

START_TEST(a_mean_delay_comes_near_across_the_wrap)
{
	mono_t start = 5 * SPAN, unit = WIRE_STAMP_UNIT;
	uint32_t before = wire_delay(wire_stamp(start + 100 * unit), start);
	uint32_t after = wire_delay(wire_stamp(start - 100 * unit), start);
	uint32_t mean = before;

	/* The first is just below the end of all delays. */
	ck_assert_uint_gt(before, after);
	ck_assert_int_eq(wire_delay_diff(after, before), 200 * unit);
	mean = wire_delay_mean(mean, after, 8);
	ck_assert_int_eq(wire_delay_diff(mean, before), 25 * unit);
	ck_assert_int_eq(wire_delay_diff(after, mean), 175 * unit);
	for (int i = 0; i < 200; i++)
		mean = wire_delay_mean(mean, after, 8);
	ck_assert_int_ge(wire_delay_diff(mean, after), -unit);
	ck_assert_int_le(wire_delay_diff(mean, after), 0);
	for (int i = 0; i < 200; i++)
		mean = wire_delay_mean(mean, before, 8);
	ck_assert_int_le(wire_delay_diff(mean, before), unit);
}
END_TEST

Suite *
wire_suite(void)
{
	Suite *s = suite_create("wire");
	TCase *tc = tcase_create("wire");

	tcase_add_test(tc, header_is_big_endian);
	tcase_add_test(tc, header_carries_the_highest_sequence);
	tcase_add_test(tc, short_header_is_refused);
	tcase_add_test(tc, unknown_type_is_refused);
	tcase_add_test(tc, handshake_types_have_no_epoch_or_sequence);
	tcase_add_test(tc, inner_header_of_data);
	tcase_add_test(tc, inner_header_of_control);
	tcase_add_loop_test(tc, every_flag_has_its_bit, 0, 4);
	tcase_add_test(tc, wide_values_stay_in_their_field);
	tcase_add_test(tc, counts_are_big_endian);
	tcase_add_test(tc, stamps_wrap);
	tcase_add_test(tc, age_is_finer_than_the_stamp);
	tcase_add_test(tc, echo_leaves_out_the_time_it_was_held);
	tcase_add_test(tc, fast_clock_of_the_peer_gives_no_huge_rtt);
	tcase_add_test(tc, stamps_differ_by_less_than_half_a_turn);
	tcase_add_loop_test(tc, delays_differ_alike_where_stamps_wrap, 0, 9);
	tcase_add_test(tc, a_mean_delay_comes_near_across_the_wrap);
	suite_add_tcase(s, tc);
	return s;
}
