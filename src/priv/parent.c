/*
 * The loop of the root process.  It sleeps in poll(2) until a signal, a request
 * of the worker or an event of the kernel, does a little, and sleeps again.
 * However it ends, the device, routes, rules and files are gone afterwards and
 * the status command has heard of it.
 */
#include "config.h"

#include <sys/signalfd.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "priv/parent_int.h"

#include "base/log.h"

#define STOP_LIMIT (2 * NSEC_PER_SEC)	  /* for goodbyes to the peers */
#define END_LIMIT (500 * NSEC_PER_MSEC)	  /* from end of file to exit */
#define HOOKS_LIMIT (5 * NSEC_PER_SEC)	  /* for commands at an orderly end */
#define HOOKS_CRASH (500 * NSEC_PER_MSEC) /* and after a failure */
#define MESSAGES_MAX 64 /* read in a row, before timers get their turn */

int
parent_log_level(const struct parent_args *args, const struct conf *conf)
{
	return args->loglevel != -1 ? args->loglevel : conf->loglevel;
}

void
parent_fail(struct parent *p)
{
	p->status = 1;
	p->done = true;
}

void
parent_send(struct parent *p, enum ipc_type type, const void *payload,
    size_t len, int fd)
{
	if (p->ipc == -1 || p->done)
		return;
	if (ipc_send(p->ipc, type, payload, len, fd) == 0)
		return;
	if (errno == EPIPE || errno == ECONNRESET)
		return; /* it ended; the signal follows and says how */
	log_errx("worker: can't send message %u: %s", (unsigned)type,
	    strerror(errno));
	parent_fail(p);
}

void
parent_send_conf(struct parent *p, const char *text, size_t len)
{
	uint32_t generation = p->requests.generation;
	uint8_t *m;

	m = malloc(sizeof(generation) + len);
	if (m == NULL)
		fatal("out of memory");
	memcpy(m, &generation, sizeof(generation));
	memcpy(m + sizeof(generation), text, len);
	parent_send(p, IPC_CONF, m, sizeof(generation) + len, -1);
	explicit_bzero(m, sizeof(generation) + len);
	free(m);
}

void
parent_send_tun(struct parent *p, int fd)
{
	struct ipc_tun m;

	memset(&m, 0, sizeof(m));
	m.mtu_bytes = p->netdev.mtu_bytes;
	m.with_fd = fd != -1;
	strlcpy(m.name, p->conf->interface_name, sizeof(m.name));
	parent_send(p, IPC_TUN, &m, sizeof(m), fd);
}

static void
stop(struct parent *p, mono_t now)
{
	if (p->requests.state == REQUEST_STOPPING)
		return; /* it can't take long */
	notify_send(&p->notify, "STOPPING=1");
	p->requests.state = REQUEST_STOPPING;
	p->kill_at = now + STOP_LIMIT;
	parent_send(p, IPC_STOP, NULL, 0, -1);
}

static void
read_signals(struct parent *p, mono_t now)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			stop(p, now);
			break;
		case SIGHUP:
			p->reload_wanted = true;
			break;
		default:
			break; /* SIGCHLD: the run functions look themselves */
		}
	}
}

static void
read_worker(struct parent *p, unsigned max, mono_t now)
{
	static union {
		uint64_t align;
		uint8_t bytes[sizeof(struct ipc_log)];
	} m;
	const char *wrong;
	uint32_t type;
	size_t len;
	int r = 1;

	while (max-- > 0 && !p->done && p->ipc != -1) {
		r = ipc_recv(p->ipc, &type, &m, sizeof(m), &len, NULL);
		if (r != 1)
			break;
		wrong = requests_take(&p->requests, type, &m, len, now);
		if (wrong == NULL)
			continue;
		log_errx("worker: request %u of %zu bytes refused: %s", type,
		    len, wrong);
		parent_fail(p);
	}
	if (r != -1)
		return;
	if (errno != 0) {
		log_errx("worker: not a message: %s", strerror(errno));
		parent_fail(p);
	}
	close(p->ipc);
	p->ipc = -1;
	if (p->kill_at > now + END_LIMIT)
		p->kill_at = now + END_LIMIT;
}

