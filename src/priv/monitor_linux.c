/*
 * Link and address events of rtnetlink, gathered for 200 ms from the first one
 * on: long enough for an interface to settle, short enough that nobody notices.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/rtnetlink.h>
#include <errno.h>
#include <string.h>

#include "priv/monitor.h"

#include "base/log.h"

#define GATHER (200 * NSEC_PER_MSEC)
#define RETRY (5 * NSEC_PER_SEC)

int
monitor_open(
    struct monitor *m, struct nl *nl, const struct monitor_ops *ops, void *ctx)
{
	memset(m, 0, sizeof(*m));
	m->ops = ops;
	m->ctx = ctx;
	m->nl = nl;
	m->fd = -1;
	m->look_at = MONO_NEVER;
	m->events =
	    mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (m->events == NULL)
		return -1;
	if (mnl_socket_bind(m->events,
		RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
		MNL_SOCKET_AUTOPID) == -1) {
		monitor_close(m);
		return -1;
	}
	m->fd = mnl_socket_get_fd(m->events);
	return 0;
}

void
monitor_close(struct monitor *m)
{
	if (m->events != NULL)
		mnl_socket_close(m->events);
	m->events = NULL;
	m->fd = -1;
}

/* Order must not matter: the sum of a hash of each address. */
static uint64_t
hash_addr(const struct iface_addr *a)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) + (unsigned)a->family;
	size_t i;

	for (i = 0; i < sizeof(a->addr); i++)
		h = (h ^ a->addr[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t
sum_addrs(const struct ifaces *ifs, unsigned index)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < ifs->naddrs; i++) {
		if (ifs->addrs[i].index == index && ifs->addrs[i].usable &&
		    !ifs->addrs[i].link_local)
			sum += hash_addr(&ifs->addrs[i]);
	}
	return sum;
}

bool
footing_of(
    const struct ifaces *ifs, const struct conf_link *link, struct footing *f)
{
	const struct iface *iface;
	union addr addr;

	memset(f, 0, sizeof(*f));
	if (link->interface[0] != '\0') {
		iface = ifaces_by_name(ifs, link->interface);
		f->error = ENODEV;
	} else if (link->bindhost[0] != '\0') {
		iface = addr_from_text(&addr, link->bindhost, 0) == 0
			    ? ifaces_holder(ifs, &addr)
			    : NULL;
		f->error = EADDRNOTAVAIL;
	} else {
		return false;
	}
	if (iface == NULL)
		return true;
	f->error = iface->up && iface->running ? 0 : ENETDOWN;
	f->index = iface->index;
	f->addrs = sum_addrs(ifs, iface->index);
	return true;
}

enum footing_change
footing_compare(const struct footing *old, const struct footing *now)
{
	if (now->error != 0)
		return old->error == 0 ? FOOTING_LOST : FOOTING_SAME;
	if (old->error != 0 || old->index != now->index)
		return FOOTING_BACK;
	return old->addrs != now->addrs ? FOOTING_READDRESSED : FOOTING_SAME;
}

void
monitor_start(
    struct monitor *m, const struct conf *conf, const bool fresh[LINKS_MAX])
{
	struct ifaces ifs;
	unsigned i;

	if (ifaces_load(&ifs, m->nl) == -1)
		log_warn("monitor: can't list the interfaces");
	for (i = 0; i < LINKS_MAX; i++) {
		if (fresh[i])
			(void)footing_of(&ifs, &conf->links[i], &m->footing[i]);
	}
	ifaces_free(&ifs);
}

void
monitor_read(struct monitor *m, mono_t now)
{
	uint8_t buf[8192];

	/* An overrun (ENOBUFS) means a change as well. */
	while (recv(m->fd, buf, sizeof(buf), MSG_DONTWAIT) != -1 ||
	       errno == ENOBUFS || errno == EINTR)
		continue;
	if (m->look_at == MONO_NEVER)
		m->look_at = now + GATHER;
}

static void
look(struct monitor *m, const struct conf *conf, mono_t at)
{
	enum footing_change change[LINKS_MAX];
	struct footing now;
	struct ifaces ifs;
	unsigned i;

	memset(change, 0, sizeof(change));
	if (ifaces_load(&ifs, m->nl) == -1) {
		log_warn("monitor: can't list the interfaces");
		ifaces_free(&ifs);
		m->look_at = at + RETRY;
		return;
	}
	for (i = 0; i < LINKS_MAX; i++) {
		if (!conf->links[i].used ||
		    !footing_of(&ifs, &conf->links[i], &now))
			continue;
		change[i] = footing_compare(&m->footing[i], &now);
		m->footing[i] = now;
	}
	ifaces_free(&ifs);
	for (i = 0; i < LINKS_MAX; i++) {
		if (change[i] != FOOTING_SAME)
			m->ops->changed(
			    m->ctx, i, change[i], m->footing[i].error);
	}
	m->ops->looked(m->ctx);
}

mono_t
monitor_run(struct monitor *m, const struct conf *conf, mono_t now)
{
	if (now >= m->look_at) {
		m->look_at = MONO_NEVER;
		look(m, conf, now);
	}
	return m->look_at;
}
