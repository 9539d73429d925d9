/*
 * Queue and life of the status command.  It gets three arguments (device,
 * event, link), a fixed environment, no open file but itself, and 30 seconds;
 * then its process group is killed.
 */
#include "config.h"

#include <sys/types.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "priv/hook.h"

#include "base/log.h"

#define TIME_LIMIT_S 30
#define BURST 64
#define PERIOD (200 * NSEC_PER_MSEC)

static const char *const event_names[HOOK_EVENTS] = {
	[HOOK_TUNTAP_UP] = "tuntap_up",
	[HOOK_TUNTAP_DOWN] = "tuntap_down",
	[HOOK_LINK_UP] = "rtun_up",
	[HOOK_LINK_DOWN] = "rtun_down",
};

static bool
is_up(enum ipc_hook_event event)
{
	return event == HOOK_TUNTAP_UP || event == HOOK_LINK_UP;
}

void
hook_init(struct hook *h)
{
	memset(h, 0, sizeof(*h));
	child_init(&h->child);
	bucket_init(&h->limit, BURST, PERIOD);
}

static void __attribute__((format(printf, 3, 4)))
add_env(struct hook *h, unsigned *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&h->env[*n], fmt, ap) == -1)
		fatal("out of memory");
	va_end(ap);
	(*n)++;
}

static const char *
prefix_text(const struct conf_prefix *p, bool host, char *buf, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	buf[0] = '\0';
	if (p->family == AF_UNSPEC ||
	    inet_ntop(p->family, p->addr, addr, sizeof(addr)) == NULL)
		return buf;
	if (host)
		snprintf(buf, size, "%s", addr);
	else
		snprintf(buf, size, "%s/%u", addr, p->len);
	return buf;
}

static void
add_routes(struct hook *h, unsigned *n, const char *key, int family,
    const struct conf *conf)
{
	char text[CONF_ROUTES_MAX * 52], one[64];
	size_t i;

	text[0] = '\0';
	for (i = 0; i < conf->nroutes; i++) {
		if (conf->routes[i].family != family)
			continue;
		if (text[0] != '\0')
			strlcat(text, " ", sizeof(text));
		strlcat(text,
		    prefix_text(&conf->routes[i], false, one, sizeof(one)),
		    sizeof(text));
	}
	add_env(h, n, "%s=%s", key, text);
}

static void
free_env(struct hook *h)
{
	unsigned i;

	for (i = 0; i < HOOK_ENV_MAX; i++) {
		free(h->env[i]);
		h->env[i] = NULL;
	}
}

void
hook_configure(struct hook *h, const struct conf *conf, unsigned mtu)
{
	char text[64];
	unsigned n = 0;

	free_env(h);
	strlcpy(h->command, conf->statuscommand, sizeof(h->command));
	strlcpy(h->device, conf->interface_name, sizeof(h->device));
	add_env(h, &n,
	    "PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:"
	    "/usr/bin:/bin");
	add_env(h, &n, "MLVPN_INTERFACE=%s", conf->interface_name);
	add_env(h, &n, "MLVPN_MODE=%s",
	    conf->mode == MODE_SERVER ? "server" : "client");
	add_env(h, &n, "MLVPN_MTU=%u", mtu);
	add_env(h, &n, "MLVPN_IP4=%s",
	    prefix_text(&conf->ip4, false, text, sizeof(text)));
	add_env(h, &n, "MLVPN_IP6=%s",
	    prefix_text(&conf->ip6, false, text, sizeof(text)));
	add_env(h, &n, "MLVPN_IP4_GATEWAY=%s",
	    prefix_text(&conf->ip4_gateway, true, text, sizeof(text)));
	add_env(h, &n, "MLVPN_IP6_GATEWAY=%s",
	    prefix_text(&conf->ip6_gateway, true, text, sizeof(text)));
	add_routes(h, &n, "MLVPN_IP4_ROUTES", AF_INET, conf);
	add_routes(h, &n, "MLVPN_IP6_ROUTES", AF_INET6, conf);
}

static void
drop_event(struct hook_event *list, unsigned *n, unsigned at)
{
	memmove(&list[at], &list[at + 1], (*n - at - 1) * sizeof(list[0]));
	(*n)--;
}

/* Index of the entry about name, or n. */
static unsigned
find_event(const struct hook_event *list, unsigned n, const char *name)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) == 0)
			break;
	}
	return i;
}

static void
put_event(struct hook_event *list, unsigned *n, const struct hook_event *e)
{
	unsigned at = find_event(list, *n, e->name);

	if (at < *n)
		drop_event(list, n, at);
	else if (*n == HOOK_QUEUE)
		drop_event(list, n, 0);
	list[(*n)++] = *e;
}

