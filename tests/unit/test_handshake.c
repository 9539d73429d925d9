/*
 * The handshake between two ends: vectors, agreement in all combinations of
 * settings, and words for each mismatch.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "hs_ends.h"

Suite *handshake_suite(void);

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
	ck_assert_int_eq(got.session.cipher, vectors[_i].chosen);
	ck_assert_int_eq(pending.session.cipher, vectors[_i].chosen);
	if (vectors[_i].chosen == SESSION_NONE)
		ck_assert_hex(got.auth, HS_LEN, VEC_AUTH_NONE);
	else
		ck_assert_uint_eq(got.auth[0], 0);
}
END_TEST

START_TEST(session_keys_equal_the_vectors)
{
	uint8_t hello[HEX_MAX], reply[HEX_MAX];
	uint8_t own[CRYPTO_KEY_LEN], secret[CRYPTO_KEY_LEN];
	struct hs_session_keys derived;

	unhex(hello, VEC_HELLO_AES);
	unhex(reply, VEC_REPLY_AES);
	count_up(&client_random, own, sizeof(own));
	ck_assert_int_eq(crypto_x25519(own, reply + HS_AT_KEY, secret), 0);
	ck_assert_int_eq(
	    hs_derive_session(&derived, &keys, secret, hello, reply), 0);
	ck_assert_hex(derived.up, sizeof(derived.up), VEC_UP_AES);
	ck_assert_hex(derived.down, sizeof(derived.down), VEC_DOWN_AES);
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
	ck_assert(got.peer.server);
	ck_assert_uint_eq(got.peer.epoch, EPOCH);
	ck_assert_uint_eq(got.peer.ciphers, SESSION_AES_256_GCM);
	ck_assert_uint_eq(got.peer.instance, server.instance);
	ck_assert_uint_eq(got.peer.tx_Bps, 2500000);
	ck_assert_uint_eq(got.peer.mtu_bytes, 1500);
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
		ck_assert_uint_eq(got.peer.ciphers, ours);
		ck_assert(!got.session.used);
		return;
	}
	agree();
	ck_assert_int_eq(got.session.cipher, want);
	ck_assert_int_eq(pending.session.cipher, want);
	check_traffic(&got.session, &pending.session);
	check_traffic(&pending.session, &got.session);
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
			     attempt.hello, HS_LEN, NOW),
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
	ck_assert_uint_eq(got.peer.version, 9);
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
	hs_mismatch_text(text, sizeof(text), HS_TUNTAP, &client, &got.peer);
	ck_assert_str_eq(text, "peer has tun, this end has tap: "
			       "make tuntap equal in both files");
	/* The attempt goes on: the server's file may be corrected. */
	server.tap = true;
	ck_assert_int_eq(hs_server_hello(&pending, &keys, &server,
			     attempt.hello, HS_LEN, NOW),
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
	hs_mismatch_text(text, sizeof(text), HS_NAME, &client, &got.peer);
	ck_assert_str_eq(text,
	    "peer calls this link adsl1, this end "
	    "adsl2-sixteen-ch: give its section the same name in both files");
	hs_mismatch_text(text, 20, HS_NAME, &client, &got.peer);
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
	hs_mismatch_text(text, sizeof(text), HS_CIPHER, &client, &got.peer);
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
			     attempt.hello, HS_LEN, NOW),
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

	other.instance += HS_LIFE_MASK + 1;
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
	ck_assert(!got.session.used);
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
				     attempt.hello, HS_LEN, NOW),
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
		hs_mismatch_text(text, sizeof(text), r, &client, &got.peer);
		ck_assert_uint_gt(strlen(text), 3);
		ck_assert(hs_is_mismatch(r) == (r >= HS_VERSION));
	}
	ck_assert_str_eq(hs_result_text((enum hs_result)99), "unknown");
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

Suite *
handshake_suite(void)
{
	Suite *s = suite_create("handshake");
	TCase *tc = tcase_create("handshake");

	hs_ends_fixture(tc);
	add_agreement(tc);
	add_mismatches(tc);
	suite_add_tcase(s, tc);
	return s;
}
