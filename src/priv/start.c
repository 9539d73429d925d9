/*
 * From a checked configuration to a running worker: device, addresses, routes,
 * control socket, then the fork, then everything the worker needs is sent.
 * The fork comes before this process has used any library with a state of its
 * own; the parent never does.
 */
#include "config.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "priv/parent_int.h"

#include "base/log.h"
#include "priv/tun.h"

static void
forget_secrets(void *ctx)
{
	struct parent *p = ctx;

	explicit_bzero(p->conf->password, sizeof(p->conf->password));
	explicit_bzero(p->kdf.password, sizeof(p->kdf.password));
}

static void
do_ready(void *ctx)
{
	struct parent *p = ctx;

	(void)rmdir(p->root_dir);
	p->root_dir[0] = '\0';
	runfile_pid_write(&p->pidfile);
	log_info("mlvpn %s runs: %s, %s, %zu link%s, mtu %u", PACKAGE_VERSION,
	    p->conf->mode == MODE_SERVER ? "server" : "client",
	    p->conf->interface_name, p->conf->nlinks,
	    p->conf->nlinks == 1 ? "" : "s", p->netdev.mtu_bytes);
	p->args->ready();
	notify_send(&p->notify, "READY=1");
}

static void
do_open_link(void *ctx, unsigned slot)
{
	links_open(ctx, slot);
}

static void
do_resolve(void *ctx, unsigned slot)
{
	links_resolve(ctx, slot);
}

static void
do_hook(void *ctx, enum ipc_hook_event event, unsigned slot)
{
	struct parent *p = ctx;

	hook_post(&p->hook, event,
	    slot < LINKS_MAX ? p->conf->links[slot].name : NULL);
}

static void
do_reload(void *ctx)
{
	struct parent *p = ctx;

	p->reload_wanted = true;
	p->reload_asked = true;
}

static void
do_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	log_line(priority, line);
}

static const struct request_ops request_ops = {
	.ready = do_ready,
	.open_link = do_open_link,
	.resolve = do_resolve,
	.hook = do_hook,
	.reload = do_reload,
	.log = do_log,
};

static void
psk_done(void *ctx, const uint8_t *key)
{
	struct parent *p = ctx;
	struct ipc_psk m;

	if (key == NULL)
		return; /* it tries again by itself, and said so */
	memset(&m, 0, sizeof(m));
	m.generation = p->requests.generation;
	memcpy(m.key, key, sizeof(m.key));
	parent_send(p, IPC_PSK, &m, sizeof(m), -1);
	explicit_bzero(&m, sizeof(m));
}

/* Nothing can fail here; from now on take_down works. */
static void
init(struct parent *p)
{
	unsigned slot;

	p->name =
	    p->args->name != NULL ? p->args->name : p->conf->interface_name;
	p->ipc = -1;
	p->signals = -1;
	p->monitor.fd = -1;
	p->monitor.look_at = MONO_NEVER;
	p->kill_at = MONO_NEVER;
	p->user.uid = p->args->uid;
	p->user.gid = p->args->gid;
	p->user.forget = forget_secrets;
	p->user.ctx = p;
	requests_init(&p->requests, &request_ops, p);
	p->requests.generation = 1;
	resolver_init(&p->resolver, &p->user, links_resolved, p);
	kdf_init(&p->kdf, &p->user, psk_done, p);
	hook_init(&p->hook);
	notify_init(&p->notify);
	runfile_init(&p->pidfile);
	runfile_init(&p->control);
	for (slot = 0; slot < LINKS_MAX; slot++)
		p->reopen[slot].at = MONO_NEVER;
}

static int
start_signals(struct parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	/* Ignored by whoever started us, it would never come. */
	signal(SIGCHLD, SIG_DFL);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -1;
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals == -1 ? -1 : 0;
}

void
start_warn(const struct conf *conf)
{
	if (conf_password_weak(conf))
		log_warnx("the password is shorter than %d characters; mlvpn"
			  " --genconf makes a good one",
		    CONF_PASSWORD_STRONG);
	if (conf->cipher == CIPHER_NONE)
		log_warnx("cipher none: everybody on the way can read all"
			  " packets");
}

