/*
 * lineemu: emulates up to 16 lines between pairs of interfaces of its network
 * namespace. One process and one loop for all of them, at real-time priority
 * where that is allowed, so that the load of the test does not change the
 * lines. Started by lab.py; see emu_control.c for the requests it takes.
 *
 * usage: lineemu [-f frame_bytes] [-p frames] [-s seed] [-t tick_us] SOCKET
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "emu.h"

#define TAG_CONTROL 0
#define TAG_CLIENT 1 /* lines have tags from 2 */
#define ANSWER_BYTES 32768

static struct emu emu;

static void
control_listen(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct epoll_event ev = { .events = EPOLLIN };

	if (strlen(path) >= sizeof(sun.sun_path))
		errx(1, "%s: path too long", path);
	strcpy(sun.sun_path, path);
	emu.control_fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (emu.control_fd == -1)
		err(1, "socket");
	(void)unlink(path);
	if (bind(emu.control_fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(emu.control_fd, 16) == -1)
		err(1, "%s", path);
	ev.data.u64 = TAG_CONTROL;
	if (epoll_ctl(emu.epoll_fd, EPOLL_CTL_ADD, emu.control_fd, &ev) == -1)
		err(1, "epoll_ctl");
}

static void
control_accept(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd =
	    accept4(emu.control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd == -1)
		return;
	ev.data.u64 = (uint64_t)fd << 32 | TAG_CLIENT;
	if (epoll_ctl(emu.epoll_fd, EPOLL_CTL_ADD, fd, &ev) == -1)
		close(fd);
}

static void
control_serve(int fd)
{
	static char answer[ANSWER_BYTES];
	char request[2048];
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			close(fd);
		return;
	}
	request[n] = '\0';
	control_request(&emu, request, answer, sizeof(answer));
	(void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

/* Moves what is due and gives the time of the next event. */
static emu_time_t
run_path(struct line *line, int dir, emu_time_t now)
{
	struct path *path = &line->path[dir];
	struct fifo due = { NULL, NULL };
	struct frame *f;
	int count = 0;

	while ((f = path_output(path, now)) != NULL) {
		f->next = NULL;
		if (due.head == NULL)
			due.head = f;
		else
			due.tail->next = f;
		due.tail = f;
		if (++count == EMU_BATCH) {
			port_send(line, !dir, &due);
			due.head = NULL;
			count = 0;
		}
	}
	if (due.head != NULL)
		port_send(line, !dir, &due);
	return path_next(path);
}

static emu_time_t
run_lines(emu_time_t now)
{
	emu_time_t next = EMU_NEVER, at;
	int i, dir;

	for (i = 1; i <= EMU_LINES; i++) {
		for (dir = 0; emu.line[i].used && dir < 2; dir++) {
			at = run_path(&emu.line[i], dir, now);
			if (at < next)
				next = at;
		}
	}
	return next;
}

static void
handle(uint64_t tag)
{
	uint32_t what = (uint32_t)tag;
	int rounds = 4; /* then let the other lines have their turn */

	if (what == TAG_CONTROL)
		control_accept();
	else if (what == TAG_CLIENT)
		control_serve((int)(tag >> 32));
	else
		while (rounds-- > 0 &&
		       port_receive(&emu.line[what / 2], (int)(what % 2),
			   emu.epoll_fd) == EMU_BATCH)
			continue;
}

static void
loop(void)
{
	struct epoll_event ev[64];
	struct timespec ts;
	emu_time_t now = emu_now(), ran_at, wait, next = EMU_NEVER;
	int i, n;

	while (!emu.quit) {
		wait = next == EMU_NEVER ? 1000000000 : next - now;
		if (wait < 0)
			wait = 0;
		ts.tv_sec = wait / 1000000000;
		ts.tv_nsec = wait % 1000000000;
		n = epoll_pwait2(emu.epoll_fd, ev, 64, &ts, NULL);
		if (n == -1 && errno != EINTR)
			err(1, "epoll_pwait2");
		for (i = 0; i < n; i++)
			handle(ev[i].data.u64);
		ran_at = emu_now();
		next = run_lines(ran_at);
		/* Under load, several frames a round instead of one. */
		now = emu_now();
		if (now - ran_at < emu.tick_ns) {
			ts.tv_sec = 0;
			ts.tv_nsec = emu.tick_ns - (now - ran_at);
			if (next - now < 1000000 || n > 0)
				(void)clock_nanosleep(
				    CLOCK_MONOTONIC, 0, &ts, NULL);
			now = emu_now();
		}
	}
}

/* Best effort: without the right to it the emulator is only less exact. */
static void
be_prompt(void)
{
	struct sched_param param = { .sched_priority = 1 };

	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	(void)sched_setscheduler(0, SCHED_RR, &param);
}

static long
number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 0)
		errx(1, "%s: not a number", text);
	return n;
}

int
main(int argc, char **argv)
{
	size_t frame_bytes = 2048, frames = 262144;
	int c, i;

	emu.seed = 1;
	emu.tick_ns = 50000;
	while ((c = getopt(argc, argv, "f:p:s:t:")) != -1) {
		switch (c) {
		case 'f':
			frame_bytes = ((size_t)number(optarg) + 15) / 16 * 16;
			break;
		case 'p':
			frames = (size_t)number(optarg);
			break;
		case 's':
			emu.seed = (uint64_t)number(optarg);
			break;
		case 't':
			emu.tick_ns = number(optarg) * 1000;
			break;
		default:
			return 1;
		}
	}
	if (optind + 1 != argc)
		errx(1, "usage: lineemu [-f frame_bytes] [-p frames] "
			"[-s seed] [-t tick_us] SOCKET");
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i <= EMU_LINES; i++)
		emu.line[i].port[0].fd = emu.line[i].port[1].fd = -1;
	pool_init(frame_bytes, frames);
	emu.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (emu.epoll_fd == -1)
		err(1, "epoll_create1");
	control_listen(argv[optind]);
	be_prompt();
	puts("ready");
	fflush(stdout);
	loop();
	return 0;
}
