/*
 * A link's life between handshakes: its birth and end, its changes of state,
 * and what goes out by it.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

/* Keepalives carry totals only when that many packets came since the last. */
#define COUNTS_WORTH 8
#define CONTROL_MAX REPORT_MAX /* bytes of a control payload */
/* Outer bytes of the longest packet while the device's are the usual ones. */
#define INNER_USUAL 1500
#define OUTER_MAX 1620
/* A line this much later is hardly taken by what must not wait. */
#define SOONEST (5 * NSEC_PER_MSEC)

/* The rate to send at: the least of both ends' wishes; 0: there is none. */
static uint64_t
tx_rate(const struct tunnel *t, const struct link *l)
{
	uint64_t own = t->server ? l->conf.download_Bps : l->conf.upload_Bps;

	if (own == 0 || (l->peer_rx_Bps != 0 && l->peer_rx_Bps < own))
		return l->peer_rx_Bps;
	return own;
}

void
link_init(struct tunnel *t, struct link *l, unsigned slot,
    const struct conf_link *conf, mono_t now)
{
	memset(l, 0, sizeof(*l));
	l->used = true;
	l->slot = slot;
	/* It counts from 1: the peer must not take it for an earlier one. */
	l->instance =
	    (t->instance & ~HS_LIFE_MASK) | (t->lives++ & HS_LIFE_MASK);
	l->wire_id = (uint8_t)slot;
	l->conf = *conf;
	l->tx_seq = 1;
	l->up_at = now;
	l->prev_until = MONO_NEVER;
	l->hello_at = t->server ? MONO_NEVER : now;
	l->confirm_at = MONO_NEVER;
	l->socket_at = now;
	l->resolve_at = t->server ? MONO_NEVER : now;
	rate_init(&l->rate, tx_rate(t, l), now);
	pacer_init(&l->pacer, rate_pace(&l->rate), conf->overhead_bytes, now);
	sched_join(t, l);
}

void
link_forget_keys(struct link *l)
{
	session_clear(&l->cur);
	session_clear(&l->prev);
	l->prev_until = MONO_NEVER;
	link_hs_reset(l);
}

void
link_close(struct tunnel *t, struct link *l, const char *reason, mono_t now)
{
	const struct link_control bye = { .control = WIRE_BYE };

	if (l->cur.used && l->family != 0)
		link_send_control(t, l, &bye, now);
	if (l->up)
		link_set_down(t, l, reason, now);
	link_forget_keys(l);
	retain_clear(&l->retain, t->pool);
	parity_drop(&l->parity_tx, t->pool);
	parity_forget(&l->parity_rx, t->pool);
	memset(l, 0, sizeof(*l));
}

void
link_forget_traffic(struct tunnel *t, struct link *l)
{
	retain_clear(&l->retain, t->pool);
	parity_drop(&l->parity_tx, t->pool);
	parity_forget(&l->parity_rx, t->pool);
	l->parity_worth = (struct parity_worth){ 0 };
	l->stats.lost_before += l->meter.lost;
	l->stats.reordered_before += l->meter.reordered;
	meter_reset(&l->meter);
	delay_reset(&l->delay);
	health_forget(l);
	rate_forget(&l->rate);
	pacer_set_rate(&l->pacer, rate_pace(&l->rate), l->conf.overhead_bytes);
	l->told = (struct told){ 0 };
	l->unreported = 0;
}

void
link_tune(
    struct tunnel *t, struct link *l, const struct conf_link *conf, mono_t now)
{
	bool rates = l->conf.upload_Bps != conf->upload_Bps ||
		     l->conf.download_Bps != conf->download_Bps;

	/* The last proof of life may be older than the new time-out. */
	if (conf->timeout_ms < l->conf.timeout_ms) {
		l->alive_at = now;
		t->keepalive_due_at = now;
	}
	l->conf = *conf;
	link_set_rate(t, l, now);
	/* The peer learns our rates in a handshake. */
	if (rates)
		link_hs_renew(t, l, now);
}

void
link_set_rate(struct tunnel *t, struct link *l, mono_t now)
{
	uint64_t before = l->pacer.rate_Bps;

	if (tx_rate(t, l) != l->rate.conf_Bps)
		rate_set_conf(&l->rate, tx_rate(t, l), now);
	pacer_set_rate(&l->pacer, rate_pace(&l->rate), l->conf.overhead_bytes);
	if (l->pacer.rate_Bps != before)
		sched_restart(t);
}

/*
 * What arrived since the last report, as the pacer counts it; a peer that lies
 * cannot claim more than what was sent.  r has nothing of what is in flight.
 */
