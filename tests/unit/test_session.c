/*
 * Sealing and opening: vectors, and that nothing but the very packet that was
 * sealed, once, is accepted.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "tunnel/crypto.h"
#include "tunnel/session.h"
#include "vectors/crypto_vectors.h"

#define EPOCH 0x5a
#define SEQ UINT64_C(0x0102030405f6)
#define UP_SESSION UINT64_C(0x9495969798999a9b)
#define DOWN_SESSION UINT64_C(0x5455565758595a5b)
#define LEN_MAX 65400

Suite *session_suite(void);

static const enum session_cipher ciphers[] = {
	SESSION_AES_256_GCM,
	SESSION_CHACHA20_POLY1305,
	SESSION_NONE,
};
#define NCIPHERS ((int)nitems_of(ciphers))
#define NAEADS 2 /* the first ones */

static const struct wire_inner data_inner = { .bucket = 0x2a5,
	.bucket_seq = 0x31415f,
	.stamp = 0xabcde,
	.link = 9,
	.flags = 0x85 };
static const struct wire_inner control_inner = { .control = WIRE_KEEPALIVE_ACK,
	.echo_stamp = 0x12345,
	.stamp = 0xfedcb,
	.flags = WIRE_F_ECHO };

/* The two ends of one session. */
static struct session client, server;
static uint8_t room[WIRE_INNER_LEN + LEN_MAX];
static uint8_t *const packet = room + WIRE_INNER_LEN;
static uint8_t dgram[LEN_MAX + 64];

static void
setup_crypto(void)
{
	ck_assert_int_eq(crypto_init(), 0);
}

static void
make_ends(enum session_cipher cipher)
{
	uint8_t up[HEX_MAX], down[HEX_MAX];
	bool aes = cipher == SESSION_AES_256_GCM;

	session_clear(&client);
	session_clear(&server);
	if (cipher == SESSION_NONE) {
		session_init_clear(&client, EPOCH, UP_SESSION, DOWN_SESSION, 1);
		session_init_clear(&server, EPOCH, DOWN_SESSION, UP_SESSION, 1);
		return;
	}
	unhex(up, aes ? VEC_UP_AES : VEC_UP_CHACHA);
	unhex(down, aes ? VEC_DOWN_AES : VEC_DOWN_CHACHA);
	ck_assert_int_eq(session_init(&client, EPOCH, cipher, up, down, 1), 0);
	ck_assert_int_eq(session_init(&server, EPOCH, cipher, down, up, 1), 0);
}

static void
teardown(void)
{
	session_clear(&client);
	session_clear(&server);
}

static size_t
seal(struct session *s, uint64_t seq, size_t len)
{
	return session_seal(s, WIRE_DATA, seq, &data_inner, packet, len, dgram);
}

/* Opens a copy, so that dgram can be used again. */
static enum session_result
try_open(struct session *s, const uint8_t *from, size_t len)
{
	struct wire_header h;
	struct wire_inner inner;
	uint8_t *copy = malloc(len + 1), *got;
	size_t got_len;
	enum session_result r = SESSION_MALFORMED;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, from, len);
	if (wire_get_header(&h, copy, len) == 0)
		r = session_open(s, &h, copy, len, &inner, &got, &got_len);
	if (r == SESSION_OK)
		ck_assert_mem_eq(got, packet, got_len);
	free(copy);
	return r;
}

static const struct {
	const char *data, *control;
} vectors[] = {
	{ VEC_DATA_AES, VEC_CONTROL_AES },
	{ VEC_DATA_CHACHA, VEC_CONTROL_CHACHA },
	{ VEC_DATA_NONE, VEC_CONTROL_NONE },
};

START_TEST(sealed_packets_equal_the_vectors)
{
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, SEQ, unhex(packet, VEC_PACKET));
	ck_assert_hex(dgram, len, vectors[_i].data);
	len = session_seal(
	    &server, WIRE_CONTROL, 1, &control_inner, packet, 0, dgram);
	ck_assert_hex(dgram, len, vectors[_i].control);
}
END_TEST

