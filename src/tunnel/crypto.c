/*
 * Thin wrappers around EVP.  Everything is fetched in crypto_init, which also
 * runs each algorithm once, so that libcrypto has built whatever it builds on
 * first use before the sandbox closes.
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "tunnel/crypto.h"

#define SCRYPT_N (UINT64_C(1) << 15)
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_MAXMEM (UINT64_C(64) << 20) /* default is just too little */

static struct {
	bool ready;
	EVP_CIPHER *aes_256_gcm;
	EVP_CIPHER *chacha20_poly1305;
	EVP_MD *sha256;
	EVP_MD *sha1;
	EVP_MAC *hmac;
	EVP_KDF *hkdf;
	EVP_KDF *scrypt;
} lib;

/* One use of everything that has parts of its own fetched on first use. */
static int
warm_up(void)
{
	static const uint8_t key[CRYPTO_KEY_LEN] = { 1 };
	struct crypto_part part = { key, sizeof(key) };
	uint8_t public_key[CRYPTO_KEY_LEN], out[CRYPTO_KEY_LEN];

	if (crypto_x25519_public(key, public_key) == -1 ||
	    crypto_x25519(key, public_key, out) == -1)
		return -1;
	if (crypto_hmac_sha256(key, &part, 1, out) == -1 ||
	    crypto_hkdf(&part, &part, out, sizeof(out)) == -1)
		return -1;
	return 0;
}

int
crypto_init(void)
{
	if (lib.ready)
		return 0;
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return -1;
	lib.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	lib.chacha20_poly1305 =
	    EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	lib.sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	lib.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	lib.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	lib.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	lib.scrypt = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
	if (lib.aes_256_gcm == NULL || lib.chacha20_poly1305 == NULL ||
	    lib.sha256 == NULL || lib.sha1 == NULL || lib.hmac == NULL ||
	    lib.hkdf == NULL || lib.scrypt == NULL || warm_up() == -1) {
		crypto_cleanup();
		return -1;
	}
	lib.ready = true;
	return 0;
}

void
crypto_cleanup(void)
{
	EVP_CIPHER_free(lib.aes_256_gcm);
	EVP_CIPHER_free(lib.chacha20_poly1305);
	EVP_MD_free(lib.sha256);
	EVP_MD_free(lib.sha1);
	EVP_MAC_free(lib.hmac);
	EVP_KDF_free(lib.hkdf);
	EVP_KDF_free(lib.scrypt);
	memset(&lib, 0, sizeof(lib));
}

const EVP_CIPHER *
crypto_aes_256_gcm(void)
{
	return lib.aes_256_gcm;
}

const EVP_CIPHER *
crypto_chacha20_poly1305(void)
{
	return lib.chacha20_poly1305;
}

static int
digest(const EVP_MD *md, const struct crypto_part *parts, size_t nparts,
    uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -1;

	if (ctx == NULL || md == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1)
		goto done;
	for (size_t i = 0; i < nparts; i++)
		if (EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
			goto done;
	if (EVP_DigestFinal_ex(ctx, out, NULL) == 1)
		rc = 0;
done:
	EVP_MD_CTX_free(ctx);
	return rc;
}

int
crypto_sha256(const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA256_LEN])
{
	return digest(lib.sha256, parts, nparts, out);
}

int
crypto_sha1(const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA1_LEN])
{
	return digest(lib.sha1, parts, nparts, out);
}

