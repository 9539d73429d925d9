/*
 * A link's life between handshakes: what comes in by its socket, what goes out,
 * whether the line is alive.  Liveness rests on evidence that the peer received
 * something from us: each control packet echoes the stamp of the last packet
 * that came the other way, so a line that is dead in one direction only is
 * found out by both ends.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

/* An echo older than this may have wrapped around. */
#define ECHO_MAX (60 * NSEC_PER_SEC)
/* Keepalives carry totals only when that many packets came since the last. */
#define COUNTS_WORTH 8
#define LOG_PERIOD (30 * NSEC_PER_SEC)
#define PROBE_RETRY (1 * NSEC_PER_SEC)
#define CONTROL_MAX 64 /* bytes of a control payload */
/* Sessions end when no handshake renewed them for this long. */
#define KEY_AGE_MAX (3 * 3600 * NSEC_PER_SEC)

static void remember_path(struct tunnel *, struct link *,
    const struct session *, uint64_t, const struct path *, mono_t);

void
link_init(struct tunnel *t, struct link *l, unsigned slot,
    const struct conf_link *conf, mono_t now)
{
	memset(l, 0, sizeof(*l));
	l->used = true;
	l->slot = slot;
	l->wire_id = (uint8_t)slot;
	l->conf = *conf;
	l->tx_seq = 1;
	l->up_at = now;
	l->prev_until = MONO_NEVER;
	l->hello_at = t->server ? MONO_NEVER : now;
	l->confirm_at = MONO_NEVER;
	l->socket_at = now;
	l->resolve_at = t->server ? MONO_NEVER : now;
	pacer_init(&l->pacer, link_tx_rate(t, l), conf->overhead_bytes, now);
	sched_join(t, l);
}

static void
forget_keys(struct link *l)
{
	session_clear(&l->cur);
	session_clear(&l->prev);
	l->prev_until = MONO_NEVER;
	link_hs_reset(l);
}

void
link_close(struct tunnel *t, struct link *l, mono_t now)
{
	if (l->cur.used && l->family != 0)
		link_send_control(
		    t, l, &l->cur, WIRE_BYE, NULL, 0, &l->path, now);
	if (l->up)
		link_set_down(t, l, "removed", now);
	forget_keys(l);
	memset(l, 0, sizeof(*l));
}

void
link_tune(
    struct tunnel *t, struct link *l, const struct conf_link *conf, mono_t now)
{
	bool rates = l->conf.upload_Bps != conf->upload_Bps ||
	    l->conf.download_Bps != conf->download_Bps;

	l->conf = *conf;
	pacer_set_rate(&l->pacer, link_tx_rate(t, l), conf->overhead_bytes);
	/* The peer learns our rates in a handshake. */
	if (rates)
		link_hs_renew(t, l, now);
}

uint64_t
link_tx_rate(const struct tunnel *t, const struct link *l)
{
	uint64_t own =
	    t->server ? l->conf.download_Bps : l->conf.upload_Bps;

	if (own == 0 || (l->peer_rx_Bps != 0 && l->peer_rx_Bps < own))
		return l->peer_rx_Bps;
	return own;
}

mono_t
link_delay(const struct link *l)
{
	return l->srtt / 2;
}

const char *
link_addr_text(const union addr *a, char buf[ADDRTEXT_MAX])
{
	union addr plain = *a;

	addr_unmap(&plain);
	return addr_text(&plain, buf);
}

int
link_map_addr(const struct link *l, union addr *a)
{
	if (l->family == AF_INET6) {
		addr_map6(a);
		return 0;
	}
	addr_unmap(a);
	return a->sa.sa_family == l->family ? 0 : -1;
}

double
loss_meter_value(const struct loss_meter *m)
{
	if (m->expected < 1 || m->arrived >= m->expected)
		return 0;
	return 1 - m->arrived / m->expected;
}

