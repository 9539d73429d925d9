/*
 * The status command: what is remembered while one runs, what may be run at
 * all, and what happens to one that hangs.
 */
#include "config.h"

#include <sys/stat.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "priv/hook.h"

Suite *hook_suite(void);

static struct hook hook;
static struct conf conf;
static char last_line[LOG_LINE_MAX];

static void
keep_line(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	strlcpy(last_line, line, sizeof(last_line));
}

static void
configure(const char *command)
{
	strlcpy(conf.statuscommand, command, sizeof(conf.statuscommand));
	hook_configure(&hook, &conf, 1440);
}

static void
set_up(void)
{
	sigset_t set;

	memset(&conf, 0, sizeof(conf));
	strlcpy(conf.interface_name, "mlvpn0", sizeof(conf.interface_name));
	conf.ip4.family = AF_INET;
	memcpy(conf.ip4.addr, "\x0a\x2a\x2a\x01", 4);
	conf.ip4.len = 30;
	conf.routes[0] = conf.ip4;
	conf.routes[1] = conf.ip4;
	conf.routes[1].len = 8;
	conf.nroutes = 2;
	hook_init(&hook);
	configure("/bin/true");
	last_line[0] = '\0';
	log_set_sink(keep_line, NULL);
	sigemptyset(&set); /* as in the parent */
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
tear_down(void)
{
	hook_close(&hook);
	log_set_sink(NULL, NULL);
}

static void
check_queue(unsigned at, enum ipc_hook_event event, const char *name)
{
	ck_assert_uint_lt(at, hook.queued);
	ck_assert_int_eq(hook.queue[at].event, event);
	ck_assert_str_eq(hook.queue[at].name, name);
}

START_TEST(keeps_the_latest_state_of_each_link)
{
	int i;

	for (i = 0; i < 1000; i++) {
		hook_post(&hook, HOOK_LINK_UP, "adsl1");
		hook_post(&hook, HOOK_LINK_UP, "adsl2");
		hook_post(&hook, HOOK_TUNTAP_UP, NULL);
		hook_post(&hook, HOOK_LINK_DOWN, "adsl1");
	}
	ck_assert_uint_eq(hook.queued, 3);
	check_queue(0, HOOK_LINK_UP, "adsl2");
	check_queue(1, HOOK_TUNTAP_UP, "");
	check_queue(2, HOOK_LINK_DOWN, "adsl1");
}
END_TEST

START_TEST(says_nothing_of_an_end_without_a_beginning)
{
	hook_post(&hook, HOOK_LINK_DOWN, "adsl1");
	hook_post(&hook, HOOK_TUNTAP_DOWN, NULL);
	ck_assert_uint_eq(hook.queued, 0);
	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	hook_post(&hook, HOOK_LINK_DOWN, "adsl1");
	hook_post(&hook, HOOK_LINK_DOWN, "adsl1");
	ck_assert_uint_eq(hook.queued, 1);
}
END_TEST

START_TEST(never_queues_more_than_its_room)
{
	char name[CONF_NAME_MAX];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "link%d", i);
		hook_post(&hook, HOOK_LINK_UP, name);
	}
	ck_assert_uint_eq(hook.queued, HOOK_QUEUE);
	check_queue(HOOK_QUEUE - 1, HOOK_LINK_UP, "link199");
}
END_TEST

START_TEST(queues_nothing_without_a_command)
{
	configure("");
	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	ck_assert_uint_eq(hook.queued, 0);
	ck_assert_int_eq(hook_run(&hook, mono_now()), MONO_NEVER);
}
END_TEST

START_TEST(makes_its_own_environment)
{
	static const char *const expected[] = { "MLVPN_INTERFACE=mlvpn0",
		"MLVPN_MODE=client", "MLVPN_MTU=1440",
		"MLVPN_IP4=10.42.42.1/30",
		"MLVPN_IP6=", "MLVPN_IP4_ROUTES=10.42.42.1/30 10.42.42.1/8",
		"MLVPN_IP6_ROUTES=" };
	size_t i;
	int e;

	for (i = 0; i < nitems_of(expected); i++) {
		for (e = 0; hook.env[e] != NULL; e++) {
			if (strcmp(hook.env[e], expected[i]) == 0)
				break;
		}
		ck_assert_msg(hook.env[e] != NULL, "%s", expected[i]);
	}
	ck_assert_int_eq(strncmp(hook.env[0], "PATH=/", 6), 0);
}
END_TEST

