/*
 * The link and its addresses.  A tun device gets no link-local address, which
 * nobody asked for and which would send router solicitations through the
 * tunnel; a tap device needs one, but without waiting for duplicates.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <errno.h>
#include <string.h>

#include "priv/netdev.h"

#include "base/log.h"
#include "base/util.h"
#include "priv/ifaces.h"

#define TX_QUEUE_PACKETS 1000

bool
netdev_prefix_equal(const struct conf_prefix *a, const struct conf_prefix *b)
{
	if (a->family != b->family)
		return false;
	return a->family == AF_UNSPEC ||
	       (a->len == b->len &&
		   memcmp(a->addr, b->addr, netdev_addr_bytes(a->family)) == 0);
}

size_t
netdev_addr_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

int
netdev_init(struct netdev *nd, const struct conf *conf, uid_t uid)
{
	memset(nd, 0, sizeof(*nd));
	strlcpy(nd->name, conf->interface_name, sizeof(nd->name));
	nd->tap = conf->tuntap == TUNTAP_TAP;
	nd->uid = uid;
	nd->table = conf->table;
	nd->mark = conf->mark;
	if (nl_open(&nd->nl) == -1) {
		log_errx("rtnetlink: %s", strerror(errno));
		return -1;
	}
	nd->index = if_nametoindex(nd->name);
	if (nd->index == 0) {
		log_errx("%s: %s", nd->name, strerror(errno));
		nl_close(&nd->nl);
		return -1;
	}
	return 0;
}

static struct nlmsghdr *
begin_link(struct netdev *nd, void *buf, unsigned flags, unsigned change)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;

	nlh = nl_begin(&nd->nl, buf, RTM_NEWLINK, NLM_F_ACK);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = (int)nd->index;
	ifi->ifi_flags = flags;
	ifi->ifi_change = change;
	return nlh;
}

static void
forbid_link_local(struct netdev *nd)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlattr *spec, *inet6;
	struct nlmsghdr *nlh;

	nlh = begin_link(nd, buf, 0, 0);
	spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	/* Fails where there is no IPv6, which is just as well. */
	(void)nl_talk(&nd->nl, nlh, NULL, NULL);
}

static int
change_addr(struct netdev *nd, const struct netdev_addr *a, uint16_t type,
    uint16_t flags)
{
	size_t bytes = netdev_addr_bytes(a->addr.family);
	const struct conf_prefix *peer = &a->peer;
	uint8_t buf[NL_REQUEST_MAX];
	struct ifaddrmsg *ifa;
	struct nlmsghdr *nlh;

	if (peer->family == AF_UNSPEC)
		peer = &a->addr;
	nlh = nl_begin(&nd->nl, buf, type, NLM_F_ACK | flags);
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = (uint8_t)a->addr.family;
	ifa->ifa_prefixlen = a->addr.len;
	ifa->ifa_index = nd->index;
	mnl_attr_put(nlh, IFA_LOCAL, bytes, a->addr.addr);
	mnl_attr_put(nlh, IFA_ADDRESS, bytes, peer->addr);
	if (a->addr.family == AF_INET6)
		mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_NODAD);
	return nl_talk(&nd->nl, nlh, NULL, NULL);
}

/* IPv6 came back with an MTU that allows it, and with its own ideas. */
static void
drop_link_local(struct netdev *nd)
{
	struct netdev_addr addr;
	struct ifaces ifs;
	size_t i;

	forbid_link_local(nd);
	memset(&addr, 0, sizeof(addr));
	addr.addr.family = AF_INET6;
	addr.addr.len = 64;
	(void)ifaces_load(&ifs, &nd->nl);
	for (i = 0; i < ifs.naddrs; i++) {
		if (ifs.addrs[i].index != nd->index ||
		    ifs.addrs[i].family != AF_INET6 || !ifs.addrs[i].link_local)
			continue;
		memcpy(
		    addr.addr.addr, ifs.addrs[i].addr, sizeof(addr.addr.addr));
		(void)change_addr(nd, &addr, RTM_DELADDR, 0);
	}
	ifaces_free(&ifs);
}

static int
set_mtu(struct netdev *nd, unsigned mtu)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;

	nlh = begin_link(nd, buf, 0, 0);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	if (nl_talk(&nd->nl, nlh, NULL, NULL) == -1) {
		log_warn("%s: can't set mtu %u", nd->name, mtu);
		return -1;
	}
	return 0;
}

