/*
 * One job a link.  The child writes an array of addresses and exits; its
 * answer is as little trusted as the network that it came from.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "priv/resolver.h"

#include "base/log.h"

#define NAME_PERIOD (5 * NSEC_PER_SEC) /* between two look-ups of a link */
#define NUMERIC_PERIOD (200 * NSEC_PER_MSEC) /* between two cheap answers */
#define TIME_LIMIT (10 * NSEC_PER_SEC)

struct query {
	char host[CONF_HOST_MAX];
	int family;
};

void
resolver_init(struct resolver *r, const struct child_user *user,
    resolver_done_fn *done, void *ctx)
{
	unsigned i;

	memset(r, 0, sizeof(*r));
	r->user = user;
	r->done = done;
	r->ctx = ctx;
	for (i = 0; i < LINKS_MAX; i++)
		child_init(&r->jobs[i].child);
}

/* Runs in the child. */
static int
look_up(int out, void *arg)
{
	const struct query *q = arg;
	struct addrinfo hints, *list, *ai;
	union addr addrs[IPC_ADDRS_MAX];
	size_t n = 0;

	memset(&hints, 0, sizeof(hints));
	hints.ai_family = q->family;
	hints.ai_socktype = SOCK_DGRAM;
	/* No AI_ADDRCONFIG: at boot the addresses may come after us. */
	if (getaddrinfo(q->host, NULL, &hints, &list) != 0)
		return 1;
	memset(addrs, 0, sizeof(addrs));
	for (ai = list; ai != NULL && n < nitems_of(addrs); ai = ai->ai_next) {
		if (addr_from_sockaddr(
			&addrs[n], ai->ai_addr, ai->ai_addrlen) == 0)
			n++;
	}
	/* Below PIPE_BUF: all or nothing. */
	if (write(out, addrs, n * sizeof(addrs[0])) == -1)
		return 1;
	return 0;
}

static bool
plausible4(const struct sockaddr_in *in4)
{
	uint32_t host = ntohl(in4->sin_addr.s_addr);

	return (host >> 24) != 0 && (host >> 28) != 0xe &&
	       host != INADDR_BROADCAST;
}

static bool
plausible(const union addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return plausible4(&a->in4);
	if (a->sa.sa_family != AF_INET6)
		return false;
	return !IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) &&
	       !IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

/* Copies only the fields that mean something to us. */
static void
copy_addr(union addr *to, const union addr *from, uint16_t port)
{
	memset(to, 0, sizeof(*to));
	to->sa.sa_family = from->sa.sa_family;
	if (from->sa.sa_family == AF_INET) {
		to->in4.sin_addr = from->in4.sin_addr;
	} else {
		to->in6.sin6_addr = from->in6.sin6_addr;
		to->in6.sin6_scope_id = from->in6.sin6_scope_id;
	}
	addr_set_port(to, port);
}

unsigned
resolver_validate(const void *buf, size_t len, uint16_t port, int family,
    union addr addrs[IPC_ADDRS_MAX])
{
	union addr one;
	unsigned n = 0;
	size_t at;

	if (len % sizeof(one) != 0 || len > IPC_ADDRS_MAX * sizeof(one))
		return 0;
	for (at = 0; at < len; at += sizeof(one)) {
		memcpy(&one, (const uint8_t *)buf + at, sizeof(one));
		addr_unmap(&one);
		if (!plausible(&one) ||
		    (family != AF_UNSPEC && one.sa.sa_family != family))
			continue;
		copy_addr(&addrs[n++], &one, port);
	}
	return n;
}

static void
answer_numeric(struct resolver *r, unsigned slot, const union addr *addr)
{
	struct resolver_job *job = &r->jobs[slot];
	union addr addrs[IPC_ADDRS_MAX];
	unsigned n;

	n = resolver_validate(
	    addr, sizeof(*addr), job->port, job->family, addrs);
	r->done(r->ctx, slot, addrs, n);
}

static void
start(struct resolver *r, unsigned slot, mono_t now)
{
	struct resolver_job *job = &r->jobs[slot];
	struct query q;
	union addr addr;

	job->wanted = false;
	strlcpy(job->host, job->next_host, sizeof(job->host));
	job->port = job->next_port;
	job->family = job->next_family;
	memset(&addr, 0, sizeof(addr));
	if (addr_from_text(&addr, job->host, job->port) == 0) {
		job->next_at = now + NUMERIC_PERIOD;
		answer_numeric(r, slot, &addr);
		return;
	}
	job->next_at = now + NAME_PERIOD;
	strlcpy(q.host, job->host, sizeof(q.host));
	q.family = job->family;
	if (child_start(&job->child, r->user, look_up, &q, now + TIME_LIMIT) ==
	    -1) {
		log_warn("resolver: can't start a process");
		r->done(r->ctx, slot, NULL, 0);
	}
}

void
resolver_ask(struct resolver *r, unsigned slot, const struct conf_link *link,
    int family, mono_t now)
{
	struct resolver_job *job = &r->jobs[slot];

	/* One who asks again while the same is being looked up waits for it. */
	if (job->child.pid != 0 && strcmp(job->host, link->remotehost) == 0 &&
	    job->port == link->remoteport && job->family == family)
		return;
	strlcpy(job->next_host, link->remotehost, sizeof(job->next_host));
	job->next_port = link->remoteport;
	job->next_family = family;
	job->wanted = true;
	if (job->child.pid == 0 && now >= job->next_at)
		start(r, slot, now);
}

void
resolver_cancel(struct resolver *r, unsigned slot)
{
	struct resolver_job *job = &r->jobs[slot];

	child_kill(&job->child);
	job->wanted = false;
	job->next_at = 0;
}

static void
finish(struct resolver *r, unsigned slot, mono_t now)
{
	struct resolver_job *job = &r->jobs[slot];
	union addr addrs[IPC_ADDRS_MAX];
	uint8_t buf[CHILD_OUTPUT_MAX];
	unsigned n = 0;
	size_t len;
	int status;

	child_check(&job->child, now);
	if (!child_ended(&job->child, &status, buf, sizeof(buf), &len))
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		n = resolver_validate(buf, len, job->port, job->family, addrs);
	else if (job->child.timed_out)
		log_debug("resolver: %s: no answer in time", job->host);
	r->done(r->ctx, slot, addrs, n);
}

mono_t
resolver_run(struct resolver *r, mono_t now)
{
	mono_t next_at = MONO_NEVER;
	struct resolver_job *job;
	unsigned slot;

	for (slot = 0; slot < LINKS_MAX; slot++) {
		job = &r->jobs[slot];
		finish(r, slot, now);
		if (job->wanted && job->child.pid == 0 && now >= job->next_at)
			start(r, slot, now);
		if (job->child.pid != 0 && job->child.kill_at < next_at)
			next_at = job->child.kill_at;
		else if (job->child.pid == 0 && job->wanted &&
			 job->next_at < next_at)
			next_at = job->next_at;
	}
	return next_at;
}

void
resolver_close(struct resolver *r)
{
	unsigned slot;

	for (slot = 0; slot < LINKS_MAX; slot++)
		resolver_cancel(r, slot);
}
