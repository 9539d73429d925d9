/*
 * The handshake between two ends in one process: vectors, agreement in all
 * combinations of settings, and silence for everything that is not exactly the
 * message it should be.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
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

Suite *handshake_suite(void);

static struct hs_keys keys, wrong_keys;
static uint8_t client_random, server_random; /* the next byte of each */
static struct hs_local client, server;
static struct hs_client attempt;
static struct hs_pending pending;
static struct session session; /* the client's */
static struct hs_peer peer;    /* as the client saw it */
static uint8_t auth[HS_LEN];

static void
count_up(void *ctx, void *buf, size_t len)
{
	uint8_t *next = ctx, *out = buf;

	while (len-- > 0)
		*out++ = (*next)++;
}

/* The ends of the vectors. */
static void
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
		.aes_fast = aes_fast,
		.ciphers = ciphers,
		.instance = UINT64_C(0xf1f2f3f4f5f6f7f8),
		.tx_Bps = 2500000,
		.mtu_bytes = 1500,
		.name = "adsl1",
		.random = count_up,
		.random_ctx = &server_random };
}

static void
setup_crypto(void)
{
	uint8_t psk[HEX_MAX];

	ck_assert_int_eq(crypto_init(), 0);
	unhex(psk, VEC_PSK);
	ck_assert_int_eq(hs_keys_init(&keys, psk, VEC_PASSWORD), 0);
	psk[0] ^= 1;
	ck_assert_int_eq(hs_keys_init(&wrong_keys, psk, "wrong"), 0);
}

static void
setup(void)
{
	make_ends(AUTO, true);
}

static void
teardown(void)
{
	hs_client_clear(&attempt);
	hs_pending_clear(&pending);
	session_clear(&session);
}

static void
start(void)
{
	ck_assert_int_eq(hs_client_start(&attempt, &keys, &client, NOW), 0);
}

static enum hs_result
say_hello(void)
{
	start();
	return hs_server_hello(
	    &pending, &keys, &server, attempt.hello, HS_LEN, EPOCH, NOW);
}

static enum hs_result
take_answer(const uint8_t *msg, size_t len)
{
	session_clear(&session);
	return hs_client_answer(
	    &attempt, &client, msg, len, &session, &peer, auth, NOW);
}

/* The whole exchange, as it should go. */
static void
agree(void)
{
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	if (session.cipher == SESSION_NONE)
		ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_OK);
	ck_assert(pending.authenticated);
}

/* What one end seals the other opens. */
static void
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

static void
sign(uint8_t msg[HS_LEN], unsigned role, const uint8_t *hello)
{
	ck_assert_int_eq(hs_msg_sign(msg, keys.mac[role], hello), 0);
}

/* --- keys and vectors --- */

START_TEST(password_gives_the_psk_of_the_vectors)
{
	uint8_t psk[HS_PSK_LEN];

	ck_assert_int_eq(hs_derive_psk(VEC_PASSWORD, psk), 0);
	ck_assert_hex(psk, sizeof(psk), VEC_PSK);
}
END_TEST

START_TEST(psk_gives_the_mac_keys_of_the_vectors)
{
	ck_assert(keys.valid);
	ck_assert_hex(keys.mac[0], 32, VEC_MAC_KEY_CLIENT);
	ck_assert_hex(keys.mac[1], 32, VEC_MAC_KEY_SERVER);
}
END_TEST

START_TEST(too_long_password_is_refused)
{
	char password[sizeof(keys.password) + 1];
	static const struct hs_keys empty;
	struct hs_keys k;

	memset(password, 'x', sizeof(password));
	password[sizeof(keys.password)] = '\0';
	ck_assert_int_eq(hs_keys_init(&k, keys.psk, password), -1);
	ck_assert_mem_eq(&k, &empty, sizeof(k));
	password[sizeof(keys.password) - 1] = '\0';
	ck_assert_int_eq(hs_keys_init(&k, keys.psk, password), 0);
	hs_keys_clear(&k);
	ck_assert_mem_eq(&k, &empty, sizeof(k));
}
END_TEST

START_TEST(attempt_without_keys_fails)
{
	struct hs_keys none = { 0 };

	ck_assert_int_eq(hs_client_start(&attempt, &none, &client, NOW), -1);
	ck_assert(!attempt.active);
}
END_TEST

