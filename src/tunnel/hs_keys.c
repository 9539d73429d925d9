/*
 * From the password to keys: once the slow way to the pre-shared key, per
 * process to the MAC keys, per handshake to the keys of a session.  Every label
 * differs, so that no key serves two purposes.
 */
#include "config.h"

#include <string.h>

#include <openssl/crypto.h>

#include "tunnel/hs_msg.h"

#define PSK_SALT "mlvpn password v1"
#define LABEL_MAX 64

static const char *const mac_labels[2] = {
	"mlvpn v1 hello client",
	"mlvpn v1 hello server",
};
static const char label_up[] = "mlvpn v1 client to server";
static const char label_down[] = "mlvpn v1 server to client";

int
hs_derive_psk(const char *password, uint8_t psk[HS_PSK_LEN])
{
	return crypto_scrypt(password, PSK_SALT, psk, HS_PSK_LEN);
}

int
hs_keys_init(
    struct hs_keys *k, const uint8_t psk[HS_PSK_LEN], const char *password)
{
	struct crypto_part ikm = { psk, HS_PSK_LEN };

	memset(k, 0, sizeof(*k));
	if (strlcpy(k->password, password, sizeof(k->password)) >=
	    sizeof(k->password))
		goto fail;
	memcpy(k->psk, psk, HS_PSK_LEN);
	for (size_t i = 0; i < nitems_of(mac_labels); i++) {
		struct crypto_part info = { mac_labels[i],
			strlen(mac_labels[i]) };

		if (crypto_hkdf(&ikm, &info, k->mac[i], sizeof(k->mac[i])) ==
		    -1)
			goto fail;
	}
	k->valid = true;
	return 0;
fail:
	hs_keys_clear(k);
	return -1;
}

void
hs_keys_clear(struct hs_keys *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

static int
derive_dir(uint8_t out[HS_DIR_LEN], const struct crypto_part *ikm,
    const char *label, const uint8_t transcript[CRYPTO_SHA256_LEN])
{
	uint8_t text[LABEL_MAX + CRYPTO_SHA256_LEN];
	struct crypto_part info = { text, strlen(label) + CRYPTO_SHA256_LEN };

	memcpy(text, label, strlen(label));
	memcpy(text + strlen(label), transcript, CRYPTO_SHA256_LEN);
	return crypto_hkdf(ikm, &info, out, HS_DIR_LEN);
}

int
hs_derive_session(struct hs_session_keys *out, const struct hs_keys *keys,
    const uint8_t secret[CRYPTO_KEY_LEN], const uint8_t hello[HS_LEN],
    const uint8_t reply[HS_LEN])
{
	uint8_t transcript[CRYPTO_SHA256_LEN];
	uint8_t both[CRYPTO_KEY_LEN + HS_PSK_LEN];
	struct crypto_part messages[] = {
		{ hello, HS_LEN },
		{ reply, HS_LEN },
	};
	struct crypto_part ikm = { both, sizeof(both) };
	int rc = -1;

	memcpy(both, secret, CRYPTO_KEY_LEN);
	memcpy(both + CRYPTO_KEY_LEN, keys->psk, HS_PSK_LEN);
	if (crypto_sha256(messages, nitems_of(messages), transcript) == 0 &&
	    derive_dir(out->up, &ikm, label_up, transcript) == 0 &&
	    derive_dir(out->down, &ikm, label_down, transcript) == 0)
		rc = 0;
	OPENSSL_cleanse(both, sizeof(both));
	return rc;
}
