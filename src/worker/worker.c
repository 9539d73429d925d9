/*
 * The worker's loop: watchers for the parent, the device, the sockets, the
 * control socket and one timer.  Callbacks only hand things to the engine;
 * everything that follows from them happens once per turn of the loop, in
 * run_engine.
 */
#include "config.h"

#include <sys/prctl.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/log.h"
#include "base/util.h"
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "tunnel/crypto.h"
#include "tunnel/tunnel.h"
#include "worker/control.h"
#include "worker/sandbox.h"
#include "worker/status.h"
#include "worker/timer.h"
#include "worker/tunio.h"
#include "worker/udp.h"
#include "worker/worker.h"

#define BATCHES 4 /* of a socket at a time, so that no link starves others */
#define BATCHES_STALL 128 /* more than the socket's buffer holds */
/* A turn that is so late is a stall; after a longer one the peer, and routers
 * that translate addresses, have forgotten us. */
#define STALL_MIN (100 * NSEC_PER_MSEC)
#define STALL_MAX (30 * NSEC_PER_SEC)

struct worker {
	const struct worker_args *args;
	struct ev_loop *loop;
	struct tunnel *tunnel; /* NULL until the first IPC_CONF */
	struct conf *conf;     /* owned by the tunnel */
	uint32_t generation;   /* of conf */
	struct tunio tun;
	struct udp udp;
	struct control *control;
	struct timer timer;
	mono_t due_at; /* when the engine was to run at the latest */
	mono_t now;    /* of this turn of the loop */
	ev_io ipc_io, tun_io, timer_io, socket_io[LINKS_MAX];
	ev_prepare prepare;
};

/* IPC messages are received here; too large for the stack. */
union message {
	uint8_t bytes[IPC_PAYLOAD_MAX];
	struct ipc_psk psk;
	struct ipc_tun tun;
	struct ipc_socket socket;
	struct ipc_resolved resolved;
	struct ipc_reloaded reloaded;
};

/* --- to the parent --- */

static void
log_to_parent(void *ctx, int priority, const char *line)
{
	struct worker *w = ctx;
	struct ipc_log msg = { .priority = (uint32_t)priority };

	strlcpy(msg.text, line, sizeof(msg.text));
	msg.len = (uint32_t)strlen(msg.text);
	/* A full socket means a parent in trouble; lines are not worth it. */
	(void)ipc_send(w->args->ipc_fd, IPC_LOG, &msg,
	    offsetof(struct ipc_log, text) + msg.len, -1);
}

static void
request_slot(struct worker *w, enum ipc_type type, unsigned slot)
{
	struct ipc_slot msg = { .generation = w->generation, .slot = slot };

	if (ipc_send(w->args->ipc_fd, type, &msg, sizeof(msg), -1) == -1)
		log_warn("request %d to the parent", type);
}

static void
request_hook(struct worker *w, enum ipc_hook_event event, unsigned slot)
{
	struct ipc_hook msg = {
		.generation = w->generation,
		.slot = slot,
		.event = event,
	};

	if (ipc_send(w->args->ipc_fd, IPC_HOOK, &msg, sizeof(msg), -1) == -1)
		log_warn("hook request to the parent");
}

static void
show_title(struct worker *w)
{
	char states[256];

	if (w->args->natural_title)
		return;
	setproctitle("%s [%s]", w->args->name,
	    status_title(w->tunnel, states, sizeof(states)));
}

/* --- what the engine asks for --- */

static uint8_t *
op_space(void *ctx, size_t size)
{
	struct worker *w = ctx;

	return udp_space(&w->udp, size);
}

static void
op_send(void *ctx, unsigned slot, size_t len, const struct path *path)
{
	struct worker *w = ctx;

	udp_queue(&w->udp, slot, len, path);
}

static void
op_deliver(void *ctx, struct pktbuf *pb)
{
	struct worker *w = ctx;

	tunio_write(&w->tun, w->tunnel, pb);
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	if (RAND_bytes(buf, (int)len) != 1)
		fatalx("no random bytes");
}

static void
close_socket(struct worker *w, unsigned slot)
{
	if (w->udp.fds[slot] == -1)
		return;
	ev_io_stop(w->loop, &w->socket_io[slot]);
	close(w->udp.fds[slot]);
	w->udp.fds[slot] = -1;
}

