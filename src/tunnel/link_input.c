/*
 * What comes in by a link's socket.  Nothing is believed before it proved
 * authentic; everything that does not is counted and dropped.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

#define PROBE_RETRY (1 * NSEC_PER_SEC)
/* One keepalive or probe of the peer is answered in so long, a few more after a
 * pause: answers take the line's time, and who asks decides how many. */
#define ANSWER_GAP (50 * NSEC_PER_MSEC)
#define ANSWERS_SAVED 8

static void
sample_rtt(struct link *l, mono_t rtt)
{
	mono_t err;

	/* Without a variance there is only the guess of a handshake. */
	if (l->srtt == 0 || l->rttvar == 0) {
		l->srtt = rtt;
		l->rttvar = rtt / 2;
		return;
	}
	err = rtt > l->srtt ? rtt - l->srtt : l->srtt - rtt;
	l->rttvar += (err - l->rttvar) / 4;
	l->srtt += (rtt - l->srtt) / 8;
}

/* If the line works again both ways: the keys have survived. */
static void
heard_while_down(struct tunnel *t, struct link *l, mono_t proven_at, mono_t now)
{
	mono_t timeout = (mono_t)l->conf.timeout_ms * NSEC_PER_MSEC;

	/* What it brought before it failed is no proof. */
	if (now - proven_at < timeout && proven_at > l->failed_at) {
		link_set_up(t, l, now);
		/* Its echo is the server's proof. */
		if (!t->server)
			link_keepalive(t, l, now);
	}
	/* A client with a longer time-out is too slow to prove it. */
	else if (t->server && now - l->keepalive_at >= timeout / 5)
		link_keepalive(t, l, now);
}

/* Of a link that has begun anew since: its numbers are others. */
static bool
is_former(const struct link *l, const struct session *s)
{
	return s == &l->prev && l->prev_is_gone;
}

/* What an authentic packet says of the line's health. */
static void
heard(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now)
{
	const struct wire_inner *in = &a->in;
	mono_t rtt, proven_at;

	/* Late packets of a peer that has begun anew count for nothing. */
	if (is_former(l, a->s))
		return;
	l->rx_received++;
	meter_note(
	    &l->meter, a->h.seq, (uint32_t)a->outer_bytes, in->stamp, now);
	if (a->s == &l->cur && a->h.seq > l->rx_highest) {
		l->rx_highest = a->h.seq;
		l->rx_stamp = in->stamp;
		l->rx_stamp_at = now;
	}
	if ((in->flags & WIRE_F_ECHO) == 0 || in->control == 0)
		return;
	rtt = wire_stamp_rtt(in->echo_stamp, now);
	if (rtt > LINK_ECHO_MAX)
		return;
	sample_rtt(l, rtt > 0 ? rtt : 1);
	tunnel_retune_soon(t);
	/* The peer may have held that stamp for long, and heard nothing since:
	 * the line has proven to work only up to the stamp itself. */
	proven_at = now - rtt - in->echo_held * WIRE_HELD_UNIT;
	if (proven_at > l->alive_at)
		l->alive_at = proven_at;
	loss_meter_update(
	    &l->rx_loss, l->rx_highest, (uint32_t)l->rx_received, now);
	if (!l->up && l->cur.used && l->path.peer.sa.sa_family != AF_UNSPEC)
		heard_while_down(t, l, proven_at, now);
}

static void
probe_answered(struct link *l, const struct link_arrival *a)
{
	char old[ADDRTEXT_MAX], new[ADDRTEXT_MAX];

	if (a->len != sizeof(l->probe) || l->probe == 0 ||
	    memcmp(a->packet, &l->probe, a->len) != 0 ||
	    !addr_equal(&a->from->peer, &l->probe_path.peer))
		return;
	l->probe = 0;
	log_info("link %s: peer moved from %s to %s", l->conf.name,
	    link_addr_text(&l->path.peer, old),
	    link_addr_text(&a->from->peer, new));
	l->path = *a->from;
}

static bool
may_answer(struct link *l, mono_t now)
{
	l->answers_at =
	    mono_later(l->answers_at, now - ANSWERS_SAVED * ANSWER_GAP);
	if (l->answers_at > now) {
		l->stats.drop_limit++;
		return false;
	}
	l->answers_at += ANSWER_GAP;
	return true;
}

