/*
 * scrypt in a child that writes 32 bytes.  A failure (memory, a loaded machine)
 * is tried again until it works: a changed password must come into force.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "priv/kdf.h"

#include "base/log.h"
#include "tunnel/crypto.h"

#define TIME_LIMIT (30 * NSEC_PER_SEC)
#define RETRY (10 * NSEC_PER_SEC)

void
kdf_init(struct kdf *k, const struct child_user *user,
    void (*done)(void *ctx, const uint8_t *key), void *ctx)
{
	memset(k, 0, sizeof(*k));
	child_init(&k->child);
	k->user = user;
	k->done = done;
	k->ctx = ctx;
}

/* Runs in the child; password is its own copy, on its stack. */
static int
derive(int out, void *arg)
{
	uint8_t key[HS_PSK_LEN];

	if (crypto_init() == -1)
		return 2;
	if (hs_derive_psk(arg, key) == -1)
		return 1;
	return write(out, key, sizeof(key)) == (ssize_t)sizeof(key) ? 0 : 1;
}

static void
start(struct kdf *k, mono_t now)
{
	char password[sizeof(k->password)];

	/* A copy: the child wipes what it shares with us, k included. */
	strlcpy(password, k->password, sizeof(password));
	if (child_start(
		&k->child, k->user, derive, password, now + TIME_LIMIT) == -1) {
		log_warn("password: can't start a process");
		k->retry_at = now + RETRY;
	}
	explicit_bzero(password, sizeof(password));
}

void
kdf_start(struct kdf *k, const char *password, mono_t now)
{
	child_kill(&k->child);
	strlcpy(k->password, password, sizeof(k->password));
	k->wanted = true;
	start(k, now);
}

bool
kdf_busy(const struct kdf *k)
{
	return k->child.pid != 0;
}

mono_t
kdf_run(struct kdf *k, mono_t now)
{
	uint8_t key[HS_PSK_LEN];
	char text[CHILD_STATUS_MAX];
	int status = 0;
	size_t len;

	if (!k->wanted)
		return MONO_NEVER;
	child_check(&k->child, now);
	if (child_ended(&k->child, &status, key, sizeof(key), &len)) {
		if (status == 0 && len == sizeof(key)) {
			k->wanted = false;
			explicit_bzero(k->password, sizeof(k->password));
			k->done(k->ctx, key);
			explicit_bzero(key, sizeof(key));
			return MONO_NEVER;
		}
		log_warnx("password: deriving the key failed (%s), trying"
			  " again",
		    child_status_text(status, text, sizeof(text)));
		k->retry_at = now + RETRY;
		k->done(k->ctx, NULL);
	} else if (k->child.pid == 0 && now >= k->retry_at) {
		start(k, now);
	}
	return k->child.pid != 0 ? k->child.kill_at : k->retry_at;
}

void
kdf_close(struct kdf *k)
{
	child_kill(&k->child);
	explicit_bzero(k->password, sizeof(k->password));
	k->wanted = false;
}
