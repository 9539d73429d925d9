/*
 * Files that say that we are here.  Each is removed at exit, but only when it
 * is the one that was made: another daemon may have taken the name.
 */
#include "config.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "priv/runfile.h"

#include "base/log.h"

#define BACKLOG 8

void
runfile_init(struct runfile *f)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
}

static void
remember(struct runfile *f, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return;
	strlcpy(f->path, path, sizeof(f->path));
	f->dev = st.st_dev;
	f->ino = st.st_ino;
}

int
runfile_pid_open(struct runfile *f, const char *path)
{
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd == -1) {
		log_errx("pidfile %s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		log_errx("pidfile %s: %s", path,
		    errno == EWOULDBLOCK ? "another mlvpn holds it"
					 : strerror(errno));
		close(fd);
		return -1;
	}
	if (ftruncate(fd, 0) == -1)
		log_warn("pidfile %s", path);
	f->fd = fd;
	remember(f, path);
	return 0;
}

void
runfile_pid_write(struct runfile *f)
{
	if (f->fd != -1 && dprintf(f->fd, "%ld\n", (long)getpid()) < 0)
		log_warn("pidfile %s", f->path);
}

/* Is there a socket that nobody listens on any more?  Then it is removed. */
static void
remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return;
	if (connect(fd, (const struct sockaddr *)(const void *)addr,
		sizeof(*addr)) == -1 &&
	    errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(fd);
}

/* Only the last directory: /run is empty after a boot. */
static void
make_directory(const char *path)
{
	char dir[CONF_PATH_MAX], *slash;

	strlcpy(dir, path, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return;
	*slash = '\0';
	(void)mkdir(dir, 0755); /* bind says what is wrong with it */
}

int
runfile_listen(struct runfile *f, const char *path)
{
	struct sockaddr_un addr;
	mode_t mask;
	int fd, bound;

	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >=
	    sizeof(addr.sun_path)) {
		log_errx("control socket %s: the path is too long", path);
		return -1;
	}
	make_directory(path);
	remove_stale(&addr);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		goto fail;
	mask = umask(0117); /* 0660 from the first moment on */
	bound = bind(fd, (struct sockaddr *)(void *)&addr, sizeof(addr));
	umask(mask);
	if (bound == -1 || listen(fd, BACKLOG) == -1)
		goto fail;
	remember(f, path);
	return fd;
fail:
	log_errx("control socket %s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

void
runfile_remove(struct runfile *f)
{
	struct stat st;

	if (f->path[0] != '\0' && lstat(f->path, &st) == 0 &&
	    st.st_dev == f->dev && st.st_ino == f->ino)
		unlink(f->path);
	if (f->fd != -1)
		close(f->fd);
	runfile_init(f);
}

int
runfile_make_root(char path[RUNFILE_CHROOT_MAX])
{
	strlcpy(path, "/run/mlvpn.XXXXXX", RUNFILE_CHROOT_MAX);
	if (mkdtemp(path) != NULL)
		return 0;
	path[0] = '\0';
	return -1;
}