static void
peer_closed(
    struct tunnel *t, struct link *l, const struct session *s, mono_t now)
{
	/* Overtaken by the handshake of who came after. */
	if (is_former(l, s))
		return;
	if (l->up)
		link_set_down(t, l, "peer closed", now);
	link_forget_keys(l);
	if (!t->server)
		l->hello_at = now + NSEC_PER_SEC / 2;
}

static void
answer_keepalive(
    struct tunnel *t, struct link *l, struct session *s, mono_t now)
{
	uint8_t counts[WIRE_COUNTS_LEN];
	struct link_control c = {
		.control = WIRE_KEEPALIVE_ACK, .payload = counts, .s = s
	};

	if (!may_answer(l, now))
		return;
	c.len = link_put_counts(l, counts);
	link_send_control(t, l, &c, now);
	link_hs_ask(t, l, now);
}

/* Where it came from, which may be where the peer has moved to. */
static void
answer_probe(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now)
{
	const struct link_control c = { .control = WIRE_PROBE_ACK,
		.payload = a->packet,
		.len = a->len,
		.s = a->s,
		.path = a->from };

	if (a->len == sizeof(l->probe) && may_answer(l, now))
		link_send_control(t, l, &c, now);
}

void
link_control(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now)
{
	const struct wire_inner *in = &a->in;
	struct wire_counts c;

	if (a->len >= WIRE_COUNTS_LEN &&
	    (in->control == WIRE_KEEPALIVE ||
		in->control == WIRE_KEEPALIVE_ACK)) {
		wire_get_counts(&c, a->packet);
		loss_meter_update(
		    &l->tx_loss, c.highest, (uint32_t)c.received, now);
		parity_told(l, c.restored, now);
		tunnel_retune_soon(t);
	}
	switch (in->control) {
	case WIRE_KEEPALIVE:
		answer_keepalive(t, l, a->s, now);
		break;
	case WIRE_RENEW:
		if (!t->server)
			link_hs_renew(t, l, now);
		break;
	case WIRE_PROBE:
		answer_probe(t, l, a, now);
		break;
	case WIRE_PROBE_ACK:
		probe_answered(l, a);
		break;
	case WIRE_REPORT:
		feedback_input(t, a->packet, a->len, in->stamp, now);
		break;
	case WIRE_SKIP:
		arq_input_skips(t, a->packet, a->len, now);
		break;
	case WIRE_ASK:
		feedback_asked(l);
		break;
	case WIRE_BYE:
		peer_closed(t, l, a->s, now);
		break;
	default: /* of a later version: nothing to do */
		break;
	}
}

/* Follows the peer to a new address once that has answered a probe. */
static void
remember_path(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now)
{
	const struct link_control probe = { .control = WIRE_PROBE,
		.payload = &l->probe,
		.len = sizeof(l->probe),
		.path = a->from };

	if (a->s != &l->cur || a->h.seq != l->rx_highest)
		return;
	if (addr_equal(&a->from->peer, &l->path.peer)) {
		l->path.local = a->from->local;
		return;
	}
	if (a->s->cipher == SESSION_NONE ||
	    (l->probe != 0 && now - l->probe_at < PROBE_RETRY))
		return;
	do
		t->ops.random(t->ops.ctx, &l->probe, sizeof(l->probe));
	while (l->probe == 0);
	l->probe_path = *a->from;
	l->probe_at = now;
	link_send_control(t, l, &probe, now);
}

/* Of a process that has died since: another one has taken its place, whose
 * numbers are others.  Nobody could tell a copy of what came from the rest. */
static bool
is_gone(const struct tunnel *t, const struct link *l, const struct session *s)
{
	return (s == &l->prev && l->prev_has_died) || peer_is_gone(t, l);
}

static void
count_fate(struct link *l, enum reseq_fate fate)
{
	l->stats.held += fate == RESEQ_HELD;
	l->stats.late += fate == RESEQ_LATE;
	l->stats.duplicates += fate == RESEQ_DUPLICATE;
}

/* To the device, when its turn has come. */
static enum reseq_fate
resequence(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct wire_inner *in, mono_t now)
{
	enum reseq_fate fate;

	t->busy = true;
	flow_note_tcp(pb, t->conf->tuntap == TUNTAP_TAP);
	pb->bucket = in->bucket;
	pb->bucket_seq = in->bucket_seq;
	pb->priority = (in->flags & WIRE_F_PRIORITY) != 0;
	pb->ahead = (in->flags & WIRE_F_AHEAD) != 0;
	pb->stamp = in->stamp;
	pb->line_delay =
	    l->meter.started ? l->meter.delay : wire_delay(in->stamp, now);
	pb->link = l->wire_id;
	pb->prev_link = in->link;
	fate = reseq_input(t->reseq, pb, now);
	count_fate(l, fate);
	return fate;
}

