/*
 * Frames in and out of the emulator's interfaces: AF_PACKET, many frames a
 * call, past the queueing discipline, with the kernel's time of arrival so
 * that a late wake-up of the emulator changes no figure.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "emu.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define NS_PER_S 1000000000LL

/* A frame buffer that recvmmsg() did not fill is kept for the next call. */
static struct frame *spare[EMU_BATCH];

int
port_open(struct port *port, const char *name, int epoll_fd, uint32_t tag)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET };
	struct epoll_event ev = { .events = EPOLLIN };
	int on = 1, bytes = 64 << 20;

	port_close(port, epoll_fd);
	snprintf(port->name, sizeof(port->name), "%s", name);
	sll.sll_protocol = htons(ETH_P_ALL);
	sll.sll_ifindex = (int)if_nametoindex(name);
	if (sll.sll_ifindex == 0)
		return -1;
	port->fd =
	    socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (port->fd == -1)
		return -1;
	(void)setsockopt(
	    port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(
	    port->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(port->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	(void)setsockopt(
	    port->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	(void)setsockopt(
	    port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	ev.data.u32 = tag;
	if (bind(port->fd, (struct sockaddr *)&sll, sizeof(sll)) == -1 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port->fd, &ev) == -1) {
		port_close(port, epoll_fd);
		return -1;
	}
	return 0;
}

void
port_close(struct port *port, int epoll_fd)
{
	if (port->fd != -1) {
		(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, port->fd, NULL);
		close(port->fd);
	}
	port->fd = -1;
}

static emu_time_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (emu_time_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

emu_time_t
emu_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The kernel stamps arrivals with the wall clock. */
static emu_time_t
arrival(struct msghdr *msg, emu_time_t wall_ahead, emu_time_t now)
{
	struct cmsghdr *c;
	struct timespec ts;
	emu_time_t at;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		at = (emu_time_t)ts.tv_sec * NS_PER_S + ts.tv_nsec - wall_ahead;
		if (at <= now && now - at < NS_PER_S)
			return at;
	}
	return now;
}

static void
count_missed(struct port *port)
{
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		port->missed += st.tp_drops;
}

static void
pcap_write(FILE *file, const struct frame *f, emu_time_t wall_at)
{
	uint32_t head[4] = { (uint32_t)(wall_at / NS_PER_S),
		(uint32_t)(wall_at % NS_PER_S), f->len, f->len };

	fwrite(head, sizeof(head), 1, file);
	fwrite(f->data, f->len, 1, file);
}

/* A pcap file with nanoseconds, in the machine's byte order. */
FILE *
pcap_open(const char *path)
{
	uint32_t head[6] = { 0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1 };
	FILE *file = fopen(path, "we");

	if (file != NULL)
		fwrite(head, sizeof(head), 1, file);
	return file;
}

/* One batch from the interface into the line. Gives the number of frames, or
 * -1 when the interface has gone. */
int
port_receive(struct line *line, int side, int epoll_fd)
{
	struct port *port = &line->port[side];
	struct path *path = &line->path[side];
	struct mmsghdr msg[EMU_BATCH];
	struct iovec iov[EMU_BATCH];
	char control[EMU_BATCH][CMSG_SPACE(sizeof(struct timespec))];
	emu_time_t now, wall_ahead, at;
	int i, n, room;

	for (room = 0; room < EMU_BATCH; room++) {
		if (spare[room] == NULL && (spare[room] = pool_get()) == NULL)
			break;
		iov[room].iov_base = spare[room]->data;
		iov[room].iov_len = pool_frame_bytes();
		memset(&msg[room].msg_hdr, 0, sizeof(msg[room].msg_hdr));
		msg[room].msg_hdr.msg_iov = &iov[room];
		msg[room].msg_hdr.msg_iovlen = 1;
		msg[room].msg_hdr.msg_control = control[room];
		msg[room].msg_hdr.msg_controllen = sizeof(control[room]);
	}
	n = recvmmsg(port->fd, msg, (unsigned)room, 0, NULL);
	if (n == -1) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		if (errno != ENETDOWN) /* ENETDOWN: still ours, only down */
			port_close(port, epoll_fd);
		return -1;
	}
	now = emu_now();
	wall_ahead = clock_ns(CLOCK_REALTIME) - now;
	for (i = 0; i < n; i++) {
		spare[i]->len = msg[i].msg_len;
		at = arrival(&msg[i].msg_hdr, wall_ahead, now);
		if (at < path->stats.last_at)
			at = path->stats.last_at;
		if (line->pcap != NULL)
			pcap_write(line->pcap, spare[i], at + wall_ahead);
		path_input(path, spare[i], at);
		spare[i] = NULL;
	}
	if (n == EMU_BATCH)
		count_missed(port);
	return n;
}

/* Sends and frees a list of frames; what the interface refuses is counted. */
void
port_send(struct line *line, int side, struct fifo *list)
{
	struct port *port = &line->port[side];
	struct mmsghdr msg[EMU_BATCH * 2];
	struct iovec iov[EMU_BATCH * 2];
	struct frame *f;
	int n = 0, done = 0, sent;

	memset(msg, 0, sizeof(msg));
	for (f = list->head; f != NULL; f = f->next) {
		for (sent = 0; sent < 1 + f->twice; sent++, n++) {
			iov[n].iov_base = f->data;
			iov[n].iov_len = f->len;
			msg[n].msg_hdr.msg_iov = &iov[n];
			msg[n].msg_hdr.msg_iovlen = 1;
		}
	}
	while (done < n && port->fd != -1) {
		sent = sendmmsg(port->fd, msg + done, (unsigned)(n - done), 0);
		if (sent > 0) {
			done += sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		port->send_errors++;
		done++; /* this one is lost */
	}
	while ((f = fifo_take(list)) != NULL)
		pool_put(f);
}
