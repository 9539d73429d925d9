/*
 * The clock and socket addresses.  Everything that prints or compares an
 * address goes through here, so that an IPv4 peer looks the same on a
 * dual-stack socket as on a plain one.
 */
#include "config.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

/* The one clock: on Linux it also counts the time spent suspended, so that
 * keys age and links time out while a laptop sleeps. */
#ifdef CLOCK_BOOTTIME
#define MONO_CLOCK CLOCK_BOOTTIME
#else
#define MONO_CLOCK CLOCK_MONOTONIC
#endif

static const uint8_t v4mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
	0xff };

mono_t
mono_now(void)
{
	struct timespec ts;

	if (clock_gettime(MONO_CLOCK, &ts) == -1)
		abort(); /* the kernel is too old for anything here */
	return (mono_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

socklen_t
addr_len(const union addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return sizeof(a->in4);
	case AF_INET6:
		return sizeof(a->in6);
	default:
		return 0;
	}
}

static bool
is_v4mapped(const union addr *a)
{
	return a->sa.sa_family == AF_INET6 &&
	       memcmp(a->in6.sin6_addr.s6_addr, v4mapped, sizeof(v4mapped)) ==
		   0;
}

bool
addr_same_host(const union addr *a, const union addr *b)
{
	union addr x = *a, y = *b;

	addr_unmap(&x);
	addr_unmap(&y);
	if (x.sa.sa_family != y.sa.sa_family)
		return false;
	switch (x.sa.sa_family) {
	case AF_INET:
		return x.in4.sin_addr.s_addr == y.in4.sin_addr.s_addr;
	case AF_INET6:
		return x.in6.sin6_scope_id == y.in6.sin6_scope_id &&
		       memcmp(&x.in6.sin6_addr, &y.in6.sin6_addr,
			   sizeof(x.in6.sin6_addr)) == 0;
	default:
		return true;
	}
}

bool
addr_equal(const union addr *a, const union addr *b)
{
	return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

uint16_t
addr_port(const union addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in4.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

void
addr_set_port(union addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in4.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

void
addr_map6(union addr *a)
{
	union addr m;

	if (a->sa.sa_family != AF_INET)
		return;
	memset(&m, 0, sizeof(m));
	m.in6.sin6_family = AF_INET6;
	m.in6.sin6_port = a->in4.sin_port;
	memcpy(m.in6.sin6_addr.s6_addr, v4mapped, sizeof(v4mapped));
	memcpy(m.in6.sin6_addr.s6_addr + sizeof(v4mapped), &a->in4.sin_addr, 4);
	*a = m;
}

void
addr_unmap(union addr *a)
{
	union addr m;

	if (!is_v4mapped(a))
		return;
	memset(&m, 0, sizeof(m));
	m.in4.sin_family = AF_INET;
	m.in4.sin_port = a->in6.sin6_port;
	memcpy(&m.in4.sin_addr, a->in6.sin6_addr.s6_addr + sizeof(v4mapped), 4);
	*a = m;
}

int
addr_from_sockaddr(union addr *a, const struct sockaddr *sa, socklen_t len)
{
	memset(a, 0, sizeof(*a));
	if (len < offsetof(struct sockaddr, sa_data))
		goto fail;
	if (sa->sa_family == AF_INET && len >= sizeof(a->in4)) {
		memcpy(&a->in4, sa, sizeof(a->in4));
		memset(a->in4.sin_zero, 0, sizeof(a->in4.sin_zero));
		return 0;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(a->in6)) {
		memcpy(&a->in6, sa, sizeof(a->in6));
		a->in6.sin6_flowinfo = 0;
		return 0;
	}
fail:
	errno = EAFNOSUPPORT;
	return -1;
}

/* The scope of a link-local address: an interface's name or its number. */
static int
scope_from_text(const char *text, uint32_t *scope)
{
	const char *error;

	*scope = if_nametoindex(text);
	if (*scope != 0)
		return 0;
	*scope = (uint32_t)strtonum(text, 1, UINT32_MAX, &error);
	return error == NULL ? 0 : -1;
}

int
addr_from_text(union addr *a, const char *host, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	const char *percent = strchr(host, '%');
	size_t len = percent != NULL ? (size_t)(percent - host) : strlen(host);

	memset(a, 0, sizeof(*a));
	if (len >= sizeof(text))
		goto fail;
	memcpy(text, host, len);
	text[len] = '\0';
	if (percent == NULL && inet_pton(AF_INET, text, &a->in4.sin_addr) == 1)
		a->in4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1)
		a->in6.sin6_family = AF_INET6;
	else
		goto fail;
	if (percent != NULL &&
	    scope_from_text(percent + 1, &a->in6.sin6_scope_id) == -1)
		goto fail;
	addr_set_port(a, port);
	return 0;
fail:
	memset(a, 0, sizeof(*a));
	errno = EINVAL;
	return -1;
}

const char *
addr_text(const union addr *a, char buf[ADDRTEXT_MAX])
{
	char host[INET6_ADDRSTRLEN], scope[12] = "";
	union addr u = *a;

	addr_unmap(&u);
	switch (u.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &u.in4.sin_addr, host, sizeof(host));
		snprintf(buf, ADDRTEXT_MAX, "%s:%u", host, addr_port(&u));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &u.in6.sin6_addr, host, sizeof(host));
		if (u.in6.sin6_scope_id != 0)
			snprintf(scope, sizeof(scope), "%%%u",
			    (unsigned)u.in6.sin6_scope_id);
		snprintf(buf, ADDRTEXT_MAX, "[%.40s%s]:%u", host, scope,
		    addr_port(&u));
		break;
	default:
		snprintf(buf, ADDRTEXT_MAX, "none");
	}
	return buf;
}
