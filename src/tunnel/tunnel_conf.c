/*
 * What the parent tells the tunnel: its birth, keys, sockets, addresses and a
 * new configuration.
 */
#include "config.h"

#include <netinet/in.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/util.h"
#include "tunnel/tunnel.h"

#define OLD_PASSWORD (600 * NSEC_PER_SEC)
#define SIZE_LOG_PERIOD (30 * NSEC_PER_SEC)

static void reload_link(struct tunnel *, unsigned, enum conf_link_change,
    const struct conf_link *, mono_t);

/* --- birth and death --- */

/* A packet whose turn has come. */
static void
play_out(void *ctx, struct pktbuf *pb, mono_t now)
{
	struct tunnel *t = ctx;

	playout_input(t->playout, pb, now);
}

/* A packet whose time has come, for the device. */
static void
deliver(void *ctx, struct pktbuf *pb)
{
	struct tunnel *t = ctx;

	t->stats.rx_packets++;
	t->stats.rx_bytes += pb->len;
	t->ops.deliver(t->ops.ctx, pb);
}

/*
 * All of the pool, and no more, so that none takes another's part, but for the
 * pool's own reserve.  Buffers are half as large again as full packets: 3/8 are
 * what the queue's limit, 1/4 in bytes of packets (shape.c), takes.
 */
static void
share_memory(struct pktbuf_pool *pool, size_t memory)
{
	pktbuf_set_quota(pool, PKTBUF_QUEUE, memory / 8 * 3);
	pktbuf_set_quota(pool, PKTBUF_RETAIN, memory / 4);
	pktbuf_set_quota(pool, PKTBUF_RESEQ, memory / 4);
	pktbuf_set_quota(pool, PKTBUF_PLAYOUT, memory / 8);
}

static int
make_queue(struct tunnel *t)
{
	/* tunnel_retune knows more once a link is up. */
	struct fq_params params = { 0 };
	size_t memory = (size_t)t->conf->memory_bytes;

	t->pool = pktbuf_pool_new(memory);
	if (t->pool == NULL)
		return -1;
	share_memory(t->pool, memory);
	arq_init(t);
	t->fq = fq_new(t->pool, &params);
	t->reseq = reseq_new(t->pool, play_out, t);
	t->playout = playout_new(t->pool, deliver, t);
	return t->fq == NULL || t->reseq == NULL || t->playout == NULL ? -1 : 0;
}

struct tunnel *
tunnel_new(const struct conf *conf, const struct tunnel_ops *ops, mono_t now)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->conf = conf;
	t->ops = *ops;
	t->server = conf->mode == MODE_SERVER;
	t->aes_fast = cpu_has_aes();
	t->started_at = now;
	t->keepalive_due_at = now;
	ops->random(ops->ctx, &t->instance, sizeof(t->instance));
	ops->random(ops->ctx, &t->flow_key, sizeof(t->flow_key));
	if (make_queue(t) == -1) {
		t->conf = NULL; /* stays the caller's */
		tunnel_free(t);
		return NULL;
	}
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (conf->links[i].used)
			link_init(t, &t->links[i], i, &conf->links[i], now);
	return t;
}

void
tunnel_free(struct tunnel *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		session_clear(&t->links[i].cur);
		session_clear(&t->links[i].prev);
		link_hs_reset(&t->links[i]);
		if (t->pool == NULL)
			continue;
		retain_clear(&t->links[i].retain, t->pool);
		parity_drop(&t->links[i].parity_tx, t->pool);
		parity_forget(&t->links[i].parity_rx, t->pool);
	}
	if (t->pool != NULL)
		arq_purge(t);
	hs_keys_clear(&t->keys[0]);
	hs_keys_clear(&t->keys[1]);
	reseq_free(t->reseq);
	playout_free(t->playout);
	fq_free(t->fq);
	pktbuf_pool_free(t->pool);
	conf_free((struct conf *)(uintptr_t)t->conf);
	free(t);
}