static uint32_t
arrived_bytes(
    const struct tunnel *t, struct link *l, const struct report_link *r)
{
	uint64_t packets = r->packets - l->told.packets;
	uint64_t bytes =
	    r->bytes - l->told.bytes + packets * l->conf.overhead_bytes;
	uint64_t flying = l->tx_seq - 1 - r->highest;
	uint64_t longest = OUTER_MAX + l->conf.overhead_bytes;

	if (t->mtu_bytes > INNER_USUAL)
		longest += t->mtu_bytes - INNER_USUAL;
	if (bytes > l->unreported)
		bytes = l->unreported;
	l->unreported -= bytes;
	if (l->unreported > flying * longest)
		l->unreported = flying * longest;
	return (uint32_t)bytes;
}

void
link_take_rate(struct tunnel *t, struct link *l, const struct report_link *r,
    mono_t span, mono_t now)
{
	uint32_t packets = r->packets - l->told.packets;
	struct rate_sample s = {
		.bytes = arrived_bytes(t, l, r),
		.packets = packets,
		.numbered = (uint32_t)(r->highest - l->told.highest),
		.span = span,
		.rtt = l->srtt,
		.backlogged = !l->idled && l->in_use,
		.soonest = link_delay(l) - t->delay_min <= SOONEST,
	};
	bool first = l->told.highest == 0 || r->highest < l->told.highest;

	l->told = (struct told){ r->bytes, r->packets, r->highest };
	l->idled = fq_empty(t->fq);
	if (first || span == 0 || !rate_report(&l->rate, &l->delay, &s, now))
		return;
	pacer_set_rate(&l->pacer, rate_pace(&l->rate), l->conf.overhead_bytes);
	tunnel_retune_soon(t);
}

mono_t
link_delay(const struct link *l)
{
	return l->delay_est;
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
	t->busy = true; /* a keepalive soon: the server waits for an echo */
	l->stats.lost += retain_restart(&l->retain, t->pool);
	rate_begin(&l->rate, l->srtt);
	link_set_rate(t, l, now);
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
	health_up(t, l, now);
}

void
link_set_down(struct tunnel *t, struct link *l, const char *reason, mono_t now)
{
	char peer[ADDRTEXT_MAX];

	l->up = false;
	l->up_at = l->failed_at = now;
	l->stats.flaps++;
	if (l->in_use)
		tunnel_shrunk(t, now);
	health_down(l);
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
	arq_inject(t, l, now);
	l->stats.lost += retain_restart(&l->retain, t->pool);
	if (t->nup == 0) {
		log_info("bond: down");
		t->ops.event(t->ops.ctx, TUNNEL_BOND_DOWN, l->slot);
	}
}

/* --- out --- */

/* Returns its bytes as the pacer counts them. */
static size_t
count_sent(struct link *l, size_t len, const struct path *path, mono_t now)
{
	size_t outer = tunnel_outer_len(len, &path->peer);

	l->stats.tx_packets++;
	l->stats.tx_bytes += outer;
	pacer_charge(&l->pacer, outer, now);
	return outer + l->conf.overhead_bytes;
}

/* What is to be sealed. */
struct outgoing {
	enum wire_type type;
	struct wire_inner in;
	uint8_t *packet;
	size_t len;
	const struct path *path;
	struct pktbuf *pb; /* sent again if it does not arrive; NULL: nothing */
};

/* Seals into the space for a datagram and sends it; false: there is none. */
static bool
seal(struct tunnel *t, struct link *l, struct session *s,
    const struct outgoing *o, mono_t now)
{
	uint8_t *out = t->ops.space(t->ops.ctx, o->len + session_overhead(s));
	size_t len;

	if (out == NULL)
		return false;
	len =
	    session_seal(s, o->type, l->tx_seq, &o->in, o->packet, o->len, out);
	if (len == 0)
		return false;
	retain_note(&l->retain, t->pool, l->tx_seq++, o->pb, now);
	l->unreported += count_sent(l, len, o->path, now);
	t->ops.send(t->ops.ctx, l->slot, len, o->path);
	return true;
}

static uint8_t
data_flags(const struct pktbuf *pb)
{
	return (pb->priority ? WIRE_F_PRIORITY : 0) |
	       (pb->ahead ? WIRE_F_AHEAD : 0);
}

