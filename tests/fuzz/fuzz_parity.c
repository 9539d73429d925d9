/*
 * Fuzz target: what a peer may send as the packets of a group and as their
 * parity.  The first byte chooses tun or tap; then each step has a byte for
 * what comes, one for how far its number is from the highest so far, two for
 * its length, an inner header, and as many bytes as there are.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tunnel/link.h"
#include "tunnel/parity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEP_LEN (4 + WIRE_INNER_LEN)

struct input {
	const uint8_t *data;
	size_t size;
};

struct step {
	uint8_t what, distance;
	struct wire_inner in;
	const uint8_t *packet;
	size_t len;
};

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static bool
next_step(struct input *i, struct step *s)
{
	if (i->size < STEP_LEN)
		return false;
	s->what = i->data[0];
	s->distance = i->data[1];
	s->len = get_be16(i->data + 2);
	wire_get_inner(&s->in, false, i->data + 4);
	i->data += STEP_LEN;
	i->size -= STEP_LEN;
	s->packet = i->data;
	if (s->len > i->size)
		s->len = i->size;
	i->data += s->len;
	i->size -= s->len;
	return true;
}

static void
hear(struct parity_rx *rx, struct pktbuf_pool *pool, uint64_t seq,
    const struct step *s, mono_t now)
{
	struct link_arrival a = { .h.seq = seq, .in = s->in, .len = s->len };
	struct pktbuf *pb = NULL;

	if ((s->what & 2) != 0) {
		pb = pktbuf_alloc(pool, s->len);
		require(pb != NULL);
		memcpy(pb->data, s->packet, s->len);
		pb->len = (uint32_t)s->len;
		a.packet = pb->data;
	}
	parity_heard(rx, pool, &a, pb, now);
	pktbuf_free(pool, pb);
}

static void
restore(struct parity_rx *rx, struct pktbuf_pool *pool, uint64_t seq,
    const struct step *s, bool tap, mono_t now)
{
	struct link_arrival a = { .h.seq = seq, .in = s->in, .len = s->len };
	struct pktbuf *pb;

	a.packet = malloc(s->len + 1);
	require(a.packet != NULL);
	memcpy(a.packet, s->packet, s->len);
	pb = parity_restore(rx, pool, &a, tap, now);
	free(a.packet);
	if (pb == NULL)
		return;
	require(pb->len > 0 && pb->len <= s->len);
	require(a.in.bucket < 1024 && a.in.bucket_seq < 1 << 22);
	require(a.in.link < 16 && a.in.flags <= WIRE_PARITY_FLAGS);
	pktbuf_free(pool, pb);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pktbuf_pool *pool = pktbuf_pool_new(8 << 20);
	struct input input = { data + (size > 0), size - (size > 0) };
	struct parity_rx rx = { 0 };
	uint64_t highest = 1000;
	mono_t now = 1000 * NSEC_PER_SEC;
	struct step s;

	require(pool != NULL);
	while (next_step(&input, &s)) {
		uint64_t seq = highest + 4 - s.distance;

		now += (s.what >> 2) * 16 * NSEC_PER_MSEC;
		if ((s.what & 1) != 0)
			restore(&rx, pool, seq, &s, (data[0] & 1) != 0, now);
		else
			hear(&rx, pool, seq, &s, now);
		if (seq > highest)
			highest = seq;
	}
	parity_forget(&rx, pool);
	require(pktbuf_used(pool, PKTBUF_IO) == 0);
	pktbuf_pool_free(pool);
	return 0;
}
