/*
 * Drives handshakes.  The client asks, again and again until it is answered;
 * the server keeps each answered HELLO aside and changes nothing until the
 * first authentic packet under its keys.  A change of keys loses nothing: the
 * client seals with the old ones until the server has used the new, and both
 * go on opening packets of the old ones for a while.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

#define HELLO_FIRST (250 * NSEC_PER_MSEC)
#define HELLO_SLOWEST (1 * NSEC_PER_SEC)
/* A fresh key for the exchange after this long without an answer. */
#define ATTEMPT_MAX (10 * NSEC_PER_SEC)
#define HELLO_AFTER_REJECT (5 * NSEC_PER_SEC)
#define CONFIRM_RETRY (250 * NSEC_PER_MSEC)
#define CONFIRM_TRIES 6
/* The client repeats one HELLO for ATTEMPT_MAX, and then uses the answer. */
#define PENDING_MAX (ATTEMPT_MAX + 5 * NSEC_PER_SEC)
#define ANSWER_GAP (1 * NSEC_PER_SEC) /* between answers to one HELLO */
#define PREV_KEYS (10 * NSEC_PER_SEC) /* for packets on their way */
/* Between two changes of keys, for what is still on its way under the first. */
#define RENEW_GAP (1 * NSEC_PER_SEC)
#define RENEW_AGE (3600 * NSEC_PER_SEC)
#define RENEW_PACKETS (UINT64_C(1) << 28)
#define TELL_TRIES 5 /* unanswered HELLOs before the log says so */
#define LOG_PERIOD (60 * NSEC_PER_SEC)

static const struct hs_keys *
current_keys(const struct tunnel *t)
{
	return &t->keys[t->keys_cur];
}

static const struct hs_keys *
old_keys(const struct tunnel *t, mono_t now)
{
	const struct hs_keys *k = &t->keys[1 - t->keys_cur];

	return k->valid && now < t->old_keys_until ? k : NULL;
}

static struct session *
session_of(struct link *l, uint8_t epoch)
{
	/* A server that started anew may have given the epoch of cur again. */
	if (l->next.session.used && l->next.session.epoch == epoch)
		return &l->next.session;
	if (l->cur.used && l->cur.epoch == epoch)
		return &l->cur;
	if (l->prev.used && l->prev.epoch == epoch)
		return &l->prev;
	return NULL;
}

static bool
is_pending(const struct hs_pending *p, mono_t now)
{
	return p->used && now - p->created_at < PENDING_MAX;
}

bool
link_hs_find(struct link *l, struct link_arrival *a, mono_t now)
{
	a->pending = NULL;
	a->s = session_of(l, a->h.epoch);
	if (a->s != NULL)
		return true;
	for (size_t i = 0; i < LINK_PENDING_MAX; i++) {
		struct hs_pending *p = &l->pending[i];

		if (!is_pending(p, now) || !p->authenticated ||
		    p->session.epoch != a->h.epoch)
			continue;
		a->pending = p;
		a->s = &p->session;
		return true;
	}
	return false;
}

void
link_hs_reset(struct link *l)
{
	session_clear(&l->next.session);
	l->confirm_at = MONO_NEVER;
	link_hs_abandon(l);
}

void
link_hs_abandon(struct link *l)
{
	hs_client_clear(&l->attempt);
	for (size_t i = 0; i < LINK_PENDING_MAX; i++)
		hs_pending_clear(&l->pending[i]);
}

void
link_hs_confirmed(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now)
{
	char old[ADDRTEXT_MAX], new[ADDRTEXT_MAX];
	const struct hs_pending *pending = a->pending;
	const struct path *path = pending != NULL ? a->from : &l->next_path;
	const struct hs_peer *peer =
	    pending != NULL ? &pending->peer : &l->next.peer;

	session_move(&l->prev, &l->cur);
	l->prev_until = l->prev.used ? now + PREV_KEYS : MONO_NEVER;
	l->prev_is_gone = peer->instance != l->peer_instance;
	l->prev_has_died = !peer_same_process(peer->instance, l->peer_instance);
	session_move(&l->cur, a->s);
	/* What was on its way to the link before it began anew is lost. */
	if (l->prev_is_gone && !l->prev_has_died)
		arq_inject(t, l, now);
	peer_learn(t, l, peer, now);
	if (!l->up) {
		/* A guess, or none, until the first echo. */
		l->srtt = pending != NULL ? now - pending->answered_at : 0;
		l->rttvar = 0;
	}
	if (l->up && !addr_equal(&path->peer, &l->path.peer))
		log_info("link %s: peer moved from %s to %s", l->conf.name,
		    link_addr_text(&l->path.peer, old),
		    link_addr_text(&path->peer, new));
	l->path = *path;
	l->probe = 0;
	l->hello_at = l->renew && !t->server ? now + RENEW_GAP : MONO_NEVER;
	l->renew = false;
	l->hello_tries = 0;
	l->stats.handshakes++;
	link_hs_reset(l);
	link_set_rate(t, l, now);
	log_debug("link %s: new keys, epoch %u", l->conf.name, l->cur.epoch);
	if (l->up)
		tunnel_retune(t);
}

