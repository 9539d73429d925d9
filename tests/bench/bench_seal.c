/*
 * What sealing and opening a full packet costs beyond the cipher itself.  Each
 * round runs all variants once, in turn, so that a noisy machine disturbs them
 * alike; the best round of each counts, and the ratio is what means something.
 *
 *	bench_seal [MIN_RATIO]
 *
 * With MIN_RATIO (for example 0.9) the exit status is 1 when sealing or opening
 * is slower than that share of bare EVP.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "tunnel/crypto.h"
#include "tunnel/session.h"

#define PACKET_LEN 1440
#define DGRAM_LEN (PACKET_LEN + WIRE_SEALED_OVERHEAD)
#define BATCH 2000 /* packets of one measurement */
#define ROUNDS 40

enum variant { EVP_SEAL, SEAL, EVP_OPEN, OPEN, VARIANTS };

static const struct {
	enum session_cipher cipher;
	const char *name;
} ciphers[] = {
	{ SESSION_AES_256_GCM, "aes-256-gcm" },
	{ SESSION_CHACHA20_POLY1305, "chacha20-poly1305" },
	{ SESSION_NONE, "none" },
};

static struct session client, server;
static EVP_CIPHER_CTX *bare[2]; /* encrypts, decrypts */
static uint64_t next_seq;
static uint8_t room[WIRE_INNER_LEN + PACKET_LEN];
static uint8_t dgrams[BATCH][DGRAM_LEN];

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
setup(enum session_cipher cipher)
{
	static const uint8_t key[SESSION_KEY_LEN + SESSION_IV_LEN] = { 1, 2 };
	const EVP_CIPHER *c = cipher == SESSION_AES_256_GCM
				  ? crypto_aes_256_gcm()
				  : crypto_chacha20_poly1305();

	if (cipher == SESSION_NONE) {
		session_init_clear(&client, 1, 1, 2, 1);
		session_init_clear(&server, 1, 2, 1, 1);
		return;
	}
	require(session_init(&client, 1, cipher, key, key, 1) == 0);
	require(session_init(&server, 1, cipher, key, key, 1) == 0);
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

		require(
		    EVP_CipherInit_ex(ctx, c, NULL, key, key, encrypt) == 1);
		bare[!encrypt] = ctx;
	}
}

static void
teardown(void)
{
	session_clear(&client);
	session_clear(&server);
	for (int i = 0; i < 2; i++) {
		EVP_CIPHER_CTX_free(bare[i]);
		bare[i] = NULL;
	}
}

/* The least that any program has to call for one packet. */
static void
bare_packet(EVP_CIPHER_CTX *ctx, bool encrypt, uint8_t *d, const uint8_t *plain)
{
	uint8_t nonce[SESSION_IV_LEN] = { 0 };
	uint8_t *sealed = d + WIRE_HEADER_LEN;
	uint8_t *tag = d + DGRAM_LEN - WIRE_TAG_LEN;
	int n, len = WIRE_INNER_LEN + PACKET_LEN;

	memcpy(nonce + 6, d + 2, 6);
	require(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) == 1);
	if (!encrypt)
		require(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
			    WIRE_TAG_LEN, tag) == 1);
	require(EVP_CipherUpdate(ctx, NULL, &n, d, WIRE_HEADER_LEN) == 1);
	require(EVP_CipherUpdate(ctx, sealed, &n, plain, len) == 1);
	require(EVP_CipherFinal_ex(ctx, tag, &n) == 1);
	if (encrypt)
		require(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
			    WIRE_TAG_LEN, tag) == 1);
}

static void
open_packet(uint8_t *d)
{
	struct wire_inner in;
	struct wire_header h;
	uint8_t *packet;
	size_t len = PACKET_LEN + session_overhead(&server), packet_len;

	require(wire_get_header(&h, d, len) == 0);
	require(session_open(&server, &h, d, len, &in, &packet, &packet_len) ==
		SESSION_OK);
}

static void
seal_packet(uint8_t *d)
{
	static const struct wire_inner in = { .bucket = 1 };

	require(session_seal(&client, WIRE_DATA, next_seq++, &in,
		    room + WIRE_INNER_LEN, PACKET_LEN, d) != 0);
}

static void
run_packet(enum variant v, uint8_t *d)
{
	bool encrypt = v == EVP_SEAL;

	if (v == SEAL)
		seal_packet(d);
	else if (v == OPEN)
		open_packet(d);
	else
		bare_packet(bare[!encrypt], encrypt, d,
		    encrypt ? room : d + WIRE_HEADER_LEN);
}

/* What an opening variant opens; not timed. */
static void
prepare(enum variant v)
{
	for (size_t i = 0; i < BATCH; i++) {
		if (v == OPEN)
			seal_packet(dgrams[i]);
		else if (v == EVP_OPEN)
			run_packet(EVP_SEAL, dgrams[i]);
	}
}

static mono_t
measure(enum variant v)
{
	mono_t started_at;

	prepare(v);
	started_at = mono_now();
	for (size_t i = 0; i < BATCH; i++)
		run_packet(v, dgrams[i]);
	return mono_now() - started_at;
}

static double
per_second(mono_t span)
{
	return (double)BATCH * NSEC_PER_SEC / (double)(span > 0 ? span : 1);
}

/* Returns the lower ratio. */
static double
bench(enum session_cipher cipher, const char *name)
{
	mono_t best[VARIANTS];
	double pps[VARIANTS], seal, open;

	for (int v = 0; v < VARIANTS; v++)
		best[v] = MONO_NEVER;
	setup(cipher);
	for (int round = 0; round < ROUNDS; round++)
		for (int v = 0; v < VARIANTS; v++) {
			mono_t span;

			if (cipher == SESSION_NONE && v != SEAL && v != OPEN)
				continue;
			span = measure(v);
			if (span < best[v])
				best[v] = span;
		}
	teardown();
	for (int v = 0; v < VARIANTS; v++)
		pps[v] = per_second(best[v]);
	seal = pps[SEAL] / pps[EVP_SEAL];
	open = pps[OPEN] / pps[EVP_OPEN];
	if (cipher == SESSION_NONE) {
		printf("%-18s %9.0f %9s %6s %9.0f %9s %6s\n", name, pps[SEAL],
		    "-", "-", pps[OPEN], "-", "-");
		return 1;
	}
	printf("%-18s %9.0f %9.0f %6.3f %9.0f %9.0f %6.3f\n", name, pps[SEAL],
	    pps[EVP_SEAL], seal, pps[OPEN], pps[EVP_OPEN], open);
	return seal < open ? seal : open;
}

int
main(int argc, char **argv)
{
	double wanted = argc > 1 ? atof(argv[1]) : 0, lowest = 1;

	require(crypto_init() == 0);
	printf("%d-byte packets a second\n", PACKET_LEN);
	printf("%-18s %9s %9s %6s %9s %9s %6s\n", "cipher", "seal", "bare EVP",
	    "ratio", "open", "bare EVP", "ratio");
	for (size_t i = 0; i < nitems_of(ciphers); i++) {
		double ratio = bench(ciphers[i].cipher, ciphers[i].name);

		if (ratio < lowest)
			lowest = ratio;
	}
	crypto_cleanup();
	return lowest < wanted ? 1 : 0;
}
