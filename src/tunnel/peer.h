/*
 * Which process the peer is, and what follows when it is another one.
 */
#ifndef MLVPN_TUNNEL_PEER_H
#define MLVPN_TUNNEL_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

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

#endif
