/*
 * A client and a server of the handshake in one process, as the vectors have
 * them.  Each test file that includes this has ends of its own.
 */
#ifndef MLVPN_TESTS_HS_ENDS_H
#define MLVPN_TESTS_HS_ENDS_H

#include <check.h>
#include <string.h>

#include "hex.h"
#include "tunnel/crypto.h"
#include "tunnel/handshake.h"
#include "tunnel/hs_msg.h"
#include "vectors/crypto_vectors.h"

#define AES (1 << SESSION_AES_256_GCM)
#define CHACHA (1 << SESSION_CHACHA20_POLY1305)
#define NONE (1 << SESSION_NONE)
#define AUTO (AES | CHACHA)
#define EPOCH 0x5a
#define NOW (5 * NSEC_PER_SEC)

static struct hs_keys keys, wrong_keys;
static uint8_t client_random, server_random; /* the next byte of each */
static struct hs_local client, server;
static struct hs_client attempt;
static struct hs_pending pending;
static struct hs_agreement got; /* the client's */

static inline void
count_up(void *ctx, void *buf, size_t len)
{
	uint8_t *next = ctx, *out = buf;

	while (len-- > 0)
		*out++ = (*next)++;
}

/* The ends of the vectors. */
static inline void
make_ends(uint8_t ciphers, bool aes_fast)
{
	client_random = 0x40;
	server_random = 0x80;
	client = (struct hs_local){ .aes_fast = aes_fast,
		.ciphers = ciphers,
		.link = 3,
		.instance = UINT64_C(0x0102030405060708),
		.tx_Bps = 125000,
		.rx_Bps = UINT64_C(1250000000000),
		.mtu_bytes = 1440,
		.name = "adsl1",
		.random = count_up,
		.random_ctx = &client_random };
	server = (struct hs_local){ .server = true,
		.epoch = EPOCH,
		.aes_fast = aes_fast,
		.ciphers = ciphers,
		.instance = UINT64_C(0xf1f2f3f4f5f6f7f8),
		.tx_Bps = 2500000,
		.mtu_bytes = 1500,
		.name = "adsl1",
		.random = count_up,
		.random_ctx = &server_random };
}

static inline void
setup_crypto(void)
{
	uint8_t psk[HEX_MAX];

	ck_assert_int_eq(crypto_init(), 0);
	unhex(psk, VEC_PSK);
	ck_assert_int_eq(hs_keys_init(&keys, psk, VEC_PASSWORD), 0);
	psk[0] ^= 1;
	ck_assert_int_eq(hs_keys_init(&wrong_keys, psk, "wrong"), 0);
}

static inline void
setup(void)
{
	make_ends(AUTO, true);
}

static inline void
teardown(void)
{
	hs_client_clear(&attempt);
	hs_pending_clear(&pending);
	session_clear(&got.session);
}

static inline void
start(void)
{
	ck_assert_int_eq(hs_client_start(&attempt, &keys, &client, NOW), 0);
}

static inline enum hs_result
say_hello(void)
{
	start();
	return hs_server_hello(
	    &pending, &keys, &server, attempt.hello, HS_LEN, NOW);
}

static inline enum hs_result
take_answer(const uint8_t *msg, size_t len)
{
	session_clear(&got.session);
	return hs_client_answer(&attempt, msg, len, &got, NOW);
}

/* The whole exchange, as it should go. */
static inline void
agree(void)
{
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	if (got.session.cipher == SESSION_NONE)
		ck_assert_int_eq(
		    hs_server_auth(&pending, got.auth, HS_LEN), HS_OK);
	ck_assert(pending.authenticated);
}

/* What one end seals the other opens. */
static inline void
check_traffic(struct session *from, struct session *to)
{
	static uint8_t room[WIRE_INNER_LEN + 100];
	struct wire_inner inner = { .bucket = 7 }, in;
	uint8_t out[200], *packet;
	struct wire_header h;
	size_t len, packet_len;

	len = session_seal(
	    from, WIRE_DATA, 9, &inner, room + WIRE_INNER_LEN, 100, out);
	ck_assert_uint_ne(len, 0);
	ck_assert_int_eq(wire_get_header(&h, out, len), 0);
	ck_assert_uint_eq(h.epoch, EPOCH);
	ck_assert_int_eq(
	    session_open(to, &h, out, len, &in, &packet, &packet_len),
	    SESSION_OK);
	ck_assert_uint_eq(packet_len, 100);
	ck_assert_uint_eq(in.bucket, 7);
}

static inline void
sign(uint8_t msg[HS_LEN], unsigned role, const uint8_t *hello)
{
	ck_assert_int_eq(hs_msg_sign(msg, keys.mac[role], hello), 0);
}

static inline void
hs_ends_fixture(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, setup_crypto, NULL);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60); /* scrypt under an emulator */
}

#endif