void
loss_meter_update(
    struct loss_meter *m, uint64_t highest, uint64_t received, mono_t now)
{
	if (m->started && highest >= m->highest && received >= m->received) {
		m->expected += (double)(highest - m->highest);
		m->arrived += (double)(received - m->received);
	}
	m->started = true;
	m->highest = highest;
	m->received = received;
	if (now - m->decayed_at >= 5 * NSEC_PER_SEC) {
		m->expected /= 2;
		m->arrived /= 2;
		m->decayed_at = now;
	}
}

void
link_set_up(struct tunnel *t, struct link *l, mono_t now)
{
	char peer[ADDRTEXT_MAX];

	l->up = true;
	l->up_at = now;
	l->alive_at = now;
	l->socket_at = l->resolve_at = MONO_NEVER;
	l->socket_tries = l->resolve_tries = 0;
	l->hello_tries = 0;
	t->nup++;
	sched_join(t, l);
	tunnel_retune(t);
	log_info("link %s: up, peer %s, rtt %lld ms", l->conf.name,
	    link_addr_text(&l->path.peer, peer),
	    (long long)((l->srtt + NSEC_PER_MSEC / 2) / NSEC_PER_MSEC));
	t->ops.event(t->ops.ctx, TUNNEL_LINK_UP, l->slot);
	if (t->nup == 1) {
		log_info("bond: up");
		t->ops.event(t->ops.ctx, TUNNEL_BOND_UP, l->slot);
	}
}

void
link_set_down(
    struct tunnel *t, struct link *l, const char *reason, mono_t now)
{
	char peer[ADDRTEXT_MAX];

	l->up = false;
	l->up_at = now;
	l->stats.flaps++;
	t->nup--;
	if (!t->server) {
		l->hello_at = now;
		l->hello_tries = 0;
		l->resolve_at = now + 2 * NSEC_PER_SEC;
		l->socket_at = now + 3 * NSEC_PER_SEC;
		t->keepalive_due_at = now;
	}
	tunnel_retune(t);
	log_info("link %s: down, peer %s, rtt %lld ms, %s", l->conf.name,
	    link_addr_text(&l->path.peer, peer),
	    (long long)((l->srtt + NSEC_PER_MSEC / 2) / NSEC_PER_MSEC), reason);
	t->ops.event(t->ops.ctx, TUNNEL_LINK_DOWN, l->slot);
	if (t->nup == 0) {
		log_info("bond: down");
		t->ops.event(t->ops.ctx, TUNNEL_BOND_DOWN, l->slot);
	}
}

/* --- out --- */

static void
count_sent(struct link *l, size_t len, const struct path *path, mono_t now)
{
	size_t outer = tunnel_outer_len(len, &path->peer);

	l->stats.tx_packets++;
	l->stats.tx_bytes += outer;
	pacer_charge(&l->pacer, outer, now);
}

/* Seals into the space for a datagram; 0 if there is none. */
static size_t
seal(struct tunnel *t, struct link *l, struct session *s, enum wire_type type,
    const struct wire_inner *in, uint8_t *packet, size_t len,
    const struct path *path, mono_t now)
{
	uint8_t *out = t->ops.space(t->ops.ctx, len + session_overhead(s));
	size_t sealed;

	if (out == NULL)
		return 0;
	sealed = session_seal(s, type, l->tx_seq, in, packet, len, out);
	if (sealed == 0)
		return 0;
	l->tx_seq++;
	count_sent(l, sealed, path, now);
	t->ops.send(t->ops.ctx, l->slot, sealed, path);
	return sealed;
}

void
link_send_data(struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now)
{
	struct numbering *n = pb->priority ? &t->ahead : &t->ordinary;
	struct wire_inner in = {
		.bucket = pb->bucket,
		.bucket_seq = pb->bucket_seq,
		.stamp = wire_stamp(now),
		.link = n->prev_link[pb->bucket],
		.flags = pb->priority ? WIRE_F_PRIORITY : 0,
	};

	n->prev_link[pb->bucket] = l->wire_id;
	if (seal(t, l, &l->cur, WIRE_DATA, &in, pb->data, pb->len, &l->path,
		now) == 0) {
		l->stats.drop_send++;
		return;
	}
	t->busy = true;
	t->stats.tx_packets++;
	t->stats.tx_bytes += pb->len;
}

