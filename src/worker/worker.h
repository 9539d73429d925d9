/*
 * The unprivileged process: libev watchers around the engine, no policy.
 */
#ifndef MLVPN_WORKER_WORKER_H
#define MLVPN_WORKER_WORKER_H

#include <sys/types.h>
#include <stdbool.h>

struct worker_args {
	int ipc_fd;	  /* the worker's end of the socketpair */
	const char *user; /* for messages */
	uid_t uid;
	gid_t gid;
	const char *chroot_dir; /* an empty directory, removed by the parent */
	bool run_as_root;
	bool natural_title; /* leave the process title alone */
	const char *name;   /* of the tunnel, for the title */
	int loglevel;	    /* syslog priority */
};

/* Runs in the forked child; never returns. */
void worker_main(const struct worker_args *args) __attribute__((noreturn));

#endif
