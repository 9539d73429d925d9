/*
 * What is due on a link: its time-out, its keys, a socket or an address that it
 * wants.  Liveness rests on evidence that the peer received something from us:
 * each control packet echoes the stamp of the last packet that came the other
 * way, so a line that is dead in one direction only is found out by both ends.
 */
#include "config.h"

#include <stdio.h>

#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

/* Sessions end when no handshake renewed them for this long. */
#define KEY_AGE_MAX (3 * 3600 * NSEC_PER_SEC)
/* A socket that brought nothing for so long may be behind a dead NAT entry. */
#define SOCKET_QUIET (3 * NSEC_PER_SEC)
/* Questions to a line that has just failed. */
#define RETURN_PART 8
#define RETURN_GAP (20 * NSEC_PER_MSEC)
#define RETURN_GAP_MAX (250 * NSEC_PER_MSEC)
/* Between two tries of the same: doubles from the first to the last. */
#define BACK_OFF_MIN (2 * NSEC_PER_SEC)
#define BACK_OFF_MAX (64 * NSEC_PER_SEC)

mono_t
link_back_off(struct tunnel *t, unsigned tries)
{
	mono_t span = BACK_OFF_MIN;
	uint32_t r;

	while (tries-- > 0 && span < BACK_OFF_MAX)
		span *= 2;
	t->ops.random(t->ops.ctx, &r, sizeof(r));
	return span - (mono_t)(r % (uint32_t)(span / NSEC_PER_USEC / 4)) *
			  NSEC_PER_USEC;
}

/* A new socket has another port: what still comes to the old one, by a line of
 * which our direction is dead, would be lost. */
static mono_t
socket_due(const struct link *l)
{
	if (l->family == 0)
		return l->socket_at;
	return mono_later(l->socket_at, l->meter.heard_at + SOCKET_QUIET);
}

static mono_t
run_requests(struct tunnel *t, struct link *l, mono_t now)
{
	if (now >= socket_due(l)) {
		l->socket_at = now + link_back_off(t, l->socket_tries++);
		t->ops.event(t->ops.ctx, TUNNEL_WANT_SOCKET, l->slot);
	}
	if (now >= l->resolve_at) {
		l->resolve_at = now + link_back_off(t, l->resolve_tries++);
		t->ops.event(t->ops.ctx, TUNNEL_WANT_ADDRESS, l->slot);
	}
	return mono_earlier(socket_due(l), l->resolve_at);
}

/*
 * The server's own keepalives, for a client that sends too few: its time-out
 * is longer, or some were lost.
 */
static mono_t
ask_client(struct tunnel *t, struct link *l, mono_t timeout, mono_t now)
{
	mono_t ask_at = l->alive_at + timeout * 3 / 5;

	if (l->keepalive_at + timeout / 5 > ask_at)
		ask_at = l->keepalive_at + timeout / 5;
	if (now < ask_at)
		return ask_at;
	link_keepalive(t, l, now);
	return now + timeout / 5;
}

static mono_t
run_liveness(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t timeout = (mono_t)l->conf.timeout_ms * NSEC_PER_MSEC;
	mono_t end = l->alive_at + timeout;
	char reason[48];

	if (!l->up)
		return MONO_NEVER;
	if (now < end && t->server)
		return mono_earlier(end, ask_client(t, l, timeout, now));
	if (now < end)
		return end;
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
		link_forget_keys(l);
		/* Had a handshake been under way, it ended here. */
		if (!t->server)
			l->hello_at = now;
		return now;
	}
	return mono_earlier(l->prev_until, end);
}

/*
 * Client: a line that was down for a moment only, as in a burst of losses, is
 * to be used again as soon.  So the gap between two questions is a part of the
 * time for which it has been down, until the tunnel's own ones are as frequent.
 */
static mono_t
run_return(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t gap = mono_later((now - l->failed_at) / RETURN_PART, RETURN_GAP);

	if (t->server || l->up || l->failed_at == 0 || !l->cur.used ||
	    l->family == 0 || gap > RETURN_GAP_MAX)
		return MONO_NEVER;
	if (now < l->keepalive_at + gap)
		return l->keepalive_at + gap;
	link_keepalive(t, l, now);
	return now + gap;
}

mono_t
link_run(struct tunnel *t, struct link *l, mono_t now)
{
	mono_t next = run_liveness(t, l, now);

	next = mono_earlier(next, run_keys(t, l, now));
	next = mono_earlier(next, run_requests(t, l, now));
	next = mono_earlier(next, run_return(t, l, now));
	if (!t->server)
		next = mono_earlier(next, link_hs_run(t, l, now));
	return next;
}
