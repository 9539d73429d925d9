/*
 * Cuts IPv4 packets that are too long for the tunnel and may be cut, as every
 * router does (RFC 791, 3.2).
 */
#ifndef MLVPN_TUNNEL_FRAGMENT_H
#define MLVPN_TUNNEL_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/pktbuf.h"

/* Is the classified packet IPv4 without DF, and whole? */
bool fragment_allowed(const struct pktbuf *pb);
/*
 * Appends to list new buffers that hold pb in pieces of at most mtu_bytes from
 * the IP header on; pb stays as it is.  -1 (and nothing appended) when memory
 * is full or no piece would fit.
 */
int fragment_cut(struct pktbuf_pool *pool, const struct pktbuf *pb,
    uint32_t mtu_bytes, struct pktbuf_list *list);

#endif