/* Ends when the command has ended or its time is over. */
static void
run_all(void)
{
	hook_finish(&hook, mono_now() + 30 * NSEC_PER_SEC);
	ck_assert_int_eq(hook.child.pid, 0);
}

START_TEST(runs_one_after_the_other)
{
	mono_t now = mono_now();
	pid_t pid;

	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	hook_post(&hook, HOOK_TUNTAP_UP, NULL);
	ck_assert_int_lt(hook_run(&hook, now), MONO_NEVER);
	pid = hook.child.pid;
	ck_assert_int_gt(pid, 0);
	ck_assert_uint_eq(hook.queued, 1);
	run_all();
	/* And at the end what was up is told to be down. */
	ck_assert_uint_eq(hook.queued, 0);
	ck_assert_uint_eq(hook.nup, 0);
	ck_assert_str_eq(last_line, "");
}
END_TEST

START_TEST(logs_an_exit_status)
{
	configure("/bin/false");
	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	hook_post(&hook, HOOK_LINK_DOWN, "adsl1");
	run_all();
	ck_assert_str_eq(last_line,
	    "statuscommand /bin/false rtun_down adsl1: exit status 1");
}
END_TEST

START_TEST(kills_what_takes_longer_than_30_s)
{
	mono_t at, now = mono_now();

	configure("/usr/bin/yes");
	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	at = hook_run(&hook, now);
	ck_assert_int_eq(at, now + 30 * NSEC_PER_SEC);
	ck_assert_int_gt(hook.child.pid, 0);
	(void)hook_run(&hook, at - 1);
	ck_assert_str_eq(last_line, "");
	(void)hook_run(&hook, at);
	hook.nup = 0;
	run_all();
	ck_assert_str_eq(last_line,
	    "statuscommand /usr/bin/yes rtun_up adsl1: signal 9 (Killed),"
	    " it took too long");
}
END_TEST

static void
check_refused(const char *path)
{
	char why[256] = "";

	ck_assert_int_eq(hook_open_program(path, why, sizeof(why)), -1);
	ck_assert_str_ne(why, "");
}

START_TEST(opens_a_program_of_root)
{
	char why[256] = "";
	int fd = hook_open_program("/bin/true", why, sizeof(why));

	ck_assert_msg(fd >= 0, "%s", why);
	close(fd);
}
END_TEST

START_TEST(refuses_programs_that_others_could_change)
{
	char dir[] = "/tmp/mlvpn-hook-XXXXXX", path[64], link[64];
	FILE *f;

	check_refused("");
	check_refused("bin/true");
	check_refused("/bin/");
	check_refused("/bin/../bin/nothing-there");
	check_refused("/etc/passwd"); /* not executable */
	check_refused("/etc");
	check_refused("/dev/null");
	/* /tmp itself is enough to refuse what is in it. */
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/program", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	chmod(path, 0755);
	ck_assert_int_eq(symlink("/bin/true", link), 0);
	check_refused(path);
	check_refused(link);
	unlink(path);
	unlink(link);
	rmdir(dir);
}
END_TEST

START_TEST(says_why_it_does_not_run)
{
	configure("/tmp/no-such-program");
	hook_post(&hook, HOOK_LINK_UP, "adsl1");
	ck_assert_int_eq(hook_run(&hook, mono_now()), MONO_NEVER);
	ck_assert_str_eq(last_line,
	    "statuscommand /tmp/no-such-program: not run: /tmp: has to be a"
	    " directory that only root can write");
}
END_TEST

Suite *
hook_suite(void)
{
	Suite *s = suite_create("hook");
	TCase *tc = tcase_create("command");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, keeps_the_latest_state_of_each_link);
	tcase_add_test(tc, says_nothing_of_an_end_without_a_beginning);
	tcase_add_test(tc, never_queues_more_than_its_room);
	tcase_add_test(tc, queues_nothing_without_a_command);
	tcase_add_test(tc, makes_its_own_environment);
	tcase_add_test(tc, runs_one_after_the_other);
	tcase_add_test(tc, logs_an_exit_status);
	tcase_add_test(tc, kills_what_takes_longer_than_30_s);
	tcase_add_test(tc, opens_a_program_of_root);
	tcase_add_test(tc, refuses_programs_that_others_could_change);
	tcase_add_test(tc, says_why_it_does_not_run);
	suite_add_tcase(s, tc);
	return s;
}