void
link_hs_ask(struct tunnel *t, struct link *l, mono_t now)
{
	const struct link_control c = { .control = WIRE_RENEW };

	if (t->server && l->renew && l->cur.used)
		link_send_control(t, l, &c, now);
}

/* --- client --- */

void
link_hs_renew(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t last = l->up ? l->cur.created_at : now - RENEW_GAP;

	if (t->server) {
		l->renew = l->cur.used;
		link_hs_ask(t, l, now);
		return;
	}
	/* The server may seal with new keys already, or is being told of old
	 * settings: first things first, and another one follows. */
	l->renew = l->next.session.used || l->attempt.active;
	if (l->next.session.used || l->hello_at <= now)
		return;
	if (l->attempt.active)
		last = mono_later(last, l->hello_sent_at);
	l->hello_at = mono_later(now, last + RENEW_GAP);
	l->hello_tries = 0;
}

/* The path that the next HELLO takes; -1 while there is none. */
static int
hello_path(struct link *l, struct path *path)
{
	if (l->up) {
		*path = l->path;
		return 0;
	}
	memset(path, 0, sizeof(*path));
	for (size_t i = 0; i < l->naddrs; i++) {
		path->peer = l->addrs[l->addr_next % l->naddrs];
		if (link_map_addr(l, &path->peer) == 0)
			return 0;
		l->addr_next++;
	}
	return -1;
}

/* Whose password: the new one, but also the old while that may still be. */
static const struct hs_keys *
attempt_keys(const struct tunnel *t, const struct link *l, mono_t now)
{
	const struct hs_keys *old = old_keys(t, now);

	if (old != NULL && l->hello_tries > 2 && l->hello_tries % 2 == 1)
		return old;
	return current_keys(t);
}

static int
start_attempt(struct tunnel *t, struct link *l, mono_t now)
{
	const struct hs_keys *keys = attempt_keys(t, l, now);
	struct hs_local me;

	if (l->attempt.active && l->attempt.keys == keys &&
	    now - l->attempt.started_at < ATTEMPT_MAX)
		return 0;
	hs_client_clear(&l->attempt);
	tunnel_local(t, l, &me);
	return hs_client_start(&l->attempt, keys, &me, now);
}

static mono_t
hello_gap(struct tunnel *t, const struct link *l, mono_t now)
{
	mono_t gap = HELLO_FIRST << (l->hello_tries < 3 ? l->hello_tries : 3);
	uint32_t r;

	if (gap > HELLO_SLOWEST)
		gap = HELLO_SLOWEST;
	/* A working link that fails to renew its keys is in no hurry. */
	if (l->up && l->hello_tries > TELL_TRIES && !peer_is_silent(t, now) &&
	    !peer_is_gone(t, l))
		gap = 10 * NSEC_PER_SEC;
	t->ops.random(t->ops.ctx, &r, sizeof(r));
	/* Never less: the server answers one HELLO once a second at most. */
	return gap + (mono_t)(r % 64) * (gap / 512);
}

static void
tell_unanswered(struct link *l, const struct path *path, mono_t now)
{
	char peer[ADDRTEXT_MAX];

	if (l->hello_tries < TELL_TRIES)
		return;
	log_limited(&l->log_auth, now, LOG_PERIOD,
	    "link %s: no answer from %s: is it reachable, running, and has "
	    "it the same password?",
	    l->conf.name, link_addr_text(&path->peer, peer));
}

static void
send_hello(struct tunnel *t, struct link *l, mono_t now)
{
	struct path path;

	/* Keys and addresses set hello_at when they come. */
	if (!current_keys(t)->valid || hello_path(l, &path) == -1) {
		l->hello_at = now + HELLO_SLOWEST;
		return;
	}
	l->hello_at = now + hello_gap(t, l, now);
	if (start_attempt(t, l, now) == -1) {
		log_warnx("link %s: cannot make a handshake", l->conf.name);
		return;
	}
	link_send_hs(t, l, l->attempt.hello, &path, now);
	l->hello_sent_at = now;
	l->hello_tries++;
	if (l->hello_tries % 2 == 0)
		l->addr_next++;
	tell_unanswered(l, &path, now);
}

