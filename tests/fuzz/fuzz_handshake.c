/*
 * Handshake messages of a peer that knows the password and lies about all else
 * (the MAC is put right), and of one that does not know it.  The first byte
 * says which: bits 0-1 what the message is meant as, bit 2 cipher none, bit 3
 * leave the MAC as it is.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/crypto.h"
#include "tunnel/handshake.h"
#include "tunnel/hs_msg.h"

#define EPOCH 7

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AS_HELLO, AS_ANSWER, AS_AUTH, AS_ANYTHING };

static struct hs_keys keys;
static uint8_t next_random;
static struct hs_local client, server;
static struct hs_client attempt;
static struct hs_pending pending;

static void
count_up(void *ctx, void *buf, size_t len)
{
	uint8_t *next = ctx, *out = buf;

	while (len-- > 0)
		*out++ = (*next)++;
}

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t psk[HS_PSK_LEN] = { 1, 2, 3 };

	(void)argc;
	(void)argv;
	require(crypto_init() == 0);
	require(hs_keys_init(&keys, psk, "a password") == 0);
	return 0;
}

static void
make_ends(bool clear)
{
	uint8_t ciphers =
	    clear ? HS_ONLY_NONE
		  : 1 << SESSION_AES_256_GCM | 1 << SESSION_CHACHA20_POLY1305;

	next_random = 0;
	client = (struct hs_local){ .ciphers = ciphers,
		.instance = 1,
		.mtu_bytes = 1440,
		.name = "adsl1",
		.random = count_up,
		.random_ctx = &next_random };
	server = client;
	server.server = true;
	server.instance = 2;
	server.epoch = EPOCH;
}

/* What the log would be given. */
static void
check_texts(enum hs_result r, const struct hs_peer *peer)
{
	char text[64];

	require(strlen(hs_result_text(r)) > 0);
	hs_mismatch_text(text, sizeof(text), r, &server, peer);
	for (const char *p = text; *p != '\0'; p++)
		require(*p >= ' ' && *p <= '~');
}

static void
try_hello(const uint8_t *msg, size_t len)
{
	struct hs_pending p = { 0 };
	enum hs_result r = hs_server_hello(&p, &keys, &server, msg, len, 1);

	require(p.used == (r == HS_OK));
	require(p.session.used == (r == HS_OK));
	require((p.reply[0] != 0) == (r == HS_OK || hs_is_mismatch(r)));
	check_texts(r, &p.peer);
	hs_same_role(&keys, &client, msg, len);
	hs_pending_clear(&p);
}

static void
try_answer(const uint8_t *msg, size_t len)
{
	struct hs_agreement a = { 0 };
	enum hs_result r = hs_client_answer(&attempt, msg, len, &a, 1);

	require(a.session.used == (r == HS_OK));
	require(attempt.active == (r != HS_OK));
	require(a.auth[0] == 0 || a.session.cipher == SESSION_NONE);
	check_texts(r, &a.peer);
	session_clear(&a.session);
}

static void
try_auth(const uint8_t *msg, size_t len)
{
	bool before = pending.authenticated;
	enum hs_result r = hs_server_auth(&pending, msg, len);

	require(pending.authenticated == (before || r == HS_OK));
}

/* Gives msg the MAC that it needs to be looked at. */
static void
sign(uint8_t *msg, unsigned as)
{
	unsigned role = as == AS_ANSWER ? 1 : 0;

	require(hs_msg_sign(msg, keys.mac[role],
		    as == AS_HELLO ? NULL : attempt.hello) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t msg[HS_LEN + 8];
	unsigned as, flags;
	size_t len;

	if (size == 0)
		return 0;
	flags = data[0];
	as = flags & 3;
	len = size - 1 < sizeof(msg) ? size - 1 : sizeof(msg);
	memcpy(msg, data + 1, len);
	make_ends((flags & 4) != 0);
	require(hs_client_start(&attempt, &keys, &client, 1) == 0);
	require(hs_server_hello(&pending, &keys, &server, attempt.hello, HS_LEN,
		    1) == HS_OK);
	if (len == HS_LEN && as != AS_ANYTHING && (flags & 8) == 0)
		sign(msg, as);
	if (as == AS_HELLO || as == AS_ANYTHING)
		try_hello(msg, len);
	if (as == AS_AUTH || as == AS_ANYTHING)
		try_auth(msg, len);
	if (as == AS_ANSWER || as == AS_ANYTHING)
		try_answer(msg, len);
	hs_client_clear(&attempt);
	hs_pending_clear(&pending);
	return 0;
}
