/*
 * Batches of datagrams.  Buffers and message headers are made once; nothing is
 * allocated per packet but the packet buffers of the pool.
 */
#include "config.h"

#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "worker/udp.h"

#define STORE_SIZE (256 * 1024)
#define IN_SIZE_MIN 2000 /* bytes: a whole Ethernet frame and some */

union control {
	uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

int
udp_init(struct udp *u)
{
	memset(u, 0, sizeof(*u));
	for (size_t i = 0; i < LINKS_MAX; i++)
		u->fds[i] = -1;
	u->store = malloc(STORE_SIZE);
	return u->store == NULL ? -1 : 0;
}

void
udp_free(struct udp *u)
{
	for (size_t i = 0; i < UDP_BATCH; i++)
		if (u->in[i] != NULL)
			pktbuf_free(u->tunnel->pool, u->in[i]);
	free(u->store);
}

/* --- in --- */

static size_t
in_size(const struct udp *u)
{
	size_t size = u->tunnel->mtu_bytes + 18 + 64;

	return size < IN_SIZE_MIN ? IN_SIZE_MIN : size;
}

/* Returns how many buffers are there to be filled. */
static size_t
fill_buffers(struct udp *u)
{
	size_t size = in_size(u);

	for (size_t i = 0; i < UDP_BATCH; i++) {
		/* Made when the MTU was lower. */
		if (u->in[i] != NULL && u->in[i]->size < size) {
			pktbuf_free(u->tunnel->pool, u->in[i]);
			u->in[i] = NULL;
		}
		if (u->in[i] == NULL)
			u->in[i] = pktbuf_alloc(u->tunnel->pool, size);
		if (u->in[i] == NULL)
			return i;
	}
	return UDP_BATCH;
}

/* The address of ours that a datagram came to. */
static void
local_address(struct msghdr *msg, union addr *local)
{
	struct in_pktinfo info4;
	struct in6_pktinfo info6;

	memset(local, 0, sizeof(*local));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info4, CMSG_DATA(c), sizeof(info4));
			local->in4.sin_family = AF_INET;
			local->in4.sin_addr = info4.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
			   c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			local->in6.sin6_family = AF_INET6;
			local->in6.sin6_addr = info6.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr))
				local->in6.sin6_scope_id = info6.ipi6_ifindex;
			return;
		}
	}
}

