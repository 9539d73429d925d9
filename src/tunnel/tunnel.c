/*
 * The tunnel as a whole: packets from the device go through the shared queue to
 * the links, what the links open goes to the device, and one deadline covers
 * everything that has to happen later.
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/fragment.h"
#include "tunnel/tunnel.h"

#define PUMP_MAX 256 /* packets sent before input gets its turn again */
#define TOO_BIG_GAP (1 * NSEC_PER_MSEC) /* between answers (RFC 4443, 2.4) */
#define LOOP_LOG_PERIOD (30 * NSEC_PER_SEC)
#define KEEPALIVE_IDLE (2 * NSEC_PER_SEC)
#define KEEPALIVE_BUSY (250 * NSEC_PER_MSEC)
#define KEEPALIVE_DOWN (1 * NSEC_PER_SEC)

/* --- packets --- */

size_t
tunnel_outer_len(size_t len, const union addr *peer)
{
	union addr a = *peer;

	addr_unmap(&a);
	return len + 8 + (a.sa.sa_family == AF_INET6 ? 40 : 20);
}

/* Our own outer packets, routed into the tunnel that they carry. */
static bool
is_looped(const struct tunnel *t, const struct pktbuf *pb)
{
	struct flow_info info;

	if (pb->proto != IPPROTO_UDP || flow_info(pb, &info) == -1)
		return false;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (l->used &&
		    addr_port(&l->path.peer) == addr_port(&info.dst) &&
		    addr_same_host(&l->path.peer, &info.dst))
			return true;
	}
	return false;
}

static void
drop(struct tunnel *t, struct pktbuf *pb, uint64_t *counter)
{
	(*counter)++;
	pktbuf_free(t->pool, pb);
}

static void
refuse_too_big(struct tunnel *t, struct pktbuf *pb, mono_t now)
{
	t->stats.drop_too_big++;
	if (now < t->too_big_at || flow_too_big(pb, t->path_mtu_bytes) == -1) {
		pktbuf_free(t->pool, pb);
		return;
	}
	t->too_big_at = now + TOO_BIG_GAP;
	t->ops.deliver(t->ops.ctx, pb);
}

/* Takes over pb. */
static void
send_data(struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now)
{
	link_send_data(t, l, pb, now);
	if (t->trials)
		health_copy(t, pb, now);
	pktbuf_free(t->pool, pb);
}

static void
send_priority(struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now)
{
	pb->bucket = (uint16_t)(pb->flow_hash % FQ_BUCKETS);
	pb->bucket_seq = t->priority_seq[pb->bucket]++ & FQ_SEQ_MASK;
	pb = pktbuf_shrink(t->pool, pb);
	sched_charge_priority(l,
	    tunnel_outer_len(
		pb->len + session_overhead(&l->cur), &l->path.peer),
	    now);
	send_data(t, l, pb, now);
}

/* A classified packet that fits. */
static void
accept_packet(struct tunnel *t, struct pktbuf *pb, mono_t now)
{
	struct link *l;

	if (is_looped(t, pb)) {
		log_limited(&t->log_loop, now, LOOP_LOG_PERIOD,
		    "%s: a packet to one of our own peers is routed into itself",
		    t->conf->interface_name);
		drop(t, pb, &t->stats.drop_loop);
		return;
	}
	if (pb->priority) {
		l = sched_first(t, now);
		if (l != NULL) {
			send_priority(t, l, pb, now);
			return;
		}
		t->stats.demoted++;
		pb->priority = false;
	}
	fq_enqueue(t->fq, pb, now);
}

static int
classify(struct tunnel *t, struct pktbuf *pb)
{
	return flow_classify(pb, t->conf->tuntap == TUNTAP_TAP, &t->flow_key);
}

/* Our device may take longer packets than the peer's. */
static void
shorten(struct tunnel *t, struct pktbuf *pb, mono_t now)
{
	struct pktbuf_list pieces = TAILQ_HEAD_INITIALIZER(pieces);
	struct pktbuf *piece;

	if (!fragment_allowed(pb)) {
		refuse_too_big(t, pb, now);
		return;
	}
	if (fragment_cut(t->pool, pb, t->path_mtu_bytes, &pieces) == -1) {
		drop(t, pb, &t->stats.drop_no_memory);
		return;
	}
	t->stats.fragmented++;
	pktbuf_free(t->pool, pb);
	while ((piece = TAILQ_FIRST(&pieces)) != NULL) {
		TAILQ_REMOVE(&pieces, piece, entry);
		if (classify(t, piece) == 0)
			accept_packet(t, piece, now);
		else
			drop(t, piece, &t->stats.drop_malformed);
	}
}

void
tunnel_input(struct tunnel *t, struct pktbuf *pb, mono_t now)
{
	if (classify(t, pb) == -1)
		drop(t, pb, &t->stats.drop_malformed);
	else if (t->nup == 0)
		drop(t, pb, &t->stats.drop_no_link);
	else if (pb->len - pb->l3_offset > t->path_mtu_bytes)
		shorten(t, pb, now);
	else
		accept_packet(t, pb, now);
}

