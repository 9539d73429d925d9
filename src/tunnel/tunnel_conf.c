/*
 * What the parent tells the tunnel: its birth, keys, sockets, addresses and a
 * new configuration, and what follows from those for the queue.
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
#define CODEL_TARGET (5 * NSEC_PER_MSEC)
/* BBR remembers the old rate for ten round trips, which are long now. */
#define SHRUNK_PATIENCE (2 * NSEC_PER_SEC)
#define SHRUNK_GAP (10 * NSEC_PER_SEC)
#define LOSSY 0.002
#define REPAIR_TIME (5 * NSEC_PER_MSEC) /* of a loss, beyond a round trip */
#define CODEL_INTERVAL (100 * NSEC_PER_MSEC)
#define QUEUE_MIN (128 * 1024) /* bytes, however slow the lines are */

static void reload_link(struct tunnel *, unsigned, enum conf_link_change,
    const struct conf_link *, mono_t);

/* --- birth and death --- */

/* A packet whose turn has come, for the device. */
static void
deliver(void *ctx, struct pktbuf *pb)
{
	struct tunnel *t = ctx;

	t->stats.rx_packets++;
	t->stats.rx_bytes += pb->len;
	t->ops.deliver(t->ops.ctx, pb);
}

static int
make_queue(struct tunnel *t)
{
	struct fq_params params = {
		.target = CODEL_TARGET,
		.interval = CODEL_INTERVAL,
		.limit_bytes = QUEUE_MIN,
		.quantum_bytes = 1514,
	};
	size_t memory = (size_t)t->conf->memory_bytes;

	t->pool = pktbuf_pool_new(memory);
	if (t->pool == NULL)
		return -1;
	pktbuf_set_quota(t->pool, PKTBUF_QUEUE, memory / 2);
	pktbuf_set_quota(t->pool, PKTBUF_RETAIN, memory / 4);
	pktbuf_set_quota(t->pool, PKTBUF_RESEQ, memory / 4);
	arq_init(t);
	t->fq = fq_new(t->pool, &params);
	t->reseq = reseq_new(t->pool, deliver, t);
	return t->fq == NULL || t->reseq == NULL ? -1 : 0;
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
		if (t->pool != NULL)
			retain_clear(&t->links[i].retain, t->pool);
	}
	if (t->pool != NULL)
		arq_purge(t);
	hs_keys_clear(&t->keys[0]);
	hs_keys_clear(&t->keys[1]);
	reseq_free(t->reseq);
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
	struct arq_loss loss = { t, l, now, false };
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

/* --- the shape of the bond --- */

/* The least and the greatest delay of the links in use, and their rates. */
struct bond_shape {
	mono_t delay_min, delay_max;
	uint64_t rate_Bps;
	mono_t jitter;	    /* the greatest deviation of a delay */
	bool lossy;	    /* packets have to be sent again all the time */
	uint64_t total_Bps; /* with those that are not in use */
	size_t links;
	uint32_t up; /* mask of the wire numbers of links that are up */
};

/* The fittest links carry packets. */
static void
choose_links(struct tunnel *t)
{
	int best = 1;

	t->trials = false;
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (sched_fitness(&t->links[i]) > best)
			best = sched_fitness(&t->links[i]);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		l->in_use = sched_fitness(l) == best;
		t->trials |= l->used && l->up && (l->trial.on || l->quiet);
	}
}

/*
 * Where the peer reports one-way delays, these tell how links compare, exactly;
 * the fastest one's own is half its round trip.
 */
static void
compare_delays(struct tunnel *t)
{
	const struct link *fastest = NULL;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		l->delay_est = l->srtt / 2;
		if (l->in_use && l->delay.known &&
		    (fastest == NULL ||
			delay_diff(&l->delay, &fastest->delay) < 0))
			fastest = l;
	}
	for (unsigned i = 0; fastest != NULL && i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used && l->delay.known)
			l->delay_est = fastest->srtt / 2 +
				       delay_diff(&l->delay, &fastest->delay);
	}
}