void
link_send_raw(struct tunnel *t, struct link *l, const uint8_t *msg, size_t len,
    const struct path *path)
{
	uint8_t *out = t->ops.space(t->ops.ctx, len);

	if (out == NULL)
		return;
	memcpy(out, msg, len);
	l->stats.tx_packets++;
	l->stats.tx_bytes += tunnel_outer_len(len, &path->peer);
	t->ops.send(t->ops.ctx, l->slot, len, path);
}

void
link_send_control(struct tunnel *t, struct link *l, struct session *s,
    enum wire_control control, const void *payload, size_t len,
    const struct path *path, mono_t now)
{
	uint8_t buf[WIRE_INNER_LEN + CONTROL_MAX];
	mono_t held = now - l->rx_stamp_at;
	struct wire_inner in = {
		.control = (uint8_t)control,
		.stamp = wire_stamp(now),
	};

	if (l->family == 0 || len > CONTROL_MAX)
		return;
	if (l->rx_stamp_at != 0 && held < ECHO_MAX) {
		in.flags |= WIRE_F_ECHO;
		in.echo_stamp =
		    (l->rx_stamp + (uint32_t)(held / WIRE_STAMP_UNIT)) &
		    WIRE_STAMP_MASK;
	}
	if (len != 0)
		memcpy(buf + WIRE_INNER_LEN, payload, len);
	seal(t, l, s, WIRE_CONTROL, &in, buf + WIRE_INNER_LEN, len, path, now);
}

/* Totals are worth their bytes only while packets flow. */
static size_t
put_counts(struct link *l, uint8_t out[WIRE_COUNTS_LEN])
{
	struct wire_counts c = {
		.highest = l->rx_highest,
		.received = l->rx_received,
	};

	if (l->rx_received - l->counted < COUNTS_WORTH)
		return 0;
	l->counted = l->rx_received;
	wire_put_counts(out, &c);
	return WIRE_COUNTS_LEN;
}

void
link_keepalive(struct tunnel *t, struct link *l, mono_t now)
{
	uint8_t counts[WIRE_COUNTS_LEN];

	if (!l->cur.used || l->family == 0)
		return;
	l->keepalive_at = now;
	link_send_control(t, l, &l->cur, WIRE_KEEPALIVE, counts,
	    put_counts(l, counts), &l->path, now);
}

/* --- in --- */

static void
sample_rtt(struct link *l, mono_t rtt)
{
	mono_t err;

	if (l->srtt == 0) {
		l->srtt = rtt;
		l->rttvar = rtt / 2;
		return;
	}
	err = rtt > l->srtt ? rtt - l->srtt : l->srtt - rtt;
	l->rttvar += (err - l->rttvar) / 4;
	l->srtt += (rtt - l->srtt) / 8;
}

void
link_heard(struct tunnel *t, struct link *l, uint64_t seq,
    const struct wire_inner *in, mono_t now)
{
	mono_t rtt;

	l->heard_at = now;
	l->rx_received++;
	if (seq > l->rx_highest) {
		l->rx_highest = seq;
		l->rx_stamp = in->stamp;
		l->rx_stamp_at = now;
	}
	if ((in->flags & WIRE_F_ECHO) == 0 || in->control == 0)
		return;
	rtt = wire_stamp_age(in->echo_stamp, now);
	if (rtt > ECHO_MAX)
		return;
	sample_rtt(l, rtt > 0 ? rtt : 1);
	if (now - rtt > l->alive_at)
		l->alive_at = now - rtt;
	loss_meter_update(&l->rx_loss, l->rx_highest, l->rx_received, now);
	/* The line works again both ways: the keys have survived. */
	if (!l->up && l->cur.used && l->path.peer.sa.sa_family != AF_UNSPEC &&
	    rtt < (mono_t)l->conf.timeout_ms * NSEC_PER_MSEC)
		link_set_up(t, l, now);
}