static void
want_socket(struct worker *w, unsigned slot)
{
	/* A fixed port can't be bound again while we hold it. */
	udp_flush(&w->udp, w->now);
	if (w->conf->links[slot].bindport != 0)
		close_socket(w, slot);
	request_slot(w, IPC_OPEN_LINK, slot);
}

static void
op_event(void *ctx, enum tunnel_event event, unsigned slot)
{
	struct worker *w = ctx;

	switch (event) {
	case TUNNEL_WANT_SOCKET:
		want_socket(w, slot);
		break;
	case TUNNEL_WANT_ADDRESS:
		request_slot(w, IPC_RESOLVE, slot);
		break;
	case TUNNEL_LINK_UP:
		request_hook(w, HOOK_LINK_UP, slot);
		show_title(w);
		break;
	case TUNNEL_LINK_DOWN:
		request_hook(w, HOOK_LINK_DOWN, slot);
		show_title(w);
		break;
	case TUNNEL_BOND_UP:
		request_hook(w, HOOK_TUNTAP_UP, LINKS_MAX);
		break;
	case TUNNEL_BOND_DOWN:
		request_hook(w, HOOK_TUNTAP_DOWN, LINKS_MAX);
		break;
	}
}

/* --- watchers --- */

static void
receive(struct worker *w, unsigned slot, unsigned batches)
{
	int error = udp_receive(&w->udp, slot, batches, w->now);

	/* The same errors as of a send, with the same meaning. */
	if (error != 0)
		tunnel_link_error(w->tunnel, slot, error, w->now);
}

/*
 * The system has not let us run.  What came meanwhile is read before anything
 * is concluded from it: a few batches of each socket would not be all.
 */
static void
catch_up(struct worker *w, mono_t stall)
{
	for (unsigned slot = 0; slot < LINKS_MAX; slot++)
		receive(w, slot, BATCHES_STALL);
	tunnel_stalled(w->tunnel, stall, w->now);
}

/* Once per turn of the loop, just before it sleeps. */
static void
run_engine(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
	struct worker *w = watcher->data;
	mono_t next, stall;

	(void)loop;
	(void)revents;
	if (w->tunnel == NULL)
		return;
	w->now = mono_now();
	stall = w->now - w->due_at;
	if (stall >= STALL_MIN && stall <= STALL_MAX)
		catch_up(w, stall);
	w->udp.refused = false;
	next = tunnel_run(w->tunnel, w->now);
	udp_flush(&w->udp, w->now);
	/* What was refused goes by another link at once. */
	w->due_at = w->udp.refused ? w->now : next;
	timer_set(&w->timer, w->due_at);
}

static void
timer_cb(struct ev_loop *loop, ev_io *watcher, int revents)
{
	struct worker *w = watcher->data;

	(void)loop;
	(void)revents;
	timer_expired(&w->timer);
}

static void
tun_cb(struct ev_loop *loop, ev_io *watcher, int revents)
{
	struct worker *w = watcher->data;
	int error;

	(void)loop;
	(void)revents;
	w->now = mono_now();
	error = tunio_read(&w->tun, w->tunnel, w->now);
	if (error != 0)
		fatalx("tunnel device: %s", strerror(error));
}

static void
socket_cb(struct ev_loop *loop, ev_io *watcher, int revents)
{
	struct worker *w = watcher->data;
	unsigned slot = (unsigned)(watcher - w->socket_io);

	(void)loop;
	(void)revents;
	w->now = mono_now();
	receive(w, slot, BATCHES);
}

static void
watch(struct worker *w, ev_io *io, void (*cb)(struct ev_loop *, ev_io *, int),
    int fd)
{
	ev_io_init(io, cb, fd, EV_READ);
	io->data = w;
	ev_io_start(w->loop, io);
}

/* --- control socket --- */

static json_t *
control_status(void *ctx)
{
	struct worker *w = ctx;

	return w->tunnel == NULL ? json_object()
				 : status_json(w->tunnel, mono_now());
}

static int
control_reload(void *ctx)
{
	struct worker *w = ctx;

	return ipc_send(w->args->ipc_fd, IPC_RELOAD, NULL, 0, -1);
}

static void
control_rekey(void *ctx)
{
	struct worker *w = ctx;

	if (w->tunnel != NULL)
		tunnel_rekey(w->tunnel, mono_now());
}

static const struct control_ops control_ops = {
	.status = control_status,
	.reload = control_reload,
	.rekey = control_rekey,
};

/* --- from the parent --- */

