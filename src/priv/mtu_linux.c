/*
 * `mtu = auto`: the smallest packet size of the links, less what we put around
 * a packet.  A link's interface is the one it names, or holds its bindhost, or
 * leads to its numeric remotehost; of a link with none of these, and of an
 * interface that is not there yet, nothing is known and 1500 is assumed.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "priv/ifaces.h"
#include "priv/netdev.h"

#define ASSUMED 1500
#define OVERHEAD_IP4 60 /* IP, UDP, header, tag; see the wire format */
#define OVERHEAD_IP6 80
#define OVERHEAD_TAP 18	   /* an Ethernet header with a VLAN tag */
#define CIPHER_NONE_LESS 8 /* a session number instead of a tag */
#define MTU_MIN 576
#define MTU_MAX 9000

struct path {
	unsigned oif;
	unsigned mtu_bytes; /* 0: the interface's */
};

static int
take_route(const struct nlmsghdr *nlh, void *ctx)
{
	struct nlattr *attr, *metric;
	struct path *path = ctx;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF)
			path->oif = mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) != RTA_METRICS)
			continue;
		mnl_attr_for_each_nested(metric, attr)
		{
			if (mnl_attr_get_type(metric) == RTAX_MTU)
				path->mtu_bytes = mnl_attr_get_u32(metric);
		}
	}
	return MNL_CB_OK;
}

static int
find_path(struct nl *nl, const union addr *to, uint32_t mark, struct path *path)
{
	bool ip6 = to->sa.sa_family == AF_INET6;
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	memset(path, 0, sizeof(*path));
	nlh = nl_begin(nl, buf, RTM_GETROUTE, NLM_F_ACK);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)to->sa.sa_family;
	rtm->rtm_dst_len = ip6 ? 128 : 32;
	if (ip6)
		mnl_attr_put(nlh, RTA_DST, 16, &to->in6.sin6_addr);
	else
		mnl_attr_put(nlh, RTA_DST, 4, &to->in4.sin_addr);
	mnl_attr_put_u32(nlh, RTA_MARK, mark);
	return nl_talk(nl, nlh, take_route, path);
}

static unsigned
iface_mtu(const struct iface *iface)
{
	return iface == NULL ? ASSUMED : iface->mtu_bytes;
}

static unsigned
link_mtu(struct nl *nl, const struct ifaces *ifs, const struct conf_link *link,
    uint32_t mark)
{
	const struct iface *iface;
	struct path path;
	union addr addr;
	unsigned mtu;

	if (link->interface[0] != '\0')
		return iface_mtu(ifaces_by_name(ifs, link->interface));
	if (addr_from_text(&addr, link->bindhost, 0) == 0)
		return iface_mtu(ifaces_holder(ifs, &addr));
	if (addr_from_text(&addr, link->remotehost, 0) == -1 ||
	    find_path(nl, &addr, mark, &path) == -1)
		return ASSUMED;
	iface = ifaces_by_index(ifs, path.oif);
	mtu = iface_mtu(iface);
	return path.mtu_bytes != 0 && path.mtu_bytes < mtu ? path.mtu_bytes
							   : mtu;
}

static bool
is_ip4(const struct conf_link *link)
{
	union addr addr;

	return (addr_from_text(&addr, link->bindhost, 0) == 0 ||
		   addr_from_text(&addr, link->remotehost, 0) == 0) &&
	       addr.sa.sa_family == AF_INET;
}

unsigned
netdev_mtu_auto(struct nl *nl, const struct conf *conf)
{
	unsigned i, mtu, lowest = 0, overhead = OVERHEAD_IP4;
	struct ifaces ifs;

	(void)ifaces_load(&ifs, nl); /* what is missing is assumed */
	for (i = 0; i < LINKS_MAX; i++) {
		if (!conf->links[i].used)
			continue;
		mtu = link_mtu(nl, &ifs, &conf->links[i], conf->mark);
		if (lowest == 0 || mtu < lowest)
			lowest = mtu;
		if (!is_ip4(&conf->links[i]))
			overhead = OVERHEAD_IP6;
	}
	ifaces_free(&ifs);
	if (lowest == 0)
		lowest = ASSUMED;
	if (conf->tuntap == TUNTAP_TAP)
		overhead += OVERHEAD_TAP;
	if (conf->cipher == CIPHER_NONE)
		overhead -= CIPHER_NONE_LESS;
	if (lowest < MTU_MIN + overhead)
		return MTU_MIN;
	return lowest - overhead < MTU_MAX ? lowest - overhead : MTU_MAX;
}
