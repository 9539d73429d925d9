/*
 * sd_notify(3) by hand: one datagram to the socket that NOTIFY_SOCKET names.
 */
#ifndef MLVPN_PRIV_NOTIFY_H
#define MLVPN_PRIV_NOTIFY_H

#include <sys/un.h>
#include <stddef.h>

struct notify {
	struct sockaddr_un addr;
	socklen_t len; /* 0: nobody wants to know */
};

/* Reads and removes NOTIFY_SOCKET from the environment. */
void notify_init(struct notify *n);
/* Tells "READY=1", "STOPPING=1"; errors don't matter. */
void notify_send(const struct notify *n, const char *state);
/* "RELOADING=1" with the time that the protocol demands. */
void notify_reloading(const struct notify *n);

#endif
