/*
 * Datagrams in batches: recvmmsg into packet buffers, and a store of outgoing
 * datagrams that leave with one sendmmsg per link.
 */
#ifndef MLVPN_WORKER_UDP_H
#define MLVPN_WORKER_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/link.h"
#include "tunnel/pktbuf.h"
#include "tunnel/tunnel.h"

#define UDP_BATCH 64 /* datagrams of one system call */

struct udp_out {
	unsigned slot;
	struct path path;
	uint8_t *data;
	size_t len;
};

struct udp {
	struct tunnel *tunnel;
	int fds[LINKS_MAX];	      /* -1: none; owned by the worker */
	struct pktbuf *in[UDP_BATCH]; /* waiting to be filled */
	struct udp_out out[2 * UDP_BATCH];
	size_t nout;
	uint8_t *store; /* the datagrams of out */
	size_t store_used;
	bool refused;	    /* a datagram was, since its owner cleared this */
	uint64_t truncated; /* datagrams longer than any of ours */
};

/* -1 when out of memory. */
int udp_init(struct udp *u);
void udp_free(struct udp *u);
/* Takes what a link's socket holds, at most so many batches of UDP_BATCH; 0, or
 * an errno that says that the socket is broken. */
int udp_receive(struct udp *u, unsigned slot, unsigned batches_max, mono_t now);
/* For struct tunnel_ops: space for a datagram, then its sending. */
uint8_t *udp_space(struct udp *u, size_t size);
void udp_queue(
    struct udp *u, unsigned slot, size_t len, const struct path *path);
/* Sends everything queued. */
void udp_flush(struct udp *u, mono_t now);

#endif