static const struct {
	uint8_t ciphers;
	bool aes_fast;
	enum session_cipher chosen;
	const char *hello, *reply;
} vectors[] = {
	{ AUTO, true, SESSION_AES_256_GCM, VEC_HELLO_AES, VEC_REPLY_AES },
	{ AUTO, false, SESSION_CHACHA20_POLY1305, VEC_HELLO_CHACHA,
	    VEC_REPLY_CHACHA },
	{ NONE, true, SESSION_NONE, VEC_HELLO_NONE, VEC_REPLY_NONE },
};

START_TEST(messages_equal_the_vectors)
{
	make_ends(vectors[_i].ciphers, vectors[_i].aes_fast);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_hex(attempt.hello, HS_LEN, vectors[_i].hello);
	ck_assert_hex(pending.reply, HS_LEN, vectors[_i].reply);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	ck_assert_int_eq(session.cipher, vectors[_i].chosen);
	ck_assert_int_eq(pending.session.cipher, vectors[_i].chosen);
	if (vectors[_i].chosen == SESSION_NONE)
		ck_assert_hex(auth, HS_LEN, VEC_AUTH_NONE);
	else
		ck_assert_uint_eq(auth[0], 0);
}
END_TEST

START_TEST(session_keys_equal_the_vectors)
{
	uint8_t hello[HEX_MAX], reply[HEX_MAX];
	uint8_t own[CRYPTO_KEY_LEN], secret[CRYPTO_KEY_LEN];
	struct hs_session_keys got;

	unhex(hello, VEC_HELLO_AES);
	unhex(reply, VEC_REPLY_AES);
	count_up(&client_random, own, sizeof(own));
	ck_assert_int_eq(crypto_x25519(own, reply + HS_AT_KEY, secret), 0);
	ck_assert_int_eq(
	    hs_derive_session(&got, &keys, secret, hello, reply), 0);
	ck_assert_hex(got.up, sizeof(got.up), VEC_UP_AES);
	ck_assert_hex(got.down, sizeof(got.down), VEC_DOWN_AES);
}
END_TEST

START_TEST(reject_equals_the_vector)
{
	server.tap = true;
	ck_assert_int_eq(say_hello(), HS_TUNTAP);
	ck_assert_hex(pending.reply, HS_LEN, VEC_REJECT_TUNTAP);
}
END_TEST

/* --- agreement --- */

START_TEST(both_ends_learn_what_the_other_said)
{
	agree();
	ck_assert(!pending.peer.server);
	ck_assert_uint_eq(pending.peer.version, WIRE_VERSION);
	ck_assert_uint_eq(pending.peer.link, 3);
	ck_assert_uint_eq(pending.peer.ciphers, AUTO);
	ck_assert_uint_eq(pending.peer.instance, client.instance);
	ck_assert_uint_eq(pending.peer.tx_Bps, 125000);
	ck_assert_uint_eq(pending.peer.rx_Bps, UINT64_C(1250000000000));
	ck_assert_uint_eq(pending.peer.mtu_bytes, 1440);
	ck_assert_str_eq(pending.peer.name, "adsl1");
	ck_assert(peer.server);
	ck_assert_uint_eq(peer.epoch, EPOCH);
	ck_assert_uint_eq(peer.ciphers, SESSION_AES_256_GCM);
	ck_assert_uint_eq(peer.instance, server.instance);
	ck_assert_uint_eq(peer.tx_Bps, 2500000);
	ck_assert_uint_eq(peer.mtu_bytes, 1500);
	ck_assert(pending.used);
	ck_assert_int_eq(pending.created_at, NOW);
	ck_assert_int_eq(pending.answered_at, NOW);
}
END_TEST

static const struct {
	uint8_t client, server;
	enum session_cipher both_fast, one_fast, none_fast; /* 0: refused */
} choices[] = {
	{ AUTO, AUTO, 1, 2, 2 },
	{ AUTO, AES, 1, 1, 1 },
	{ AUTO, CHACHA, 2, 2, 2 },
	{ AUTO, NONE, 0, 0, 0 },
	{ AES, AUTO, 1, 1, 1 },
	{ AES, AES, 1, 1, 1 },
	{ AES, CHACHA, 0, 0, 0 },
	{ AES, NONE, 0, 0, 0 },
	{ CHACHA, AUTO, 2, 2, 2 },
	{ CHACHA, AES, 0, 0, 0 },
	{ CHACHA, CHACHA, 2, 2, 2 },
	{ CHACHA, NONE, 0, 0, 0 },
	{ NONE, AUTO, 0, 0, 0 },
	{ NONE, AES, 0, 0, 0 },
	{ NONE, CHACHA, 0, 0, 0 },
	{ NONE, NONE, 3, 3, 3 },
	/* no configuration says so, but it must never mean clear text */
	{ AUTO | NONE, AUTO | NONE, 1, 2, 2 },
	{ AUTO | NONE, NONE, 0, 0, 0 },
	{ NONE, AUTO | NONE, 0, 0, 0 },
	{ 0, 0, 0, 0, 0 },
	{ 0xf1, 0xf1, 0, 0, 0 },
};

