/*
 * Configuration as text: reading the file safely, and writing a first one.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"

/* Is it a regular file whose password stays among its owner and group? */
static int
check_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH | S_IROTH)) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* Until the end of the file; -1 with errno, EFBIG when size is not enough. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, buf + len, size - len);
		if (n == 0)
			return (ssize_t)len;
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		len += (size_t)n;
	}
	errno = EFBIG;
	return -1;
}

int
conf_load(const char *path, char **textp, size_t *lenp)
{
	char *buf = NULL;
	ssize_t len;
	int fd, saved;

	/* O_NONBLOCK: a FIFO must not stop us before it is refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return -1;
	if (check_file(fd) == -1)
		goto fail;
	buf = malloc(CONF_TEXT_MAX + 1);
	if (buf == NULL)
		goto fail;
	len = read_all(fd, buf, CONF_TEXT_MAX + 1);
	if (len == -1)
		goto fail;
	close(fd);
	buf[len] = '\0';
	*textp = buf;
	*lenp = (size_t)len;
	return 0;
fail:
	saved = errno;
	if (buf != NULL)
		explicit_bzero(buf, CONF_TEXT_MAX + 1);
	free(buf);
	close(fd);
	errno = saved;
	return -1;
}

const char *
conf_load_error(int error)
{
	switch (error) {
	case EFBIG:
		return "expected a file of at most 64 KiB";
	case EINVAL:
		return "expected a regular file";
	case EPERM:
		return "expected a file that only its owner may write and "
		       "others may not read (chmod 600): it holds a password";
	default:
		return strerror(error);
	}
}

const char *
conf_prefix_text(const struct conf_prefix *p, char buf[CONF_PREFIXTEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	if (p->family == AF_UNSPEC ||
	    inet_ntop(p->family, p->addr, host, sizeof(host)) == NULL)
		snprintf(buf, CONF_PREFIXTEXT_MAX, "none");
	else
		snprintf(buf, CONF_PREFIXTEXT_MAX, "%s/%u", host, p->len);
	return buf;
}

static const char generated[] =
    "# Client. The server has the same password, mode = server, the other\n"
    "# address of the tunnel, and bindport instead of remotehost, remoteport.\n"
    "# All keys: mlvpn.conf(5). Keep this file to yourself: chmod 600.\n"
    "[general]\n"
    "mode = client\n"
    "password = \"%s\"\n"
    "interface_name = mlvpn0\n"
    "ip4 = 10.42.42.1/30\n"
    "\n"
    "# One section for each line; its name is the same on both sides.\n"
    "# interface, or bindhost, makes sure that the link uses its line. Rates\n"
    "# are those of the line, less 3 %% so that no queue builds up in its modem.\n"
    "[line1]\n"
    "remotehost = 192.0.2.1\n"
    "remoteport = 5080\n"
    "#interface = eth1\n"
    "#bandwidth_upload = 970kbit\n"
    "#bandwidth_download = 9.7mbit\n"
    "\n"
    "[line2]\n"
    "remotehost = 192.0.2.1\n"
    "remoteport = 5081\n"
    "#interface = eth2\n"
    "#bandwidth_upload = 970kbit\n"
    "#bandwidth_download = 9.7mbit\n";

int
conf_generate(char *buf, size_t size, const char *password)
{
	int len;

	if (strchr(password, '"') != NULL)
		return -1;
	len = snprintf(buf, size, generated, password);
	return len < 0 || (size_t)len >= size ? -1 : 0;
}
