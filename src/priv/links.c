/*
 * Sockets and addresses of links: what the worker asked for, and what it gets
 * unasked because an interface came, went or changed.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "priv/parent_int.h"

#include "base/log.h"
#include "priv/sock.h"

#define REOPEN_PERIOD (100 * NSEC_PER_MSEC)
#define REOPEN_TRIES 20
#define LOG_PERIOD (60 * NSEC_PER_SEC)

static void
send_socket(struct parent *p, unsigned slot, int fd, int family, int error)
{
	struct ipc_socket m;

	memset(&m, 0, sizeof(m));
	m.generation = p->requests.generation;
	m.slot = slot;
	m.error = error;
	m.family = family;
	parent_send(p, IPC_SOCKET, &m, sizeof(m), fd);
}

/* The worker tries for ever; the log gets one line for each kind of error. */
static void
log_open_error(struct parent *p, unsigned slot, const char *step, int error)
{
	if (p->open_error[slot] == error)
		return;
	p->open_error[slot] = error;
	if (error != 0)
		log_warnx("link %s: can't open its socket: %s: %s",
		    p->conf->links[slot].name, step, strerror(error));
}

/* 0, or the errno of what failed, about which nobody was told. */
static int
try_open(struct parent *p, unsigned slot, const char **step)
{
	int fd, family = 0;

	fd = sock_open(&p->conf->links[slot], p->conf->mark, &family, step);
	if (fd == -1)
		return errno;
	log_open_error(p, slot, *step, 0);
	send_socket(p, slot, fd, family, 0);
	close(fd);
	return 0;
}

void
links_open(struct parent *p, unsigned slot)
{
	const char *step;
	int error;

	p->reopen[slot].at = MONO_NEVER;
	error = try_open(p, slot, &step);
	if (error == 0)
		return;
	log_open_error(p, slot, step, error);
	send_socket(p, slot, -1, 0, error);
}

/*
 * As links_open, but unasked, so the worker may still have the port: then it
 * is told to let go, and we come back.
 */
static void
reopen(struct parent *p, unsigned slot, mono_t now)
{
	struct reopening *r = &p->reopen[slot];
	const char *step;
	int error;

	r->at = MONO_NEVER;
	error = try_open(p, slot, &step);
	if (error == 0)
		return;
	if (error != EADDRINUSE || r->tries == REOPEN_TRIES) {
		log_open_error(p, slot, step, error);
		send_socket(p, slot, -1, 0, error);
		return;
	}
	if (r->tries++ == 0)
		send_socket(p, slot, -1, 0, ENETRESET);
	r->at = now + REOPEN_PERIOD;
}

mono_t
links_run(struct parent *p, mono_t now)
{
	mono_t next_at = MONO_NEVER;
	unsigned slot;

	for (slot = 0; slot < LINKS_MAX; slot++) {
		if (!p->conf->links[slot].used)
			p->reopen[slot].at = MONO_NEVER;
		if (now >= p->reopen[slot].at)
			reopen(p, slot, now);
		if (p->reopen[slot].at < next_at)
			next_at = p->reopen[slot].at;
	}
	return next_at;
}

void
links_resolve(struct parent *p, unsigned slot)
{
	const struct conf_link *link = &p->conf->links[slot];

	if (link->remotehost[0] == '\0')
		links_resolved(p, slot, NULL, 0);
	else
		resolver_ask(&p->resolver, slot, link, sock_peer_family(link),
		    mono_now());
}

void
links_resolved(
    void *ctx, unsigned slot, const union addr *addrs, unsigned count)
{
	struct parent *p = ctx;
	const struct conf_link *link = &p->conf->links[slot];
	struct ipc_resolved m;

	if (count == 0 && link->remotehost[0] != '\0')
		log_limited(&p->no_address[slot], mono_now(), LOG_PERIOD,
		    "link %s: no address of %s: is the name right, and does"
		    " the resolver answer?",
		    link->name, link->remotehost);
	memset(&m, 0, sizeof(m));
	m.generation = p->requests.generation;
	m.slot = slot;
	m.count = count;
	if (count > 0)
		memcpy(m.addrs, addrs, count * sizeof(addrs[0]));
	parent_send(p, IPC_RESOLVED, &m, sizeof(m), -1);
}

static void
footing_changed(void *ctx, unsigned slot, enum footing_change change, int error)
{
	struct parent *p = ctx;
	const struct conf_link *link = &p->conf->links[slot];
	bool named = link->interface[0] != '\0';
	const char *what = named ? link->interface : link->bindhost;

	if (p->requests.state != REQUEST_RUNNING)
		return;
	p->reopen[slot].tries = 0;
	switch (change) {
	case FOOTING_LOST:
		log_info("link %s: %s is away: %s", link->name, what,
		    strerror(error));
		p->reopen[slot].at = MONO_NEVER;
		send_socket(p, slot, -1, 0, error);
		break;
	case FOOTING_BACK:
		log_info("link %s: %s is there again", link->name, what);
		reopen(p, slot, mono_now());
		break;
	case FOOTING_READDRESSED:
		/* A fixed socket gains nothing from being a new one. */
		if (link->bindhost[0] == '\0' && link->bindport == 0)
			reopen(p, slot, mono_now());
		break;
	case FOOTING_SAME:
		break;
	}
}

static void
interfaces_changed(void *ctx)
{
	reload_mtu(ctx);
}

const struct monitor_ops links_monitor_ops = {
	.changed = footing_changed,
	.looked = interfaces_changed,
};