static void
hand_over(struct udp *u, unsigned slot, size_t i, struct mmsghdr *m,
    const union addr *peer, mono_t now)
{
	struct pktbuf *pb = u->in[i];
	struct path from = { .peer = *peer };

	if ((m->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
		u->truncated++;
		return;
	}
	/* A client lets the kernel choose: its addresses come and go. */
	if (u->tunnel->server)
		local_address(&m->msg_hdr, &from.local);
	u->in[i] = NULL;
	pb->len = m->msg_len;
	tunnel_dgram(u->tunnel, slot, pb, &from, now);
}

static int
receive_batch(struct udp *u, unsigned slot, size_t n, mono_t now)
{
	struct mmsghdr msgs[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	union addr peers[UDP_BATCH];
	union control controls[UDP_BATCH];
	int got;

	for (size_t i = 0; i < n; i++) {
		iov[i].iov_base = u->in[i]->data;
		iov[i].iov_len = u->in[i]->size;
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &peers[i],
			.msg_namelen = sizeof(peers[i]),
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = controls[i].buf,
			.msg_controllen = sizeof(controls[i].buf),
		};
	}
	got = recvmmsg(u->fds[slot], msgs, (unsigned)n, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++)
		hand_over(u, slot, (size_t)i, &msgs[i], &peers[i], now);
	return got;
}

int
udp_receive(struct udp *u, unsigned slot, unsigned batches_max, mono_t now)
{
	for (unsigned n_batch = 0; n_batch < batches_max && u->fds[slot] != -1;
	     n_batch++) {
		size_t n = fill_buffers(u);
		int got;

		if (n == 0)
			return 0;
		got = receive_batch(u, slot, n, now);
		if (got == -1)
			return errno == EAGAIN || errno == EINTR ||
				       errno == ECONNREFUSED
				   ? 0
				   : errno;
		if ((size_t)got < n)
			return 0;
	}
	return 0;
}

/* --- out --- */

uint8_t *
udp_space(struct udp *u, size_t size)
{
	if (u->nout == nitems_of(u->out) || size > STORE_SIZE - u->store_used)
		udp_flush(u, mono_now());
	return size > STORE_SIZE ? NULL : u->store + u->store_used;
}

void
udp_queue(struct udp *u, unsigned slot, size_t len, const struct path *path)
{
	struct udp_out *o = &u->out[u->nout++];

	o->slot = slot;
	o->path = *path;
	o->data = u->store + u->store_used;
	o->len = len;
	u->store_used += (len + 15) & ~(size_t)15;
	if (u->store_used > STORE_SIZE)
		u->store_used = STORE_SIZE;
}

/* Answers leave from the address that was addressed. */
static void
set_source(struct msghdr *msg, union control *control, const union addr *local)
{
	struct cmsghdr *c;

	if (local->sa.sa_family == AF_UNSPEC)
		return;
	memset(control, 0, sizeof(*control));
	msg->msg_control = control->buf;
	c = &control->align;
	if (local->sa.sa_family == AF_INET) {
		struct in_pktinfo info = {
			.ipi_spec_dst = local->in4.sin_addr,
		};

		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		msg->msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		struct in6_pktinfo info = {
			.ipi6_addr = local->in6.sin6_addr,
			.ipi6_ifindex = local->in6.sin6_scope_id,
		};

		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		msg->msg_controllen = CMSG_SPACE(sizeof(info));
	}
}

static void
refuse(struct udp *u, unsigned slot, const struct mmsghdr *m, int error,
    mono_t now)
{
	const struct iovec *iov = m->msg_hdr.msg_iov;

	u->refused = true;
	tunnel_link_refused(
	    u->tunnel, slot, iov->iov_base, iov->iov_len, error, now);
}

/* Sends n messages of a link; what the kernel refuses goes back. */
static void
send_messages(
    struct udp *u, unsigned slot, struct mmsghdr *msgs, size_t n, mono_t now)
{
	size_t sent = 0;

	while (sent < n) {
		int r = -1, error;

		errno = EBADF;
		if (u->fds[slot] != -1)
			r = sendmmsg(u->fds[slot], msgs + sent,
			    (unsigned)(n - sent), MSG_DONTWAIT);
		if (r > 0) {
			sent += (size_t)r;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* A full socket will not take the next one either. */
		error = errno;
		do
			refuse(u, slot, &msgs[sent], error, now);
		while (++sent < n && error == EAGAIN);
	}
}

static void
flush_link(struct udp *u, unsigned slot, mono_t now)
{
	struct mmsghdr msgs[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	union control controls[UDP_BATCH];
	size_t n = 0;

	for (size_t i = 0; i < u->nout; i++) {
		struct udp_out *o = &u->out[i];

		if (o->slot != slot)
			continue;
		iov[n].iov_base = o->data;
		iov[n].iov_len = o->len;
		msgs[n].msg_hdr = (struct msghdr){
			.msg_name = &o->path.peer,
			.msg_namelen = addr_len(&o->path.peer),
			.msg_iov = &iov[n],
			.msg_iovlen = 1,
		};
		set_source(&msgs[n].msg_hdr, &controls[n], &o->path.local);
		if (++n == UDP_BATCH) {
			send_messages(u, slot, msgs, n, now);
			n = 0;
		}
	}
	if (n > 0)
		send_messages(u, slot, msgs, n, now);
}

void
udp_flush(struct udp *u, mono_t now)
{
	uint32_t slots = 0;

	if (u->nout == 0)
		return;
	for (size_t i = 0; i < u->nout; i++)
		slots |= UINT32_C(1) << u->out[i].slot;
	for (unsigned slot = 0; slot < LINKS_MAX; slot++)
		if ((slots & UINT32_C(1) << slot) != 0)
			flush_link(u, slot, now);
	u->nout = 0;
	u->store_used = 0;
}
