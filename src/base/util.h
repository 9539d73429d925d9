/*
 * Small things that every layer needs: one clock, socket addresses as text,
 * big-endian fields.  Nothing here allocates or keeps state.
 */
#ifndef MLVPN_BASE_UTIL_H
#define MLVPN_BASE_UTIL_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An instant or a span of time in nanoseconds of CLOCK_BOOTTIME. */
typedef int64_t mono_t;

#define MONO_NEVER INT64_MAX
#define NSEC_PER_USEC INT64_C(1000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_SEC INT64_C(1000000000)

#define LINKS_MAX 16

#define nitems_of(a) (sizeof(a) / sizeof((a)[0]))

/* An IPv4 or IPv6 socket address; family AF_UNSPEC means none. */
union addr {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

#define ADDRTEXT_MAX 72 /* "[v6%scope]:port" and NUL */

/* Now, by the clock that also counts the time spent suspended. */
mono_t mono_now(void);

static inline mono_t
mono_earlier(mono_t a, mono_t b)
{
	return a < b ? a : b;
}

static inline mono_t
mono_later(mono_t a, mono_t b)
{
	return a > b ? a : b;
}

/* The length for bind, sendto and the like; 0 for AF_UNSPEC. */
socklen_t addr_len(const union addr *a);
/* Same host and port; a v4-mapped address equals its IPv4 one. */
bool addr_equal(const union addr *a, const union addr *b);
/* Same host, whatever the port. */
bool addr_same_host(const union addr *a, const union addr *b);
uint16_t addr_port(const union addr *a); /* host order */
void addr_set_port(union addr *a, uint16_t port);
/* IPv4 becomes ::ffff:a.b.c.d, for use on a dual-stack socket. */
void addr_map6(union addr *a);
/* The reverse: a v4-mapped address becomes AF_INET. */
void addr_unmap(union addr *a);
/* From struct sockaddr of the kernel or resolver; -1 if not IPv4 or IPv6. */
int addr_from_sockaddr(union addr *a, const struct sockaddr *sa, socklen_t len);
/*
 * A numeric host (fe80::1%eth0 with a scope), no name look-up; -1 if it is none
 * or if its interface does not exist.
 */
int addr_from_text(union addr *a, const char *host, uint16_t port);
/* "192.0.2.1:5080" (also when v4-mapped), "[2001:db8::1]:5080" or "none";
 * returns buf. */
const char *addr_text(const union addr *a, char buf[ADDRTEXT_MAX]);

/* Big-endian fields of the wire; no alignment is assumed. */
static inline uint16_t
get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t
get_be48(const uint8_t *p)
{
	return (uint64_t)get_be16(p) << 32 | get_be32(p + 2);
}

static inline uint64_t
get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline void
put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

static inline void
put_be48(uint8_t *p, uint64_t v)
{
	put_be16(p, (uint16_t)(v >> 32));
	put_be32(p + 2, (uint32_t)v);
}

static inline void
put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

#endif
