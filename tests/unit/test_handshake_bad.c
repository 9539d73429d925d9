/*
 * What must have no effect on a handshake: silence for everything that is not
 * exactly the message it should be.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "hs_ends.h"

Suite *handshake_bad_suite(void);

START_TEST(wrong_password_is_met_with_silence)
{
	start();
	ck_assert_int_eq(
	    hs_check_hello(&wrong_keys, attempt.hello, HS_LEN), HS_BAD_MAC);
	ck_assert_int_eq(hs_server_hello(&pending, &wrong_keys, &server,
			     attempt.hello, HS_LEN, NOW),
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
				     attempt.hello, HS_LEN, NOW),
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
		ck_assert(attempt.active && !got.session.used);
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
		got.auth[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(
		    hs_server_auth(&pending, got.auth, HS_LEN), HS_OK);
		ck_assert(!pending.authenticated);
		got.auth[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(hs_server_auth(&pending, got.auth, HS_LEN), HS_OK);
	ck_assert_int_eq(hs_server_auth(&pending, got.auth, HS_LEN), HS_OK);
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
	memcpy(longer, got.auth, HS_LEN);
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
				     attempt.hello, HS_LEN, NOW),
		    HS_FAILED);
		ck_assert(!pending.used && !pending.session.used);
		ck_assert_int_eq(say_hello(), HS_OK);
		memcpy(msg, pending.reply, HS_LEN);
		memset(msg + HS_AT_KEY, 0, 32);
		msg[HS_AT_KEY] = key;
		sign(msg, 1, attempt.hello);
		ck_assert_int_eq(take_answer(msg, HS_LEN), HS_FAILED);
		ck_assert(!got.session.used && attempt.active);
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
			     attempt.hello, HS_LEN, NOW),
	    HS_BAD_CHALLENGE);
	ck_assert(!pending.used);
	ck_assert_uint_eq(pending.reply[0], 0);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_uint_eq(pending.reply[HS_AT_CHALLENGE], 1);
	memcpy(msg, pending.reply, HS_LEN);
	msg[HS_AT_CHALLENGE] = 0;
	sign(msg, 1, attempt.hello);
	ck_assert_int_eq(take_answer(msg, HS_LEN), HS_BAD_CHALLENGE);
	ck_assert_uint_eq(got.auth[0], 0);
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
	memcpy(msg, got.auth, HS_LEN);
	msg[HS_AT_ANSWER] ^= 1;
	sign(msg, 0, pending.hello);
	ck_assert_int_eq(
	    hs_server_auth(&pending, msg, HS_LEN), HS_BAD_CHALLENGE);
	memcpy(msg, got.auth, HS_LEN);
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
	ck_assert_int_eq(hs_server_auth(&pending, got.auth, HS_LEN), HS_OK);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(
	    hs_server_auth(&pending, got.auth, HS_LEN), HS_BAD_MAC);
	make_ends(AUTO, true);
	ck_assert_int_eq(say_hello(), HS_OK);
	ck_assert_int_eq(hs_server_auth(&pending, got.auth, HS_LEN), HS_STALE);
	hs_pending_clear(&pending);
	ck_assert_int_eq(hs_server_auth(&pending, got.auth, HS_LEN), HS_STALE);
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
	ck_assert_int_eq(
	    hs_server_hello(&pending, &keys, &server, hello, HS_LEN, NOW),
	    HS_OK);
	ck_assert_int_eq(
	    hs_server_auth(&pending, got.auth, HS_LEN), HS_BAD_CHALLENGE);
	ck_assert(!pending.authenticated);
}
END_TEST

Suite *
handshake_bad_suite(void)
{
	Suite *s = suite_create("handshake_bad");
	TCase *tc = tcase_create("handshake_bad");

	hs_ends_fixture(tc);
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
	suite_add_tcase(s, tc);
	return s;
}
