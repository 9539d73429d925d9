/*
 * Replay window of 8192 packets (RFC 6479), asked only after a packet proved
 * authentic.  Pure state, one per session and direction.
 */
#ifndef MLVPN_TUNNEL_REPLAY_H
#define MLVPN_TUNNEL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW 8192 /* packets behind the highest that are accepted */

struct replay {
	uint64_t highest;
	bool started; /* highest is valid */
	uint64_t bits[REPLAY_WINDOW / 64 + 1];
};

void replay_init(struct replay *r);
/* Accepts seq once and notes it; false: seen before or too old. */
bool replay_accept(struct replay *r, uint64_t seq);

#endif