void
tunnel_stop(struct tunnel *t, mono_t now)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			link_close(t, &t->links[i], "stopped", now);
}

/* --- what the parent tells --- */

void
tunnel_local(const struct tunnel *t, const struct link *l, struct hs_local *me)
{
	static const uint8_t ciphers[] = {
		[CIPHER_AUTO] =
		    1 << SESSION_AES_256_GCM | 1 << SESSION_CHACHA20_POLY1305,
		[CIPHER_AES_256_GCM] = 1 << SESSION_AES_256_GCM,
		[CIPHER_CHACHA20_POLY1305] = 1 << SESSION_CHACHA20_POLY1305,
		[CIPHER_NONE] = 1 << SESSION_NONE,
	};

	memset(me, 0, sizeof(*me));
	me->server = t->server;
	me->tap = t->conf->tuntap == TUNTAP_TAP;
	me->aes_fast = t->aes_fast;
	me->ciphers = ciphers[t->conf->cipher];
	me->link = (uint8_t)l->slot;
	me->instance = l->instance;
	me->tx_Bps = t->server ? l->conf.download_Bps : l->conf.upload_Bps;
	me->rx_Bps = t->server ? l->conf.upload_Bps : l->conf.download_Bps;
	me->mtu_bytes = (uint16_t)t->mtu_bytes;
	memcpy(me->name, l->conf.name, sizeof(me->name));
	me->random = t->ops.random;
	me->random_ctx = t->ops.ctx;
}

int
tunnel_set_psk(struct tunnel *t, const uint8_t psk[HS_PSK_LEN], mono_t now)
{
	unsigned slot = 1 - t->keys_cur;

	/* Handshakes under way may point at the keys that are overwritten. */
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			link_hs_abandon(&t->links[i]);
	hs_keys_clear(&t->keys[slot]);
	if (hs_keys_init(&t->keys[slot], psk, t->conf->password) == -1)
		return -1;
	t->keys_cur = slot;
	t->old_keys_until = now + OLD_PASSWORD;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used)
			link_hs_renew(t, l, now);
	}
	return 0;
}

void
tunnel_set_mtu(struct tunnel *t, uint32_t mtu_bytes, mono_t now)
{
	bool changed = t->mtu_bytes != 0 && t->mtu_bytes != mtu_bytes;

	t->mtu_bytes = mtu_bytes;
	tunnel_retune(t);
	if (changed)
		tunnel_rekey(t, now);
}

void
tunnel_rekey(struct tunnel *t, mono_t now)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			link_hs_renew(t, &t->links[i], now);
}

static void
lost_socket(struct tunnel *t, struct link *l, int error, mono_t now)
{
	char reason[80] = "socket lost: ";

	strlcat(reason, strerror(error), sizeof(reason));
	if (l->up)
		link_set_down(t, l, reason, now);
	/* It worked until now: ask at once; else the back-off goes on. */
	if (l->family != 0 || l->socket_at == MONO_NEVER)
		l->socket_at = now;
	l->family = 0;
}

bool
tunnel_needs_socket(const struct tunnel *t, unsigned slot)
{
	const struct link *l = &t->links[slot];

	return l->used && (!l->up || l->family == 0);
}

void
tunnel_link_socket(
    struct tunnel *t, unsigned slot, int family, int error, mono_t now)
{
	struct link *l = &t->links[slot];

	if (!l->used)
		return;
	if (family == 0) {
		lost_socket(t, l, error, now);
		return;
	}
	l->family = family;
	if (l->path.peer.sa.sa_family != AF_UNSPEC &&
	    link_map_addr(l, &l->path.peer) == -1)
		memset(&l->path, 0, sizeof(l->path));
	l->path.local.sa.sa_family = AF_UNSPEC;
	if (t->server || l->up) {
		l->socket_at = MONO_NEVER;
		return;
	}
	/* Unless it helps, the next one follows in a while. */
	l->hello_at = now;
}

