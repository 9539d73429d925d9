/*
 * What the tunnel device gets from the configuration: MTU, addresses, routes,
 * rules.  struct netdev remembers what was applied, so that a reload touches
 * only what changed and the exit leaves nothing behind.
 */
#ifndef MLVPN_PRIV_NETDEV_H
#define MLVPN_PRIV_NETDEV_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "priv/nl.h"

#define NETDEV_MTU_IP6_MIN 1280

struct netdev_addr {
	struct conf_prefix addr; /* family AF_UNSPEC: none */
	struct conf_prefix peer; /* the other end of a /32 or /128 */
};

struct netdev_route {
	struct conf_prefix dst;
	struct conf_prefix via; /* family AF_UNSPEC: the device itself */
};

struct netdev {
	struct nl nl;
	char name[CONF_IFNAME_MAX];
	unsigned index;
	bool tap;
	uid_t uid;	/* of the resolver: its packets use the main table */
	uint32_t table; /* of our routes */
	uint32_t mark;	/* of the link sockets, which must not use it */
	/* as applied */
	unsigned mtu_bytes;
	struct netdev_addr addrs[2]; /* IPv4, IPv6 */
	struct netdev_route routes[CONF_ROUTES_MAX];
	size_t nroutes;
};

/* -1 after logging why. */
int netdev_init(struct netdev *nd, const struct conf *conf, uid_t uid);
/* Makes the device what conf says, with this MTU; what can't be done is logged
 * and tried again the next time.  -1: not even the link is up. */
int netdev_apply(struct netdev *nd, const struct conf *conf, unsigned mtu);
/* Removes routes and rules; the device may be gone already. */
void netdev_close(struct netdev *nd);

/* Warns of settings of the host that would break the tunnel. */
void netdev_warn(const struct conf *conf);
/* For `mtu = auto`: what all links carry, less our overhead. */
unsigned netdev_mtu_auto(struct nl *nl, const struct conf *conf);

/* Between netdev_linux.c, route_linux.c and rule_linux.c: */
bool netdev_prefix_equal(
    const struct conf_prefix *a, const struct conf_prefix *b);
size_t netdev_addr_bytes(int family);
/* Brings nd->routes to the wanted ones, those of a family anew if stale. */
void route_apply(struct netdev *nd, const struct conf *conf, bool ip6_possible,
    const bool stale[2]);
void route_remove_all(struct netdev *nd);
/* Sets present[len] for each prefix length that our table has a route of. */
int route_lengths(struct netdev *nd, int family, bool present[129]);
/* Adds the rules that nd->routes need, removes those nobody needs. */
void rule_apply(struct netdev *nd);

#endif
