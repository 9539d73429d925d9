/*
 * The slow step from password to key, in a child: it takes 32 MiB and
 * libcrypto, neither of which the parent wants to keep.
 */
#ifndef MLVPN_PRIV_KDF_H
#define MLVPN_PRIV_KDF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "priv/child.h"
#include "tunnel/handshake.h"

struct kdf {
	const struct child_user *user;
	/* password and this are wiped only after the child has it */
	char password[256];
	struct child child;
	bool wanted;
	mono_t retry_at;
	/* key is NULL when it failed; kdf tries again by itself */
	void (*done)(void *ctx, const uint8_t *key);
	void *ctx;
};

void kdf_init(struct kdf *k, const struct child_user *user,
    void (*done)(void *ctx, const uint8_t *key), void *ctx);
/* Derives the key of password; a running derivation is given up. */
void kdf_start(struct kdf *k, const char *password, mono_t now);
/* Is a child at work?  Not while waiting after a failure. */
bool kdf_busy(const struct kdf *k);
mono_t kdf_run(struct kdf *k, mono_t now);
void kdf_close(struct kdf *k);

#endif
