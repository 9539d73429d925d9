/*
 * From the command line to the two processes.  Whatever goes wrong before the
 * worker runs is said on the terminal as well as in syslog.
 */
#include "config.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "options.h"
#include "priv/child.h"
#include "priv/parent.h"
#include "worker/worker.h"

#define PASSWORD_LEN 32

static int starter = -1; /* -b: the process that waits for us */

static void
say_to_terminal(const char *line)
{
	fprintf(stderr, "mlvpn: %s\n", line);
}

static int
test_config(const char *path)
{
	struct loaded l;
	unsigned line;

	if (load_conf(&l, path, say_to_terminal, &line) != RELOAD_OK)
		return 1;
	printf("%s: correct, %zu link%s\n", path, l.conf->nlinks,
	    l.conf->nlinks == 1 ? "" : "s");
	load_free(&l);
	return 0;
}

static int
generate_config(void)
{
	/* 64 of them: six bits of a random byte choose without bias. */
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";
	char password[PASSWORD_LEN + 1], text[8192];
	uint8_t random[PASSWORD_LEN];
	size_t i;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		perror("getrandom");
		return 1;
	}
	for (i = 0; i < PASSWORD_LEN; i++)
		password[i] = letters[random[i] & 63];
	password[PASSWORD_LEN] = '\0';
	if (conf_generate(text, sizeof(text), password) == -1)
		return 1;
	return fputs(text, stdout) == EOF || fflush(stdout) == EOF;
}

/* Syslog alone would leave the one who starts us in the dark. */
static void
log_everywhere(void *ctx, int priority, const char *line)
{
	(void)ctx;
	say_to_terminal(line);
	syslog(priority, "%s", line);
}

static void
open_log(const struct options *o, const struct conf *conf)
{
	int level = o->loglevel != -1 ? o->loglevel : conf->loglevel;
	char ident[64];

	if (o->name != NULL)
		snprintf(ident, sizeof(ident), "mlvpn-%s", o->name);
	else
		strlcpy(ident, "mlvpn", sizeof(ident));
	log_open(ident, o->debug, level);
	/* The journal collects both; once is enough. */
	if (!o->debug && getenv("JOURNAL_STREAM") == NULL)
		log_set_sink(log_everywhere, NULL);
}

static void
find_user(const struct options *o, struct parent_args *args)
{
	const struct passwd *pw;

	args->user = o->user != NULL ? o->user : MLVPN_USER;
	args->run_as_root = o->run_as_root && o->user == NULL;
	if (args->run_as_root) {
		args->user = "root";
		return;
	}
	pw = getpwnam(args->user);
	if (pw == NULL)
		fatalx("user %s does not exist; create it (adduser --system"
		       " --group --no-create-home %s) or choose another with"
		       " --user",
		    args->user, args->user);
	if (pw->pw_uid == 0 && !o->run_as_root)
		fatalx("user %s is root; choose another with --user, or say"
		       " --yes-run-as-root",
		    args->user);
	args->run_as_root = pw->pw_uid == 0;
	args->uid = pw->pw_uid;
	args->gid = pw->pw_gid;
}

/* The starter ends when the daemon runs, or with 1 when it could not. */
static void
background(void)
{
	char byte;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal("pipe");
	pid = fork();
	if (pid == -1)
		fatal("fork");
	if (pid > 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(fds[0]);
	starter = fds[1];
	setsid();
	if (chdir("/") == -1)
		fatal("chdir to /");
}

static void
ready(void)
{
	log_set_sink(NULL, NULL);
	if (starter == -1)
		return;
	(void)child_null_streams();
	if (write(starter, "", 1) == -1)
		log_debug("nobody waited for the start");
	close(starter);
	starter = -1;
}

static void __attribute__((noreturn))
run_worker(int ipc_fd, const struct parent_args *args, const char *name,
    const char *chroot_dir, int loglevel)
{
	struct worker_args worker = {
		.ipc_fd = ipc_fd,
		.user = args->user,
		.uid = args->uid,
		.gid = args->gid,
		.chroot_dir = chroot_dir,
		.run_as_root = args->run_as_root,
		.natural_title = args->natural_title,
		.name = name,
		.loglevel = loglevel,
	};

	worker_main(&worker);
}

/* The daemon may change its directory, and reads the file again later. */
static const char *
absolute(const char *path, char buf[PATH_MAX])
{
	size_t len;

	if (path == NULL || path[0] == '/')
		return path;
	if (getcwd(buf, PATH_MAX) == NULL)
		fatal("%s", path);
	len = strlen(buf);
	if (snprintf(buf + len, PATH_MAX - len, "/%s", path) >=
	    (int)(PATH_MAX - len))
		fatalx("%s: the path is too long", path);
	return buf;
}

/* What we open must never become one of the standard streams, and what
 * whoever started us left open is none of ours. */
static void
tidy_descriptors(void)
{
	int fd;

	close_range(STDERR_FILENO + 1, ~0U, 0);

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

static int
run(const struct options *o)
{
	static char config[PATH_MAX], pidfile[PATH_MAX];
	struct parent_args args = {
		.conf_path = absolute(o->config, config),
		.name = o->name,
		.pidfile = absolute(o->pidfile, pidfile),
		.natural_title = o->natural_title,
		.background = o->background,
		.loglevel = o->loglevel,
		.worker = run_worker,
		.ready = ready,
	};
	struct loaded loaded;
	unsigned line;

	if (load_conf(&loaded, o->config, say_to_terminal, &line) != RELOAD_OK)
		return 1;
	open_log(o, loaded.conf);
	if (geteuid() != 0)
		fatalx("has to be started by root");
	umask(022);
	find_user(o, &args);
	if (o->background)
		background();
	return parent_main(&args, &loaded);
}

int
main(int argc, char *argv[], char *envp[])
{
	struct options options;

	setproctitle_init(argc, argv, envp);
	tidy_descriptors();
	switch (options_parse(&options, argc, argv)) {
	case ACTION_RUN:
		return run(&options);
	case ACTION_TEST:
		return test_config(options.config);
	case ACTION_GENCONF:
		return generate_config();
	case ACTION_VERSION:
		printf("mlvpn %s\n", PACKAGE_VERSION);
		return 0;
	case ACTION_HELP:
		options_help();
		return 0;
	case ACTION_ERROR:
		break;
	}
	return 1;
}