static int
set_up(struct netdev *nd)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;

	if (!nd->tap)
		forbid_link_local(nd);
	nlh = begin_link(nd, buf, IFF_UP, IFF_UP);
	mnl_attr_put_u32(nlh, IFLA_TXQLEN, TX_QUEUE_PACKETS);
	if (nl_talk(&nd->nl, nlh, NULL, NULL) == -1) {
		log_errx("%s: can't set it up: %s", nd->name, strerror(errno));
		return -1;
	}
	return 0;
}

/* Removes the old address, sets the new one; true when something changed. */
static bool
set_addr(struct netdev *nd, unsigned i, const struct netdev_addr *want)
{
	struct netdev_addr *have = &nd->addrs[i];
	char text[CONF_PREFIXTEXT_MAX];

	if (netdev_prefix_equal(&have->addr, &want->addr) &&
	    netdev_prefix_equal(&have->peer, &want->peer))
		return false;
	if (have->addr.family != AF_UNSPEC &&
	    change_addr(nd, have, RTM_DELADDR, 0) == -1 &&
	    errno != EADDRNOTAVAIL)
		log_warn("%s: can't remove address %s", nd->name,
		    conf_prefix_text(&have->addr, text));
	memset(have, 0, sizeof(*have));
	if (want->addr.family == AF_UNSPEC)
		return true;
	if (change_addr(nd, want, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE) ==
	    -1)
		log_warn("%s: can't set address %s", nd->name,
		    conf_prefix_text(&want->addr, text));
	else
		*have = *want;
	return true;
}

static void
wanted_addr(struct netdev_addr *want, const struct conf_prefix *addr,
    const struct conf_prefix *gateway)
{
	memset(want, 0, sizeof(*want));
	want->addr = *addr;
	/* Alone in its prefix: the gateway is the other end. */
	if (addr->family != AF_UNSPEC && gateway->family == addr->family &&
	    addr->len == netdev_addr_bytes(addr->family) * 8)
		want->peer = *gateway;
}

/* The kernel takes IPv6 from a device whose MTU gets too small for it. */
static void
forget_ip6(struct netdev *nd)
{
	size_t i, kept = 0;

	memset(&nd->addrs[1], 0, sizeof(nd->addrs[1]));
	for (i = 0; i < nd->nroutes; i++) {
		if (nd->routes[i].dst.family != AF_INET6)
			nd->routes[kept++] = nd->routes[i];
	}
	nd->nroutes = kept;
}

int
netdev_apply(struct netdev *nd, const struct conf *conf, unsigned mtu)
{
	bool ip6_possible = mtu >= NETDEV_MTU_IP6_MIN, stale[2];
	unsigned before = nd->mtu_bytes;
	struct netdev_addr want;

	if (mtu != nd->mtu_bytes) {
		if (conf->ip6.family != AF_UNSPEC && !ip6_possible)
			log_warnx("%s: mtu %u is below %u: no IPv6 address",
			    nd->name, mtu, NETDEV_MTU_IP6_MIN);
		if (set_mtu(nd, mtu) == 0) {
			if (nd->mtu_bytes == 0 && set_up(nd) == -1)
				return -1;
			nd->mtu_bytes = mtu;
		} else if (nd->mtu_bytes == 0) {
			return -1;
		}
		if (!ip6_possible)
			forget_ip6(nd);
		else if (!nd->tap && before != 0 && before < NETDEV_MTU_IP6_MIN)
			drop_link_local(nd);
	}
	wanted_addr(&want, &conf->ip4, &conf->ip4_gateway);
	stale[0] = set_addr(nd, 0, &want);
	wanted_addr(&want, &conf->ip6, &conf->ip6_gateway);
	if (!ip6_possible)
		memset(&want, 0, sizeof(want));
	stale[1] = set_addr(nd, 1, &want);
	route_apply(nd, conf, ip6_possible, stale);
	rule_apply(nd);
	return 0;
}

void
netdev_close(struct netdev *nd)
{
	if (nd->nl.sock == NULL)
		return;
	route_remove_all(nd);
	rule_apply(nd);
	nl_close(&nd->nl);
}