static void
check_choice(
    uint8_t theirs, uint8_t ours, unsigned fast, enum session_cipher want)
{
	make_ends(theirs, (fast & 1) != 0);
	server.ciphers = ours;
	server.aes_fast = (fast & 2) != 0;
	if (want == 0) {
		ck_assert_int_eq(say_hello(), HS_CIPHER);
		ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_CIPHER);
		ck_assert_uint_eq(peer.ciphers, ours);
		ck_assert(!session.used);
		return;
	}
	agree();
	ck_assert_int_eq(session.cipher, want);
	ck_assert_int_eq(pending.session.cipher, want);
	check_traffic(&session, &pending.session);
	check_traffic(&pending.session, &session);
}

START_TEST(cipher_follows_from_both_files_and_machines)
{
	check_choice(
	    choices[_i].client, choices[_i].server, 3, choices[_i].both_fast);
	check_choice(
	    choices[_i].client, choices[_i].server, 1, choices[_i].one_fast);
	check_choice(
	    choices[_i].client, choices[_i].server, 2, choices[_i].one_fast);
	check_choice(
	    choices[_i].client, choices[_i].server, 0, choices[_i].none_fast);
}
END_TEST

START_TEST(each_attempt_has_fresh_keys)
{
	uint8_t hello[HS_LEN], reply[HS_LEN];

	agree();
	memcpy(reply, pending.reply, HS_LEN);
	start();
	memcpy(hello, attempt.hello, HS_LEN);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_mem_ne(attempt.hello + HS_AT_KEY, hello + HS_AT_KEY, 32);
	ck_assert_mem_ne(pending.reply + HS_AT_KEY, reply + HS_AT_KEY, 32);
}
END_TEST

START_TEST(private_key_is_wiped_after_agreement)
{
	static const struct hs_client empty;

	agree();
	ck_assert_mem_eq(&attempt, &empty, sizeof(empty));
}
END_TEST

/* --- settings that do not match --- */

static void
break_version(void)
{
	start();
	attempt.hello[HS_AT_VERSION] = 2;
	sign(attempt.hello, 0, NULL);
}

START_TEST(other_version_is_rejected_by_name)
{
	char text[200];

	break_version();
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
			     attempt.hello, HS_LEN, EPOCH, NOW),
	    HS_VERSION);
	ck_assert_uint_eq(pending.peer.version, 2);
	ck_assert_uint_eq(pending.reply[HS_AT_TYPE], WIRE_REJECT);
	ck_assert(!pending.used);
	hs_mismatch_text(
	    text, sizeof(text), HS_VERSION, &server, &pending.peer);
	ck_assert_str_eq(text, "peer speaks protocol version 2, this end 1: "
			       "install the same release of mlvpn on both");
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_VERSION);
}
END_TEST

/* A newer peer may have laid out everything else differently. */
START_TEST(reject_of_another_version_is_understood)
{
	uint8_t msg[HS_LEN];

	start();
	memset(msg, 0xff, sizeof(msg));
	msg[HS_AT_TYPE] = WIRE_REJECT;
	msg[HS_AT_VERSION] = 9;
	msg[HS_AT_REASON] = HS_VERSION;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_VERSION);
	ck_assert_uint_eq(peer.version, 9);
}
END_TEST

START_TEST(tun_and_tap_are_rejected_by_name)
{
	char text[200];

	client.tap = true;
	ck_assert_int_eq(say_hello(), HS_TUNTAP);
	hs_mismatch_text(text, sizeof(text), HS_TUNTAP, &server, &pending.peer);
	ck_assert_str_eq(text, "peer has tap, this end has tun: "
			       "make tuntap equal in both files");
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_TUNTAP);
	hs_mismatch_text(text, sizeof(text), HS_TUNTAP, &client, &peer);
	ck_assert_str_eq(text, "peer has tun, this end has tap: "
			       "make tuntap equal in both files");
	/* The attempt goes on: the server's file may be corrected. */
	server.tap = true;
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
			     attempt.hello, HS_LEN, EPOCH, NOW),
	    HS_OK);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
}
END_TEST

