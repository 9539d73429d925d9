/*
 * The client's side of the handshake: makes a HELLO, takes the answer to it.
 * Only an answer whose MAC covers this very HELLO counts, so an old one, or one
 * to somebody else, changes nothing.
 */
#include "config.h"

#include <string.h>

#include <openssl/crypto.h>

#include "tunnel/hs_msg.h"

static void
start_clear(struct hs_client *c, const struct hs_local *me)
{
	uint8_t session[WIRE_SESSION_LEN];

	hs_challenge(c->challenge, me);
	me->random(me->random_ctx, session, sizeof(session));
	c->rx_session = get_be64(session);
	memcpy(c->hello + HS_AT_CHALLENGE, c->challenge, HS_CHALLENGE_LEN);
	memcpy(c->hello + HS_AT_SESSION, session, sizeof(session));
}

static int
start_sealed(struct hs_client *c, const struct hs_local *me)
{
	me->random(me->random_ctx, c->private_key, sizeof(c->private_key));
	return crypto_x25519_public(c->private_key, c->hello + HS_AT_KEY);
}

int
hs_client_start(struct hs_client *c, const struct hs_keys *keys,
    const struct hs_local *me, mono_t now)
{
	hs_client_clear(c);
	if (!keys->valid)
		return -1;
	hs_msg_init(c->hello, WIRE_HELLO, me->ciphers, me);
	if (me->ciphers == HS_ONLY_NONE)
		start_clear(c, me);
	else if (start_sealed(c, me) == -1)
		goto fail;
	if (hs_msg_sign(c->hello, keys->mac[0], NULL) == -1)
		goto fail;
	c->keys = keys;
	c->me = *me;
	c->started_at = now;
	c->active = true;
	return 0;
fail:
	hs_client_clear(c);
	return -1;
}

static enum hs_result
finish_clear(const struct hs_client *c, const uint8_t *reply,
    struct hs_agreement *a, mono_t now)
{
	const uint8_t *challenge = reply + HS_AT_CHALLENGE;
	enum hs_result r;

	if (challenge[0] != 1)
		return HS_BAD_CHALLENGE;
	r = hs_answer_check(c->keys, c->challenge, reply + HS_AT_ANSWER);
	if (r != HS_OK)
		return r;
	hs_msg_init(a->auth, WIRE_AUTH, SESSION_NONE, &c->me);
	a->auth[HS_AT_EPOCH] = reply[HS_AT_EPOCH];
	if (hs_answer(a->auth + HS_AT_ANSWER, c->keys, challenge) == -1 ||
	    hs_msg_sign(a->auth, c->keys->mac[0], c->hello) == -1)
		return HS_FAILED;
	if (session_init_clear(&a->session, reply[HS_AT_EPOCH],
		get_be64(reply + HS_AT_SESSION), c->rx_session, now) == -1)
		return HS_FAILED;
	return HS_OK;
}

static enum hs_result
finish_sealed(const struct hs_client *c, const uint8_t *reply,
    struct session *s, mono_t now)
{
	uint8_t secret[CRYPTO_KEY_LEN];
	struct hs_session_keys keys;
	enum hs_result r = HS_FAILED;

	if (crypto_x25519(c->private_key, reply + HS_AT_KEY, secret) == 0 &&
	    hs_derive_session(&keys, c->keys, secret, c->hello, reply) == 0 &&
	    session_init(s, reply[HS_AT_EPOCH], reply[HS_AT_CIPHERS], keys.up,
		keys.down, now) == 0)
		r = HS_OK;
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(&keys, sizeof(keys));
	return r;
}

/* MAC, fields, settings; HS_OK only for a REPLY that fits the HELLO: what we
 * said counts, also if our file has changed since. */
static enum hs_result
check_answer(
    const struct hs_client *c, const uint8_t *msg, struct hs_peer *peer)
{
	enum hs_result r = hs_msg_verify(msg, c->keys->mac[1], c->hello);

	if (r == HS_OK)
		r = hs_msg_parse(peer, msg);
	if (r != HS_OK)
		return r;
	if (msg[HS_AT_TYPE] == WIRE_REJECT)
		return hs_is_mismatch(peer->reason) ? peer->reason
						    : HS_MALFORMED;
	r = hs_msg_match(&c->me, peer);
	if (r != HS_OK)
		return r;
	if (peer->ciphers < SESSION_AES_256_GCM ||
	    peer->ciphers > SESSION_NONE ||
	    (c->me.ciphers & 1 << peer->ciphers) == 0)
		return HS_CIPHER;
	return HS_OK;
}

enum hs_result
hs_client_answer(struct hs_client *c, const uint8_t *msg, size_t len,
    struct hs_agreement *a, mono_t now)
{
	enum hs_result r;

	memset(a->auth, 0, HS_LEN);
	memset(&a->peer, 0, sizeof(a->peer));
	if (len != HS_LEN ||
	    (msg[HS_AT_TYPE] != WIRE_REPLY && msg[HS_AT_TYPE] != WIRE_REJECT))
		return HS_MALFORMED;
	if (!c->active)
		return HS_STALE;
	r = check_answer(c, msg, &a->peer);
	if (r != HS_OK)
		return r;
	if (c->me.ciphers == HS_ONLY_NONE)
		r = finish_clear(c, msg, a, now);
	else
		r = finish_sealed(c, msg, &a->session, now);
	if (r == HS_OK)
		hs_client_clear(c);
	else
		memset(a->auth, 0, HS_LEN);
	return r;
}

void
hs_client_clear(struct hs_client *c)
{
	OPENSSL_cleanse(c, sizeof(*c));
}