static bool
send_packet(struct tunnel *t, struct link *l, struct pktbuf *pb, bool retained,
    mono_t now)
{
	struct outgoing o = {
		.type = WIRE_DATA,
		.in = {
			.bucket = pb->bucket,
			.bucket_seq = pb->bucket_seq,
			.stamp = wire_stamp(now),
			.link = pb->prev_link,
			.flags = data_flags(pb),
		},
		.packet = pb->data,
		.len = pb->len,
		.path = &l->path,
		.pb = retained ? pb : NULL,
	};

	if (!seal(t, l, &l->cur, &o, now))
		return false;
	parity_sent(t, l, &o.in, pb, now);
	t->stats.tx_data++;
	return true;
}

/* The first time: it gets its place behind the bucket's previous packet. */
static void
place(struct tunnel *t, const struct link *l, struct pktbuf *pb, mono_t now)
{
	uint8_t *prev = &t->prev_link[pb->priority][pb->bucket];

	pb->prev_link = *prev;
	if (!pb->ahead)
		*prev = l->wire_id;
	pb->sent_at = now;
}

static void
count_data(struct tunnel *t, struct link *l, const struct pktbuf *pb)
{
	if (pb->sends > 0) {
		l->stats.resent++;
		t->arq.stats.resent++;
		return;
	}
	t->stats.tx_packets++;
	t->stats.tx_bytes += pb->len;
	arq_earn(t, pb->len);
}

void
link_send_data(struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now)
{
	if (pb->sends == 0)
		place(t, l, pb, now);
	pb->carriers |= (uint16_t)(1U << l->slot);
	t->busy = true;
	if (send_packet(t, l, pb, true, now))
		count_data(t, l, pb);
	else {
		l->stats.drop_send++;
		arq_skip(t, pb);
	}
	pb->sends++;
}

void
link_send_copy(struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now)
{
	if (send_packet(t, l, pb, false, now))
		l->stats.copies++;
}

void
link_send_parity(struct tunnel *t, struct link *l, mono_t now)
{
	struct parity_tx *p = &l->parity_tx;
	struct outgoing o = {
		.type = WIRE_PARITY,
		.in = p->in,
		.packet = p->sum->data,
		.len = p->sum->len,
		.path = &l->path,
	};

	o.in.stamp = wire_stamp(now);
	o.in.flags |= (uint8_t)((l->tx_seq - p->first) << WIRE_PARITY_SHIFT);
	if (seal(t, l, &l->cur, &o, now))
		l->stats.parity++;
}

void
link_send_hs(struct tunnel *t, struct link *l, const uint8_t msg[HS_LEN],
    const struct path *path, mono_t now)
{
	uint8_t *out = t->ops.space(t->ops.ctx, HS_LEN);

	if (out == NULL)
		return;
	memcpy(out, msg, HS_LEN);
	count_sent(l, HS_LEN, path, now);
	t->ops.send(t->ops.ctx, l->slot, HS_LEN, path);
}

/* The echo of the last packet that came, unless that is too long ago. */
static void
put_echo(const struct link *l, struct wire_inner *in, mono_t now)
{
	mono_t held = now - l->rx_stamp_at;

	if (l->rx_stamp_at == 0 || held > WIRE_HELD_MAX)
		return;
	in->flags |= WIRE_F_ECHO;
	in->echo_stamp = wire_stamp_echo(l->rx_stamp, l->rx_stamp_at, now);
	in->echo_held = (uint8_t)((held + WIRE_HELD_UNIT - 1) / WIRE_HELD_UNIT);
}

bool
link_send_control(
    struct tunnel *t, struct link *l, const struct link_control *c, mono_t now)
{
	uint8_t buf[WIRE_INNER_LEN + CONTROL_MAX];
	struct outgoing o = {
		.type = WIRE_CONTROL,
		.in = {
			.control = (uint8_t)c->control,
			.stamp = wire_stamp(now),
		},
		.packet = buf + WIRE_INNER_LEN,
		.len = c->len,
		.path = c->path != NULL ? c->path : &l->path,
	};

	if (l->family == 0 || c->len > CONTROL_MAX)
		return false;
	put_echo(l, &o.in, now);
	if (c->len != 0)
		memcpy(buf + WIRE_INNER_LEN, c->payload, c->len);
	return seal(t, l, c->s != NULL ? c->s : &l->cur, &o, now);
}

/* Totals are worth their bytes only while packets flow. */
size_t
link_put_counts(struct link *l, uint8_t out[WIRE_COUNTS_LEN])
{
	struct wire_counts c = {
		.highest = l->rx_highest,
		.received = l->rx_received,
		.restored = l->stats.restored,
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
	struct link_control c = { .control = WIRE_KEEPALIVE,
		.payload = counts };

	if (!l->cur.used || l->family == 0)
		return;
	l->keepalive_at = now;
	c.len = link_put_counts(l, counts);
	link_send_control(t, l, &c, now);
}