START_TEST(other_link_name_is_rejected_by_name)
{
	char text[200];

	strlcpy(client.name, "adsl2-sixteen-ch", sizeof(client.name));
	ck_assert_int_eq(say_hello(), HS_NAME);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_NAME);
	hs_mismatch_text(text, sizeof(text), HS_NAME, &client, &peer);
	ck_assert_str_eq(text,
	    "peer calls this link adsl1, this end "
	    "adsl2-sixteen-ch: give its section the same name in both files");
	hs_mismatch_text(text, 20, HS_NAME, &client, &peer);
	ck_assert_str_eq(text, "peer calls this lin");
}
END_TEST

START_TEST(cipher_mismatch_is_explained)
{
	char text[200];

	server.ciphers = NONE;
	ck_assert_int_eq(say_hello(), HS_CIPHER);
	hs_mismatch_text(text, sizeof(text), HS_CIPHER, &server, &pending.peer);
	ck_assert_str_eq(text,
	    "peer accepts cipher aes-256-gcm or chacha20-poly1305, this end "
	    "none: make cipher equal in both files");
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_CIPHER);
	hs_mismatch_text(text, sizeof(text), HS_CIPHER, &client, &peer);
	ck_assert_str_eq(text,
	    "peer accepts cipher none, this end aes-256-gcm or "
	    "chacha20-poly1305: make cipher equal in both files");
}
END_TEST

START_TEST(two_servers_are_rejected_by_name)
{
	char text[200];

	start();
	attempt.hello[HS_AT_ROLE] |= HS_F_SERVER;
	sign(attempt.hello, 0, NULL);
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
			     attempt.hello, HS_LEN, EPOCH, NOW),
	    HS_ROLE);
	hs_mismatch_text(text, sizeof(text), HS_ROLE, &server, &pending.peer);
	ck_assert_str_eq(text,
	    "both ends have mode = server: set mode = client in one file "
	    "and mode = server in the other");
}
END_TEST

START_TEST(two_clients_notice_each_other)
{
	struct hs_local other = client;

	other.instance++;
	start();
	ck_assert(hs_same_role(&keys, &other, attempt.hello, HS_LEN));
	/* but not oneself, nor a stranger, nor on a server */
	ck_assert(!hs_same_role(&keys, &client, attempt.hello, HS_LEN));
	ck_assert(!hs_same_role(&wrong_keys, &other, attempt.hello, HS_LEN));
	ck_assert(!hs_same_role(&keys, &server, attempt.hello, HS_LEN));
}
END_TEST

START_TEST(reply_that_does_not_fit_is_a_mismatch)
{
	uint8_t msg[HS_LEN];

	ck_assert_int_eq(say_hello(), HS_OK);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_ROLE] ^= HS_F_TAP;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_TUNTAP);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_ROLE] ^= HS_F_SERVER;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_ROLE);
	for (unsigned cipher = 0; cipher < 256; cipher++) {
		if (cipher == 1 || cipher == 2)
			continue;
		memcpy(msg, pending.reply, HS_LEN);
		msg[HS_AT_CIPHERS] = (uint8_t)cipher;
		sign(msg, 1, attempt.hello);
		ck_assert_int_eq(take_answer(msg, HS_LEN), HS_CIPHER);
	}
	ck_assert(!session.used);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
}
END_TEST

START_TEST(malformed_fields_are_met_with_silence)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} bad[] = {
		{ HS_AT_LINK, LINKS_MAX },
		{ HS_AT_NAME, 0 },
		{ HS_AT_NAME, ' ' },
		{ HS_AT_NAME + 2, '\n' },
		{ HS_AT_NAME + 2, 0 },
		{ HS_AT_NAME + 2, 0xe9 },
		{ HS_AT_NAME + 15, 'x' },
	};

	for (size_t i = 0; i < nitems_of(bad); i++) {
		start();
		attempt.hello[bad[i].at] = bad[i].value;
		sign(attempt.hello, 0, NULL);
		ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
				     attempt.hello, HS_LEN, EPOCH, NOW),
		    HS_MALFORMED);
		ck_assert(!pending.used);
		ck_assert_uint_eq(pending.reply[0], 0);
	}
}
END_TEST

