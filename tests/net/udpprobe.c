/*
 * udpprobe: a constant flow of UDP packets and what became of it. Sender and
 * receiver run on one machine, so CLOCK_MONOTONIC gives one-way delays.
 *
 *   udpprobe recv [-p port] [-l address] [-o series]
 *   udpprobe send -c address [-p port] [-l address] [-r per_second]
 *                 [-s bytes] [-t seconds] [-T tos]
 *   udpprobe trecv / tsend   the same for one TCP stream, see probe_tcp.c
 *
 * The receiver says "ready" when it listens and writes one JSON document when
 * everything has come, when nothing has come for a second after the sender's
 * end, or on SIGTERM. -s is the UDP payload. A series has one
 * line a packet: sequence, sent, received (ns).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/prctl.h>
#include <sys/socket.h>

#include <netdb.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

#define MAGIC 0x6d6c7670u
#define END_SEQ UINT64_MAX
#define HEAD_BYTES sizeof(struct head)
#define MAX_PACKETS 4000000u
#define GRACE_S 1

struct head {
	uint32_t magic;
	uint32_t run;
	uint64_t seq; /* END_SEQ: `sent_at` is the number of packets */
	int64_t sent_at;
};

/* What the receiver knows of each packet. */
struct record {
	int64_t sent_at;
	int64_t got_at; /* 0: not yet */
};

struct receiver {
	struct record *record; /* by sequence number */
	uint64_t received, duplicates, reordered, highest, total;
	int64_t last_at, first_at;
	int64_t gap_ns;	     /* longest time without an arrival */
	uint64_t gap_at_seq; /* the first packet after it */
};

volatile sig_atomic_t probe_stop;

static void
on_signal(int sig)
{
	(void)sig;
	probe_stop = 1;
}

int64_t
probe_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A bound (and, for a sender, connected) socket. */
int
probe_socket(const struct options *o, int type, bool server)
{
	struct addrinfo hints = { .ai_socktype = type,
		.ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *local = NULL, *peer = NULL;
	int fd, on = 1, bytes = 8 << 20;

	if (!server && getaddrinfo(o->peer, o->port, &hints, &peer) != 0)
		errx(1, "%s: no address", o->peer);
	if (getaddrinfo(o->local != NULL ? o->local
			: server	 ? "::"
					 : NULL,
		server ? o->port : "0", &hints, &local) != 0)
		errx(1, "no local address");
	fd = socket(
	    (peer != NULL ? peer : local)->ai_family, type | SOCK_CLOEXEC, 0);
	if (fd == -1)
		err(1, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (o->tos != 0 && (peer != NULL ? peer : local)->ai_family == AF_INET)
		(void)setsockopt(
		    fd, IPPROTO_IP, IP_TOS, &o->tos, sizeof(o->tos));
	else if (o->tos != 0)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_TCLASS, &o->tos, sizeof(o->tos));
	if ((server || o->local != NULL) &&
	    bind(fd, local->ai_addr, local->ai_addrlen) == -1)
		err(1, "bind");
	if (peer != NULL && connect(fd, peer->ai_addr, peer->ai_addrlen) == -1)
		err(1, "connect %s", o->peer);
	freeaddrinfo(local);
	if (peer != NULL)
		freeaddrinfo(peer);
	return fd;
}

static void
sleep_until(int64_t at)
{
	struct timespec ts = { .tv_sec = at / 1000000000,
		.tv_nsec = at % 1000000000 };

	while (!probe_stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
				  &ts, NULL) == EINTR)
		continue;
}

static int
run_send(const struct options *o)
{
	int fd = probe_socket(o, SOCK_DGRAM, false), i;
	char packet[65536] = { 0 };
	struct head head = { .magic = MAGIC, .run = (uint32_t)getpid() };
	uint64_t count = (uint64_t)(o->rate * o->seconds), sent = 0, errors = 0;
	size_t bytes = o->bytes > HEAD_BYTES ? o->bytes : HEAD_BYTES;
	int64_t start = probe_now(), due, late = 0;

	for (; head.seq < count && !probe_stop; head.seq++) {
		due = start + (int64_t)((double)head.seq * 1e9 / o->rate);
		if (probe_now() < due)
			sleep_until(due);
		head.sent_at = probe_now();
		if (head.sent_at - due > late)
			late = head.sent_at - due;
		memcpy(packet, &head, sizeof(head));
		if (send(fd, packet, bytes, 0) == -1)
			errors++;
		sent++;
	}
	head.sent_at = (int64_t)sent;
	head.seq = END_SEQ;
	memcpy(packet, &head, sizeof(head));
	for (i = 0; i < 5; i++) {
		(void)send(fd, packet, HEAD_BYTES, 0);
		sleep_until(probe_now() + 10000000);
	}
	printf("{\"sent\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"sender_late_max_ms\":%.3f}\n",
	    sent, errors, (double)late / 1e6);
	return 0;
}

