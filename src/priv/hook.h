/*
 * The status command: told, as root, what comes up and goes down.  One runs at
 * a time; while it does only the latest state of each link is remembered.
 */
#ifndef MLVPN_PRIV_HOOK_H
#define MLVPN_PRIV_HOOK_H

#include <stdbool.h>

#include "base/util.h"
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "priv/bucket.h"
#include "priv/child.h"

/* Every link of the file, as many that a reload removed, and the device. */
#define HOOK_QUEUE (2 * LINKS_MAX + 1)
#define HOOK_ENV_MAX 12

struct hook_event {
	enum ipc_hook_event event;
	char name[CONF_NAME_MAX]; /* of the link; empty: the device */
};

struct hook {
	char command[CONF_PATH_MAX]; /* empty: none */
	char device[CONF_IFNAME_MAX];
	char *env[HOOK_ENV_MAX]; /* owned; ends with NULL */
	struct hook_event queue[HOOK_QUEUE];
	unsigned queued;
	struct hook_event up[HOOK_QUEUE]; /* what was last told to be up */
	unsigned nup;
	struct child child;
	struct hook_event running;
	struct bucket limit; /* a mad worker must not make us fork all day */
};

void hook_init(struct hook *h);
/* The command and its environment from now on. */
void hook_configure(struct hook *h, const struct conf *conf, unsigned mtu);
/* name: NULL for the device events.  Down without an earlier up is no news. */
void hook_post(struct hook *h, enum ipc_hook_event event, const char *name);
/* Starts and reaps; returns the next deadline. */
mono_t hook_run(struct hook *h, mono_t now);
/* Tells that all is down and waits for the commands until the deadline. */
void hook_finish(struct hook *h, mono_t until);
void hook_close(struct hook *h);

/*
 * Opens a program that may be run as root: a regular file which only root can
 * have written, on a path that only root can have laid.  -1, with why filled.
 */
int hook_open_program(const char *path, char *why, size_t size);

#endif
