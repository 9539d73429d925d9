/*
 * Watches the interfaces that links stand on.  The kernel's events only say
 * that something changed; what, is found by comparing pictures, so that a lost
 * event costs nothing.
 */
#ifndef MLVPN_PRIV_MONITOR_H
#define MLVPN_PRIV_MONITOR_H

#include <stdbool.h>

#include "base/util.h"
#include "conf/conf.h"
#include "priv/ifaces.h"
#include "priv/nl.h"

/* What a link stands on. */
struct footing {
	int error; /* 0: there; ENODEV, ENETDOWN, EADDRNOTAVAIL: away */
	unsigned index;
	uint64_t addrs; /* a sum over the addresses of the interface */
};

enum footing_change {
	FOOTING_SAME,
	FOOTING_LOST,	    /* now away */
	FOOTING_BACK,	    /* there again, or another one of that name */
	FOOTING_READDRESSED /* other addresses on the same interface */
};

struct monitor_ops {
	void (*changed)(
	    void *ctx, unsigned slot, enum footing_change change, int error);
	/* Something changed, perhaps the MTU of an interface. */
	void (*looked)(void *ctx);
};

struct monitor {
	const struct monitor_ops *ops;
	void *ctx;
	struct nl *nl; /* for the pictures */
	struct mnl_socket *events;
	int fd; /* to poll; monitor_read when it is readable */
	mono_t look_at;
	struct footing footing[LINKS_MAX];
};

int monitor_open(
    struct monitor *m, struct nl *nl, const struct monitor_ops *ops, void *ctx);
void monitor_close(struct monitor *m);
/* The links as they are now; those named in fresh are new or moved. */
void monitor_start(
    struct monitor *m, const struct conf *conf, const bool fresh[LINKS_MAX]);
void monitor_read(struct monitor *m, mono_t now);
/* Looks when it is time; returns the next deadline. */
mono_t monitor_run(struct monitor *m, const struct conf *conf, mono_t now);

/* Does the link depend on an interface that can be named? */
bool footing_of(
    const struct ifaces *ifs, const struct conf_link *link, struct footing *f);
enum footing_change footing_compare(
    const struct footing *old, const struct footing *now);

#endif