START_TEST(vectors_are_opened)
{
	uint8_t msg[HEX_MAX], *got;
	struct wire_header h;
	struct wire_inner in;
	size_t len, got_len;

	make_ends(ciphers[_i]);
	len = unhex(msg, vectors[_i].data);
	ck_assert_int_eq(wire_get_header(&h, msg, len), 0);
	ck_assert_uint_eq(h.seq, SEQ);
	ck_assert_int_eq(
	    session_open(&server, &h, msg, len, &in, &got, &got_len),
	    SESSION_OK);
	ck_assert_hex(got, got_len, VEC_PACKET);
	ck_assert_uint_eq(in.bucket_seq, 0x31415f);
	len = unhex(msg, vectors[_i].control);
	ck_assert_int_eq(wire_get_header(&h, msg, len), 0);
	ck_assert_int_eq(
	    session_open(&client, &h, msg, len, &in, &got, &got_len),
	    SESSION_OK);
	ck_assert_uint_eq(got_len, 0);
	ck_assert_uint_eq(in.control, WIRE_KEEPALIVE_ACK);
	ck_assert_uint_eq(in.echo_stamp, 0x12345);
}
END_TEST

START_TEST(every_length_comes_back)
{
	static const size_t lens[] = { 0, 1, 7, 8, 15, 16, 17, 63, 64, 65, 576,
		1440, 1500, 9000, LEN_MAX };
	uint64_t seq = 0;

	make_ends(ciphers[_i]);
	for (size_t i = 0; i < LEN_MAX; i++)
		packet[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < nitems_of(lens); i++) {
		size_t len = seal(&client, seq++, lens[i]);

		ck_assert_uint_eq(len, lens[i] + session_overhead(&client));
		ck_assert_int_eq(try_open(&server, dgram, len), SESSION_OK);
	}
	ck_assert_uint_eq(client.tx_packets, nitems_of(lens));
}
END_TEST

START_TEST(overhead_is_as_documented)
{
	make_ends(ciphers[_i]);
	ck_assert_uint_eq(
	    session_overhead(&client), ciphers[_i] == SESSION_NONE ? 24 : 32);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, SEQ, 20);
	for (size_t bit = 0; bit < len * 8; bit++) {
		dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(try_open(&server, dgram, len), SESSION_OK);
		dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* None of them moved the window or spoilt the context. */
	ck_assert(!server.replay.started);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_OK);
}
END_TEST

START_TEST(clear_packet_needs_the_session_number)
{
	size_t len;

	make_ends(SESSION_NONE);
	len = seal(&client, 5, 20);
	for (size_t bit = 0; bit < 64; bit++) {
		uint8_t *byte = dgram + WIRE_HEADER_LEN + bit / 8;

		*byte ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(
		    try_open(&server, dgram, len), SESSION_BAD_AUTH);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert(!server.replay.started);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_OK);
}
END_TEST

START_TEST(truncated_or_longer_packet_is_refused)
{
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, SEQ, 40);
	dgram[len] = 0;
	ck_assert_int_eq(try_open(&server, dgram, len + 1), SESSION_BAD_AUTH);
	for (size_t n = 0; n < len; n++)
		ck_assert_int_eq(try_open(&server, dgram, n),
		    n < session_overhead(&server) ? SESSION_MALFORMED
						  : SESSION_BAD_AUTH);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_OK);
}
END_TEST

START_TEST(short_clear_packet_is_refused)
{
	make_ends(SESSION_NONE);
	seal(&client, 1, 0);
	for (size_t n = 0; n < WIRE_CLEAR_OVERHEAD; n++)
		ck_assert_int_eq(
		    try_open(&server, dgram, n), SESSION_MALFORMED);
	ck_assert_int_eq(
	    try_open(&server, dgram, WIRE_CLEAR_OVERHEAD), SESSION_OK);
}
END_TEST

START_TEST(replayed_packet_is_refused)
{
	uint8_t first[128];
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, 7, 40);
	memcpy(first, dgram, len);
	ck_assert_int_eq(try_open(&server, first, len), SESSION_OK);
	ck_assert_int_eq(try_open(&server, first, len), SESSION_REPLAYED);
	seal(&client, 8 + REPLAY_WINDOW, 40);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_OK);
	ck_assert_int_eq(try_open(&server, first, len), SESSION_REPLAYED);
}
END_TEST

START_TEST(reflected_packet_is_refused)
{
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, 7, 40);
	ck_assert_int_eq(try_open(&client, dgram, len), SESSION_BAD_AUTH);
	len = seal(&server, 7, 40);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_BAD_AUTH);
}
END_TEST

START_TEST(packet_of_another_session_is_refused)
{
	struct session other = { 0 };
	uint8_t keys[SESSION_KEY_LEN + SESSION_IV_LEN] = { 1 };
	size_t len;

	make_ends(ciphers[_i]);
	if (ciphers[_i] == SESSION_NONE)
		session_init_clear(&other, EPOCH, 1, 2, 1);
	else
		ck_assert_int_eq(
		    session_init(&other, EPOCH, ciphers[_i], keys, keys, 1), 0);
	len = seal(&other, 7, 40);
	ck_assert_int_eq(try_open(&server, dgram, len), SESSION_BAD_AUTH);
	session_clear(&other);
}
END_TEST