/* Has the worker ended? */
static void
reap_worker(struct parent *p, mono_t now)
{
	char text[CHILD_STATUS_MAX];
	int status;

	if (p->worker == 0 || waitpid(p->worker, &status, WNOHANG) <= 0)
		return;
	p->worker = 0;
	/* Its last words. */
	read_worker(p, UINT_MAX, now);
	p->done = true;
	if (status == 0 && p->requests.state == REQUEST_STOPPING)
		return;
	child_status_text(status, text, sizeof(text));
	if (p->requests.state == REQUEST_STOPPING) {
		log_warnx("worker: ended with %s", text);
		return;
	}
	log_errx("worker: ended with %s: taking the tunnel down", text);
	p->status = 1;
}

/* Does what is due; returns when the next thing is. */
static mono_t
run(struct parent *p, mono_t now)
{
	mono_t at;

	reap_worker(p, now);
	if (now >= p->kill_at && p->worker != 0) {
		log_warnx("worker: does not end, killed");
		kill(p->worker, SIGKILL);
		p->kill_at = MONO_NEVER;
	}
	at = kdf_run(&p->kdf, now);
	reload_run(p, now);
	at = mono_earlier(at, reload_deadline(p));
	at = mono_earlier(at, monitor_run(&p->monitor, p->conf, now));
	at = mono_earlier(at, requests_run(&p->requests, now));
	at = mono_earlier(at, links_run(p, now));
	at = mono_earlier(at, resolver_run(&p->resolver, now));
	at = mono_earlier(at, hook_run(&p->hook, now));
	return mono_earlier(at, p->kill_at);
}

static int
poll_timeout(mono_t at, mono_t now)
{
	mono_t ms;

	if (at == MONO_NEVER)
		return -1;
	if (at <= now)
		return 0;
	ms = (at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void
loop(struct parent *p)
{
	struct pollfd fds[3];
	mono_t at;

	while (at = run(p, mono_now()), !p->done) {
		fds[0] = (struct pollfd){ p->signals, POLLIN, 0 };
		fds[1] = (struct pollfd){ p->ipc, POLLIN, 0 };
		fds[2] = (struct pollfd){ p->monitor.fd, POLLIN, 0 };
		if (poll(fds, nitems_of(fds), poll_timeout(at, mono_now())) ==
		    -1) {
			if (errno == EINTR)
				continue;
			log_errx("poll: %s", strerror(errno));
			parent_fail(p);
		}
		/* The worker first: what it asked before it ended counts. */
		if (fds[1].revents != 0)
			read_worker(p, MESSAGES_MAX, mono_now());
		if (fds[0].revents != 0)
			read_signals(p, mono_now());
		if (fds[2].revents != 0)
			monitor_read(&p->monitor, mono_now());
	}
}

static void
end_worker(struct parent *p)
{
	int status;

	if (p->worker == 0)
		return;
	kill(p->worker, SIGKILL);
	while (waitpid(p->worker, &status, 0) == -1 && errno == EINTR)
		continue;
	p->worker = 0;
}

/* Works in every state of a start that failed, too. */
static void
take_down(struct parent *p)
{
	end_worker(p);
	if (p->ipc != -1)
		close(p->ipc);
	p->ipc = -1;
	kdf_close(&p->kdf);
	resolver_close(&p->resolver);
	monitor_close(&p->monitor);
	netdev_close(&p->netdev);
	runfile_remove(&p->control);
	if (p->root_dir[0] != '\0')
		(void)rmdir(p->root_dir);
	hook_finish(&p->hook,
	    mono_now() + (p->status == 0 ? HOOKS_LIMIT : HOOKS_CRASH));
	hook_close(&p->hook);
	/* Last: until here another daemon would meet our remains. */
	runfile_remove(&p->pidfile);
	if (p->signals != -1)
		close(p->signals);
	conf_free(p->conf);
}

int
parent_main(const struct parent_args *args, struct loaded *loaded)
{
	static struct parent p;

	p.args = args;
	p.conf = loaded->conf;
	loaded->conf = NULL;
	if (start_all(&p, loaded) == -1)
		p.status = 1;
	else
		loop(&p);
	take_down(&p);
	if (p.status == 0)
		log_info("stopped");
	return p.status;
}
