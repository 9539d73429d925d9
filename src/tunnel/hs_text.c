/*
 * What the log says about a handshake that did not succeed: in the words of the
 * configuration file, and always with what to change.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tunnel/hs_msg.h"

static const char *const result_texts[] = {
	[HS_OK] = "agreed",
	[HS_MALFORMED] = "malformed",
	[HS_BAD_MAC] = "wrong password or damaged",
	[HS_STALE] = "answer to something else",
	[HS_BAD_CHALLENGE] = "wrong answer to the challenge",
	[HS_FAILED] = "cryptography failed",
	[HS_VERSION] = "protocol versions differ",
	[HS_ROLE] = "both ends have the same mode",
	[HS_TUNTAP] = "tuntap differs",
	[HS_CIPHER] = "no cipher in common",
	[HS_NAME] = "link names differ",
};

static const struct {
	enum session_cipher cipher;
	const char *name;
} cipher_names[] = {
	{ SESSION_AES_256_GCM, "aes-256-gcm" },
	{ SESSION_CHACHA20_POLY1305, "chacha20-poly1305" },
	{ SESSION_NONE, "none" },
};

#define CIPHER_TEXT_MAX 64

bool
hs_is_mismatch(enum hs_result r)
{
	return r >= HS_VERSION && r <= HS_NAME;
}

const char *
hs_result_text(enum hs_result r)
{
	if ((size_t)r >= nitems_of(result_texts))
		return "unknown";
	return result_texts[r];
}

/* "aes-256-gcm or chacha20-poly1305" */
static const char *
cipher_text(char buf[CIPHER_TEXT_MAX], uint8_t mask)
{
	buf[0] = '\0';
	for (size_t i = 0; i < nitems_of(cipher_names); i++) {
		if ((mask & 1 << cipher_names[i].cipher) == 0)
			continue;
		if (buf[0] != '\0')
			strlcat(buf, " or ", CIPHER_TEXT_MAX);
		strlcat(buf, cipher_names[i].name, CIPHER_TEXT_MAX);
	}
	return buf[0] == '\0' ? "an unknown cipher" : buf;
}

static void
cipher_sentence(char *buf, size_t size, const struct hs_local *me,
    const struct hs_peer *peer)
{
	char theirs[CIPHER_TEXT_MAX], ours[CIPHER_TEXT_MAX];

	snprintf(buf, size,
	    "peer accepts cipher %s, this end %s: make cipher equal in both "
	    "files",
	    cipher_text(theirs, peer->ciphers), cipher_text(ours, me->ciphers));
}

void
hs_mismatch_text(char *buf, size_t size, enum hs_result r,
    const struct hs_local *me, const struct hs_peer *peer)
{
	switch (r) {
	case HS_VERSION:
		snprintf(buf, size,
		    "peer speaks protocol version %u, this end %u: install the "
		    "same release of mlvpn on both",
		    peer->version, WIRE_VERSION);
		break;
	case HS_ROLE:
		snprintf(buf, size,
		    "both ends have mode = %s: set mode = client in one file "
		    "and mode = server in the other",
		    me->server ? "server" : "client");
		break;
	case HS_TUNTAP:
		snprintf(buf, size,
		    "peer has %s, this end has %s: make tuntap equal in both "
		    "files",
		    peer->tap ? "tap" : "tun", me->tap ? "tap" : "tun");
		break;
	case HS_CIPHER:
		cipher_sentence(buf, size, me, peer);
		break;
	case HS_NAME:
		snprintf(buf, size,
		    "peer calls this link %s, this end %s: give its section "
		    "the same name in both files",
		    peer->name, me->name);
		break;
	default:
		snprintf(buf, size, "%s", hs_result_text(r));
		break;
	}
}
