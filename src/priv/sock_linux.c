/*
 * Every property of a link's socket is set here, by root, so that the worker
 * needs almost no setsockopt.  Never fragmented outside, buffers deep enough
 * for a burst, answers from the address that was addressed (packet info), and
 * a mark that keeps our own packets out of our own tunnel.
 */
#include "config.h"

#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "priv/sock.h"

#include "base/util.h"

#define BUFFER_BYTES (4 * 1024 * 1024)

struct option {
	int level, name, value;
	bool needed;
	const char *step;
};

/* Only what a link can't do without is needed. */
static const struct option options_any[] = {
	{ SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES, false, NULL },
	{ SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES, false, NULL },
	{ SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, true,
	    "forbid fragments" },
	{ SOL_IP, IP_RECVERR, 0, false, NULL },
	{ SOL_IP, IP_FREEBIND, 1, false, NULL },
};

static const struct option options_v4[] = {
	{ SOL_IP, IP_PKTINFO, 1, true, "packet info" },
};

static const struct option options_v6[] = {
	{ SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, true,
	    "forbid fragments" },
	/* Else the kernel itself would cut what is too long. */
	{ SOL_IPV6, IPV6_DONTFRAG, 1, true, "forbid fragments" },
	{ SOL_IPV6, IPV6_RECVERR, 0, false, NULL },
	/* For IPv4 packets too, with a mapped address. */
	{ SOL_IPV6, IPV6_RECVPKTINFO, 1, true, "packet info" },
	/* One label for all packets of a socket tells nothing about flows. */
	{ SOL_IPV6, IPV6_AUTOFLOWLABEL, 0, false, NULL },
};

static int
set_options(int fd, const struct option *o, size_t n, const char **step)
{
	for (; n > 0; n--, o++) {
		if (setsockopt(fd, o->level, o->name, &o->value,
			sizeof(o->value)) == 0 ||
		    !o->needed)
			continue;
		*step = o->step;
		return -1;
	}
	return 0;
}

/* Fills the address to bind to; the family is in *addr even for a wildcard. */
static int
local_address(const struct conf_link *link, union addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (link->bindhost[0] != '\0')
		return addr_from_text(addr, link->bindhost, link->bindport);
	addr->sa.sa_family = AF_INET6;
	addr_set_port(addr, link->bindport);
	return 0;
}

static int
open_family(const struct conf_link *link, union addr *addr)
{
	int fd;

	fd = socket(addr->sa.sa_family,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd != -1 || errno != EAFNOSUPPORT || link->bindhost[0] != '\0')
		return fd;
	/* A kernel without IPv6. */
	memset(addr, 0, sizeof(*addr));
	addr->sa.sa_family = AF_INET;
	addr_set_port(addr, link->bindport);
	return socket(
	    AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
}

static int
configure(int fd, const struct conf_link *link, uint32_t mark, int family,
    const char **step)
{
	int v6only = link->bindhost[0] != '\0';

	if (family == AF_INET6) {
		*step = "dual stack";
		if (setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &v6only,
			sizeof(v6only)) == -1)
			return -1;
		if (set_options(fd, options_v6, nitems_of(options_v6), step) ==
		    -1)
			return -1;
	} else if (set_options(fd, options_v4, nitems_of(options_v4), step) ==
		   -1) {
		return -1;
	}
	if (set_options(fd, options_any, nitems_of(options_any), step) == -1)
		return -1;
	*step = "mark";
	if (mark != 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1)
		return -1;
	*step = link->interface;
	if (link->interface[0] != '\0' &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link->interface,
		(socklen_t)strlen(link->interface) + 1) == -1)
		return -1;
	return 0;
}

int
sock_open(
    const struct conf_link *link, uint32_t mark, int *family, const char **step)
{
	union addr addr;
	int fd, saved;

	*step = "bindhost";
	if (local_address(link, &addr) == -1) {
		errno = EADDRNOTAVAIL; /* a scope that is not there yet */
		return -1;
	}
	*step = "socket";
	fd = open_family(link, &addr);
	if (fd == -1)
		return -1;
	*family = addr.sa.sa_family;
	if (configure(fd, link, mark, *family, step) == -1)
		goto fail;
	*step = "bind";
	if (bind(fd, &addr.sa, addr_len(&addr)) == -1)
		goto fail;
	return fd;
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
sock_peer_family(const struct conf_link *link)
{
	union addr addr;

	if (link->bindhost[0] == '\0' ||
	    addr_from_text(&addr, link->bindhost, 0) == -1)
		return AF_UNSPEC;
	return addr.sa.sa_family;
}