static void
take_conf(struct worker *w, const union message *m, size_t len, int fd)
{
	struct tunnel_ops ops = {
		.space = op_space,
		.send = op_send,
		.deliver = op_deliver,
		.event = op_event,
		.random = op_random,
		.ctx = w,
	};
	struct conf_errors errors;
	struct conf *next;

	(void)fd;
	if (len < sizeof(w->generation))
		fatalx("configuration message is too short");
	memcpy(&w->generation, m->bytes, sizeof(w->generation));
	next = conf_parse((const char *)m->bytes + sizeof(w->generation),
	    len - sizeof(w->generation), &errors);
	if (next == NULL)
		fatalx("the parent sent a configuration with errors");
	conf_assign_slots(w->conf, next);
	log_set_level(w->args->loglevel > next->loglevel ? w->args->loglevel
							 : next->loglevel);
	if (w->tunnel == NULL) {
		w->tunnel = tunnel_new(next, &ops, mono_now());
		if (w->tunnel == NULL)
			fatalx("cannot make the tunnel: out of memory");
		w->udp.tunnel = w->tunnel;
		w->conf = next;
	} else {
		w->now = mono_now();
		w->conf = next;
		tunnel_reload(w->tunnel, next, w->now);
		for (unsigned i = 0; i < LINKS_MAX; i++)
			if (!next->links[i].used) {
				udp_flush(&w->udp, w->now);
				close_socket(w, i);
			}
	}
	show_title(w);
}

static void
take_psk(struct worker *w, const union message *m, size_t len, int fd)
{
	(void)len;
	(void)fd;
	if (m->psk.generation != w->generation)
		return;
	if (tunnel_set_psk(w->tunnel, m->psk.key, mono_now()) == -1)
		fatalx("cannot derive keys");
}

static void
take_tun(struct worker *w, const union message *m, size_t len, int fd)
{
	(void)len;
	tunnel_set_mtu(w->tunnel, m->tun.mtu_bytes, mono_now());
	if (fd == -1)
		return;
	if (w->tun.fd != -1) {
		ev_io_stop(w->loop, &w->tun_io);
		close(w->tun.fd);
	}
	w->tun.fd = fd;
	watch(w, &w->tun_io, tun_cb, fd);
}

static void
take_control(struct worker *w, const union message *m, size_t len, int fd)
{
	(void)m;
	(void)len;
	if (fd == -1)
		return;
	control_free(w->control);
	w->control = control_new(w->loop, fd, &control_ops, w);
}

static void
take_socket(struct worker *w, const union message *m, size_t len, int fd)
{
	const struct ipc_socket *s = &m->socket;

	(void)len;
	if (s->generation != w->generation || s->slot >= LINKS_MAX ||
	    !w->conf->links[s->slot].used || (s->error == 0 && fd == -1)) {
		if (fd != -1)
			close(fd);
		return;
	}
	w->now = mono_now();
	if (s->error == 0 && w->udp.fds[s->slot] != -1 &&
	    !tunnel_needs_socket(w->tunnel, s->slot)) {
		close(fd);
		tunnel_link_socket(w->tunnel, s->slot, s->family, 0, w->now);
		return;
	}
	udp_flush(&w->udp, w->now);
	close_socket(w, s->slot);
	if (s->error != 0) {
		log_debug("link %s: no socket: %s",
		    w->conf->links[s->slot].name, strerror(s->error));
		tunnel_link_socket(w->tunnel, s->slot, 0, s->error, w->now);
		return;
	}
	w->udp.fds[s->slot] = fd;
	watch(w, &w->socket_io[s->slot], socket_cb, fd);
	tunnel_link_socket(w->tunnel, s->slot, s->family, 0, w->now);
}

static void
take_resolved(struct worker *w, const union message *m, size_t len, int fd)
{
	const struct ipc_resolved *r = &m->resolved;

	(void)len;
	(void)fd;
	if (r->generation != w->generation || r->slot >= LINKS_MAX ||
	    r->count > IPC_ADDRS_MAX)
		return;
	tunnel_link_addrs(w->tunnel, r->slot, r->addrs, r->count, mono_now());
}

