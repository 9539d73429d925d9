/*
 * The root process: makes what needs root, gives it to the worker, and takes
 * everything down when either of them ends.
 */
#ifndef MLVPN_PRIV_PARENT_H
#define MLVPN_PRIV_PARENT_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "priv/load.h"

struct parent_args {
	const char *conf_path; /* absolute */
	const char *name; /* of the tunnel, for the titles; NULL: interface */
	const char *pidfile; /* NULL: none */
	const char *user;
	uid_t uid;
	gid_t gid;
	bool run_as_root;
	bool natural_title;
	bool background;
	int loglevel; /* -v and -q: in place of the file's; -1: none */
	/* Becomes the worker, in the forked child. */
	void (*worker)(int ipc_fd, const struct parent_args *args,
	    const char *name, const char *chroot_dir, int loglevel)
	    __attribute__((noreturn));
	/* The worker runs: nobody has to wait for us any more. */
	void (*ready)(void);
};

/* Runs until the end; takes over what was loaded.  The exit status. */
int parent_main(const struct parent_args *args, struct loaded *loaded);
/* The log level in force with this configuration. */
int parent_log_level(const struct parent_args *args, const struct conf *conf);

#endif
