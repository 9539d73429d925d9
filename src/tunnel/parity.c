/*
 * A group is all DATA packets among the last numbers of the link before that of
 * its parity, WIRE_PARITY_SPAN at most.  The peer keeps the latest packets by
 * reference while parity comes.  What it has not kept of a group is the packet
 * to be made; or a CONTROL packet, then the sum of the others is nothing; or
 * one that came before any parity did, then what is made is a copy.
 */
#include "config.h"

#include <string.h>

#include "tunnel/flow.h"
#include "tunnel/link.h"
#include "tunnel/pacer.h"
#include "tunnel/parity.h"
#include "tunnel/tunnel.h"

/* The peer tells its totals every 250 ms while packets flow. */
#define TOLD_GAP (500 * NSEC_PER_MSEC)

static void
xor_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
	uint64_t a, b;

	for (; len >= sizeof(a); len -= sizeof(a)) {
		memcpy(&a, to, sizeof(a));
		memcpy(&b, from, sizeof(b));
		a ^= b;
		memcpy(to, &a, sizeof(a));
		to += sizeof(a);
		from += sizeof(b);
	}
	while (len-- > 0)
		*to++ ^= *from++;
}

/* The stamp stays: each packet, and their parity, has its own. */
static void
xor_inner(struct wire_inner *to, const struct wire_inner *from)
{
	to->bucket ^= from->bucket;
	to->bucket_seq ^= from->bucket_seq;
	to->link ^= from->link;
	to->flags ^= from->flags;
}

/* --- out --- */

void
parity_drop(struct parity_tx *p, struct pktbuf_pool *pool)
{
	pktbuf_free(pool, p->sum);
	*p = (struct parity_tx){ 0 };
}

/* The more is lost the smaller. */
static unsigned
group_size(double loss)
{
	double n = PARITY_LOSSES / loss;

	if (n >= WIRE_PARITY_SPAN)
		return WIRE_PARITY_SPAN;
	return n < 1 ? 1 : (unsigned)(n + 0.5);
}

/* A resend takes two delays and more. */
static mono_t
age_max(const struct tunnel *t)
{
	return mono_later(t->delay_min / 2, PARITY_AGE_MIN);
}

/* CONTROL packets may have used up its numbers, or the line has failed. */
static void
finish(struct tunnel *t, struct link *l, mono_t now)
{
	struct parity_tx *p = &l->parity_tx;
	size_t len = tunnel_outer_len(
	    p->sum->len + session_overhead(&l->cur), &l->path.peer);

	if (l->in_use && l->tx_seq - p->first <= WIRE_PARITY_SPAN &&
	    pacer_use_idle(&l->pacer, len, now)) {
		l->parity_worth.covered += p->n;
		link_send_parity(t, l, now);
	}
	parity_drop(p, t->pool);
}

static bool
begin(struct tunnel *t, struct parity_tx *p, uint64_t seq, mono_t now)
{
	struct pktbuf *sum =
	    pktbuf_alloc(t->pool, t->mtu_bytes + TUNNEL_FRAME_EXTRA);

	if (sum == NULL)
		return false;
	*p = (struct parity_tx){ .sum = sum, .first = seq, .began_at = now };
	return true;
}

static void
add(struct parity_tx *p, const struct wire_inner *in, const struct pktbuf *pb)
{
	struct pktbuf *sum = p->sum;
	size_t common = sum->len < pb->len ? sum->len : pb->len;

	xor_bytes(sum->data, pb->data, common);
	if (pb->len > sum->len) {
		memcpy(sum->data + common, pb->data + common, pb->len - common);
		sum->len = pb->len;
	}
	xor_inner(&p->in, in);
	p->n++;
}

static bool
is_worth_it(const struct link *l, mono_t now)
{
	return l->conf.parity && l->in_use &&
	       now >= l->parity_worth.paused_until;
}

void
parity_told(struct link *l, uint64_t restored, mono_t now)
{
	struct parity_worth *w = &l->parity_worth;
	double losses = loss_meter_value(&l->tx_loss) * (double)w->covered;

	if (restored < w->restored) /* it began anew */
		*w = (struct parity_worth){ 0 };
	if (w->judged_at == 0) {
		if (losses < PARITY_JUDGED)
			return;
		w->expected = losses;
		w->judged_at = now + l->srtt + TOLD_GAP;
	}
	if (now < w->judged_at)
		return;
	if ((double)(restored - w->restored) * 4 < w->expected)
		w->paused_until = now + PARITY_PAUSE;
	w->restored = restored;
	w->covered = 0;
	w->judged_at = 0;
}

