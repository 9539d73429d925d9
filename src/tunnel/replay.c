/*
 * The bitmap of RFC 6479: a ring of words, one word longer than the window, so
 * that moving ahead clears whole words and never shifts.
 */
#include "config.h"

#include <string.h>

#include "tunnel/replay.h"

#define WORDS (REPLAY_WINDOW / 64 + 1)

void
replay_init(struct replay *r)
{
	memset(r, 0, sizeof(*r));
}

/* Makes seq the highest; the words between have seen nothing yet. */
static void
advance(struct replay *r, uint64_t seq)
{
	uint64_t from = r->highest / 64, words = seq / 64 - from;

	if (words > WORDS)
		words = WORDS;
	for (uint64_t i = 1; i <= words; i++)
		r->bits[(from + i) % WORDS] = 0;
	r->highest = seq;
}

bool
replay_accept(struct replay *r, uint64_t seq)
{
	uint64_t bit = UINT64_C(1) << (seq % 64);
	uint64_t *word = &r->bits[seq / 64 % WORDS];

	if (!r->started) {
		r->started = true;
		r->highest = seq;
	} else if (seq > r->highest) {
		advance(r, seq);
	} else if (r->highest - seq >= REPLAY_WINDOW || (*word & bit) != 0) {
		return false;
	}
	*word |= bit;
	return true;
}