START_TEST(reject_needs_a_known_reason)
{
	server.tap = true;
	ck_assert_int_eq(say_hello(), HS_TUNTAP);
	for (unsigned reason = 0; reason < 256; reason++) {
		bool known = reason >= HS_VERSION && reason <= HS_NAME;

		pending.reply[HS_AT_REASON] = (uint8_t)reason;
		sign(pending.reply, 1, attempt.hello);
		ck_assert_int_eq(take_answer(pending.reply, HS_LEN),
		    known ? reason : HS_MALFORMED);
	}
}
END_TEST

START_TEST(every_result_has_its_words)
{
	char text[200];

	for (int r = HS_OK; r <= HS_NAME; r++) {
		ck_assert_uint_gt(strlen(hs_result_text(r)), 3);
		hs_mismatch_text(text, sizeof(text), r, &client, &peer);
		ck_assert_uint_gt(strlen(text), 3);
		ck_assert(hs_is_mismatch(r) == (r >= HS_VERSION));
	}
	ck_assert_str_eq(hs_result_text((enum hs_result)99), "unknown");
}
END_TEST

/* --- what must have no effect --- */

START_TEST(wrong_password_is_met_with_silence)
{
	start();
	ck_assert_int_eq(
	    hs_check_hello(&wrong_keys, attempt.hello, HS_LEN), HS_BAD_MAC);
	ck_assert_int_eq(hs_server_hello(&pending, &wrong_keys, &server,
			     attempt.hello, HS_LEN, EPOCH, NOW),
	    HS_BAD_MAC);
	ck_assert(!pending.used);
	ck_assert_uint_eq(pending.reply[0], 0);
}
END_TEST

