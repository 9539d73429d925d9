/*
 * May root run this file?  Only if nobody else could have put or changed it:
 * checked on every directory of the path as it is written and of the path that
 * its symbolic links lead to, and then on the opened file itself, which is what
 * will be executed.
 */
#include "config.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "priv/hook.h"

static bool
only_root(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Checks dir and each directory above it; dir is cut on the way. */
static int
check_directories(char *dir, char *why, size_t size)
{
	struct stat st;
	char *slash;

	for (;;) {
		if (stat(dir[0] != '\0' ? dir : "/", &st) == -1) {
			snprintf(why, size, "%s: %s", dir, strerror(errno));
			return -1;
		}
		if (!S_ISDIR(st.st_mode) || !only_root(&st)) {
			snprintf(why, size,
			    "%s: has to be a directory that only root can"
			    " write",
			    dir[0] != '\0' ? dir : "/");
			return -1;
		}
		slash = strrchr(dir, '/');
		if (slash == NULL || dir[0] == '\0')
			return 0;
		*slash = '\0';
	}
}

static int
open_checked(const char *path, const char *file, char *why, size_t size)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1) {
		snprintf(why, size, "%s: %s", file,
		    errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && only_root(&st) &&
	    (st.st_mode & S_IXUSR) != 0)
		return fd;
	snprintf(why, size,
	    "%s: has to be an executable file that only root can write", file);
	close(fd);
	return -1;
}

int
hook_open_program(const char *path, char *why, size_t size)
{
	char dir[CONF_PATH_MAX], *real, *full = NULL;
	const char *file = strrchr(path, '/');
	int fd = -1;

	if (path[0] != '/' || file[1] == '\0') {
		snprintf(why, size, "not an absolute path");
		return -1;
	}
	snprintf(dir, sizeof(dir), "%.*s", (int)(file - path), path);
	real = realpath(dir[0] != '\0' ? dir : "/", NULL);
	if (real == NULL) {
		snprintf(why, size, "%s: %s", dir, strerror(errno));
		return -1;
	}
	if (asprintf(&full, "%s%s", strcmp(real, "/") == 0 ? "" : real, file) ==
	    -1)
		full = NULL;
	if (full == NULL)
		snprintf(why, size, "out of memory");
	else if (check_directories(dir, why, size) == 0 &&
		 check_directories(real, why, size) == 0)
		fd = open_checked(full, file + 1, why, size);
	free(full);
	free(real);
	return fd;
}