static void
note_packet(struct receiver *r, const struct head *h, int64_t now, FILE *series)
{
	struct record *rec;

	if (h->seq == END_SEQ) {
		r->total = (uint64_t)h->sent_at;
		return;
	}
	if (h->seq >= MAX_PACKETS)
		return;
	if (series != NULL)
		fprintf(series, "%" PRIu64 " %" PRId64 " %" PRId64 "\n", h->seq,
		    h->sent_at, now);
	rec = &r->record[h->seq];
	if (rec->got_at != 0) {
		r->duplicates++;
		return;
	}
	rec->sent_at = h->sent_at;
	rec->got_at = now;
	if (r->received++ == 0)
		r->first_at = now;
	else if (now - r->last_at > r->gap_ns) {
		r->gap_ns = now - r->last_at;
		r->gap_at_seq = h->seq;
	}
	if (h->seq < r->highest)
		r->reordered++;
	else
		r->highest = h->seq;
	r->last_at = now;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
percentile(const double *sorted, size_t n, double p)
{
	return n == 0 ? 0.0 : sorted[(size_t)((double)(n - 1) * p + 0.5)];
}

static void
report(const struct receiver *r)
{
	double *delay = calloc(r->received + 1, sizeof(*delay));
	size_t n = 0;
	uint64_t seq;

	if (delay == NULL)
		err(1, NULL);
	for (seq = 0; n < r->received; seq++)
		if (r->record[seq].got_at != 0)
			delay[n++] = (double)(r->record[seq].got_at -
					      r->record[seq].sent_at) /
				     1e6;
	qsort(delay, n, sizeof(*delay), by_value);
	printf("{\"received\":%" PRIu64 ",\"duplicates\":%" PRIu64
	       ",\"reordered\":%" PRIu64 ",\"gap_max_ms\":%.3f"
	       ",\"gap_at_seq\":%" PRIu64 ",\"seconds\":%.6f",
	    r->received, r->duplicates, r->reordered, (double)r->gap_ns / 1e6,
	    r->gap_at_seq, (double)(r->last_at - r->first_at) / 1e9);
	printf(",\"delay_ms\":{\"min\":%.3f,\"median\":%.3f,\"p90\":%.3f,"
	       "\"p99\":%.3f,\"max\":%.3f}}\n",
	    percentile(delay, n, 0), percentile(delay, n, 0.5),
	    percentile(delay, n, 0.9), percentile(delay, n, 0.99),
	    percentile(delay, n, 1));
	free(delay);
}

/* The kernel's time of arrival: that of the packet, not of our wake-up. */
static int64_t
arrival(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct timespec ts, wall;
	int64_t now = probe_now(), ago;

	if (c == NULL || c->cmsg_type != SCM_TIMESTAMPNS)
		return now;
	memcpy(&ts, CMSG_DATA(c), sizeof(ts));
	clock_gettime(CLOCK_REALTIME, &wall);
	ago = (int64_t)(wall.tv_sec - ts.tv_sec) * 1000000000 + wall.tv_nsec -
	      ts.tv_nsec;
	return ago >= 0 && ago < 1000000000 ? now - ago : now;
}

static int
run_recv(const struct options *o)
{
	int fd = probe_socket(o, SOCK_DGRAM, true), on = 1;
	struct timeval grace = { .tv_sec = GRACE_S };
	struct receiver r = { .total = UINT64_MAX };
	FILE *series = o->series != NULL ? fopen(o->series, "we") : NULL;
	char packet[65536], control[256];
	struct iovec iov = { packet, sizeof(packet) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct head head;
	ssize_t n;

	(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	r.record = calloc(MAX_PACKETS, sizeof(*r.record));
	if (r.record == NULL)
		err(1, NULL);
	puts("ready");
	fflush(stdout);
	while (!probe_stop && r.received < r.total) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(fd, &msg, 0);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n < (ssize_t)sizeof(head))
			continue;
		memcpy(&head, packet, sizeof(head));
		if (head.magic == MAGIC)
			note_packet(&r, &head, arrival(&msg), series);
		if (head.seq == END_SEQ)
			(void)setsockopt(
			    fd, SOL_SOCKET, SO_RCVTIMEO, &grace, sizeof(grace));
	}
	report(&r);
	if (series != NULL)
		fclose(series);
	return 0;
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "b:c:i:l:o:p:r:s:t:T:")) != -1) {
		switch (c) {
		case 'b':
			o->congestion = optarg;
			break;
		case 'c':
			o->peer = optarg;
			break;
		case 'i':
			o->interval = atof(optarg);
			break;
		case 'l':
			o->local = optarg;
			break;
		case 'o':
			o->series = optarg;
			break;
		case 'p':
			o->port = optarg;
			break;
		case 'r':
			o->rate = atof(optarg);
			break;
		case 's':
			o->bytes = strtoul(optarg, NULL, 0);
			break;
		case 't':
			o->seconds = atof(optarg);
			break;
		case 'T':
			o->tos = (int)strtol(optarg, NULL, 0);
			break;
		default:
			exit(1);
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .port = "9000",
		.rate = 50,
		.bytes = 64,
		.seconds = 5,
		.interval = 0.1 };
	struct sigaction sa = { .sa_handler = on_signal }; /* no SA_RESTART */
	const char *mode = argc > 1 ? argv[1] : "";

	options_parse(&o, argc - 1, argv + 1);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	if (strcmp(mode, "recv") == 0)
		return run_recv(&o);
	if (strcmp(mode, "trecv") == 0)
		return probe_tcp_recv(&o);
	if (o.peer != NULL && strcmp(mode, "send") == 0)
		return run_send(&o);
	if (o.peer != NULL && strcmp(mode, "tsend") == 0)
		return probe_tcp_send(&o);
	errx(1, "usage: udpprobe send|recv|tsend|trecv, see udpprobe.c");
}
