/*
 * The client's end of the status socket.  What answers is the unprivileged
 * worker, so its answer is bounded and parsed before anything is shown.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "ctl/request.h"

#define ANSWER_MAX (1024 * 1024) /* bytes */

static int
fail(char error[REQUEST_ERROR_MAX], const char *what, const char *why)
{
	snprintf(error, REQUEST_ERROR_MAX, "%s: %s", what, why);
	return -1;
}

static int
open_socket(const char *path, int timeout_s, char error[REQUEST_ERROR_MAX])
{
	struct timeval limit = { .tv_sec = timeout_s };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail(error, path, "the path is too long");
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return fail(error, "socket", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		fail(error, path,
		    errno == ECONNREFUSED || errno == ENOENT
			? "mlvpn is not running"
			: strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int
send_line(int fd, const char *verb, char error[REQUEST_ERROR_MAX])
{
	char line[64];
	int len;

	len = snprintf(line, sizeof(line), "%s\n", verb);
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
		return fail(error, "no request could be sent", strerror(errno));
	return 0;
}

/* Reads to the end of file; a new buffer, or NULL. */
static char *
read_all(int fd, size_t *lenp, char error[REQUEST_ERROR_MAX])
{
	char *buf;
	ssize_t n = 1;

	*lenp = 0;
	buf = malloc(ANSWER_MAX);
	if (buf == NULL) {
		fail(error, "memory", strerror(errno));
		return NULL;
	}
	while (n > 0 && *lenp < ANSWER_MAX) {
		n = recv(fd, buf + *lenp, ANSWER_MAX - *lenp, 0);
		if (n > 0)
			*lenp += (size_t)n;
	}
	if (n == -1 && *lenp == 0) {
		fail(error, "no answer",
		    errno == EAGAIN ? "timed out" : strerror(errno));
		free(buf);
		return NULL;
	}
	return buf;
}

json_t *
request_send(const char *path, const char *verb, int timeout_s,
    char error[REQUEST_ERROR_MAX])
{
	json_error_t where;
	json_t *doc = NULL;
	char *buf = NULL;
	size_t len;
	int fd;

	fd = open_socket(path, timeout_s, error);
	if (fd == -1)
		return NULL;
	if (send_line(fd, verb, error) == 0)
		buf = read_all(fd, &len, error);
	close(fd);
	if (buf == NULL)
		return NULL;
	doc = json_loadb(buf, len, 0, &where);
	if (doc == NULL)
		fail(error, path, "the answer is no JSON document");
	else if (!json_is_object(doc)) {
		fail(error, path, "the answer is no JSON object");
		json_decref(doc);
		doc = NULL;
	}
	free(buf);
	return doc;
}

int
request_find(char *path, size_t size, char error[REQUEST_ERROR_MAX])
{
	glob_t found;
	int result = -1;

	if (glob(REQUEST_DIR "/*.sock", 0, NULL, &found) != 0)
		return fail(
		    error, REQUEST_DIR, "no socket here: mlvpn is not running");
	if (found.gl_pathc > 1)
		fail(error, REQUEST_DIR,
		    "several tunnels: choose one with -i INTERFACE");
	else if ((size_t)snprintf(path, size, "%s", found.gl_pathv[0]) >= size)
		fail(error, found.gl_pathv[0], "the path is too long");
	else
		result = 0;
	globfree(&found);
	return result;
}