START_TEST(sequence_beyond_48_bits_is_not_sealed)
{
	make_ends(ciphers[_i]);
	ck_assert_uint_eq(seal(&client, WIRE_SEQ_MAX + 1, 40), 0);
	ck_assert_uint_ne(seal(&client, WIRE_SEQ_MAX, 40), 0);
	ck_assert_uint_eq(client.tx_packets, 1);
}
END_TEST

START_TEST(only_data_and_control_are_sealed)
{
	struct wire_header h = { WIRE_HELLO, EPOCH, 1 };
	struct wire_inner inner;
	uint8_t *got;
	size_t got_len, len;

	make_ends(ciphers[_i]);
	ck_assert_uint_eq(session_seal(&client, WIRE_HELLO, 1, &data_inner,
			      packet, 40, dgram),
	    0);
	len = seal(&client, 1, 40);
	ck_assert_int_eq(
	    session_open(&server, &h, dgram, len, &inner, &got, &got_len),
	    SESSION_MALFORMED);
	ck_assert_ptr_null(got);
}
END_TEST

START_TEST(unused_session_neither_seals_nor_opens)
{
	struct session none = { 0 };
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, 1, 40);
	ck_assert_int_eq(try_open(&none, dgram, len), SESSION_MALFORMED);
	ck_assert_uint_eq(seal(&none, 1, 40), 0);
	session_clear(&none);
}
END_TEST

START_TEST(session_moves_and_is_wiped)
{
	static const struct session empty;
	struct session target = { 0 };
	size_t len;

	make_ends(ciphers[_i]);
	len = seal(&client, 1, 40);
	session_move(&target, &server);
	ck_assert(!server.used);
	ck_assert_int_eq(try_open(&target, dgram, len), SESSION_OK);
	session_move(&target, &target);
	ck_assert_int_eq(try_open(&target, dgram, len), SESSION_REPLAYED);
	session_clear(&target);
	ck_assert_mem_eq(&target, &empty, sizeof(empty));
	session_clear(&target);
}
END_TEST

START_TEST(unknown_cipher_makes_no_session)
{
	uint8_t keys[SESSION_KEY_LEN + SESSION_IV_LEN] = { 1 };
	struct session s = { 0 };

	ck_assert_int_eq(session_init(&s, 1, SESSION_NONE, keys, keys, 1), -1);
	ck_assert_int_eq(
	    session_init(&s, 1, (enum session_cipher)9, keys, keys, 1), -1);
	ck_assert(!s.used);
}
END_TEST

Suite *
session_suite(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_unchecked_fixture(tc, setup_crypto, NULL);
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, sealed_packets_equal_the_vectors, 0, NCIPHERS);
	tcase_add_loop_test(tc, vectors_are_opened, 0, NCIPHERS);
	tcase_add_loop_test(tc, every_length_comes_back, 0, NCIPHERS);
	tcase_add_loop_test(tc, overhead_is_as_documented, 0, NCIPHERS);
	tcase_add_loop_test(tc, every_flipped_bit_is_refused, 0, NAEADS);
	tcase_add_test(tc, clear_packet_needs_the_session_number);
	tcase_add_loop_test(
	    tc, truncated_or_longer_packet_is_refused, 0, NAEADS);
	tcase_add_test(tc, short_clear_packet_is_refused);
	tcase_add_loop_test(tc, replayed_packet_is_refused, 0, NCIPHERS);
	tcase_add_loop_test(tc, reflected_packet_is_refused, 0, NCIPHERS);
	tcase_add_loop_test(
	    tc, packet_of_another_session_is_refused, 0, NCIPHERS);
	tcase_add_loop_test(
	    tc, sequence_beyond_48_bits_is_not_sealed, 0, NCIPHERS);
	tcase_add_loop_test(tc, only_data_and_control_are_sealed, 0, NCIPHERS);
	tcase_add_loop_test(
	    tc, unused_session_neither_seals_nor_opens, 0, NCIPHERS);
	tcase_add_loop_test(tc, session_moves_and_is_wiped, 0, NCIPHERS);
	tcase_add_test(tc, unknown_cipher_makes_no_session);
	suite_add_tcase(s, tc);
	return s;
}
