/*
 * The server's side of the handshake: checks a HELLO, answers it, and keeps the
 * answer until the client uses it.  Until then nothing of the link changes, so
 * a replayed HELLO costs one X25519 and one slot of the pending ones.
 */
#include "config.h"

#include <string.h>

#include <openssl/crypto.h>

#include "tunnel/hs_msg.h"

enum hs_result
hs_check_hello(const struct hs_keys *keys, const uint8_t *msg, size_t len)
{
	if (len != HS_LEN || msg[HS_AT_TYPE] != WIRE_HELLO)
		return HS_MALFORMED;
	if (!keys->valid)
		return HS_FAILED;
	return hs_msg_verify(msg, keys->mac[0], NULL);
}

bool
hs_same_role(const struct hs_keys *keys, const struct hs_local *me,
    const uint8_t *msg, size_t len)
{
	/* Only clients say HELLO; our own one may have been sent back. */
	return !me->server && hs_check_hello(keys, msg, len) == HS_OK &&
	       ((get_be64(msg + HS_AT_INSTANCE) ^ me->instance) &
		   ~HS_LIFE_MASK) != 0;
}

/* 0: the two masks have no cipher in common. */
static uint8_t
choose_cipher(const struct hs_local *me, const struct hs_peer *peer)
{
	uint8_t both = me->ciphers & peer->ciphers;
	bool aes = (both & 1 << SESSION_AES_256_GCM) != 0;
	bool chacha = (both & 1 << SESSION_CHACHA20_POLY1305) != 0;

	if (aes && ((me->aes_fast && peer->aes_fast) || !chacha))
		return SESSION_AES_256_GCM;
	if (chacha)
		return SESSION_CHACHA20_POLY1305;
	/* Clear text is no compromise: both must want nothing else. */
	if (me->ciphers == HS_ONLY_NONE && peer->ciphers == HS_ONLY_NONE)
		return SESSION_NONE;
	return 0;
}

static enum hs_result
reject(struct hs_pending *p, const struct hs_keys *keys,
    const struct hs_local *me, const uint8_t *hello, enum hs_result reason)
{
	hs_msg_init(p->reply, WIRE_REJECT, me->ciphers, me);
	p->reply[HS_AT_LINK] = p->peer.link;
	p->reply[HS_AT_REASON] = (uint8_t)reason;
	if (hs_msg_sign(p->reply, keys->mac[1], hello) == -1)
		return HS_FAILED;
	return reason;
}

static enum hs_result
answer_clear(struct hs_pending *p, const struct hs_local *me, mono_t now)
{
	const uint8_t *challenge = p->hello + HS_AT_CHALLENGE;
	uint8_t session[WIRE_SESSION_LEN];

	if (challenge[0] != 0)
		return HS_BAD_CHALLENGE;
	hs_challenge(p->challenge, me);
	me->random(me->random_ctx, session, sizeof(session));
	memcpy(p->reply + HS_AT_CHALLENGE, p->challenge, HS_CHALLENGE_LEN);
	memcpy(p->reply + HS_AT_SESSION, session, sizeof(session));
	if (hs_answer(p->reply + HS_AT_ANSWER, p->keys, challenge) == -1 ||
	    hs_msg_sign(p->reply, p->keys->mac[1], p->hello) == -1)
		return HS_FAILED;
	if (session_init_clear(&p->session, p->reply[HS_AT_EPOCH],
		get_be64(p->hello + HS_AT_SESSION), get_be64(session),
		now) == -1)
		return HS_FAILED;
	return HS_OK;
}

static enum hs_result
answer_sealed(struct hs_pending *p, const struct hs_local *me, mono_t now)
{
	uint8_t private_key[CRYPTO_KEY_LEN], secret[CRYPTO_KEY_LEN];
	struct hs_session_keys keys;
	enum hs_result r = HS_FAILED;

	me->random(me->random_ctx, private_key, sizeof(private_key));
	if (crypto_x25519_public(private_key, p->reply + HS_AT_KEY) == 0 &&
	    crypto_x25519(private_key, p->hello + HS_AT_KEY, secret) == 0 &&
	    hs_msg_sign(p->reply, p->keys->mac[1], p->hello) == 0 &&
	    hs_derive_session(&keys, p->keys, secret, p->hello, p->reply) ==
		0 &&
	    session_init(&p->session, p->reply[HS_AT_EPOCH],
		p->reply[HS_AT_CIPHERS], keys.down, keys.up, now) == 0)
		r = HS_OK;
	OPENSSL_cleanse(private_key, sizeof(private_key));
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(&keys, sizeof(keys));
	return r;
}

/* The settings fit: the REPLY and the session. */
static enum hs_result
answer(
    struct hs_pending *p, const struct hs_local *me, uint8_t cipher, mono_t now)
{
	enum hs_result r;

	hs_msg_init(p->reply, WIRE_REPLY, cipher, me);
	p->reply[HS_AT_EPOCH] = me->epoch;
	p->reply[HS_AT_LINK] = p->peer.link;
	if (cipher == SESSION_NONE)
		r = answer_clear(p, me, now);
	else
		r = answer_sealed(p, me, now);
	if (r != HS_OK) {
		hs_pending_clear(p);
		return r;
	}
	p->used = true;
	p->authenticated = cipher != SESSION_NONE;
	p->created_at = now;
	p->answered_at = now;
	return HS_OK;
}

enum hs_result
hs_server_hello(struct hs_pending *p, const struct hs_keys *keys,
    const struct hs_local *me, const uint8_t *msg, size_t len, mono_t now)
{
	enum hs_result r = hs_check_hello(keys, msg, len);
	uint8_t cipher;

	if (r != HS_OK)
		return r;
	hs_pending_clear(p);
	p->keys = keys;
	memcpy(p->hello, msg, HS_LEN);
	r = hs_msg_parse(&p->peer, msg);
	if (r == HS_OK)
		r = hs_msg_match(me, &p->peer);
	if (r == HS_OK) {
		cipher = choose_cipher(me, &p->peer);
		if (cipher != 0)
			return answer(p, me, cipher, now);
		r = HS_CIPHER;
	}
	if (!hs_is_mismatch(r))
		return r;
	return reject(p, keys, me, msg, r);
}

bool
hs_pending_is(const struct hs_pending *p, const uint8_t *msg, size_t len)
{
	return p->used && len == HS_LEN && memcmp(p->hello, msg, HS_LEN) == 0;
}

enum hs_result
hs_server_auth(struct hs_pending *p, const uint8_t *msg, size_t len)
{
	struct hs_peer peer;
	enum hs_result r;

	if (len != HS_LEN || msg[HS_AT_TYPE] != WIRE_AUTH)
		return HS_MALFORMED;
	if (!p->used || p->session.cipher != SESSION_NONE)
		return HS_STALE;
	r = hs_msg_verify(msg, p->keys->mac[0], p->hello);
	if (r == HS_OK)
		r = hs_msg_parse(&peer, msg);
	if (r == HS_OK && peer.epoch != p->session.epoch)
		r = HS_STALE;
	if (r == HS_OK)
		r = hs_answer_check(p->keys, p->challenge, msg + HS_AT_ANSWER);
	if (r == HS_OK)
		p->authenticated = true;
	return r;
}

void
hs_pending_clear(struct hs_pending *p)
{
	session_clear(&p->session);
	OPENSSL_cleanse(p, sizeof(*p));
}
