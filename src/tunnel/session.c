/*
 * Sealing and opening of packets with one set of keys.  The contexts are set up
 * once; a packet costs one initialisation with its nonce, one pass over inner
 * header and packet, and the tag.
 */
#include "config.h"

#include <string.h>

#include <openssl/crypto.h>

#include "tunnel/crypto.h"
#include "tunnel/session.h"

static int
dir_init(struct session_dir *d, const EVP_CIPHER *cipher,
    const uint8_t key[SESSION_KEY_LEN + SESSION_IV_LEN], int encrypt)
{
	memcpy(d->iv, key + SESSION_KEY_LEN, SESSION_IV_LEN);
	if (cipher == NULL || (d->ctx = EVP_CIPHER_CTX_new()) == NULL)
		return -1;
	if (EVP_CipherInit_ex(d->ctx, cipher, NULL, key, d->iv, encrypt) != 1)
		return -1;
	return 0;
}

int
session_init(struct session *s, uint8_t epoch, enum session_cipher cipher,
    const uint8_t tx[SESSION_KEY_LEN + SESSION_IV_LEN],
    const uint8_t rx[SESSION_KEY_LEN + SESSION_IV_LEN], mono_t now)
{
	const EVP_CIPHER *c = NULL;

	if (cipher == SESSION_AES_256_GCM)
		c = crypto_aes_256_gcm();
	else if (cipher == SESSION_CHACHA20_POLY1305)
		c = crypto_chacha20_poly1305();
	memset(s, 0, sizeof(*s));
	if (dir_init(&s->tx, c, tx, 1) == -1 ||
	    dir_init(&s->rx, c, rx, 0) == -1) {
		session_clear(s);
		return -1;
	}
	s->used = true;
	s->epoch = epoch;
	s->cipher = cipher;
	s->created_at = now;
	replay_init(&s->replay);
	return 0;
}

int
session_init_clear(struct session *s, uint8_t epoch, uint64_t tx_session,
    uint64_t rx_session, mono_t now)
{
	memset(s, 0, sizeof(*s));
	s->used = true;
	s->epoch = epoch;
	s->cipher = SESSION_NONE;
	s->tx.session = tx_session;
	s->rx.session = rx_session;
	s->created_at = now;
	replay_init(&s->replay);
	return 0;
}

void
session_clear(struct session *s)
{
	EVP_CIPHER_CTX_free(s->tx.ctx);
	EVP_CIPHER_CTX_free(s->rx.ctx);
	OPENSSL_cleanse(s, sizeof(*s));
}

void
session_move(struct session *to, struct session *from)
{
	if (to == from)
		return;
	session_clear(to);
	*to = *from;
	OPENSSL_cleanse(from, sizeof(*from));
}

size_t
session_overhead(const struct session *s)
{
	return s->cipher == SESSION_NONE ? WIRE_CLEAR_OVERHEAD
					 : WIRE_SEALED_OVERHEAD;
}

static void
make_nonce(uint8_t nonce[SESSION_IV_LEN], const uint8_t iv[SESSION_IV_LEN],
    uint64_t seq)
{
	memcpy(nonce, iv, SESSION_IV_LEN);
	put_be48(nonce + 6, get_be48(iv + 6) ^ seq);
}