int
crypto_hmac_sha256(const uint8_t key[CRYPTO_KEY_LEN],
    const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA256_LEN])
{
	char name[] = "SHA2-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx;
	size_t len;
	int rc = -1;

	if (lib.hmac == NULL || (ctx = EVP_MAC_CTX_new(lib.hmac)) == NULL)
		return -1;
	if (EVP_MAC_init(ctx, key, CRYPTO_KEY_LEN, params) != 1)
		goto done;
	for (size_t i = 0; i < nparts; i++)
		if (EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
			goto done;
	if (EVP_MAC_final(ctx, out, &len, CRYPTO_SHA256_LEN) == 1 &&
	    len == CRYPTO_SHA256_LEN)
		rc = 0;
done:
	EVP_MAC_CTX_free(ctx);
	return rc;
}

static int
derive(EVP_KDF *kdf, const OSSL_PARAM *params, uint8_t *out, size_t len)
{
	EVP_KDF_CTX *ctx;
	int rc = -1;

	if (kdf == NULL || (ctx = EVP_KDF_CTX_new(kdf)) == NULL)
		return -1;
	if (EVP_KDF_derive(ctx, out, len, params) == 1)
		rc = 0;
	EVP_KDF_CTX_free(ctx);
	return rc;
}

/* OSSL_PARAM wants pointers to what it only reads. */
static OSSL_PARAM
octets(const char *key, const void *data, size_t len)
{
	return OSSL_PARAM_construct_octet_string(
	    key, (void *)(uintptr_t)data, len);
}

int
crypto_hkdf(const struct crypto_part *ikm, const struct crypto_part *info,
    uint8_t *out, size_t len)
{
	char name[] = "SHA2-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, name, 0),
		octets(OSSL_KDF_PARAM_KEY, ikm->data, ikm->len),
		octets(OSSL_KDF_PARAM_INFO, info->data, info->len),
		OSSL_PARAM_construct_end(),
	};

	return derive(lib.hkdf, params, out, len);
}

int
crypto_scrypt(const char *password, const char *salt, uint8_t *out, size_t len)
{
	uint64_t n = SCRYPT_N, maxmem = SCRYPT_MAXMEM;
	uint32_t r = SCRYPT_R, p = SCRYPT_P;
	OSSL_PARAM params[] = {
		octets(OSSL_KDF_PARAM_PASSWORD, password, strlen(password)),
		octets(OSSL_KDF_PARAM_SALT, salt, strlen(salt)),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(
		    OSSL_KDF_PARAM_SCRYPT_MAXMEM, &maxmem),
		OSSL_PARAM_construct_end(),
	};

	return derive(lib.scrypt, params, out, len);
}

int
crypto_x25519_public(
    const uint8_t private_key[CRYPTO_KEY_LEN], uint8_t out[CRYPTO_KEY_LEN])
{
	EVP_PKEY *own;
	size_t len = CRYPTO_KEY_LEN;
	int rc = -1;

	own = EVP_PKEY_new_raw_private_key_ex(
	    NULL, "X25519", NULL, private_key, CRYPTO_KEY_LEN);
	if (own != NULL && EVP_PKEY_get_raw_public_key(own, out, &len) == 1 &&
	    len == CRYPTO_KEY_LEN)
		rc = 0;
	EVP_PKEY_free(own);
	return rc;
}

/* libcrypto refuses a zero secret as well; here it does not depend on that. */
static bool
is_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	while (len-- > 0)
		any |= *p++;
	return any == 0;
}

int
crypto_x25519(const uint8_t private_key[CRYPTO_KEY_LEN],
    const uint8_t peer_public[CRYPTO_KEY_LEN], uint8_t out[CRYPTO_KEY_LEN])
{
	EVP_PKEY *own, *peer;
	EVP_PKEY_CTX *ctx = NULL;
	size_t len = CRYPTO_KEY_LEN;
	int rc = -1;

	own = EVP_PKEY_new_raw_private_key_ex(
	    NULL, "X25519", NULL, private_key, CRYPTO_KEY_LEN);
	peer = EVP_PKEY_new_raw_public_key_ex(
	    NULL, "X25519", NULL, peer_public, CRYPTO_KEY_LEN);
	if (own == NULL || peer == NULL)
		goto done;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
	    EVP_PKEY_derive(ctx, out, &len) != 1)
		goto done;
	if (len == CRYPTO_KEY_LEN && !is_zero(out, len))
		rc = 0;
done:
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	return rc;
}
