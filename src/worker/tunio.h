/*
 * The tun or tap device: packets in and out, each behind a virtio header that
 * is all zero as long as no offload is on.
 */
#ifndef MLVPN_WORKER_TUNIO_H
#define MLVPN_WORKER_TUNIO_H

#include "base/util.h"
#include "tunnel/pktbuf.h"
#include "tunnel/tunnel.h"

#define TUNIO_VNET_LEN 10 /* struct virtio_net_hdr */

struct tunio {
	int fd; /* -1: none yet; owned by the worker */
};

/* Hands what waits in the device to the tunnel, at most a batch.  0, or an
 * errno that says that the device is gone. */
int tunio_read(struct tunio *io, struct tunnel *t, mono_t now);
/* Writes one packet and frees it. */
void tunio_write(struct tunio *io, struct tunnel *t, struct pktbuf *pb);

#endif
