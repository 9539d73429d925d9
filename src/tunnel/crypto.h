/*
 * The algorithms that mlvpn needs of libcrypto, fetched once per process: the
 * worker closes its sandbox after crypto_init, and nothing here opens a file
 * later.  The handles are the one process-wide state of the engine; they never
 * change between crypto_init and crypto_cleanup.
 */
#ifndef MLVPN_TUNNEL_CRYPTO_H
#define MLVPN_TUNNEL_CRYPTO_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_LEN 32 /* X25519 keys and secrets, HMAC keys */
#define CRYPTO_SHA256_LEN 32
#define CRYPTO_SHA1_LEN 20

/* A piece of what is hashed. */
struct crypto_part {
	const void *data;
	size_t len;
};

/* Fetches everything without reading openssl.cnf; -1 when an algorithm is
 * missing.  Does nothing the second time. */
int crypto_init(void);
void crypto_cleanup(void);

/* The fetched ciphers; NULL before crypto_init. */
const EVP_CIPHER *crypto_aes_256_gcm(void);
const EVP_CIPHER *crypto_chacha20_poly1305(void);

/* All of these: 0, or -1 when libcrypto fails. */
int crypto_sha256(const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA256_LEN]);
int crypto_sha1(const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA1_LEN]);
int crypto_hmac_sha256(const uint8_t key[CRYPTO_KEY_LEN],
    const struct crypto_part *parts, size_t nparts,
    uint8_t out[CRYPTO_SHA256_LEN]);
/* HKDF-SHA256 (RFC 5869) without salt. */
int crypto_hkdf(const struct crypto_part *ikm, const struct crypto_part *info,
    uint8_t *out, size_t len);
/* scrypt (RFC 7914) with N = 2^15, r = 8, p = 1: 32 MiB for a moment. */
int crypto_scrypt(
    const char *password, const char *salt, uint8_t *out, size_t len);
/* The public key of a private one (RFC 7748). */
int crypto_x25519_public(
    const uint8_t private_key[CRYPTO_KEY_LEN], uint8_t out[CRYPTO_KEY_LEN]);
/* The shared secret; -1 also when the peer's key makes it all zero. */
int crypto_x25519(const uint8_t private_key[CRYPTO_KEY_LEN],
    const uint8_t peer_public[CRYPTO_KEY_LEN], uint8_t out[CRYPTO_KEY_LEN]);

#endif