/* Offers the new keys until the server has used them. */
static void
send_confirm(struct tunnel *t, struct link *l, mono_t now)
{
	const struct link_control c = { .control = WIRE_KEEPALIVE,
		.s = &l->next.session,
		.path = &l->next_path };

	if (l->confirm_tries++ >= CONFIRM_TRIES) {
		session_clear(&l->next.session);
		l->confirm_at = MONO_NEVER;
		l->hello_at = now;
		return;
	}
	l->confirm_at = now + CONFIRM_RETRY;
	if (l->next.auth[0] != 0)
		link_send_hs(t, l, l->next.auth, &l->next_path, now);
	link_send_control(t, l, &c, now);
}

static bool
keys_are_old(const struct link *l, mono_t now)
{
	return l->cur.used && l->up && l->hello_at == MONO_NEVER &&
	       !l->next.session.used &&
	       (now - l->cur.created_at >= RENEW_AGE ||
		   l->cur.tx_packets >= RENEW_PACKETS ||
		   l->cur.rx_packets >= RENEW_PACKETS);
}

mono_t
link_hs_run(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t next;

	if (l->family == 0)
		return MONO_NEVER;
	if (keys_are_old(l, now))
		link_hs_renew(t, l, now);
	if (now >= l->confirm_at)
		send_confirm(t, l, now);
	if (now >= l->hello_at)
		send_hello(t, l, now);
	next = mono_earlier(l->confirm_at, l->hello_at);
	if (l->up && l->cur.used && l->hello_at == MONO_NEVER &&
	    !l->next.session.used)
		next = mono_earlier(next, l->cur.created_at + RENEW_AGE);
	return next;
}

static void
tell_mismatch(struct tunnel *t, struct link *l, enum hs_result r,
    const struct hs_peer *peer, mono_t now)
{
	struct hs_local me;
	char text[200];

	tunnel_local(t, l, &me);
	hs_mismatch_text(text, sizeof(text), r, &me, peer);
	log_limited(&l->log_mismatch, now, LOG_PERIOD, "link %s: refused: %s",
	    l->conf.name, text);
}

static void
client_input(
    struct tunnel *t, struct link *l, const struct hs_dgram *m, mono_t now)
{
	enum hs_result r;

	if (!l->attempt.active || l->next.session.used) {
		l->stats.drop_stranger++;
		return;
	}
	r = hs_client_answer(&l->attempt, m->msg, m->len, &l->next, now);
	if (r == HS_OK) {
		if (l->srtt == 0 || !l->up)
			l->srtt = now - l->hello_sent_at;
		l->next_path = *m->from;
		l->hello_at = MONO_NEVER;
		l->confirm_tries = 0;
		send_confirm(t, l, now);
	} else if (hs_is_mismatch(r)) {
		l->hello_at = now + HELLO_AFTER_REJECT;
		l->hello_tries = 0;
		tell_mismatch(t, l, r, &l->next.peer, now);
	} else if (r == HS_MALFORMED)
		l->stats.drop_malformed++;
	else
		l->stats.drop_auth++;
}

/* --- server --- */

static const struct hs_keys *
verify_hello(const struct tunnel *t, const struct hs_dgram *m, mono_t now)
{
	const struct hs_keys *k = current_keys(t);

	if (k->valid && hs_check_hello(k, m->msg, m->len) == HS_OK)
		return k;
	k = old_keys(t, now);
	if (k != NULL && hs_check_hello(k, m->msg, m->len) == HS_OK)
		return k;
	return NULL;
}

static bool
epoch_is_free(struct link *l, uint8_t epoch)
{
	if (session_of(l, epoch) != NULL)
		return false;
	for (size_t i = 0; i < LINK_PENDING_MAX; i++)
		if (l->pending[i].used && l->pending[i].session.epoch == epoch)
			return false;
	return true;
}

static uint8_t
pick_epoch(struct tunnel *t, struct link *l)
{
	uint8_t epoch;

	t->ops.random(t->ops.ctx, &epoch, sizeof(epoch));
	while (!epoch_is_free(l, epoch))
		epoch++;
	return epoch;
}

