/*
 * One key epoch of a link: what a completed handshake yields.  Seals and opens
 * packets in both directions.  With cipher none it writes and checks session
 * numbers instead.
 */
#ifndef MLVPN_TUNNEL_SESSION_H
#define MLVPN_TUNNEL_SESSION_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/replay.h"
#include "tunnel/wire.h"

#define SESSION_KEY_LEN 32
#define SESSION_IV_LEN 12

/* As negotiated: a subset of enum conf_cipher without auto; on the wire too. */
enum session_cipher {
	SESSION_AES_256_GCM = 1,
	SESSION_CHACHA20_POLY1305 = 2,
	SESSION_NONE = 3
};

struct session_dir {
	EVP_CIPHER_CTX *ctx;	    /* NULL with cipher none */
	uint8_t iv[SESSION_IV_LEN]; /* xored with the sequence */
	uint64_t session; /* cipher none: number that the packets carry */
};

struct session {
	bool used;
	uint8_t epoch;
	enum session_cipher cipher;
	struct session_dir tx, rx;
	struct replay replay; /* of rx */
	mono_t created_at;
	uint64_t tx_packets, rx_packets; /* sealed, opened with these keys */
};

enum session_result {
	SESSION_OK,
	SESSION_MALFORMED,
	SESSION_BAD_AUTH, /* tag or session number is wrong */
	SESSION_REPLAYED
};

/*
 * Sets up the AEAD; key and iv of each direction.  -1 when libcrypto fails.
 * *s is overwritten: it must be zeroed or cleared.
 */
int session_init(struct session *s, uint8_t epoch, enum session_cipher cipher,
    const uint8_t tx[SESSION_KEY_LEN + SESSION_IV_LEN],
    const uint8_t rx[SESSION_KEY_LEN + SESSION_IV_LEN], mono_t now);
/* Cipher none: the numbers that packets carry each way. */
int session_init_clear(struct session *s, uint8_t epoch, uint64_t tx_session,
    uint64_t rx_session, mono_t now);
/* Frees and wipes; fine on a zeroed struct. */
void session_clear(struct session *s);
/* Clears *to and puts *from in its place; *from is empty afterwards. */
void session_move(struct session *to, struct session *from);
/* Bytes that sealing adds to an inner packet: 32, or 24 with cipher none. */
size_t session_overhead(const struct session *s);
/*
 * Writes a whole datagram to out: header, inner header, the len bytes at
 * packet (not in place), tag.  The WIRE_INNER_LEN bytes before packet are
 * scratch (headroom): the inner header is written there so that one pass
 * encrypts both.  Returns its length, 0 when libcrypto fails, seq is above
 * WIRE_SEQ_MAX or type is none that is sealed.
 */
size_t session_seal(struct session *s, enum wire_type type, uint64_t seq,
    const struct wire_inner *inner, uint8_t *packet, size_t len, uint8_t *out);
/*
 * Opens a datagram in place; the caller has matched the epoch of its header h.
 * On SESSION_OK *inner is filled and *packet, *packet_len point at the inner
 * packet inside dgram; the replay window has noted the sequence.  Otherwise
 * they are empty and what dgram holds is not to be looked at.
 */
enum session_result session_open(struct session *s, const struct wire_header *h,
    uint8_t *dgram, size_t len, struct wire_inner *inner, uint8_t **packet,
    size_t *packet_len);

#endif