static void
probe_answered(struct link *l, const uint8_t *payload, size_t len,
    const struct path *from)
{
	char old[ADDRTEXT_MAX], new[ADDRTEXT_MAX];

	if (len != sizeof(l->probe) || l->probe == 0 ||
	    memcmp(payload, &l->probe, len) != 0 ||
	    !addr_equal(&from->peer, &l->probe_path.peer))
		return;
	l->probe = 0;
	log_info("link %s: peer moved from %s to %s", l->conf.name,
	    link_addr_text(&l->path.peer, old),
	    link_addr_text(&from->peer, new));
	l->path = *from;
}

void
link_control(struct tunnel *t, struct link *l, struct session *s,
    const struct wire_inner *in, uint8_t *payload, size_t len,
    const struct path *from, mono_t now)
{
	uint8_t counts[WIRE_COUNTS_LEN];
	struct wire_counts c;

	if (len >= WIRE_COUNTS_LEN && (in->control == WIRE_KEEPALIVE ||
				in->control == WIRE_KEEPALIVE_ACK)) {
		wire_get_counts(&c, payload);
		loss_meter_update(&l->tx_loss, c.highest, c.received, now);
	}
	switch (in->control) {
	case WIRE_KEEPALIVE:
		link_send_control(t, l, s, WIRE_KEEPALIVE_ACK, counts,
		    put_counts(l, counts), &l->path, now);
		break;
	case WIRE_PROBE:
		if (len == sizeof(l->probe))
			link_send_control(
			    t, l, s, WIRE_PROBE_ACK, payload, len, from, now);
		break;
	case WIRE_PROBE_ACK:
		probe_answered(l, payload, len, from);
		break;
	case WIRE_BYE:
		if (l->up)
			link_set_down(t, l, "peer closed", now);
		forget_keys(l);
		if (!t->server)
			l->hello_at = now + NSEC_PER_SEC / 2;
		break;
	default: /* of a later version: nothing to do */
		break;
	}
}

/* Follows the peer to a new address once that has answered a probe. */
static void
remember_path(struct tunnel *t, struct link *l, const struct session *s,
    uint64_t seq, const struct path *from, mono_t now)
{
	if (s != &l->cur || seq != l->rx_highest)
		return;
	if (addr_equal(&from->peer, &l->path.peer)) {
		l->path.local = from->local;
		return;
	}
	if (s->cipher == SESSION_NONE ||
	    (l->probe != 0 && now - l->probe_at < PROBE_RETRY))
		return;
	do
		t->ops.random(t->ops.ctx, &l->probe, sizeof(l->probe));
	while (l->probe == 0);
	l->probe_path = *from;
	l->probe_at = now;
	link_send_control(t, l, &l->cur, WIRE_PROBE, &l->probe,
	    sizeof(l->probe), from, now);
}

static void
deliver(struct tunnel *t, struct pktbuf *pb, uint8_t *packet, size_t len)
{
	pb->data = packet;
	pb->len = (uint32_t)len;
	t->busy = true;
	t->stats.rx_packets++;
	t->stats.rx_bytes += len;
	t->ops.deliver(t->ops.ctx, pb);
}

static void
count_bad(struct link *l, enum session_result r)
{
	if (r == SESSION_REPLAYED)
		l->stats.drop_replay++;
	else if (r == SESSION_BAD_AUTH)
		l->stats.drop_auth++;
	else
		l->stats.drop_malformed++;
}