/* May one more link keep what it has brought?  What input needs to go on, when
 * all else is full, is a sixteenth of the memory. */
static bool
may_keep(const struct tunnel *t)
{
	uint64_t each = (uint64_t)(t->mtu_bytes + PKTBUF_HEADROOM) * 3 / 2 *
			nitems_of(t->links[0].parity_rx.slots);
	uint64_t sum = each;

	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].parity_rx.heard_at != 0)
			sum += each;
	return sum <= t->conf->memory_bytes / 32;
}

/* What it stands for may be missing. */
static void
parity_input(
    struct tunnel *t, struct link *l, struct link_arrival *a, mono_t now)
{
	bool tap = t->conf->tuntap == TUNTAP_TAP;
	struct pktbuf *pb;

	if (l->parity_rx.heard_at == 0 && !may_keep(t))
		return;
	pb = parity_restore(&l->parity_rx, t->pool, a, tap, now);
	if (pb == NULL || resequence(t, l, pb, &a->in, now) == RESEQ_DUPLICATE)
		return;
	l->stats.restored++;
	t->stats.restored++;
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

/* Returns its outer bytes. */
static size_t
count_received(struct link *l, const struct pktbuf *pb, const struct path *from)
{
	size_t outer = tunnel_outer_len(pb->len, &from->peer);

	l->stats.rx_packets++;
	l->stats.rx_bytes += outer;
	return outer;
}

/* Opens it in place; false: it is counted as what it is. */
static bool
unseal(struct link *l, struct pktbuf *pb, struct link_arrival *a, mono_t now)
{
	enum session_result r;

	if (wire_get_header(&a->h, pb->data, pb->len) == -1 ||
	    !wire_is_sealed(a->h.type)) {
		l->stats.drop_malformed++;
		return false;
	}
	/* In clear, only the address that shook hands speaks for the peer. */
	if (!link_hs_find(l, a, now) ||
	    (a->s->cipher == SESSION_NONE &&
		(a->s == &l->cur || a->s == &l->prev) &&
		!addr_equal(&a->from->peer, &l->path.peer))) {
		l->stats.drop_stranger++;
		return false;
	}
	r = session_open(
	    a->s, &a->h, pb->data, pb->len, &a->in, &a->packet, &a->len);
	if (r != SESSION_OK) {
		count_bad(l, r);
		return false;
	}
	if (a->h.type != WIRE_CONTROL)
		a->in.control = 0;
	return true;
}

/* Returns true if pb was delivered. */
static bool
sealed_input(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct path *from, mono_t now)
{
	struct link_arrival a = { .from = from };
	bool fresh;

	a.outer_bytes = count_received(l, pb, from);
	if (!unseal(l, pb, &a, now))
		return false;
	fresh = a.s == &l->next.session || a.pending != NULL;
	if (fresh) {
		link_hs_confirmed(t, l, &a, now);
		a.s = &l->cur;
		a.pending = NULL;
	}
	heard(t, l, &a, now);
	if (fresh && !l->up)
		link_set_up(t, l, now);
	remember_path(t, l, &a, now);
	if (is_gone(t, l, a.s)) {
		l->stats.drop_stranger++;
		return false;
	}
	peer_heard(t);
	pb->data = a.packet;
	pb->len = (uint32_t)a.len;
	reseq_heard(t->reseq, l->wire_id, a.in.stamp, now);
	if (!is_former(l, a.s))
		parity_heard(&l->parity_rx, t->pool, &a,
		    a.h.type == WIRE_DATA ? pb : NULL, now);
	if (a.h.type == WIRE_CONTROL)
		link_control(t, l, &a, now);
	if (a.h.type == WIRE_PARITY && !is_former(l, a.s))
		parity_input(t, l, &a, now);
	if (a.h.type != WIRE_DATA)
		return false;
	feedback_heard_data(t, l, (uint32_t)a.outer_bytes, now);
	resequence(t, l, pb, &a.in, now);
	return true;
}

void
link_input(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct path *from, mono_t now)
{
	struct hs_dgram m = { pb->data, pb->len, from };

	if (pb->len == HS_LEN && pb->data[0] <= WIRE_AUTH) {
		count_received(l, pb, from);
		link_hs_input(t, l, &m, now);
	} else if (sealed_input(t, l, pb, from, now))
		return;
	pktbuf_free(t->pool, pb);
}
