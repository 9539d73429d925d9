/*
 * Which process the peer is, what follows when it is another one, and how a
 * client finds that out: a server that has started anew drops what is sealed
 * for the one before, so its silence is a reason to shake hands again.
 */
#ifndef MLVPN_TUNNEL_PEER_H
#define MLVPN_TUNNEL_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

/* Beyond the round trip of the slowest link; no answer by any of them: */
#define PEER_LATE (100 * NSEC_PER_MSEC) /* all are asked again and again */
#define PEER_SILENCE (1 * NSEC_PER_SEC) /* and offered a handshake */
/* A pause for silence is over for so long: the next one is the first. */
#define PEER_CALM (64 * NSEC_PER_SEC)

#define PEER_REPLACED_MAX 8

/* Which process it is; client: and is that still there?  By all links. */
struct peer_watch {
	mono_t proven_at; /* it lived when its newest keys were agreed on */
	uint64_t replaced[PEER_REPLACED_MAX]; /* instances before it */
	size_t nreplaced;
	/* client */
	mono_t asked_at; /* first question since the last packet; 0: none */
	mono_t again_at; /* no earlier handshakes for silence */
	unsigned tries;	 /* silences lately that were no death */
};

struct hs_peer;
struct link;
struct tunnel;

/* Are these two instances, as handshake.h has it, of one process? */
bool peer_same_process(uint64_t a, uint64_t b);
/* Has another process taken the place of that which l's keys are of? */
bool peer_is_gone(const struct tunnel *t, const struct link *l);
/* What the peer said of itself in the handshake that is now in force on l. */
void peer_learn(
    struct tunnel *t, struct link *l, const struct hs_peer *peer, mono_t now);

/* A KEEPALIVE has left by every link. */
void peer_asked(struct tunnel *t, mono_t now);
/* An authentic packet of its present process came, by whatever link. */
void peer_heard(struct tunnel *t);
/* This process was not running for so long. */
void peer_stalled(struct tunnel *t, mono_t span, mono_t now);
/* It should have answered, but it may not be silent yet: ask once more. */
bool peer_is_late(const struct tunnel *t, mono_t now);
bool peer_is_silent(const struct tunnel *t, mono_t now);
/* Client: begins handshakes when it is silent; returns when it wants to be
 * called again. */
mono_t peer_run(struct tunnel *t, mono_t now);

#endif