/* Returns true if pb was delivered. */
static bool
sealed_input(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct path *from, mono_t now)
{
	struct hs_pending *pending = NULL;
	struct wire_header h;
	struct wire_inner in;
	struct session *s;
	enum session_result r;
	uint8_t *packet;
	size_t len;

	if (wire_get_header(&h, pb->data, pb->len) == -1 ||
	    (h.type != WIRE_DATA && h.type != WIRE_CONTROL)) {
		l->stats.drop_malformed++;
		return false;
	}
	s = link_hs_find(l, h.epoch, &pending);
	/* In clear, only the address that shook hands speaks for the peer. */
	if (s == NULL ||
	    (s->cipher == SESSION_NONE && (s == &l->cur || s == &l->prev) &&
		!addr_equal(&from->peer, &l->path.peer))) {
		l->stats.drop_stranger++;
		return false;
	}
	r = session_open(s, &h, pb->data, pb->len, &in, &packet, &len);
	if (r != SESSION_OK) {
		count_bad(l, r);
		return false;
	}
	if (h.type == WIRE_DATA)
		in.control = 0;
	if (s == &l->next || pending != NULL) {
		link_hs_confirmed(t, l, s, pending, from, now);
		s = &l->cur;
	}
	link_heard(t, l, h.seq, &in, now);
	remember_path(t, l, s, h.seq, from, now);
	if (h.type == WIRE_CONTROL) {
		link_control(t, l, s, &in, packet, len, from, now);
		return false;
	}
	deliver(t, pb, packet, len);
	return true;
}

void
link_input(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct path *from, mono_t now)
{
	l->stats.rx_packets++;
	l->stats.rx_bytes += tunnel_outer_len(pb->len, &from->peer);
	if (pb->len == HS_LEN && pb->data[0] <= WIRE_AUTH)
		link_hs_input(
		    t, l, pb->data[0], pb->data, pb->len, from, now);
	else if (sealed_input(t, l, pb, from, now))
		return;
	pktbuf_free(t->pool, pb);
}

/* --- time --- */

static mono_t
earlier(mono_t a, mono_t b)
{
	return a < b ? a : b;
}

/* 2, 4, 8 ... 64 s, less up to a quarter, so that links do not keep step. */
static mono_t
back_off(struct tunnel *t, unsigned tries)
{
	mono_t span = (2 * NSEC_PER_SEC) << (tries < 5 ? tries : 5);
	uint32_t r;

	t->ops.random(t->ops.ctx, &r, sizeof(r));
	return span - (mono_t)(r % (uint32_t)(span / NSEC_PER_USEC / 4)) *
	    NSEC_PER_USEC;
}

static mono_t
run_requests(struct tunnel *t, struct link *l, mono_t now)
{
	if (now >= l->socket_at) {
		l->socket_at = now + back_off(t, l->socket_tries++);
		t->ops.event(t->ops.ctx, TUNNEL_WANT_SOCKET, l->slot);
	}
	if (now >= l->resolve_at) {
		l->resolve_at = now + back_off(t, l->resolve_tries++);
		t->ops.event(t->ops.ctx, TUNNEL_WANT_ADDRESS, l->slot);
	}
	return earlier(l->socket_at, l->resolve_at);
}

static mono_t
run_liveness(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t timeout = (mono_t)l->conf.timeout_ms * NSEC_PER_MSEC;
	char reason[48];

	if (!l->up)
		return MONO_NEVER;
	if (now - l->alive_at < timeout)
		return l->alive_at + timeout;
	if (l->conf.timeout_ms % 1000 == 0)
		snprintf(reason, sizeof(reason), "no answer for %u s",
		    l->conf.timeout_ms / 1000);
	else
		snprintf(reason, sizeof(reason), "no answer for %u ms",
		    l->conf.timeout_ms);
	link_set_down(t, l, reason, now);
	return now;
}

static mono_t
run_keys(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t end;

	if (now >= l->prev_until) {
		session_clear(&l->prev);
		l->prev_until = MONO_NEVER;
	}
	if (!l->cur.used)
		return l->prev_until;
	end = l->cur.created_at + KEY_AGE_MAX;
	if (now >= end) {
		if (l->up)
			link_set_down(t, l, "keys expired", now);
		forget_keys(l);
		return now;
	}
	return earlier(l->prev_until, end);
}

mono_t
link_run(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t next = run_liveness(t, l, now);

	next = earlier(next, run_keys(t, l, now));
	next = earlier(next, run_requests(t, l, now));
	if (!t->server)
		next = earlier(next, link_hs_run(t, l, now));
	return next;
}