START_TEST(every_flipped_bit_of_a_hello_is_refused)
{
	static const struct hs_pending empty;

	make_ends(_i == 0 ? AUTO : NONE, true);
	start();
	for (size_t bit = 0; bit < HS_LEN * 8; bit++) {
		uint8_t *byte = attempt.hello + bit / 8;

		*byte ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(hs_check_hello(&keys, attempt.hello, HS_LEN),
		    bit < 8 ? HS_MALFORMED : HS_BAD_MAC);
		ck_assert_int_ne(hs_server_hello(&pending, &keys, &server,
				     attempt.hello, HS_LEN, EPOCH, NOW),
		    HS_OK);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_mem_eq(&pending, &empty, sizeof(empty));
	ck_assert_int_eq(hs_check_hello(&keys, attempt.hello, HS_LEN), HS_OK);
}
END_TEST

START_TEST(every_flipped_bit_of_an_answer_is_refused)
{
	make_ends(_i == 0 ? AUTO : NONE, true);
	server.tap = _i == 2;
	ck_assert_int_eq(say_hello(), _i == 2 ? HS_TUNTAP : HS_OK);
	for (size_t bit = 0; bit < HS_LEN * 8; bit++) {
		enum hs_result r;

		pending.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = take_answer(pending.reply, HS_LEN);
		ck_assert(r == HS_BAD_MAC || (bit < 8 && r == HS_MALFORMED));
		ck_assert(attempt.active && !session.used);
		pending.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(
	    take_answer(pending.reply, HS_LEN), _i == 2 ? HS_TUNTAP : HS_OK);
}
END_TEST

START_TEST(every_flipped_bit_of_an_auth_is_refused)
{
	make_ends(NONE, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	for (size_t bit = 0; bit < HS_LEN * 8; bit++) {
		auth[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(hs_server_auth(&pending, auth, HS_LEN), HS_OK);
		ck_assert(!pending.authenticated);
		auth[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_OK);
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_OK);
}
END_TEST

START_TEST(messages_of_any_other_length_are_refused)
{
	uint8_t longer[HS_LEN + 1] = { 0 };

	make_ends(NONE, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	for (size_t n = 0; n <= HS_LEN + 1; n++) {
		if (n == HS_LEN)
			continue;
		memcpy(longer, attempt.hello, HS_LEN);
		ck_assert_int_eq(
		    hs_check_hello(&keys, longer, n), HS_MALFORMED);
		ck_assert(!hs_pending_is(&pending, longer, n));
		memcpy(longer, pending.reply, HS_LEN);
		ck_assert_int_eq(take_answer(longer, n), HS_MALFORMED);
	}
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	memcpy(longer, auth, HS_LEN);
	for (size_t n = 0; n < HS_LEN; n++)
		ck_assert_int_eq(
		    hs_server_auth(&pending, longer, n), HS_MALFORMED);
}
END_TEST

START_TEST(answer_to_another_hello_is_refused)
{
	uint8_t reply[HS_LEN];

	ck_assert_int_eq(say_hello(), HS_OK);
	memcpy(reply, pending.reply, HS_LEN);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(take_answer(reply, HS_LEN), HS_BAD_MAC);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
}
END_TEST

START_TEST(second_answer_is_stale)
{
	agree();
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_STALE);
}
END_TEST

START_TEST(reflected_messages_are_refused)
{
	uint8_t msg[HS_LEN];

	ck_assert_int_eq(say_hello(), HS_OK);
	/* as they are */
	ck_assert_int_eq(take_answer(attempt.hello, HS_LEN), HS_MALFORMED);
	ck_assert_int_eq(
	    hs_check_hello(&keys, pending.reply, HS_LEN), HS_MALFORMED);
	/* and in the type that is expected */
	memcpy(msg, attempt.hello, HS_LEN);
	msg[HS_AT_TYPE] = WIRE_REPLY;
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_BAD_MAC);
	sign(msg, 0, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_BAD_MAC);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_TYPE] = WIRE_HELLO;
	sign(msg, 1, NULL);
	ck_assert_int_eq(hs_check_hello(&keys, msg, HS_LEN), HS_BAD_MAC);
}
END_TEST

START_TEST(server_recognises_a_repeated_hello)
{
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert(hs_pending_is(&pending, attempt.hello, HS_LEN));
	start();
	ck_assert(!hs_pending_is(&pending, attempt.hello, HS_LEN));
	hs_pending_clear(&pending);
	memset(attempt.hello, 0, HS_LEN);
	ck_assert(!hs_pending_is(&pending, attempt.hello, HS_LEN));
}
END_TEST

/* RFC 7748, 6.1: points of small order make the secret known to everybody. */
START_TEST(zero_secret_is_refused)
{
	uint8_t msg[HS_LEN];

	for (uint8_t key = 0; key < 2; key++) {
		start();
		memset(attempt.hello + HS_AT_KEY, 0, 32);
		attempt.hello[HS_AT_KEY] = key;
		sign(attempt.hello, 0, NULL);
		ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
				     attempt.hello, HS_LEN, EPOCH, NOW),
		    HS_FAILED);
		ck_assert(!pending.used && !pending.session.used);
		ck_assert_int_eq(say_hello(), HS_OK);
		memcpy(msg, pending.reply, HS_LEN);
		memset(msg + HS_AT_KEY, 0, 32);
		msg[HS_AT_KEY] = key;
		sign(msg, 1, attempt.hello);
		ck_assert_int_eq(take_answer(msg, HS_LEN), HS_FAILED);
		ck_assert(!session.used && attempt.active);
	}
}
END_TEST

/* --- the founding challenge --- */

START_TEST(no_end_answers_its_own_question)
{
	uint8_t msg[HS_LEN];

	make_ends(NONE, true);
	start();
	ck_assert_uint_eq(attempt.hello[HS_AT_CHALLENGE], 0);
	attempt.hello[HS_AT_CHALLENGE] = 1;
	sign(attempt.hello, 0, NULL);
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
			     attempt.hello, HS_LEN, EPOCH, NOW),
	    HS_BAD_CHALLENGE);
	ck_assert(!pending.used);
	ck_assert_uint_eq(pending.reply[0], 0);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_uint_eq(pending.reply[HS_AT_CHALLENGE], 1);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_CHALLENGE] = 0;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_BAD_CHALLENGE);
	ck_assert_uint_eq(auth[0], 0);
}
END_TEST

START_TEST(wrong_answers_are_refused)
{
	uint8_t msg[HS_LEN];

	make_ends(NONE, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_ANSWER + 19] ^= 1;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_BAD_CHALLENGE);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	memcpy(msg, auth, HS_LEN);
	msg[HS_AT_ANSWER] ^= 1;
	sign(msg, 0, pending.hello);
	ck_assert_int_eq(
	    hs_server_auth(&pending, msg, HS_LEN), HS_BAD_CHALLENGE);
	memcpy(msg, auth, HS_LEN);
	msg[HS_AT_EPOCH] ^= 1;
	sign(msg, 0, pending.hello);
	ck_assert_int_eq(hs_server_auth(&pending, msg, HS_LEN), HS_STALE);
	ck_assert(!pending.authenticated);
}
END_TEST