void
tunnel_link_addrs(struct tunnel *t, unsigned slot, const union addr *addrs,
    size_t n, mono_t now)
{
	struct link *l = &t->links[slot];

	if (!l->used || t->server || n == 0)
		return;
	if (n > LINK_ADDRS_MAX)
		n = LINK_ADDRS_MAX;
	memcpy(l->addrs, addrs, n * sizeof(*addrs));
	l->naddrs = n;
	for (size_t i = 0; i < n; i++)
		addr_set_port(&l->addrs[i], l->conf.remoteport);
	if (!l->up && l->hello_at != MONO_NEVER)
		l->hello_at = now;
}

static bool
is_fatal_to_link(int error)
{
	switch (error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENODEV:
	case ENXIO:
	case EADDRNOTAVAIL:
	case EINVAL: /* our bound address is gone */
	case EBADF:
		return true;
	default:
		return false;
	}
}

void
tunnel_link_error(struct tunnel *t, unsigned slot, int error, mono_t now)
{
	struct link *l = &t->links[slot];
	char reason[80];

	if (!l->used)
		return;
	l->stats.drop_send++;
	if (error == EMSGSIZE) {
		log_limited(&l->log_size, now, SIZE_LOG_PERIOD,
		    "link %s: a packet is too long for its interface: lower mtu",
		    l->conf.name);
		return;
	}
	if (!l->up || !is_fatal_to_link(error))
		return;
	strlcpy(reason, "send error: ", sizeof(reason));
	strlcat(reason, strerror(error), sizeof(reason));
	link_set_down(t, l, reason, now);
}

/* Where the socket was full, it is no try that was in vain: it never left.  The
 * first one stays, as it gave the packet its place. */
static void
refused_for_now(void *ctx, const struct retain_entry *e)
{
	if (e->pb != NULL && e->pb->sends > 1)
		e->pb->sends--;
	arq_lost(ctx, e);
}

void
tunnel_link_refused(struct tunnel *t, unsigned slot, const uint8_t *dgram,
    size_t len, int error, mono_t now)
{
	struct link *l = &t->links[slot];
	struct arq_loss loss = { t, now, false };
	struct wire_header h;
	retain_lost_fn *lost = arq_lost;

	if (!l->used)
		return;
	if (error == EAGAIN || error == ENOBUFS)
		lost = refused_for_now;
	if (wire_get_header(&h, dgram, len) == 0 && h.type == WIRE_DATA)
		retain_refused(&l->retain, t->pool, h.seq, lost, &loss);
	tunnel_link_error(t, slot, error, now);
}

/* --- reload --- */

void
tunnel_reload(struct tunnel *t, const struct conf *next, mono_t now)
{
	const struct conf *old = t->conf;
	struct conf_diff diff;

	conf_diff(old, next, &diff);
	t->conf = next;
	for (unsigned i = 0; i < LINKS_MAX; i++)
		reload_link(t, i, diff.links[i], &next->links[i], now);
	if (diff.cipher)
		tunnel_rekey(t, now);
	tunnel_retune(t);
	conf_free((struct conf *)(uintptr_t)old);
}

static void
reload_link(struct tunnel *t, unsigned slot, enum conf_link_change change,
    const struct conf_link *conf, mono_t now)
{
	struct link *l = &t->links[slot];

	switch (change) {
	case LINK_SAME:
		if (l->used)
			l->conf = *conf; /* its line in the file may differ */
		break;
	case LINK_ADDED:
		link_init(t, l, slot, conf, now);
		break;
	case LINK_REMOVED:
		link_close(t, l, "removed", now);
		break;
	case LINK_TUNED:
		link_tune(t, l, conf, now);
		break;
	case LINK_REPLACED:
	case LINK_MOVED:
		link_close(t, l, "reconfigured", now);
		link_init(t, l, slot, conf, now);
		break;
	}
}
