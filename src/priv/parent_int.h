/*
 * The state of the parent, for the files that make it up: start.c (up to the
 * worker), parent.c (loop and end), reload.c (SIGHUP), links.c (sockets and
 * addresses of links).
 */
#ifndef MLVPN_PRIV_PARENT_INT_H
#define MLVPN_PRIV_PARENT_INT_H

#include "base/log.h"
#include "base/util.h"
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "priv/child.h"
#include "priv/hook.h"
#include "priv/kdf.h"
#include "priv/monitor.h"
#include "priv/netdev.h"
#include "priv/notify.h"
#include "priv/parent.h"
#include "priv/request.h"
#include "priv/resolver.h"
#include "priv/runfile.h"

/* Taking a fixed port from the worker: when to try, how often yet. */
struct reopening {
	mono_t at;
	unsigned tries;
};

struct parent {
	const struct parent_args *args;
	struct conf *conf;
	const char *name; /* of the tunnel */

	pid_t worker; /* 0: none */
	int ipc;      /* -1: closed */
	int signals;  /* signalfd */
	struct requests requests;
	struct child_user user;
	struct resolver resolver;
	struct kdf kdf;
	struct hook hook;
	struct netdev netdev;
	struct monitor monitor;
	struct notify notify;
	struct runfile pidfile, control;
	char root_dir[RUNFILE_CHROOT_MAX]; /* empty: removed */

	int open_error[LINKS_MAX]; /* as last logged */
	struct log_limit no_address[LINKS_MAX];
	struct reopening reopen[LINKS_MAX];

	bool reload_wanted;
	bool reload_asked;     /* by the worker, who wants an answer */
	bool reload_announced; /* the service manager waits for READY */
	mono_t reload_at;      /* no earlier */
	mono_t kill_at;	       /* the worker has to be gone by then */
	bool done;
	int status; /* exit status */
};

/* start.c: 0, or -1 after logging why. */
int start_all(struct parent *p, struct loaded *loaded);
void start_warn(const struct conf *conf);

/* parent.c */
/* Sends to the worker; one that does not read is ended. */
void parent_send(struct parent *p, enum ipc_type type, const void *payload,
    size_t len, int fd);
/* Ends the daemon with an error, after the log line. */
void parent_fail(struct parent *p);
/* The generation and the bytes of the file. */
void parent_send_conf(struct parent *p, const char *text, size_t len);
/* fd: of the device, -1: only what changed. */
void parent_send_tun(struct parent *p, int fd);

/* reload.c */
void reload_run(struct parent *p, mono_t now);
mono_t reload_deadline(const struct parent *p);
/* Sets the device's MTU anew when that of a link's interface changed. */
void reload_mtu(struct parent *p);

/* links.c */
extern const struct monitor_ops links_monitor_ops;
void links_open(struct parent *p, unsigned slot);
void links_resolve(struct parent *p, unsigned slot);
void links_resolved(
    void *ctx, unsigned slot, const union addr *addrs, unsigned count);
mono_t links_run(struct parent *p, mono_t now);

#endif