static void
take_reloaded(struct worker *w, const union message *m, size_t len, int fd)
{
	static const char *const words[] = {
		[RELOAD_OK] = "",
		[RELOAD_UNREADABLE] = "the file can't be read, see the log",
		[RELOAD_INVALID] = "the file has errors, see the log",
		[RELOAD_RESTART] = "a changed key needs a restart, see the log",
		[RELOAD_BUSY] = "too soon after the last reload",
	};
	const char *error = "see the log";

	(void)len;
	(void)fd;
	if (m->reloaded.error < nitems_of(words))
		error = words[m->reloaded.error];
	if (w->control != NULL)
		control_reloaded(
		    w->control, m->reloaded.ok != 0, m->reloaded.line, error);
}

static void
take_stop(struct worker *w, const union message *m, size_t len, int fd)
{
	(void)m;
	(void)len;
	(void)fd;
	if (w->tunnel != NULL) {
		tunnel_stop(w->tunnel, mono_now());
		udp_flush(&w->udp, mono_now());
		tunnel_free(w->tunnel);
	}
	exit(0);
}

static const struct handler {
	enum ipc_type type;
	size_t len; /* exact; 0: at least what the handler checks */
	bool needs_tunnel;
	void (*take)(struct worker *, const union message *, size_t, int);
} handlers[] = {
	{ IPC_CONF, 0, false, take_conf },
	{ IPC_PSK, sizeof(struct ipc_psk), true, take_psk },
	{ IPC_TUN, sizeof(struct ipc_tun), true, take_tun },
	{ IPC_CONTROL, 0, false, take_control },
	{ IPC_SOCKET, sizeof(struct ipc_socket), true, take_socket },
	{ IPC_RESOLVED, sizeof(struct ipc_resolved), true, take_resolved },
	{ IPC_RELOADED, sizeof(struct ipc_reloaded), false, take_reloaded },
	{ IPC_STOP, 0, false, take_stop },
};

static void
dispatch(
    struct worker *w, uint32_t type, const union message *m, size_t len, int fd)
{
	for (size_t i = 0; i < nitems_of(handlers); i++) {
		const struct handler *h = &handlers[i];

		if (h->type != type)
			continue;
		if ((h->len != 0 && h->len != len) ||
		    (h->needs_tunnel && w->tunnel == NULL))
			break;
		h->take(w, m, len, fd);
		return;
	}
	fatalx("bad message %u of %zu bytes from the parent", type, len);
}

static void
ipc_cb(struct ev_loop *loop, ev_io *watcher, int revents)
{
	static union message m;
	struct worker *w = watcher->data;
	uint32_t type;
	size_t len;
	int fd, r;

	(void)loop;
	(void)revents;
	while ((r = ipc_recv(
		    w->args->ipc_fd, &type, &m, sizeof(m), &len, &fd)) == 1) {
		dispatch(w, type, &m, len, fd);
		OPENSSL_cleanse(&m, len < sizeof(m) ? len : sizeof(m));
	}
	if (r == -1) {
		log_set_sink(NULL, NULL);
		_exit(1); /* the parent is gone, and with it the tunnel */
	}
}

/* --- start --- */

static void
ignore_signals(void)
{
	/* The parent decides; a terminal's ^C reaches both. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static void
start_loop(struct worker *w)
{
	/* One loop, no signals of its own: the sandbox stays small. */
	w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (w->loop == NULL)
		fatalx("cannot make the event loop");
	timer_open(&w->timer);
	watch(w, &w->timer_io, timer_cb, w->timer.fd);
	watch(w, &w->ipc_io, ipc_cb, w->args->ipc_fd);
	ev_prepare_init(&w->prepare, run_engine);
	w->prepare.data = w;
	ev_prepare_start(w->loop, &w->prepare);
}

void
worker_main(const struct worker_args *args)
{
	static struct worker w;

	w.args = args;
	w.tun.fd = -1;
	/* Slabs of the packet pool go back to the kernel after a burst. */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	ignore_signals();
	log_set_level(args->loglevel);
	log_set_sink(log_to_parent, &w);
	if (crypto_init() == -1)
		fatalx("libcrypto lacks an algorithm");
	if (udp_init(&w.udp) == -1)
		fatalx("out of memory");
	start_loop(&w);
	sandbox_enter(
	    args->uid, args->gid, args->chroot_dir, args->run_as_root);
	/* Credentials changed, which cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		fatal("prctl");
	sandbox_lock();
	if (ipc_send(args->ipc_fd, IPC_READY, NULL, 0, -1) == -1)
		fatal("cannot tell the parent");
	ev_run(w.loop, 0);
	fatalx("the event loop ended");
}
