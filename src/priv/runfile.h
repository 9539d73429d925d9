/*
 * What the parent leaves in the file system while it runs: the pidfile, the
 * control socket, the directory that becomes the worker's root.
 */
#ifndef MLVPN_PRIV_RUNFILE_H
#define MLVPN_PRIV_RUNFILE_H

#include <sys/types.h>

#include "conf/conf.h"

struct runfile {
	char path[CONF_PATH_MAX]; /* empty: there is none */
	int fd;			  /* pidfile: open and locked; -1 otherwise */
	dev_t dev;		  /* so that only our own one is removed */
	ino_t ino;
};

void runfile_init(struct runfile *f);
/* Opens and locks the pidfile, empty yet; -1 after logging why. */
int runfile_pid_open(struct runfile *f, const char *path);
void runfile_pid_write(struct runfile *f);
/* Creates the listening control socket and its directory; the descriptor, or
 * -1 after logging why. */
int runfile_listen(struct runfile *f, const char *path);
/* Removes it, if it is still ours. */
void runfile_remove(struct runfile *f);

#define RUNFILE_CHROOT_MAX 32
/* Makes the empty directory for the worker; -1 with errno. */
int runfile_make_root(char path[RUNFILE_CHROOT_MAX]);

#endif
