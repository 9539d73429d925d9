/*
 * The worker's system calls.  One list for every architecture: names that one
 * lacks are skipped by libseccomp, and the 64-bit time calls of 32-bit machines
 * stand beside their elders, as libc tries the new one first.  What is not
 * listed kills the process and is logged by audit.
 *
 * Without libseccomp, and under sanitizers, whose runtime opens files and maps
 * memory at any time, sandbox_lock does nothing: the other half of the sandbox
 * (user, empty root, no capabilities) still stands.
 */
#include "config.h"

#include <stdbool.h>

#include "worker/sandbox.h"

#if defined(HAVE_LIBSECCOMP) && !defined(WITH_SANITIZERS)

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/log.h"
#include "base/util.h"

static const int allowed[] = {
	/* time */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_getres_time64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_settime64),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(timerfd_gettime64),
	/* the event loop */
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(ppoll_time64),
	SCMP_SYS(eventfd2),
	SCMP_SYS(signalfd4),
	/* packets and messages */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(send),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmmsg_time64),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	/* memory; see the rules for what may be executed */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo),
	/* locks and signals */
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(sched_yield),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	/* who am I; the end */
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getuid32),
	SCMP_SYS(geteuid32),
	SCMP_SYS(getgid32),
	SCMP_SYS(getegid32),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Allowed with these arguments only; several rows of a call are alternatives.
 */
static const struct rule {
	int call;
	unsigned nargs;
	struct scmp_arg_cmp args[2];
} rules[] = {
	{ SCMP_SYS(mmap), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	{ SCMP_SYS(mmap2), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	{ SCMP_SYS(mprotect), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	{ SCMP_SYS(prctl), 1, { { 0, SCMP_CMP_EQ, PR_SET_NAME, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_GETFD, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_SETFD, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_GETFL, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_SETFL, 0 } } },
	{ SCMP_SYS(fcntl64), 1, { { 1, SCMP_CMP_EQ, F_GETFD, 0 } } },
	{ SCMP_SYS(fcntl64), 1, { { 1, SCMP_CMP_EQ, F_SETFD, 0 } } },
	{ SCMP_SYS(fcntl64), 1, { { 1, SCMP_CMP_EQ, F_GETFL, 0 } } },
	{ SCMP_SYS(fcntl64), 1, { { 1, SCMP_CMP_EQ, F_SETFL, 0 } } },
	/* the pending error of a socket */
	{ SCMP_SYS(getsockopt), 2,
	    { { 1, SCMP_CMP_EQ, SOL_SOCKET, 0 },
		{ 2, SCMP_CMP_EQ, SO_ERROR, 0 } } },
	/* segmentation of our own datagrams, link by link */
	{ SCMP_SYS(setsockopt), 2,
	    { { 1, SCMP_CMP_EQ, SOL_UDP, 0 },
		{ 2, SCMP_CMP_EQ, UDP_SEGMENT, 0 } } },
	{ SCMP_SYS(setsockopt), 2,
	    { { 1, SCMP_CMP_EQ, SOL_UDP, 0 },
		{ 2, SCMP_CMP_EQ, UDP_GRO, 0 } } },
};

static void
allow(scmp_filter_ctx filter, int call, unsigned nargs,
    const struct scmp_arg_cmp *args)
{
	int error;

	error =
	    seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, nargs, args);
	if (error != 0) {
		errno = -error;
		fatal("sandbox: rule for system call %d", call);
	}
}

static void
add_rules(scmp_filter_ctx filter)
{
	/* old_mmap takes its arguments in memory, which no filter can read */
	bool old_mmap = seccomp_arch_native() == SCMP_ARCH_S390X;
	size_t i;

	for (i = 0; i < nitems_of(allowed); i++)
		allow(filter, allowed[i], 0, NULL);
	for (i = 0; i < nitems_of(rules); i++)
		if (!old_mmap || rules[i].call != SCMP_SYS(mmap))
			allow(filter, rules[i].call, rules[i].nargs,
			    rules[i].args);
	if (old_mmap)
		allow(filter, SCMP_SYS(mmap), 0, NULL);
}

/* A process may send a signal to itself: that is how abort(3) ends it. */
static void
add_abort(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp self = { 0, SCMP_CMP_EQ, 0, 0 };

	self.datum_a = (scmp_datum_t)getpid();
	allow(filter, SCMP_SYS(tgkill), 1, &self);
	allow(filter, SCMP_SYS(kill), 1, &self);
}

void
sandbox_lock(void)
{
	scmp_filter_ctx filter;
	int error;

	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (filter == NULL)
		fatalx("sandbox: can't make a system call filter");
	/* calls of a foreign architecture (int 0x80, x32) end the same way */
	error = seccomp_attr_set(
	    filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (error == 0) {
		add_rules(filter);
		add_abort(filter);
		error = seccomp_load(filter);
	}
	if (error != 0) {
		errno = -error;
		fatal("sandbox: can't load the system call filter");
	}
	seccomp_release(filter);
}

bool
sandbox_has_filter(void)
{
	return true;
}

#else

void
sandbox_lock(void)
{
}

bool
sandbox_has_filter(void)
{
	return false;
}

#endif