static int
start_device(struct parent *p, int *tun)
{
	unsigned mtu = p->conf->mtu_bytes;

	*tun = tun_open(p->conf->interface_name, p->conf->tuntap);
	if (*tun == -1)
		return -1;
	if (netdev_init(&p->netdev, p->conf, p->args->uid) == -1)
		return -1;
	if (mtu == 0)
		mtu = netdev_mtu_auto(&p->netdev.nl, p->conf);
	if (netdev_apply(&p->netdev, p->conf, mtu) == -1)
		return -1;
	netdev_warn(p->conf);
	hook_configure(&p->hook, p->conf, p->netdev.mtu_bytes);
	return 0;
}

static void
start_monitor(struct parent *p)
{
	bool used[LINKS_MAX];
	unsigned slot;

	if (monitor_open(&p->monitor, &p->netdev.nl, &links_monitor_ops, p) ==
	    -1)
		log_warn("monitor: interfaces are not watched");
	for (slot = 0; slot < LINKS_MAX; slot++) {
		used[slot] = p->conf->links[slot].used;
		if (used[slot])
			requests_add_link(&p->requests, slot);
	}
	monitor_start(&p->monitor, p->conf, used);
}

/* In the child, which keeps one descriptor beside the standard ones. */
static void __attribute__((noreturn)) become_worker(struct parent *p, int ipc)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t none;
	size_t i;

	/* Signals are for the parent, a terminal's reach us too. */
	for (i = 0; i < nitems_of(ours); i++)
		signal(ours[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child_close_files(ipc);
	if (p->args->background)
		child_null_streams();
	forget_secrets(p);
	p->args->worker(ipc, p->args, p->name, p->root_dir,
	    parent_log_level(p->args, p->conf));
}

static int
start_worker(struct parent *p)
{
	int fds[2];

	if (ipc_pair(fds) == -1) {
		log_errx("socketpair: %s", strerror(errno));
		return -1;
	}
	p->worker = fork();
	if (p->worker == 0)
		become_worker(p, fds[1]);
	close(fds[1]);
	p->ipc = fds[0];
	if (p->worker == -1) {
		p->worker = 0;
		log_errx("fork: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static void
send_all(struct parent *p, struct loaded *loaded, int *tun, int *control)
{
	parent_send_conf(p, loaded->text, loaded->len);
	load_free(loaded);
	/* The worker alone holds the device: it goes when the worker goes. */
	parent_send_tun(p, *tun);
	close(*tun);
	*tun = -1;
	if (*control != -1) {
		parent_send(p, IPC_CONTROL, NULL, 0, *control);
		close(*control);
		*control = -1;
	}
	kdf_start(&p->kdf, p->conf->password, mono_now());
}

int
start_all(struct parent *p, struct loaded *loaded)
{
	const struct parent_args *args = p->args;
	int tun = -1, control = -1, result = -1;

	conf_assign_slots(NULL, p->conf);
	init(p);
	if (args->pidfile != NULL &&
	    runfile_pid_open(&p->pidfile, args->pidfile) == -1)
		goto out;
	if (start_signals(p) == -1) {
		log_errx("signals: %s", strerror(errno));
		goto out;
	}
	start_warn(p->conf);
	if (start_device(p, &tun) == -1)
		goto out;
	start_monitor(p);
	if (p->conf->control_socket[0] != '\0')
		control = runfile_listen(&p->control, p->conf->control_socket);
	if (runfile_make_root(p->root_dir) == -1) {
		log_errx("can't make a directory in /run: %s", strerror(errno));
		goto out;
	}
	if (start_worker(p) == -1)
		goto out;
	if (!args->natural_title)
		setproctitle("%s [parent]", p->name);
	send_all(p, loaded, &tun, &control);
	result = 0;
out:
	if (tun != -1)
		close(tun);
	if (control != -1)
		close(control);
	return result;
}