void
tunnel_dgram(struct tunnel *t, unsigned slot, struct pktbuf *pb,
    const struct path *from, mono_t now)
{
	struct link *l = &t->links[slot];

	if (!l->used || pb->len == 0) {
		pktbuf_free(t->pool, pb);
		return;
	}
	link_input(t, l, pb, from, now);
}

/* --- time --- */

/* Nothing gets a number that nobody will see. */
static void
empty_queue(struct tunnel *t)
{
	arq_purge(t);
	t->stats.drop_no_link += fq_stats(t->fq)->packets;
	fq_purge(t->fq);
}

mono_t
tunnel_keepalive_interval(const struct tunnel *t)
{
	mono_t interval = t->busy ? KEEPALIVE_BUSY : KEEPALIVE_IDLE;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];
		mono_t share;

		if (!l->used || !l->cur.used)
			continue;
		/* The server's proof is up to two of these old when it comes;
		 * two lost ones in a row must not take a link down. */
		share = (mono_t)l->conf.timeout_ms * NSEC_PER_MSEC / 5;
		if (share < interval)
			interval = share;
		if (!l->up && interval > KEEPALIVE_DOWN)
			interval = KEEPALIVE_DOWN;
	}
	return interval;
}

/* One wake-up for all links. */
static mono_t
run_keepalives(struct tunnel *t, mono_t now)
{
	mono_t due = t->keepalive_due_at;

	if (t->server)
		return MONO_NEVER;
	/* An answer may be lost: a few more before anything is concluded. */
	t->busy |= peer_is_late(t, now);
	if (t->busy && due > now + KEEPALIVE_BUSY)
		due = now + KEEPALIVE_BUSY;
	if (now < due) {
		t->keepalive_due_at = due;
		return due;
	}
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			link_keepalive(t, &t->links[i], now);
	peer_asked(t, now);
	t->keepalive_due_at = now + tunnel_keepalive_interval(t);
	t->busy = false;
	return t->keepalive_due_at;
}

/* The next packet of the queue; false if none waits or no link is ready. */
static bool
send_next(struct tunnel *t, mono_t now)
{
	struct link *l;
	struct pktbuf *pb;

	if (fq_empty(t->fq) || (l = sched_next(t, now)) == NULL)
		return false;
	pb = fq_dequeue_ahead(t->fq, &l->ahead_of, now);
	if (pb == NULL) {
		l->starved = true;
		return true;
	}
	if (arq_is_late(pb, now)) {
		arq_skip(t, pb);
		pktbuf_free(t->pool, pb);
		return true;
	}
	if (pb->sparse)
		l = sched_sparse(t, now);
	sched_charge(t, l, pb->len);
	send_data(t, l, pb, now);
	return true;
}

/* Sends what the pacers allow; true if there is more that they would allow. */
static bool
pump(struct tunnel *t, mono_t now)
{
	size_t n = 0;
	bool waiting, wanted;

	for (unsigned i = 0; i < LINKS_MAX; i++)
		t->links[i].starved = false;
	while (n < PUMP_MAX && (arq_send(t, now) || send_next(t, now)))
		n++;
	waiting = !fq_empty(t->fq);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->in_use)
			continue;
		wanted = waiting && sched_is_worth_it(t, l);
		pacer_set_backlogged(&l->pacer, wanted);
		l->idled |= !wanted;
	}
	return n == PUMP_MAX && waiting;
}

void
tunnel_stalled(struct tunnel *t, mono_t span, mono_t now)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (l->used && l->up)
			l->alive_at = mono_earlier(l->alive_at + span, now);
	}
	peer_stalled(t, span, now);
}

mono_t
tunnel_run(struct tunnel *t, mono_t now)
{
	mono_t next, due;
	bool more = false;

	if (t->untuned)
		tunnel_retune(t);
	next = run_keepalives(t, now);
	next = mono_earlier(next, peer_run(t, now));
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (!t->links[i].used)
			continue;
		due = link_run(t, &t->links[i], now);
		if (due < next)
			next = due;
	}
	next = mono_earlier(next, reseq_run(t->reseq, now));
	next = mono_earlier(next, playout_run(t->playout, now));
	next = mono_earlier(next, feedback_run(t, now));
	if (t->nup == 0)
		empty_queue(t);
	else
		more = pump(t, now);
	arq_flush_skips(t, now);
	if (more)
		return now;
	next = mono_earlier(next, parity_run(t, now));
	if (arq_waits(t))
		next = mono_earlier(
		    next, sched_again_at(t, TAILQ_FIRST(&t->arq.again), now));
	next = mono_earlier(next, feedback_ask_at(t));
	if (!fq_empty(t->fq) && sched_ready_at(t) < next)
		next = sched_ready_at(t);
	return next;
}
