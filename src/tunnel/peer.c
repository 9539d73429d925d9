/*
 * The process at the other end.  Each handshake names it, so one that has taken
 * the place of another is known for what it is: its numbers begin anew.
 */
#include "config.h"

#include "tunnel/handshake.h"
#include "tunnel/peer.h"
#include "tunnel/tunnel.h"

bool
peer_same_process(uint64_t a, uint64_t b)
{
	return ((a ^ b) & ~HS_LIFE_MASK) == 0;
}

/* Another process over there: all its numbers start anew, and what the one
 * before had got, it must not get again. */
static void
forget(struct tunnel *t, mono_t now)
{
	t->dead[t->ndead++ % DEAD_MAX] = t->peer_instance;
	reseq_reset(t->reseq, now);
	playout_reset(t->playout);
	feedback_reset(t);
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			link_forget_traffic(t, &t->links[i]);
	arq_purge(t);
	fq_forget_peer(t->fq);
}

static bool
is_dead(const struct tunnel *t, uint64_t instance)
{
	for (size_t i = 0; i < t->ndead && i < DEAD_MAX; i++)
		if (peer_same_process(t->dead[i], instance))
			return true;
	return false;
}

/* The client has given a number to l, hence not to another link any more.  That
 * one keeps what it has answered: the client may be about to use it. */
static void
take_number(struct tunnel *t, struct link *l, uint8_t number, mono_t now)
{
	l->wire_id = number;
	for (struct link *o = t->links; o < t->links + LINKS_MAX; o++) {
		if (o == l || !o->used || !o->cur.used || o->wire_id != number)
			continue;
		if (o->up)
			link_set_down(t, o, "its number is another's now", now);
		session_clear(&o->cur);
		session_clear(&o->prev);
		o->prev_until = MONO_NEVER;
	}
}

bool
peer_is_gone(const struct tunnel *t, const struct link *l)
{
	return !peer_same_process(l->peer_instance, t->peer_instance);
}

void
peer_learn(
    struct tunnel *t, struct link *l, const struct hs_peer *peer, mono_t now)
{
	l->peer_mtu = peer->mtu_bytes;
	l->peer_tx_Bps = peer->tx_Bps;
	l->peer_rx_Bps = peer->rx_Bps;
	if (t->server)
		take_number(t, l, peer->link & (LINKS_MAX - 1), now);
	if (peer->instance == l->peer_instance)
		return;
	/* The handshake of one that has died may be late. */
	if (!peer_same_process(peer->instance, t->peer_instance) &&
	    !is_dead(t, peer->instance)) {
		forget(t, now);
		t->peer_instance = peer->instance;
	}
	l->peer_instance = peer->instance;
	l->rx_highest = l->rx_received = l->counted = 0;
	l->rx_stamp_at = 0;
	link_forget_traffic(t, l);
	l->tx_loss.started = l->rx_loss.started = false;
}