/* What the links that are faster than this one can take. */
static uint64_t
faster_than(const struct tunnel *t, const struct link *l)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *o = &t->links[i];

		if (o->in_use && link_delay(o) < link_delay(l))
			sum += o->pacer.rate_Bps;
	}
	return sum == 0 ? 1 : sum;
}

static void
shape_of(struct tunnel *t, struct bond_shape *b)
{
	memset(b, 0, sizeof(*b));
	b->delay_min = MONO_NEVER;
	t->path_mtu_bytes = t->mtu_bytes;
	choose_links(t);
	compare_delays(t);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used)
			b->total_Bps += l->pacer.rate_Bps;
		if (l->used && l->up)
			b->up |= UINT32_C(1) << l->wire_id;
		if (!l->in_use)
			continue;
		b->links++;
		if (l->peer_mtu != 0 && l->peer_mtu < t->path_mtu_bytes)
			t->path_mtu_bytes = l->peer_mtu;
		b->rate_Bps += l->pacer.rate_Bps;
		if (l->delay.var > b->jitter)
			b->jitter = l->delay.var;
		b->lossy |= loss_meter_value(&l->tx_loss) > LOSSY;
		if (link_delay(l) < b->delay_min)
			b->delay_min = link_delay(l);
		l->faster_Bps = faster_than(t, l);
	}
	if (b->links == 0)
		b->delay_min = 0;
	b->delay_max = b->delay_min;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		mono_t delay = link_delay(&t->links[i]);

		if (t->links[i].in_use && delay > b->delay_max &&
		    delay <= b->delay_min + SCHED_SPREAD_MAX)
			b->delay_max = delay;
	}
}

void
tunnel_shrunk(struct tunnel *t, mono_t now)
{
	/* A line that comes and goes must not switch CoDel off. */
	if (t->shrunk_at == 0 || now - t->shrunk_at >= SHRUNK_GAP)
		t->shrunk_at = now;
}

/* rate x span, in bytes; rates up to 1 TB/s and spans up to 10 s fit. */
static uint64_t
bytes_in(uint64_t rate_Bps, mono_t span)
{
	return rate_Bps * (uint64_t)(span / NSEC_PER_USEC) / 1000000;
}

void
tunnel_retune(struct tunnel *t)
{
	struct fq_params p = { .quantum_bytes = 1514 };
	struct bond_shape b;
	mono_t extra, mtu_time = 0;
	uint64_t bytes, most = t->conf->memory_bytes / 4;

	shape_of(t, &b);
	reseq_set_links(t->reseq, b.up);
	if (b.links == 0)
		return;
	t->delay_min = b.delay_min;
	t->delay_max = b.delay_max;
	t->rate_Bps = b.rate_Bps;
	if (b.rate_Bps != 0)
		mtu_time = (mono_t)(1500 * (uint64_t)NSEC_PER_SEC * 3 / 2 /
				    b.rate_Bps);
	p.target = mtu_time > CODEL_TARGET ? mtu_time : CODEL_TARGET;
	/* A flow's round trip is longer by what its packets wait for others:
	 * those of slower lines, late ones, and those that are sent again. */
	extra = b.delay_max - b.delay_min + 2 * b.jitter;
	if (b.lossy)
		extra += 2 * b.delay_min + REPAIR_TIME;
	/* Two resends, each after a report. */
	reseq_set_hold(t->reseq, 4 * b.delay_max + 8 * b.jitter);
	p.target += extra;
	p.interval = CODEL_INTERVAL + extra;
	p.patient_until = t->shrunk_at + SHRUNK_PATIENCE;
	/* Not less when a line fails: what it would have carried waits. */
	bytes = bytes_in(b.total_Bps, p.interval + 2 * b.delay_max);
	if (bytes < QUEUE_MIN)
		bytes = QUEUE_MIN;
	if (bytes > most)
		bytes = most;
	p.limit_bytes = (size_t)bytes;
	fq_set_params(t->fq, &p);
}