START_TEST(auth_of_another_handshake_is_refused)
{
	make_ends(NONE, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	/* The server was asked the same again, and has a new challenge. */
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_OK);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_BAD_MAC);
	make_ends(AUTO, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_STALE);
	hs_pending_clear(&pending);
	ck_assert_int_eq(hs_server_auth(&pending, auth, HS_LEN), HS_STALE);
}
END_TEST

/* A HELLO played to a restarted server: the AUTH that went with it is old. */
START_TEST(replayed_hello_and_auth_give_no_session)
{
	uint8_t hello[HS_LEN];

	make_ends(NONE, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	memcpy(hello, attempt.hello, HS_LEN);
	ck_assert_int_eq(take_answer(pending.reply, HS_LEN), HS_OK);
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server, hello,
			     HS_LEN, EPOCH, NOW),
	    HS_OK);
	ck_assert_int_eq(
	    hs_server_auth(&pending, auth, HS_LEN), HS_BAD_CHALLENGE);
	ck_assert(!pending.authenticated);
}
END_TEST

static void
add_agreement(TCase *tc)
{
	tcase_add_test(tc, password_gives_the_psk_of_the_vectors);
	tcase_add_test(tc, psk_gives_the_mac_keys_of_the_vectors);
	tcase_add_test(tc, too_long_password_is_refused);
	tcase_add_test(tc, attempt_without_keys_fails);
	tcase_add_loop_test(tc, messages_equal_the_vectors, 0, 3);
	tcase_add_test(tc, session_keys_equal_the_vectors);
	tcase_add_test(tc, reject_equals_the_vector);
	tcase_add_test(tc, both_ends_learn_what_the_other_said);
	tcase_add_loop_test(tc, cipher_follows_from_both_files_and_machines, 0,
	    (int)nitems_of(choices));
	tcase_add_test(tc, each_attempt_has_fresh_keys);
	tcase_add_test(tc, private_key_is_wiped_after_agreement);
}

static void
add_mismatches(TCase *tc)
{
	tcase_add_test(tc, other_version_is_rejected_by_name);
	tcase_add_test(tc, reject_of_another_version_is_understood);
	tcase_add_test(tc, tun_and_tap_are_rejected_by_name);
	tcase_add_test(tc, other_link_name_is_rejected_by_name);
	tcase_add_test(tc, cipher_mismatch_is_explained);
	tcase_add_test(tc, two_servers_are_rejected_by_name);
	tcase_add_test(tc, two_clients_notice_each_other);
	tcase_add_test(tc, reply_that_does_not_fit_is_a_mismatch);
	tcase_add_test(tc, malformed_fields_are_met_with_silence);
	tcase_add_test(tc, reject_needs_a_known_reason);
	tcase_add_test(tc, every_result_has_its_words);
}

static void
add_refusals(TCase *tc)
{
	tcase_add_test(tc, wrong_password_is_met_with_silence);
	tcase_add_loop_test(tc, every_flipped_bit_of_a_hello_is_refused, 0, 2);
	tcase_add_loop_test(
	    tc, every_flipped_bit_of_an_answer_is_refused, 0, 3);
	tcase_add_test(tc, every_flipped_bit_of_an_auth_is_refused);
	tcase_add_test(tc, messages_of_any_other_length_are_refused);
	tcase_add_test(tc, answer_to_another_hello_is_refused);
	tcase_add_test(tc, second_answer_is_stale);
	tcase_add_test(tc, reflected_messages_are_refused);
	tcase_add_test(tc, server_recognises_a_repeated_hello);
	tcase_add_test(tc, zero_secret_is_refused);
	tcase_add_test(tc, no_end_answers_its_own_question);
	tcase_add_test(tc, wrong_answers_are_refused);
	tcase_add_test(tc, auth_of_another_handshake_is_refused);
	tcase_add_test(tc, replayed_hello_and_auth_give_no_session);
}

Suite *
handshake_suite(void)
{
	Suite *s = suite_create("handshake");
	TCase *tc = tcase_create("handshake");

	tcase_add_unchecked_fixture(tc, setup_crypto, NULL);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60); /* scrypt under an emulator */
	add_agreement(tc);
	add_mismatches(tc);
	add_refusals(tc);
	suite_add_tcase(s, tc);
	return s;
}