/* out starts with the clear header; len counts the inner header as well. */
static int
encrypt(const struct session_dir *d, uint64_t seq, const uint8_t *plain,
    size_t len, uint8_t *out)
{
	uint8_t nonce[SESSION_IV_LEN];
	uint8_t *sealed = out + WIRE_HEADER_LEN;
	int n;

	make_nonce(nonce, d->iv, seq);
	if (EVP_EncryptInit_ex(d->ctx, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_EncryptUpdate(d->ctx, NULL, &n, out, WIRE_HEADER_LEN) != 1 ||
	    EVP_EncryptUpdate(d->ctx, sealed, &n, plain, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(d->ctx, sealed + len, &n) != 1)
		return -1;
	if (EVP_CIPHER_CTX_ctrl(
		d->ctx, EVP_CTRL_AEAD_GET_TAG, WIRE_TAG_LEN, sealed + len) != 1)
		return -1;
	return 0;
}

/* In place; len counts the inner header but not the tag behind it. */
static int
decrypt(const struct session_dir *d, uint64_t seq, uint8_t *dgram, size_t len)
{
	uint8_t nonce[SESSION_IV_LEN];
	uint8_t *sealed = dgram + WIRE_HEADER_LEN;
	int n;

	make_nonce(nonce, d->iv, seq);
	if (EVP_DecryptInit_ex(d->ctx, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_CIPHER_CTX_ctrl(
		d->ctx, EVP_CTRL_AEAD_SET_TAG, WIRE_TAG_LEN, sealed + len) != 1)
		return -1;
	if (EVP_DecryptUpdate(d->ctx, NULL, &n, dgram, WIRE_HEADER_LEN) != 1 ||
	    EVP_DecryptUpdate(d->ctx, sealed, &n, sealed, (int)len) != 1 ||
	    EVP_DecryptFinal_ex(d->ctx, sealed + len, &n) != 1)
		return -1;
	return 0;
}

size_t
session_seal(struct session *s, enum wire_type type, uint64_t seq,
    const struct wire_inner *inner, uint8_t *packet, size_t len, uint8_t *out)
{
	struct wire_header h = { (uint8_t)type, s->epoch, seq };
	uint8_t *plain = packet - WIRE_INNER_LEN;
	size_t plain_len = WIRE_INNER_LEN + len;

	if (!s->used || seq > WIRE_SEQ_MAX || len > UINT16_MAX ||
	    !wire_is_sealed((uint8_t)type))
		return 0;
	wire_put_header(out, &h);
	wire_put_inner(plain, type == WIRE_CONTROL, inner);
	if (s->cipher == SESSION_NONE) {
		put_be64(out + WIRE_HEADER_LEN, s->tx.session);
		memcpy(
		    out + WIRE_HEADER_LEN + WIRE_SESSION_LEN, plain, plain_len);
	} else if (encrypt(&s->tx, seq, plain, plain_len, out) == -1) {
		return 0;
	}
	s->tx_packets++;
	return session_overhead(s) + len;
}

static bool
authentic(struct session *s, const struct wire_header *h, uint8_t *dgram,
    size_t plain_len)
{
	uint8_t session[WIRE_SESSION_LEN];

	if (s->cipher != SESSION_NONE)
		return decrypt(&s->rx, h->seq, dgram, plain_len) == 0;
	put_be64(session, s->rx.session);
	return CRYPTO_memcmp(
		   session, dgram + WIRE_HEADER_LEN, sizeof(session)) == 0;
}

enum session_result
session_open(struct session *s, const struct wire_header *h, uint8_t *dgram,
    size_t len, struct wire_inner *inner, uint8_t **packet, size_t *packet_len)
{
	uint8_t *plain = dgram + WIRE_HEADER_LEN;
	size_t overhead = session_overhead(s);

	*inner = (struct wire_inner){ 0 };
	*packet = NULL;
	*packet_len = 0;
	if (!s->used || len < overhead || len > UINT16_MAX ||
	    !wire_is_sealed(h->type))
		return SESSION_MALFORMED;
	if (!authentic(s, h, dgram, len - overhead + WIRE_INNER_LEN))
		return SESSION_BAD_AUTH;
	if (!replay_accept(&s->replay, h->seq))
		return SESSION_REPLAYED;
	if (s->cipher == SESSION_NONE)
		plain += WIRE_SESSION_LEN;
	s->rx_packets++;
	wire_get_inner(inner, h->type == WIRE_CONTROL, plain);
	*packet = plain + WIRE_INNER_LEN;
	*packet_len = len - overhead;
	return SESSION_OK;
}
