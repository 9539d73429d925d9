/*
 * The life of a child: fork, lose everything, work, write one answer, be
 * reaped.  The parent keeps signals blocked in a signalfd, so each child
 * first gets back what a new program expects.
 */
#include "config.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cap-ng.h>

#include "priv/child.h"

#include "base/log.h"

void
child_init(struct child *c)
{
	c->pid = 0;
	c->out = -1;
	c->kill_at = MONO_NEVER;
	c->group = false;
	c->timed_out = false;
}

static void
default_signals(void)
{
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE,
		SIGUSR1, SIGUSR2 };
	sigset_t none;
	size_t i;

	for (i = 0; i < nitems_of(caught); i++)
		signal(caught[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
child_clean(int keep)
{
	default_signals();
	child_close_files(keep);
}

void
child_close_files(int keep)
{
	closelog();
	if (keep > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
	close_range(keep > STDERR_FILENO ? (unsigned)keep + 1 : 3, ~0U, 0);
}

/* As powerless as the worker, but for the files it may open. */
static int
become(const struct child_user *user)
{
	struct rlimit none = { 0, 0 };

	/* Before the uid changes: the descent from root wipes the rest. */
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return -1;
	if (setgroups(0, NULL) == -1 ||
	    setresgid(user->gid, user->gid, user->gid) == -1 ||
	    setresuid(user->uid, user->uid, user->uid) == -1)
		return -1;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) != 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1 ||
	    setrlimit(RLIMIT_CORE, &none) == -1 ||
	    setrlimit(RLIMIT_FSIZE, &none) == -1)
		return -1;
	return 0;
}

int
child_null_streams(void)
{
	int fd, i, result = 0;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd == -1)
		return -1;
	for (i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		if (dup2(fd, i) == -1)
			result = -1;
	}
	if (fd > STDERR_FILENO)
		close(fd);
	return result;
}

int
child_start(struct child *c, const struct child_user *user,
    int (*fn)(int out, void *arg), void *arg, mono_t kill_at)
{
	int fds[2], saved;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return -1;
	pid = fork();
	if (pid == -1) {
		saved = errno;
		close(fds[0]);
		close(fds[1]);
		errno = saved;
		return -1;
	}
	if (pid == 0) {
		log_set_sink(NULL, NULL);
		child_clean(fds[1]);
		if (become(user) == -1)
			_exit(126);
		if (user->forget != NULL)
			user->forget(user->ctx);
		_exit(fn(fds[1], arg));
	}
	close(fds[1]);
	c->pid = pid;
	c->out = fds[0];
	c->kill_at = kill_at;
	c->group = false;
	c->timed_out = false;
	return 0;
}

static void
signal_child(const struct child *c)
{
	kill(c->group ? -c->pid : c->pid, SIGKILL);
	/* It may not lead its group yet. */
	kill(c->pid, SIGKILL);
}

void
child_check(struct child *c, mono_t now)
{
	if (c->pid == 0 || now < c->kill_at)
		return;
	c->timed_out = true;
	c->kill_at = MONO_NEVER;
	signal_child(c);
}

static size_t
read_output(int fd, void *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, (uint8_t *)buf + len, size - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

bool
child_ended(struct child *c, int *status, void *buf, size_t size, size_t *len)
{
	pid_t pid;

	if (c->pid == 0)
		return false;
	pid = waitpid(c->pid, status, WNOHANG);
	if (pid == 0 || (pid == -1 && errno == EINTR))
		return false;
	if (pid == -1)
		*status = 127 << 8;
	*len = 0;
	if (c->out != -1) {
		*len = read_output(c->out, buf, size);
		close(c->out);
	}
	c->out = -1;
	c->pid = 0;
	c->kill_at = MONO_NEVER;
	return true;
}

void
child_kill(struct child *c)
{
	int status;

	if (c->pid == 0)
		return;
	signal_child(c);
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		continue;
	if (c->out != -1)
		close(c->out);
	child_init(c);
}

const char *
child_status_text(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
	return buf;
}
