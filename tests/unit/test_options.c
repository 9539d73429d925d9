/*
 * The command line, as documented in mlvpn(8).
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <check.h>

#include "base/util.h"
#include "options.h"

Suite *options_suite(void);

#define ARGS_MAX 12

static struct options o;

/* Parses a line of words; what goes to the terminal is lost. */
static enum options_action
parse(const char *line)
{
	static char text[256]; /* options point into it */
	char *argv[ARGS_MAX + 2], *rest = text, *word;
	int argc = 0, err = dup(STDERR_FILENO),
	    null = open("/dev/null", O_RDWR);
	enum options_action action;

	argv[argc++] = text + sizeof(text) - 1; /* getopt: no name */
	strlcpy(text, line, sizeof(text) - 1);
	while ((word = strsep(&rest, " ")) != NULL) {
		ck_assert_int_le(argc, ARGS_MAX);
		if (word[0] != '\0')
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	dup2(null, STDERR_FILENO);
	action = options_parse(&o, argc, argv);
	dup2(err, STDERR_FILENO);
	close(err);
	close(null);
	return action;
}

START_TEST(has_defaults)
{
	ck_assert_int_eq(parse(""), ACTION_RUN);
	ck_assert_str_eq(o.config, MLVPN_SYSCONFDIR "/mlvpn/mlvpn.conf");
	ck_assert_ptr_null(o.name);
	ck_assert_ptr_null(o.pidfile);
	ck_assert_ptr_null(o.user);
	ck_assert_int_eq(o.loglevel, -1);
	ck_assert(
	    !o.background && !o.debug && !o.natural_title && !o.run_as_root);
}
END_TEST

START_TEST(takes_short_options)
{
	ck_assert_int_eq(parse("-b -c f -n wan -p pid -u nobody"), ACTION_RUN);
	ck_assert_str_eq(o.config, "f");
	ck_assert_str_eq(o.name, "wan");
	ck_assert_str_eq(o.pidfile, "pid");
	ck_assert_str_eq(o.user, "nobody");
	ck_assert(o.background);
	ck_assert_int_eq(parse("-v"), ACTION_RUN);
	ck_assert_int_eq(o.loglevel, LOG_DEBUG);
	ck_assert_int_eq(parse("-q"), ACTION_RUN);
	ck_assert_int_eq(o.loglevel, LOG_WARNING);
}
END_TEST

START_TEST(takes_long_options)
{
	ck_assert_int_eq(
	    parse("--background --config f --name=wan --pidfile pid"),
	    ACTION_RUN);
	ck_assert_str_eq(o.name, "wan");
	ck_assert(o.background);
	ck_assert_int_eq(
	    parse("--user u --natural-title --yes-run-as-root"), ACTION_RUN);
	ck_assert(o.natural_title && o.run_as_root);
	ck_assert_int_eq(parse("--verbose --debug"), ACTION_RUN);
	ck_assert(o.debug);
	ck_assert_int_eq(parse("--quiet"), ACTION_RUN);
}
END_TEST

static const struct {
	const char *line;
	enum options_action action;
} actions[] = {
	{ "-t", ACTION_TEST },
	{ "--test -c f", ACTION_TEST },
	{ "-V", ACTION_VERSION },
	{ "--version --nonsense", ACTION_VERSION },
	{ "-h", ACTION_HELP },
	{ "--help", ACTION_HELP },
	{ "--genconf", ACTION_GENCONF },
	{ "-x", ACTION_ERROR },
	{ "--nonsense", ACTION_ERROR },
	{ "-c", ACTION_ERROR },
	{ "file", ACTION_ERROR },
	{ "-t file", ACTION_ERROR },
	{ "-b --debug", ACTION_ERROR },
	{ "--name=", ACTION_ERROR },
	{ "-n a/b", ACTION_ERROR },
	{ "-n %n", ACTION_ERROR },
	{ "-n 123456789012345678901234567890123", ACTION_ERROR },
};

START_TEST(says_what_to_do)
{
	ck_assert_int_eq(parse(actions[_i].line), actions[_i].action);
}
END_TEST

Suite *
options_suite(void)
{
	Suite *s = suite_create("options");
	TCase *tc = tcase_create("command line");

	tcase_add_test(tc, has_defaults);
	tcase_add_test(tc, takes_short_options);
	tcase_add_test(tc, takes_long_options);
	tcase_add_loop_test(tc, says_what_to_do, 0, (int)nitems_of(actions));
	suite_add_tcase(s, tc);
	return s;
}
