/*
 * Two messages that make a session, a third with cipher none.  All have one
 * length and layout, so an answer is never longer than its question, and all
 * end in a MAC under a key of the shared password: without it nothing is
 * computed or answered.
 *
 * offset length field (HELLO, REPLY, REJECT, AUTH)
 *   0    1  type
 *   1    1  version
 *   2    1  role and device: bit 0 server, bit 1 tap, bit 2 AES is fast here
 *   3    1  ciphers: HELLO, REJECT a mask of 1 << enum session_cipher;
 *           REPLY, AUTH the chosen one
 *   4    1  epoch (REPLY, AUTH: chosen by the server)
 *   5    1  link number of the client, 0-15
 *   6    1  reason (REJECT)
 *   7    1  reserved, 0
 *   8    8  instance: 48 bits are random for the sender's process, 16 count
 *           the links that began in it
 *  16    8  rate at which the sender wants to send, bytes/s, 0 not said
 *  24    8  rate at which it wants to receive
 *  32    2  mtu of its tunnel device
 *  34   16  link name, zero padded
 *  50    6  reserved, 0
 *  56   32  X25519 public key; cipher none: challenge 20, session number 8,
 *           then 4 zero
 *  88   20  cipher none, REPLY and AUTH: SHA1(password + challenge), else 0
 * 108    4  reserved, 0
 * 112   16  MAC: HMAC-SHA256 cut to 16 bytes; REPLY, REJECT, AUTH: over the
 *           client's HELLO followed by this message, so they answer only it
 *
 * MAC key of a role = HKDF-SHA256(psk, "mlvpn v1 hello client" or "...
 * server"): a message reflected to its sender is refused.  A version mismatch
 * is found after the MAC, which every version keeps in the last 16 of 128
 * bytes; type, version and reason stay where they are, too.
 *
 * Session keys = HKDF-SHA256(ikm = X25519 secret || psk, no salt, info = label
 * || SHA-256(HELLO || REPLY, both whole as sent)), key 32 and iv 12 bytes,
 * label "mlvpn v1 client to server" or "mlvpn v1 server to client".
 *
 * Reserved bytes are sent as 0 and ignored when received: the MAC covers them.
 */
#ifndef MLVPN_TUNNEL_HANDSHAKE_H
#define MLVPN_TUNNEL_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/session.h"

#define HS_LEN 128
/* The part of an instance that tells links of one process apart. */
#define HS_LIFE_MASK UINT64_C(0xffff)
#define HS_PSK_LEN 32
#define HS_NAME_LEN 16
#define HS_CHALLENGE_LEN 20
#define HS_ANSWER_LEN 20

typedef void hs_random_fn(void *ctx, void *buf, size_t len);

enum hs_result {
	HS_OK,
	HS_MALFORMED,	  /* silence */
	HS_BAD_MAC,	  /* silence: stranger or wrong password */
	HS_STALE,	  /* silence: an answer to something else */
	HS_BAD_CHALLENGE, /* cipher none: wrong SHA1 answer; silence */
	HS_FAILED,	  /* libcrypto or memory; silence */
	/* settings that do not match: the server answers REJECT */
	HS_VERSION,
	HS_ROLE, /* both are clients or both servers */
	HS_TUNTAP,
	HS_CIPHER,
	HS_NAME
};

/* Keys of one password, computed once; wiped by hs_keys_clear. */
struct hs_keys {
	bool valid;
	uint8_t psk[HS_PSK_LEN];
	uint8_t mac[2][32]; /* by role of the sender: 0 client, 1 server */
	char password[256]; /* for the founding challenge of cipher none */
};

/* What we say about ourselves. */
struct hs_local {
	bool server;
	bool tap;
	bool aes_fast;
	uint8_t ciphers; /* mask of 1 << enum session_cipher */
	uint8_t link;	 /* client: 0-15 */
	uint8_t epoch;	 /* server: of the next session */
	uint64_t instance;
	uint64_t tx_Bps, rx_Bps;
	uint16_t mtu_bytes;
	char name[HS_NAME_LEN + 1];
	hs_random_fn *random;
	void *random_ctx;
};

/* What the peer said about itself; valid once the MAC was right. */
struct hs_peer {
	uint8_t version;
	bool server;
	bool tap;
	bool aes_fast;
	uint8_t ciphers; /* mask; enum session_cipher in REPLY and AUTH */
	uint8_t link;
	uint8_t epoch;
	uint8_t reason; /* enum hs_result in a REJECT */
	uint64_t instance;
	uint64_t tx_Bps, rx_Bps;
	uint16_t mtu_bytes;
	char name[HS_NAME_LEN + 1];
};

