/*
 * Typed messages over a SOCK_SEQPACKET socketpair.  The kernel keeps message
 * boundaries, so there is no framing to get wrong: four bytes of type, then the
 * payload.  Whatever arrives in a way we did not ask for (truncated, surplus
 * descriptors) is refused, and nothing that came with it stays open.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ipc/ipc.h"

#define FDS_MAX 8 /* room to receive, and close, more than the one allowed */
#define BUFFER_BYTES (256 * 1024) /* a whole file and some small messages */

union control {
	struct cmsghdr align;
	uint8_t buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int
ipc_pair(int fds[2])
{
	int size = BUFFER_BYTES, i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, fds) == -1)
		return -1;
	for (i = 0; i < 2; i++) {
		/* Root may exceed wmem_max; others get what they can. */
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
			sizeof(size)) == -1)
			(void)setsockopt(
			    fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	return 0;
}

int
ipc_send(int sock, enum ipc_type type, const void *payload, size_t len, int fd)
{
	uint32_t type32 = (uint32_t)type;
	union control control;
	struct iovec iov[2];
	struct msghdr msg;
	struct cmsghdr *cmsg;
	ssize_t n;

	if (len > IPC_PAYLOAD_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	memset(&msg, 0, sizeof(msg));
	iov[0].iov_base = &type32;
	iov[0].iov_len = sizeof(type32);
	iov[1].iov_base = (void *)(uintptr_t)payload;
	iov[1].iov_len = len;
	msg.msg_iov = iov;
	msg.msg_iovlen = len > 0 ? 2 : 1;
	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(fd));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* Takes the descriptors of a message; the first is returned, the others are
 * closed and counted. */
static int
take_fds(struct msghdr *msg, int *count)
{
	struct cmsghdr *cmsg;
	size_t i, n;
	int fd, first = -1;

	*count = 0;
	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(
			    &fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if ((*count)++ == 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

int
ipc_recv(
    int sock, uint32_t *type, void *payload, size_t size, size_t *len, int *fd)
{
	union control control;
	struct iovec iov[2];
	struct msghdr msg;
	ssize_t n;
	int got, count;

	iov[0].iov_base = type;
	iov[0].iov_len = sizeof(*type);
	iov[1].iov_base = payload;
	iov[1].iov_len = size;
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = iov;
	msg.msg_iovlen = 2;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	do {
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n == -1) {
		if (errno == ECONNRESET)
			errno = 0;
		return -1;
	}
	got = take_fds(&msg, &count);
	if (n == 0 && count == 0) {
		errno = 0;
		return -1;
	}
	if ((size_t)n < sizeof(*type) || count > (fd != NULL ? 1 : 0) ||
	    (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		if (got != -1)
			close(got);
		errno = EBADMSG;
		return -1;
	}
	*len = (size_t)n - sizeof(*type);
	if (fd != NULL)
		*fd = got;
	return 1;
}