void
parity_sent(struct tunnel *t, struct link *l, const struct wire_inner *in,
    const struct pktbuf *pb, mono_t now)
{
	double loss = is_worth_it(l, now) ? loss_meter_value(&l->tx_loss) : 0;
	struct parity_tx *p = &l->parity_tx;
	uint64_t seq = l->tx_seq - 1;

	if (p->sum != NULL &&
	    (loss <= PARITY_LOSS_MIN || seq - p->first >= WIRE_PARITY_SPAN ||
		pb->len > p->sum->size))
		parity_drop(p, t->pool);
	if (loss <= PARITY_LOSS_MIN ||
	    (p->sum == NULL && !begin(t, p, seq, now)) ||
	    pb->len > p->sum->size)
		return;
	add(p, in, pb);
	if (p->n >= group_size(loss))
		finish(t, l, now);
}

/* --- in --- */

void
parity_forget(struct parity_rx *p, struct pktbuf_pool *pool)
{
	for (size_t i = 0; i < nitems_of(p->slots); i++)
		pktbuf_free(pool, p->slots[i].pb);
	*p = (struct parity_rx){ 0 };
}

/* What a line that is silent has brought. */
static void
forget_old(struct parity_rx *p, struct pktbuf_pool *pool, mono_t now)
{
	if (p->heard_at != 0 && now - p->heard_at > PARITY_IDLE)
		parity_forget(p, pool);
}

static struct parity_slot *
slot_of(struct parity_rx *p, uint64_t seq)
{
	return &p->slots[seq % nitems_of(p->slots)];
}

void
parity_heard(struct parity_rx *p, struct pktbuf_pool *pool,
    const struct link_arrival *a, struct pktbuf *pb, mono_t now)
{
	struct parity_slot *s = slot_of(p, a->h.seq);

	forget_old(p, pool, now);
	if (p->heard_at == 0 || a->h.seq < s->seq)
		return;
	pktbuf_free(pool, s->pb);
	*s = (struct parity_slot){ .seq = a->h.seq, .pb = pb, .in = a->in };
	if (pb != NULL) {
		pktbuf_ref(pb);
		s->data = a->packet;
		s->len = (uint32_t)a->len;
	}
}

/* The number that is missing of a group; 0: none, or several. */
static uint64_t
missing(struct parity_rx *p, uint64_t first, uint64_t end)
{
	uint64_t found = 0;

	for (uint64_t seq = first; seq < end; seq++) {
		if (slot_of(p, seq)->seq == seq)
			continue;
		if (found != 0)
			return 0;
		found = seq;
	}
	return found;
}

/* Adds what has come; false: it cannot be of this sum. */
static bool
add_others(struct parity_rx *p, struct pktbuf *pb, struct wire_inner *in,
    uint64_t first, uint64_t end)
{
	for (uint64_t seq = first; seq < end; seq++) {
		const struct parity_slot *s = slot_of(p, seq);

		if (s->seq != seq || s->pb == NULL)
			continue;
		if (s->len > pb->len)
			return false;
		xor_bytes(pb->data, s->data, s->len);
		xor_inner(in, &s->in);
	}
	return true;
}

struct pktbuf *
parity_restore(struct parity_rx *p, struct pktbuf_pool *pool,
    struct link_arrival *a, bool tap, mono_t now)
{
	uint64_t seq = a->h.seq, span = a->in.flags >> WIRE_PARITY_SHIFT;
	struct pktbuf *pb;

	p->heard_at = now;
	if (span >= seq || missing(p, seq - span, seq) == 0 ||
	    (pb = pktbuf_alloc(pool, a->len)) == NULL)
		return NULL;
	memcpy(pb->data, a->packet, a->len);
	pb->len = (uint32_t)a->len;
	a->in.flags &= WIRE_PARITY_FLAGS;
	if (add_others(p, pb, &a->in, seq - span, seq) &&
	    (pb->len = flow_length(pb, tap)) != 0)
		return pb;
	pktbuf_free(pool, pb);
	return NULL;
}

/* --- time --- */

mono_t
parity_run(struct tunnel *t, mono_t now)
{
	mono_t next = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];
		mono_t due = l->parity_tx.began_at + age_max(t);

		forget_old(&l->parity_rx, t->pool, now);
		if (l->parity_tx.sum == NULL)
			continue;
		if (due <= now)
			finish(t, l, now);
		else
			next = mono_earlier(next, due);
	}
	return next;
}