/* Client: one attempt; the same HELLO is repeated until it is answered. */
struct hs_client {
	bool active;
	mono_t started_at;
	const struct hs_keys *keys; /* those of the HELLO; outlive this */
	struct hs_local me;	    /* as the HELLO says it */
	uint8_t private_key[32];
	uint8_t challenge[HS_CHALLENGE_LEN]; /* ours */
	uint64_t rx_session;
	uint8_t hello[HS_LEN];
};

/* Client: what an answer yields. */
struct hs_agreement {
	struct session session;
	struct hs_peer peer;
	uint8_t auth[HS_LEN]; /* cipher none: to be sent; else auth[0] is 0 */
};

/* Server: one HELLO answered, waiting for the first packet under its keys. */
struct hs_pending {
	bool used;
	mono_t created_at;
	mono_t answered_at; /* for one answer a second */
	bool authenticated; /* cipher none: AUTH was right; else true */
	const struct hs_keys *keys;
	struct session session; /* not yet in force */
	struct hs_peer peer;
	uint8_t challenge[HS_CHALLENGE_LEN]; /* ours, for AUTH */
	uint8_t hello[HS_LEN];
	uint8_t reply[HS_LEN];
};

/* Derives the MAC keys; -1 when libcrypto fails. */
int hs_keys_init(
    struct hs_keys *k, const uint8_t psk[HS_PSK_LEN], const char *password);
void hs_keys_clear(struct hs_keys *k);
/* The slow step, about 0.1 s and 32 MiB: for a short-lived child only. */
int hs_derive_psk(const char *password, uint8_t psk[HS_PSK_LEN]);

/* Client: starts an attempt; c->hello is what to send.  -1: libcrypto. */
int hs_client_start(struct hs_client *c, const struct hs_keys *keys,
    const struct hs_local *me, mono_t now);
/*
 * Client: takes a REPLY or REJECT.  HS_OK: the session of *a, which must be
 * zeroed or cleared before, is in force, the attempt is over, and with cipher
 * none auth is to be sent until the server uses the session.  A mismatch named
 * by a REJECT, or seen in a REPLY, is returned as its enum with the peer of *a
 * filled; the attempt goes on, as the server's file may change.
 */
enum hs_result hs_client_answer(struct hs_client *c, const uint8_t *msg,
    size_t len, struct hs_agreement *a, mono_t now);
void hs_client_clear(struct hs_client *c);

/*
 * Server: checks a HELLO.  HS_OK: p is used and holds session and reply under
 * the epoch of me.  On a mismatch (hs_is_mismatch) p is not used, p->reply
 * holds the REJECT to send and p->peer what the client said.  Otherwise there
 * is nothing to send, and before the MAC was right p is not touched.
 */
enum hs_result hs_server_hello(struct hs_pending *p, const struct hs_keys *keys,
    const struct hs_local *me, const uint8_t *msg, size_t len, mono_t now);
/* Only the MAC of a HELLO: cheap, before any other work. */
enum hs_result hs_check_hello(
    const struct hs_keys *keys, const uint8_t *msg, size_t len);
/* Server: is this the HELLO that p answered?  Then p->reply is its answer. */
bool hs_pending_is(const struct hs_pending *p, const uint8_t *msg, size_t len);
/* Server, cipher none: the client's answer; HS_OK sets p->authenticated.  The
 * client repeats it: HS_OK again while p lives. */
enum hs_result hs_server_auth(
    struct hs_pending *p, const uint8_t *msg, size_t len);
void hs_pending_clear(struct hs_pending *p);
/*
 * A HELLO with a right MAC from another process of our own role: on a client
 * that receives one, the peer is a client as well.  For the log only: nothing
 * is answered.
 */
bool hs_same_role(const struct hs_keys *keys, const struct hs_local *me,
    const uint8_t *msg, size_t len);
/* Settings of both ends do not match: HS_VERSION to HS_NAME. */
bool hs_is_mismatch(enum hs_result r);
/* A few words for a result, e.g. "wrong password or damaged". */
const char *hs_result_text(enum hs_result r);
/*
 * A sentence for the log about a mismatch, with the advice what to change, e.g.
 * "peer has tap, this end has tun: make tuntap equal in both files".
 */
void hs_mismatch_text(char *buf, size_t size, enum hs_result r,
    const struct hs_local *me, const struct hs_peer *peer);

#endif