void
hook_post(struct hook *h, enum ipc_hook_event event, const char *name)
{
	struct hook_event e;
	unsigned at;

	memset(&e, 0, sizeof(e));
	e.event = event;
	strlcpy(e.name, name != NULL ? name : "", sizeof(e.name));
	if (is_up(event)) {
		put_event(h->up, &h->nup, &e);
	} else {
		at = find_event(h->up, h->nup, e.name);
		if (at == h->nup)
			return; /* nobody was told that it is up */
		drop_event(h->up, &h->nup, at);
	}
	if (h->command[0] != '\0')
		put_event(h->queue, &h->queued, &e);
}

/* In the child.  The descriptor stays open: a script's interpreter needs it. */
static void
execute(struct hook *h, int program)
{
	char event[16], device[CONF_IFNAME_MAX], name[CONF_NAME_MAX];
	char *argv[5] = { h->command, device, event, name, NULL };

	setpgid(0, 0);
	strlcpy(device, h->device, sizeof(device));
	strlcpy(event, event_names[h->running.event], sizeof(event));
	strlcpy(name, h->running.name, sizeof(name));
	if (name[0] == '\0')
		argv[3] = NULL;
	if (child_null_streams() == -1)
		_exit(126);
	/* Its descriptor may be the very one that the program gets. */
	closelog();
	if (dup2(program, STDERR_FILENO + 1) == -1)
		_exit(126);
	program = STDERR_FILENO + 1;
	(void)fcntl(program, F_SETFD, 0);
	child_clean(program);
	if (chdir("/") == -1)
		_exit(126);
	fexecve(program, argv, h->env);
	_exit(127);
}

static void
start(struct hook *h, mono_t now)
{
	char why[256];
	int program;
	pid_t pid;

	h->running = h->queue[0];
	drop_event(h->queue, &h->queued, 0);
	program = hook_open_program(h->command, why, sizeof(why));
	if (program == -1) {
		log_warnx("statuscommand %s: not run: %s", h->command, why);
		return;
	}
	pid = fork();
	if (pid == 0)
		execute(h, program);
	close(program);
	if (pid == -1) {
		log_warn("statuscommand %s: can't start", h->command);
		return;
	}
	setpgid(pid, pid); /* whoever comes first */
	h->child.pid = pid;
	h->child.group = true;
	h->child.timed_out = false;
	h->child.kill_at = now + TIME_LIMIT_S * NSEC_PER_SEC;
}

static void
reap(struct hook *h, mono_t now)
{
	char text[CHILD_STATUS_MAX];
	size_t len;
	int status;

	child_check(&h->child, now);
	if (!child_ended(&h->child, &status, NULL, 0, &len) || status == 0)
		return;
	log_warnx("statuscommand %s %s%s%s: %s%s", h->command,
	    event_names[h->running.event],
	    h->running.name[0] != '\0' ? " " : "", h->running.name,
	    child_status_text(status, text, sizeof(text)),
	    h->child.timed_out ? ", it took too long" : "");
}

mono_t
hook_run(struct hook *h, mono_t now)
{
	reap(h, now);
	while (h->child.pid == 0 && h->queued > 0) {
		if (h->command[0] == '\0') {
			h->queued = 0;
			break;
		}
		if (!bucket_take(&h->limit, now))
			return bucket_at(&h->limit, 1);
		start(h, now);
	}
	return h->child.kill_at;
}

/* SIGCHLD is blocked, so none is missed between the look and the wait. */
static void
await_child(mono_t until, mono_t now)
{
	mono_t span = until - now;
	struct timespec ts;
	sigset_t set;

	if (span <= 0)
		return;
	ts.tv_sec = (time_t)(span / NSEC_PER_SEC);
	ts.tv_nsec = (long)(span % NSEC_PER_SEC);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigtimedwait(&set, NULL, &ts);
}

void
hook_finish(struct hook *h, mono_t until)
{
	mono_t at, now = mono_now();
	unsigned i;

	/* Links first, the device last. */
	while (h->nup > 0) {
		for (i = 0; i < h->nup - 1; i++) {
			if (h->up[i].name[0] != '\0')
				break;
		}
		hook_post(h,
		    h->up[i].name[0] != '\0' ? HOOK_LINK_DOWN
					     : HOOK_TUNTAP_DOWN,
		    h->up[i].name);
	}
	for (;;) {
		at = hook_run(h, now);
		if ((h->child.pid == 0 && h->queued == 0) || now >= until)
			break;
		await_child(at < until ? at : until, now);
		now = mono_now();
	}
	if (h->child.pid != 0 || h->queued > 0)
		log_warnx("statuscommand %s: given up at exit", h->command);
}

void
hook_close(struct hook *h)
{
	child_kill(&h->child);
	free_env(h);
	h->queued = 0;
}
