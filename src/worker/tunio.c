/*
 * Reads the device greedily: what waits must wait in our queue, not there.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "worker/tunio.h"

#define READ_BATCH 128 /* packets; then the sockets get their turn */

_Static_assert(PKTBUF_HEADROOM >= TUNIO_VNET_LEN, "virtio header in headroom");

/* No memory: a packet that stays in the device would wake us for ever. */
static int
discard(struct tunio *io, struct tunnel *t)
{
	uint8_t start[TUNIO_VNET_LEN + 1];

	if (read(io->fd, start, sizeof(start)) == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	t->stats.drop_no_memory++;
	return 0;
}

int
tunio_read(struct tunio *io, struct tunnel *t, mono_t now)
{
	for (int i = 0; i < READ_BATCH; i++) {
		struct pktbuf *pb =
		    pktbuf_alloc(t->pool, t->mtu_bytes + TUNNEL_FRAME_EXTRA);
		ssize_t n;

		if (pb == NULL)
			return discard(io, t);
		n = read(io->fd, pb->data - TUNIO_VNET_LEN,
		    pb->size + TUNIO_VNET_LEN);
		if (n <= TUNIO_VNET_LEN) {
			pktbuf_free(t->pool, pb);
			if (n >= 0)
				continue;
			return errno == EAGAIN || errno == EINTR ? 0 : errno;
		}
		pb->len = (uint32_t)(n - TUNIO_VNET_LEN);
		tunnel_input(t, pb, now);
	}
	return 0;
}

void
tunio_write(struct tunio *io, struct tunnel *t, struct pktbuf *pb)
{
	uint8_t *start = pb->data - TUNIO_VNET_LEN;
	ssize_t n;

	memset(start, 0, TUNIO_VNET_LEN);
	do
		n = write(io->fd, start, pb->len + TUNIO_VNET_LEN);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		t->stats.drop_device++;
	pktbuf_free(t->pool, pb);
}
