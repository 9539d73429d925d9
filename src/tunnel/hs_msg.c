/*
 * The handshake's message as bytes: fields, MAC, and the founding challenge.
 * What is parsed here has proved to come from a holder of the password, yet no
 * field is used before it was checked: the peer may be newer, or broken.
 */
#include "config.h"

#include <string.h>

#include <openssl/crypto.h>

#include "tunnel/hs_msg.h"

void
hs_msg_init(uint8_t msg[HS_LEN], enum wire_type type, uint8_t ciphers,
    const struct hs_local *me)
{
	memset(msg, 0, HS_LEN);
	msg[HS_AT_TYPE] = (uint8_t)type;
	msg[HS_AT_VERSION] = WIRE_VERSION;
	msg[HS_AT_ROLE] = (uint8_t)((me->server ? HS_F_SERVER : 0) |
				    (me->tap ? HS_F_TAP : 0) |
				    (me->aes_fast ? HS_F_AES_FAST : 0));
	msg[HS_AT_CIPHERS] = ciphers;
	msg[HS_AT_LINK] = me->link;
	put_be64(msg + HS_AT_INSTANCE, me->instance);
	put_be64(msg + HS_AT_TX_RATE, me->tx_Bps);
	put_be64(msg + HS_AT_RX_RATE, me->rx_Bps);
	put_be16(msg + HS_AT_MTU, me->mtu_bytes);
	memcpy(msg + HS_AT_NAME, me->name, strnlen(me->name, HS_NAME_LEN));
}

static int
make_mac(uint8_t mac[CRYPTO_SHA256_LEN], const uint8_t msg[HS_LEN],
    const uint8_t mac_key[CRYPTO_KEY_LEN], const uint8_t *hello)
{
	struct crypto_part parts[] = {
		{ hello, hello == NULL ? 0 : HS_LEN },
		{ msg, HS_AT_MAC },
	};

	if (hello == NULL)
		return crypto_hmac_sha256(mac_key, parts + 1, 1, mac);
	return crypto_hmac_sha256(mac_key, parts, nitems_of(parts), mac);
}

int
hs_msg_sign(uint8_t msg[HS_LEN], const uint8_t mac_key[CRYPTO_KEY_LEN],
    const uint8_t *hello)
{
	uint8_t mac[CRYPTO_SHA256_LEN];

	if (make_mac(mac, msg, mac_key, hello) == -1)
		return -1;
	memcpy(msg + HS_AT_MAC, mac, HS_LEN - HS_AT_MAC);
	return 0;
}

enum hs_result
hs_msg_verify(const uint8_t msg[HS_LEN], const uint8_t mac_key[CRYPTO_KEY_LEN],
    const uint8_t *hello)
{
	uint8_t mac[CRYPTO_SHA256_LEN];

	if (make_mac(mac, msg, mac_key, hello) == -1)
		return HS_FAILED;
	if (CRYPTO_memcmp(mac, msg + HS_AT_MAC, HS_LEN - HS_AT_MAC) != 0)
		return HS_BAD_MAC;
	return HS_OK;
}

static bool
is_name_char(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* It goes to the log: only what the configuration would accept. */
static int
parse_name(char out[HS_NAME_LEN + 1], const uint8_t in[HS_NAME_LEN])
{
	size_t len = 0;

	while (len < HS_NAME_LEN && is_name_char(in[len]))
		len++;
	if (len == 0)
		return -1;
	for (size_t i = len; i < HS_NAME_LEN; i++)
		if (in[i] != 0)
			return -1;
	memset(out, 0, HS_NAME_LEN + 1);
	memcpy(out, in, len);
	return 0;
}

enum hs_result
hs_msg_parse(struct hs_peer *peer, const uint8_t msg[HS_LEN])
{
	memset(peer, 0, sizeof(*peer));
	peer->version = msg[HS_AT_VERSION];
	peer->reason = msg[HS_AT_REASON];
	if (peer->version != WIRE_VERSION)
		return HS_VERSION;
	peer->server = (msg[HS_AT_ROLE] & HS_F_SERVER) != 0;
	peer->tap = (msg[HS_AT_ROLE] & HS_F_TAP) != 0;
	peer->aes_fast = (msg[HS_AT_ROLE] & HS_F_AES_FAST) != 0;
	peer->ciphers = msg[HS_AT_CIPHERS];
	peer->epoch = msg[HS_AT_EPOCH];
	peer->link = msg[HS_AT_LINK];
	peer->instance = get_be64(msg + HS_AT_INSTANCE);
	peer->tx_Bps = get_be64(msg + HS_AT_TX_RATE);
	peer->rx_Bps = get_be64(msg + HS_AT_RX_RATE);
	peer->mtu_bytes = get_be16(msg + HS_AT_MTU);
	if (peer->link >= LINKS_MAX ||
	    parse_name(peer->name, msg + HS_AT_NAME) == -1)
		return HS_MALFORMED;
	return HS_OK;
}

enum hs_result
hs_msg_match(const struct hs_local *me, const struct hs_peer *peer)
{
	if (peer->server == me->server)
		return HS_ROLE;
	if (peer->tap != me->tap)
		return HS_TUNTAP;
	if (strcmp(peer->name, me->name) != 0)
		return HS_NAME;
	return HS_OK;
}

void
hs_challenge(uint8_t out[HS_CHALLENGE_LEN], const struct hs_local *me)
{
	me->random(me->random_ctx, out, HS_CHALLENGE_LEN);
	/* The role of who asks: no end answers its own question. */
	out[0] = me->server ? 1 : 0;
}

int
hs_answer(uint8_t out[HS_ANSWER_LEN], const struct hs_keys *keys,
    const uint8_t challenge[HS_CHALLENGE_LEN])
{
	struct crypto_part parts[] = {
		{ keys->password, strlen(keys->password) },
		{ challenge, HS_CHALLENGE_LEN },
	};

	return crypto_sha1(parts, nitems_of(parts), out);
}

enum hs_result
hs_answer_check(const struct hs_keys *keys,
    const uint8_t challenge[HS_CHALLENGE_LEN],
    const uint8_t answer[HS_ANSWER_LEN])
{
	uint8_t right[HS_ANSWER_LEN];

	if (hs_answer(right, keys, challenge) == -1)
		return HS_FAILED;
	if (CRYPTO_memcmp(right, answer, HS_ANSWER_LEN) != 0)
		return HS_BAD_CHALLENGE;
	return HS_OK;
}
