/*
 * Two dumps, links and addresses, into two arrays.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "priv/ifaces.h"

#define TRIES 5

/* A zeroed element at the end of a growing array; NULL: no memory. */
static void *
append(void **list, size_t *count, size_t *room, size_t size)
{
	size_t more = *room == 0 ? 16 : *room * 2;
	void *grown;

	if (*count == *room) {
		grown = reallocarray(*list, more, size);
		if (grown == NULL)
			return NULL;
		*list = grown;
		*room = more;
	}
	grown = (uint8_t *)*list + (*count)++ * size;
	memset(grown, 0, size);
	return grown;
}

static int
take_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct ifaces *ifs = ctx;
	struct nlattr *attr;
	struct iface *iface;
	void *list = ifs->list;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	iface = append(&list, &ifs->count, &ifs->room, sizeof(*iface));
	ifs->list = list;
	if (iface == NULL)
		return MNL_CB_ERROR;
	iface->index = (unsigned)ifi->ifi_index;
	iface->up = (ifi->ifi_flags & IFF_UP) != 0;
	iface->running = (ifi->ifi_flags & IFF_RUNNING) != 0;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
	{
		if (mnl_attr_get_type(attr) == IFLA_MTU)
			iface->mtu_bytes = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			strlcpy(iface->name, mnl_attr_get_str(attr),
			    sizeof(iface->name));
	}
	return MNL_CB_OK;
}

static int
take_addr(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct nlattr *attr, *local = NULL, *address = NULL;
	uint32_t flags = ifa->ifa_flags;
	struct ifaces *ifs = ctx;
	void *list = ifs->addrs;
	struct iface_addr *a;

	if (nlh->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa))
	{
		if (mnl_attr_get_type(attr) == IFA_LOCAL)
			local = attr;
		else if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			address = attr;
		else if (mnl_attr_get_type(attr) == IFA_FLAGS)
			flags = mnl_attr_get_u32(attr);
	}
	if (local == NULL)
		local = address; /* IFA_ADDRESS is the peer if there is one */
	if (local == NULL || mnl_attr_get_payload_len(local) > sizeof(a->addr))
		return MNL_CB_OK;
	a = append(&list, &ifs->naddrs, &ifs->addrs_room, sizeof(*a));
	ifs->addrs = list;
	if (a == NULL)
		return MNL_CB_ERROR;
	a->index = ifa->ifa_index;
	a->family = ifa->ifa_family;
	a->usable = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
	a->link_local = ifa->ifa_scope == RT_SCOPE_LINK;
	memcpy(a->addr, mnl_attr_get_payload(local),
	    mnl_attr_get_payload_len(local));
	return MNL_CB_OK;
}

static int
load(struct ifaces *ifs, struct nl *nl)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;

	memset(ifs, 0, sizeof(*ifs));
	nlh = nl_begin(nl, buf, RTM_GETLINK, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(nl, nlh, take_link, ifs) == -1)
		return -1;
	nlh = nl_begin(nl, buf, RTM_GETADDR, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	return nl_talk(nl, nlh, take_addr, ifs);
}

int
ifaces_load(struct ifaces *ifs, struct nl *nl)
{
	int tries = TRIES, r;

	/* EINTR: something changed while the kernel told us. */
	while ((r = load(ifs, nl)) == -1 && errno == EINTR && --tries > 0)
		ifaces_free(ifs);
	return r;
}

void
ifaces_free(struct ifaces *ifs)
{
	free(ifs->list);
	free(ifs->addrs);
	memset(ifs, 0, sizeof(*ifs));
}

const struct iface *
ifaces_by_name(const struct ifaces *ifs, const char *name)
{
	size_t i;

	for (i = 0; i < ifs->count; i++) {
		if (strcmp(ifs->list[i].name, name) == 0)
			return &ifs->list[i];
	}
	return NULL;
}

const struct iface *
ifaces_by_index(const struct ifaces *ifs, unsigned index)
{
	size_t i;

	for (i = 0; i < ifs->count; i++) {
		if (ifs->list[i].index == index)
			return &ifs->list[i];
	}
	return NULL;
}

const struct iface *
ifaces_holder(const struct ifaces *ifs, const union addr *addr)
{
	const void *bytes = &addr->in4.sin_addr;
	size_t i, len = 4;

	if (addr->sa.sa_family == AF_INET6) {
		bytes = &addr->in6.sin6_addr;
		len = 16;
	}
	for (i = 0; i < ifs->naddrs; i++) {
		if (ifs->addrs[i].family != addr->sa.sa_family ||
		    memcmp(ifs->addrs[i].addr, bytes, len) != 0)
			continue;
		/* fe80:: addresses repeat from interface to interface. */
		if (addr->sa.sa_family == AF_INET6 &&
		    addr->in6.sin6_scope_id != 0 &&
		    addr->in6.sin6_scope_id != ifs->addrs[i].index)
			continue;
		return ifaces_by_index(ifs, ifs->addrs[i].index);
	}
	return NULL;
}
