/*
 * Fuzz target: everything that reads or rewrites an inner packet.  The first
 * byte chooses tun or tap; the rest is the packet, in a buffer of exactly its
 * length for the reading part.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tunnel/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct flow_key key = { 1, 2 };

/* Reads it where the sanitizer knows every byte's end. */
static void
read_exact(const uint8_t *data, size_t size, bool tap)
{
	uint8_t *copy = malloc(size);
	struct pktbuf pb = { .data = copy, .len = (uint32_t)size };
	struct flow_info info;

	if (size > 0 && copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	if (flow_classify(&pb, tap, &key) == 0 && flow_info(&pb, &info) == 0) {
		if (info.l4_offset >= size || pb.l3_offset >= size)
			abort();
		flow_mark_ce(&pb);
	}
	if (flow_length(&pb, tap) > size)
		abort();
	flow_note_tcp(&pb, tap);
	free(copy);
}

/* Lets the answer be made, in a buffer of the pool. */
static void
answer(const uint8_t *data, size_t size, bool tap)
{
	struct pktbuf_pool *pool = pktbuf_pool_new(1 << 20);
	struct pktbuf *pb;

	if (pool == NULL || (pb = pktbuf_alloc(pool, size)) == NULL)
		abort();
	if (size > 0)
		memcpy(pb->data, data, size);
	pb->len = (uint32_t)size;
	/* An answer is a packet that gets none. */
	if (flow_classify(pb, tap, &key) == 0 && flow_too_big(pb, 1280) == 0 &&
	    (flow_classify(pb, tap, &key) == -1 || flow_too_big(pb, 68) == 0))
		abort();
	pktbuf_free(pool, pb);
	pktbuf_pool_free(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool tap;

	if (size == 0 || size > PKTBUF_LEN_MAX)
		return 0;
	tap = (data[0] & 1) != 0;
	read_exact(data + 1, size - 1, tap);
	answer(data + 1, size - 1, tap);
	return 0;
}