/* A place for a new handshake, NULL when too many are young. */
static struct hs_pending *
free_pending(struct link *l, mono_t now)
{
	struct hs_pending *oldest = &l->pending[0];

	for (size_t i = 0; i < LINK_PENDING_MAX; i++) {
		struct hs_pending *p = &l->pending[i];

		if (!is_pending(p, now)) {
			hs_pending_clear(p);
			return p;
		}
		if (p->created_at < oldest->created_at)
			oldest = p;
	}
	if (now - oldest->created_at < ANSWER_GAP)
		return NULL;
	hs_pending_clear(oldest);
	return oldest;
}

static struct hs_pending *
same_hello(struct link *l, const struct hs_dgram *m, mono_t now)
{
	for (size_t i = 0; i < LINK_PENDING_MAX; i++)
		if (is_pending(&l->pending[i], now) &&
		    hs_pending_is(&l->pending[i], m->msg, m->len))
			return &l->pending[i];
	return NULL;
}

static void
answer_again(struct tunnel *t, struct link *l, struct hs_pending *p,
    const struct path *from, mono_t now)
{
	if (now - p->answered_at < ANSWER_GAP) {
		l->stats.drop_limit++;
		return;
	}
	p->answered_at = now;
	link_send_hs(t, l, p->reply, from, now);
}

static void
send_reject(struct tunnel *t, struct link *l, const struct hs_pending *p,
    const struct path *from, mono_t now)
{
	if (now >= l->reject_at) {
		l->reject_at = now + ANSWER_GAP;
		link_send_hs(t, l, p->reply, from, now);
	} else
		l->stats.drop_limit++;
}

static void
new_hello(struct tunnel *t, struct link *l, const struct hs_keys *keys,
    const struct hs_dgram *m, mono_t now)
{
	struct hs_pending *p = free_pending(l, now);
	struct hs_local me;
	enum hs_result r;

	if (p == NULL) {
		l->stats.drop_limit++;
		return;
	}
	tunnel_local(t, l, &me);
	me.epoch = pick_epoch(t, l);
	r = hs_server_hello(p, keys, &me, m->msg, m->len, now);
	if (r == HS_OK) {
		link_send_hs(t, l, p->reply, m->from, now);
		return;
	}
	if (hs_is_mismatch(r)) {
		tell_mismatch(t, l, r, &p->peer, now);
		send_reject(t, l, p, m->from, now);
	} else
		l->stats.drop_malformed++;
	hs_pending_clear(p);
}

static void
hello_input(
    struct tunnel *t, struct link *l, const struct hs_dgram *m, mono_t now)
{
	const struct hs_keys *keys = verify_hello(t, m, now);
	struct hs_pending *p;
	char peer[ADDRTEXT_MAX];

	if (!current_keys(t)->valid) {
		l->stats.drop_limit++; /* our own keys are still being made */
		return;
	}
	if (keys == NULL) {
		l->stats.drop_auth++;
		log_limited(&l->log_auth, now, LOG_PERIOD,
		    "link %s: handshake from %s ignored: wrong password or not "
		    "meant for us",
		    l->conf.name, link_addr_text(&m->from->peer, peer));
		return;
	}
	p = same_hello(l, m, now);
	if (p != NULL)
		answer_again(t, l, p, m->from, now);
	else
		new_hello(t, l, keys, m, now);
}

static void
auth_input(struct link *l, const struct hs_dgram *m)
{
	for (size_t i = 0; i < LINK_PENDING_MAX; i++)
		if (l->pending[i].used && !l->pending[i].authenticated &&
		    hs_server_auth(&l->pending[i], m->msg, m->len) == HS_OK)
			return;
	l->stats.drop_auth++;
}

/* A client gets a HELLO only from another client, or its own sent back. */
static bool
is_our_own(
    const struct tunnel *t, const struct link *l, const struct hs_dgram *m)
{
	struct hs_local me;

	if (t->server)
		return false;
	tunnel_local(t, l, &me);
	return !hs_same_role(current_keys(t), &me, m->msg, m->len);
}

void
link_hs_input(
    struct tunnel *t, struct link *l, const struct hs_dgram *m, mono_t now)
{
	uint8_t type = m->msg[0];

	if (type == WIRE_HELLO && is_our_own(t, l, m))
		l->stats.drop_stranger++;
	else if (type == WIRE_HELLO)
		hello_input(t, l, m, now);
	else if (type == WIRE_AUTH && t->server)
		auth_input(l, m);
	else if (!t->server && (type == WIRE_REPLY || type == WIRE_REJECT))
		client_input(t, l, m, now);
	else
		l->stats.drop_malformed++;
}
