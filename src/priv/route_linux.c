/*
 * Routes of the tunnel, all in a table of our own; rule_linux.c says who looks
 * there.  A route is deleted by everything that makes it ours, so two tunnels
 * may share the table.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/rtnetlink.h>
#include <errno.h>
#include <string.h>

#include "priv/netdev.h"

#include "base/log.h"
#include "base/util.h"

static bool
route_equal(const struct netdev_route *a, const struct netdev_route *b)
{
	return netdev_prefix_equal(&a->dst, &b->dst) &&
	       netdev_prefix_equal(&a->via, &b->via);
}

static int
change_route(struct netdev *nd, const struct netdev_route *route, uint16_t type,
    uint16_t flags)
{
	size_t bytes = netdev_addr_bytes(route->dst.family);
	bool direct = route->via.family == AF_UNSPEC;
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	nlh = nl_begin(&nd->nl, buf, type, NLM_F_ACK | flags);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)route->dst.family;
	rtm->rtm_dst_len = route->dst.len;
	rtm->rtm_table = RT_TABLE_UNSPEC;
	rtm->rtm_protocol = NL_PROTOCOL;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = direct && route->dst.family == AF_INET
			     ? RT_SCOPE_LINK
			     : RT_SCOPE_UNIVERSE;
	mnl_attr_put_u32(nlh, RTA_TABLE, nd->table);
	mnl_attr_put(nlh, RTA_DST, bytes, route->dst.addr);
	mnl_attr_put_u32(nlh, RTA_OIF, nd->index);
	if (!direct) {
		/* Whatever the prefix of our address: it is behind the
		 * device. */
		rtm->rtm_flags = RTNH_F_ONLINK;
		mnl_attr_put(nlh, RTA_GATEWAY, bytes, route->via.addr);
	}
	return nl_talk(&nd->nl, nlh, NULL, NULL);
}

static void
remove_route(struct netdev *nd, size_t at)
{
	/* With the device or the address the kernel took the route, too. */
	(void)change_route(nd, &nd->routes[at], RTM_DELROUTE, 0);
	nd->routes[at] = nd->routes[--nd->nroutes];
}

static void
add_route(struct netdev *nd, const struct netdev_route *route)
{
	char text[CONF_PREFIXTEXT_MAX];

	if (change_route(nd, route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL) ==
	    -1) {
		log_warn("%s: can't set route %s in table %u", nd->name,
		    conf_prefix_text(&route->dst, text), nd->table);
		return;
	}
	nd->routes[nd->nroutes++] = *route;
}

static size_t
find_route(
    const struct netdev_route *list, size_t n, const struct netdev_route *route)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (route_equal(&list[i], route))
			break;
	}
	return i;
}

static size_t
wanted_routes(const struct conf *conf, bool ip6_possible,
    struct netdev_route want[CONF_ROUTES_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < conf->nroutes; i++) {
		if (conf->routes[i].family == AF_INET6 && !ip6_possible)
			continue;
		memset(&want[n], 0, sizeof(want[n]));
		want[n].dst = conf->routes[i];
		want[n].via = conf->routes[i].family == AF_INET
				  ? conf->ip4_gateway
				  : conf->ip6_gateway;
		if (find_route(want, n, &want[n]) == n)
			n++;
	}
	return n;
}

void
route_apply(struct netdev *nd, const struct conf *conf, bool ip6_possible,
    const bool stale[2])
{
	struct netdev_route want[CONF_ROUTES_MAX];
	size_t i, n = wanted_routes(conf, ip6_possible, want);

	for (i = nd->nroutes; i-- > 0;) {
		if (stale[nd->routes[i].dst.family == AF_INET ? 0 : 1] ||
		    find_route(want, n, &nd->routes[i]) == n)
			remove_route(nd, i);
	}
	for (i = 0; i < n; i++) {
		if (find_route(nd->routes, nd->nroutes, &want[i]) ==
		    nd->nroutes)
			add_route(nd, &want[i]);
	}
}

void
route_remove_all(struct netdev *nd)
{
	while (nd->nroutes > 0)
		remove_route(nd, nd->nroutes - 1);
}

struct lengths {
	uint32_t table;
	bool *present;
};

static int
take_length(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint32_t table = rtm->rtm_table;
	struct lengths *l = ctx;
	struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			table = mnl_attr_get_u32(attr);
	}
	if (table == l->table && rtm->rtm_dst_len <= 128)
		l->present[rtm->rtm_dst_len] = true;
	return MNL_CB_OK;
}

int
route_lengths(struct netdev *nd, int family, bool present[129])
{
	struct lengths l = { nd->table, present };
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	memset(present, 0, 129 * sizeof(present[0]));
	nlh = nl_begin(&nd->nl, buf, RTM_GETROUTE, NLM_F_DUMP);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)family;
	mnl_attr_put_u32(nlh, RTA_TABLE, nd->table);
	if (nl_talk(&nd->nl, nlh, take_length, &l) == -1 && errno != ENOENT)
		return -1;
	return 0;
}
