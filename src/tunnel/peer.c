/*
 * The process at the other end.  Each handshake names it, so one that has taken
 * the place of another is known for what it is: its numbers begin anew.  A
 * client that hears nothing by any link offers handshakes, which a new process
 * answers and the same one, too: that costs new keys and no packet.
 */
#include "config.h"

#include "base/log.h"
#include "tunnel/handshake.h"
#include "tunnel/peer.h"
#include "tunnel/tunnel.h"

bool
peer_same_process(uint64_t a, uint64_t b)
{
	return ((a ^ b) & ~HS_LIFE_MASK) == 0;
}

static bool
was_replaced(const struct peer_watch *w, uint64_t instance)
{
	for (size_t i = 0; i < w->nreplaced && i < PEER_REPLACED_MAX; i++)
		if (peer_same_process(w->replaced[i], instance))
			return true;
	return false;
}

/* Another process over there: all its numbers start anew, and what the one
 * before had got, it must not get again. */
static void
replace(struct tunnel *t, uint64_t instance, mono_t now)
{
	struct peer_watch *w = &t->watch;

	if (t->peer_instance != 0) {
		log_info(was_replaced(w, instance)
			     ? "bond: the peer's former process is back"
			     : "bond: the peer has started anew");
		if (!was_replaced(w, t->peer_instance))
			w->replaced[w->nreplaced++ % PEER_REPLACED_MAX] =
			    t->peer_instance;
	}
	t->peer_instance = instance;
	reseq_reset(t->reseq, now);
	playout_reset(t->playout);
	feedback_reset(t);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (!t->links[i].used)
			continue;
		/* Its keys carry nothing, also if their owner comes back: none
		 * could tell copies of what came under them before. */
		t->links[i].peer_instance = 0;
		link_forget_traffic(t, &t->links[i]);
	}
	arq_purge(t);
	fq_forget_peer(t->fq);
	/* If there was a silence it had a reason: the next may have one. */
	w->again_at = 0;
	w->tries = 0;
}

/*
 * May the process whose keys were agreed on at proven_at take over?  A packet
 * under them was sent after that, so of two that lived one after the other the
 * later has the newer keys; neither a late packet nor a copy can change that.
 * If both live, as behind a name with two addresses, a client stays with the
 * one it has as long as that answers.
 */
static bool
may_replace(const struct tunnel *t, uint64_t instance, mono_t proven_at)
{
	const struct peer_watch *w = &t->watch;

	if (proven_at < w->proven_at)
		return false;
	if (t->server || t->nup == 0 || !was_replaced(w, instance))
		return true;
	return peer_is_silent(t, proven_at);
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

/* --- client: is it still there? --- */

void
peer_asked(struct tunnel *t, mono_t now)
{
	if (t->nup > 0 && t->watch.asked_at == 0)
		t->watch.asked_at = now;
}

void
peer_heard(struct tunnel *t)
{
	t->watch.asked_at = 0;
}

void
peer_stalled(struct tunnel *t, mono_t span, mono_t now)
{
	if (t->watch.asked_at != 0)
		t->watch.asked_at = mono_earlier(t->watch.asked_at + span, now);
}

/* When the answer of the slowest link to it should be there; MONO_NEVER: none
 * is awaited. */
static mono_t
answer_due(const struct tunnel *t)
{
	mono_t longest = 0;

	if (t->server || t->nup == 0 || t->watch.asked_at == 0)
		return MONO_NEVER;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (l->used && l->up && !peer_is_gone(t, l))
			longest = mono_later(longest, l->srtt + 4 * l->rttvar);
	}
	return t->watch.asked_at + longest;
}

bool
peer_is_late(const struct tunnel *t, mono_t now)
{
	mono_t due = answer_due(t);

	return now - due >= PEER_LATE && now - due < PEER_SILENCE;
}

bool
peer_is_silent(const struct tunnel *t, mono_t now)
{
	mono_t due = answer_due(t);

	return now - due >= PEER_SILENCE;
}

/* By the links that are up; others do so anyway.  False: all are at it. */
static bool
shake_hands(struct tunnel *t, bool gone, mono_t now)
{
	bool began = false;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->used || !l->up || l->next.session.used ||
		    l->hello_at != MONO_NEVER)
			continue;
		if (gone && !peer_is_gone(t, l))
			continue;
		link_hs_renew(t, l, now);
		began = true;
	}
	return began;
}

void
peer_learn(
    struct tunnel *t, struct link *l, const struct hs_peer *peer, mono_t now)
{
	bool replaced = false;

	l->peer_mtu = peer->mtu_bytes;
	l->peer_tx_Bps = peer->tx_Bps;
	l->peer_rx_Bps = peer->rx_Bps;
	if (!peer_same_process(peer->instance, t->peer_instance) &&
	    may_replace(t, peer->instance, l->cur.created_at)) {
		replace(t, peer->instance, now);
		replaced = !t->server;
	}
	if (peer_same_process(peer->instance, t->peer_instance)) {
		t->watch.proven_at =
		    mono_later(t->watch.proven_at, l->cur.created_at);
		if (t->server)
			take_number(t, l, peer->link & (LINKS_MAX - 1), now);
	}
	if (peer->instance == l->peer_instance)
		return;
	l->peer_instance = peer->instance;
	l->rx_highest = l->rx_received = l->counted = 0;
	l->rx_stamp_at = 0;
	link_forget_traffic(t, l);
	loss_forget(&l->tx_loss.last);
	loss_forget(&l->rx_loss.last);
	/* What the other links have is of no use any more. */
	if (replaced)
		shake_hands(t, true, now);
}

mono_t
peer_run(struct tunnel *t, mono_t now)
{
	struct peer_watch *w = &t->watch;
	mono_t due = answer_due(t);

	if (due == MONO_NEVER)
		return MONO_NEVER;
	if (now < due + PEER_LATE)
		return due + PEER_LATE;
	if (now < due + PEER_SILENCE)
		return due + PEER_SILENCE;
	if (now < w->again_at)
		return w->again_at;
	if (now - w->again_at > PEER_CALM)
		w->tries = 0;
	w->again_at = now + link_back_off(t, w->tries);
	if (shake_hands(t, false, now))
		w->tries++;
	return w->again_at;
}
