/*
 * One TCP stream and its timeline at the receiver: bytes in each interval and
 * the longest time in which nothing was delivered. Shows what a cut line
 * costs a connection, which an average cannot.
 *
 *   udpprobe trecv [-p port] [-l address] [-i interval]
 *   udpprobe tsend -c address [-p port] [-b congestion] [-t seconds]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define MAX_INTERVALS 6000

struct timeline {
	uint64_t bytes[MAX_INTERVALS];
	size_t intervals;
	uint64_t total;
	int64_t first_at, last_at;
	int64_t gap_ns, gap_at; /* from the first byte */
};

static void
timeline_add(struct timeline *t, size_t bytes, int64_t now, double interval)
{
	size_t slot;

	if (t->total == 0)
		t->first_at = t->last_at = now;
	slot = (size_t)((double)(now - t->first_at) / 1e9 / interval);
	if (slot < MAX_INTERVALS) {
		t->bytes[slot] += bytes;
		if (slot >= t->intervals)
			t->intervals = slot + 1;
	}
	if (now - t->last_at > t->gap_ns) {
		t->gap_ns = now - t->last_at;
		t->gap_at = t->last_at - t->first_at;
	}
	t->total += bytes;
	t->last_at = now;
}

static void
timeline_print(const struct timeline *t, double interval)
{
	size_t i;

	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"gap_max_ms\":%.3f,"
	       "\"gap_at\":%.3f,\"first_at\":%.6f,\"interval\":%g,"
	       "\"timeline\":[",
	    t->total, (double)(t->last_at - t->first_at) / 1e9,
	    (double)t->gap_ns / 1e6, (double)t->gap_at / 1e9,
	    (double)t->first_at / 1e9, interval);
	for (i = 0; i < t->intervals; i++)
		printf("%s%" PRIu64, i > 0 ? "," : "", t->bytes[i]);
	puts("]}");
}

/* Receives one connection to its end. */
int
probe_tcp_recv(const struct options *o)
{
	static struct timeline t;
	static char buffer[1 << 18];
	int fd = probe_socket(o, SOCK_STREAM, true), conn;
	ssize_t n;

	if (listen(fd, 1) == -1)
		err(1, "listen");
	puts("ready");
	fflush(stdout);
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	while (conn != -1 && !probe_stop) {
		n = recv(conn, buffer, sizeof(buffer), 0);
		if (n == 0 || (n == -1 && errno != EINTR))
			break;
		if (n > 0)
			timeline_add(&t, (size_t)n, probe_now(), o->interval);
	}
	timeline_print(&t, o->interval);
	return 0;
}

static int
congestion_set(int fd, const char *name)
{
	return setsockopt(
	    fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* Sends as fast as the connection takes it. */
int
probe_tcp_send(const struct options *o)
{
	static char buffer[1 << 16];
	struct timeval limit = { .tv_sec = 1 };
	int fd = probe_socket(o, SOCK_STREAM, false);
	int64_t end = probe_now() + (int64_t)(o->seconds * 1e9);
	uint64_t sent = 0;
	ssize_t n;

	if (o->congestion != NULL && congestion_set(fd, o->congestion) == -1)
		err(1, "congestion control %s", o->congestion);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (!probe_stop && probe_now() < end) {
		n = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			err(1, "send");
	}
	printf("{\"sent_bytes\":%" PRIu64 "}\n", sent);
	return 0;
}
