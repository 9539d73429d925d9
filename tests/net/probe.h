/* What the two halves of udpprobe share: options, sockets, the clock. */
#ifndef PROBE_H
#define PROBE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
	const char *peer, *local, *port;
	const char *series;	/* a file for per-packet lines */
	const char *congestion; /* TCP only */
	double rate;		/* packets per second; TCP: bytes, 0 any */
	double seconds;
	double interval; /* of the TCP timeline, seconds */
	size_t bytes;
	int tos;
};

extern volatile sig_atomic_t probe_stop;

int64_t probe_now(void);
int probe_socket(const struct options *, int type, bool server);
int probe_tcp_send(const struct options *);
int probe_tcp_recv(const struct options *);

#endif
