/*
 * The sandbox, seen from inside: a child enters it and reports by its exit
 * status, or dies of SIGSYS where that is the promise.
 */
#include "config.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "worker/sandbox.h"

#include "base/log.h"
#include "base/util.h"

Suite *sandbox_suite(void);

#define NOBODY 65534

typedef int act_fn(void);

static int pair[2]; /* a socketpair that was there before */

/* Runs act in a child behind enter and lock; returns its wait status. */
static int
run_child(act_fn *act, bool enter, bool lock)
{
	char dir[] = "/tmp/mlvpn-test.XXXXXX";
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (enter)
			sandbox_enter(NOBODY, NOBODY, dir, false);
		if (lock)
			sandbox_lock();
		_exit(act());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(rmdir(dir), 0);
	return status;
}

static int
act_user(void)
{
	uid_t r, e, s;
	gid_t groups[64];

	if (getresuid(&r, &e, &s) == -1)
		return 1;
	if (r != NOBODY || e != NOBODY || s != NOBODY)
		return 2;
	if (getgid() != NOBODY || getegid() != NOBODY)
		return 3;
	return getgroups(nitems_of(groups), groups) == 0 ? 0 : 4;
}

static int
act_empty_root(void)
{
	if (open("/etc/passwd", O_RDONLY) != -1)
		return 1;
	if (open("../../etc/passwd", O_RDONLY) != -1)
		return 2;
	return open("/new", O_CREAT | O_WRONLY, 0600) == -1 ? 0 : 3;
}

static int
act_powerless(void)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
			return 1;
	if (cap < 30) /* the loop did look at them */
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 4;
	return setresuid(0, 0, 0) == -1 && errno == EPERM ? 0 : 5;
}

static int
act_limits(void)
{
	static const int zero[] = { RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_FSIZE };
	struct rlimit rl;
	size_t i;

	for (i = 0; i < nitems_of(zero); i++)
		if (getrlimit(zero[i], &rl) == -1 || rl.rlim_max != 0)
			return 1;
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return 2;
	if (rl.rlim_max != SANDBOX_FILES_MAX)
		return 3;
	return fork() == -1 && errno == EAGAIN ? 0 : 4;
}

/* What the worker does all day. */
static int
act_daily_work(void)
{
	struct itimerspec when = { .it_value = { .tv_nsec = 1000000 } };
	struct epoll_event ev = { .events = EPOLLIN };
	struct timespec now;
	uint64_t ticks;
	char buf[16];
	void *p;
	int ep, timer;

	ep = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (ep == -1 || timer == -1 ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev) == -1 ||
	    timerfd_settime(timer, 0, &when, NULL) == -1)
		return 1;
	if (epoll_wait(ep, &ev, 1, 5000) != 1 ||
	    read(timer, &ticks, sizeof(ticks)) != sizeof(ticks))
		return 2;
	if (send(pair[0], "ping", 4, 0) != 4 ||
	    recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT) != 4)
		return 3;
	p = malloc(8 << 20);
	if (p == NULL || getrandom(buf, sizeof(buf), 0) != sizeof(buf))
		return 4;
	free(p);
	if (prctl(PR_SET_NAME, "worker", 0, 0, 0) == -1)
		return 5;
	return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? 0 : 6;
}

static int
act_abort(void)
{
	abort();
}

static int
act_open(void)
{
	return open("/dev/null", O_RDONLY);
}

static int
act_ioctl(void)
{
	int n;

	return ioctl(pair[0], FIONREAD, &n);
}

static int
act_execve(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int
act_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int
act_connect(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return connect(pair[0], (struct sockaddr *)&sin, sizeof(sin));
}

static int
act_bind(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return bind(pair[0], (struct sockaddr *)&sin, sizeof(sin));
}

static int
act_fork(void)
{
	return fork();
}

static int
act_kill_other(void)
{
	return kill(getppid(), 0);
}

static int
act_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int
act_make_code(void)
{
	void *p;

	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? 0 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
act_sockopt(void)
{
	int mark = 1;

	return setsockopt(pair[0], SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
}

static int
act_prctl(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static act_fn *const entered[] = {
	act_user,
	act_empty_root,
	act_powerless,
	act_limits,
};

static act_fn *const deadly[] = {
	act_open,
	act_ioctl,
	act_execve,
	act_socket,
	act_connect,
	act_bind,
	act_fork,
	act_kill_other,
	act_map_code,
	act_make_code,
	act_sockopt,
	act_prctl,
};

START_TEST(entering_takes_every_power_away)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(run_child(entered[_i], true, false), 0);
}
END_TEST

START_TEST(refuses_to_stay_root_unasked)
{
	char dir[] = "/nonexistent";
	int status;
	pid_t pid;

	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		log_open("test_sandbox", true, -1);
		sandbox_enter(0, 0, dir, false);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

START_TEST(daily_work_is_allowed)
{
	ck_assert_int_eq(run_child(act_daily_work, false, true), 0);
}
END_TEST

START_TEST(daily_work_is_allowed_in_both_halves_together)
{
	if (geteuid() == 0)
		ck_assert_int_eq(run_child(act_daily_work, true, true), 0);
}
END_TEST

START_TEST(abort_is_seen_as_abort)
{
	int status;

	status = run_child(act_abort, false, true);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(a_call_that_is_not_listed_kills)
{
	int status;

	if (!sandbox_has_filter())
		return;
	status = run_child(deadly[_i], false, true);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

Suite *
sandbox_suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *tc = tcase_create("sandbox");

	tcase_add_loop_test(
	    tc, entering_takes_every_power_away, 0, nitems_of(entered));
	tcase_add_test(tc, refuses_to_stay_root_unasked);
	tcase_add_test(tc, daily_work_is_allowed);
	tcase_add_test(tc, daily_work_is_allowed_in_both_halves_together);
	tcase_add_test(tc, abort_is_seen_as_abort);
	tcase_add_loop_test(
	    tc, a_call_that_is_not_listed_kills, 0, nitems_of(deadly));
	suite_add_tcase(s, tc);
	return s;
}
