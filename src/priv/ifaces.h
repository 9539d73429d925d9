/*
 * A picture of the host's interfaces and their addresses at one moment.
 */
#ifndef MLVPN_PRIV_IFACES_H
#define MLVPN_PRIV_IFACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "conf/conf.h"
#include "priv/nl.h"

struct iface {
	unsigned index;
	unsigned mtu_bytes;
	bool up;      /* by the administrator */
	bool running; /* has a carrier, as far as one knows */
	char name[CONF_IFNAME_MAX];
};

struct iface_addr {
	unsigned index;
	int family;
	uint8_t addr[16]; /* the first 4 for AF_INET */
	bool usable;	  /* not tentative */
	bool link_local;
};

struct ifaces {
	struct iface *list;
	size_t count, room;
	struct iface_addr *addrs;
	size_t naddrs, addrs_room;
};

/* -1 with errno; free it in any case. */
int ifaces_load(struct ifaces *ifs, struct nl *nl);
void ifaces_free(struct ifaces *ifs);
const struct iface *ifaces_by_name(const struct ifaces *ifs, const char *name);
const struct iface *ifaces_by_index(const struct ifaces *ifs, unsigned index);
/* The interface that has this address; NULL: none. */
const struct iface *ifaces_holder(
    const struct ifaces *ifs, const union addr *addr);

#endif
