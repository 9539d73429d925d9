/*
 * What client and server share of the handshake: fields, MAC and keys.  Private
 * to hs_*.c and their tests.
 */
#ifndef MLVPN_TUNNEL_HS_MSG_H
#define MLVPN_TUNNEL_HS_MSG_H

#include <stdint.h>

#include "tunnel/crypto.h"
#include "tunnel/handshake.h"

/* Offsets; see handshake.h. */
enum {
	HS_AT_TYPE = 0,
	HS_AT_VERSION = 1,
	HS_AT_ROLE = 2,
	HS_AT_CIPHERS = 3,
	HS_AT_EPOCH = 4,
	HS_AT_LINK = 5,
	HS_AT_REASON = 6,
	HS_AT_INSTANCE = 8,
	HS_AT_TX_RATE = 16,
	HS_AT_RX_RATE = 24,
	HS_AT_MTU = 32,
	HS_AT_NAME = 34,
	HS_AT_KEY = 56,
	HS_AT_CHALLENGE = 56,
	HS_AT_SESSION = 76,
	HS_AT_ANSWER = 88,
	HS_AT_MAC = 112
};

#define HS_F_SERVER 0x01
#define HS_F_TAP 0x02
#define HS_F_AES_FAST 0x04

#define HS_ONLY_NONE (1 << SESSION_NONE) /* mask of the founding mode */
#define HS_DIR_LEN (SESSION_KEY_LEN + SESSION_IV_LEN)

/* Both directions of a session; wipe after use. */
struct hs_session_keys {
	uint8_t up[HS_DIR_LEN]; /* client to server */
	uint8_t down[HS_DIR_LEN];
};

/* Zeroes msg and fills in what we say about ourselves. */
void hs_msg_init(uint8_t msg[HS_LEN], enum wire_type type, uint8_t ciphers,
    const struct hs_local *me);
/* Writes the MAC: over hello (NULL: msg is the HELLO) and msg. */
int hs_msg_sign(uint8_t msg[HS_LEN], const uint8_t mac_key[CRYPTO_KEY_LEN],
    const uint8_t *hello);
/* HS_OK, HS_BAD_MAC or HS_FAILED, in constant time. */
enum hs_result hs_msg_verify(const uint8_t msg[HS_LEN],
    const uint8_t mac_key[CRYPTO_KEY_LEN], const uint8_t *hello);
/* HS_OK; HS_VERSION: only version and reason are filled; HS_MALFORMED. */
enum hs_result hs_msg_parse(struct hs_peer *peer, const uint8_t msg[HS_LEN]);
/* The settings both must agree in, but for the cipher. */
enum hs_result hs_msg_match(
    const struct hs_local *me, const struct hs_peer *peer);

/* Secret and transcript to keys; secret is that of X25519. */
int hs_derive_session(struct hs_session_keys *out, const struct hs_keys *keys,
    const uint8_t secret[CRYPTO_KEY_LEN], const uint8_t hello[HS_LEN],
    const uint8_t reply[HS_LEN]);
/* The founding scheme: a challenge of ours, answers to the other's. */
void hs_challenge(uint8_t out[HS_CHALLENGE_LEN], const struct hs_local *me);
int hs_answer(uint8_t out[HS_ANSWER_LEN], const struct hs_keys *keys,
    const uint8_t challenge[HS_CHALLENGE_LEN]);
/* HS_OK, HS_BAD_CHALLENGE or HS_FAILED. */
enum hs_result hs_answer_check(const struct hs_keys *keys,
    const uint8_t challenge[HS_CHALLENGE_LEN],
    const uint8_t answer[HS_ANSWER_LEN]);

#endif
