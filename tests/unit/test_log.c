/*
 * What reaches the log, caught by a sink.
 */
#include "config.h"

#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

Suite *log_suite(void);

static struct {
	unsigned lines;
	int priority;
	char last[LOG_LINE_MAX];
} caught;

static void
catch_line(void *ctx, int priority, const char *line)
{
	ck_assert_ptr_eq(ctx, &caught);
	ck_assert_uint_lt(strlen(line), LOG_LINE_MAX);
	caught.lines++;
	caught.priority = priority;
	snprintf(caught.last, sizeof(caught.last), "%s", line);
}

static void
setup(void)
{
	memset(&caught, 0, sizeof(caught));
	log_set_level(LOG_INFO);
	log_set_sink(catch_line, &caught);
}

static void
teardown(void)
{
	log_set_sink(NULL, NULL);
}

START_TEST(levels_below_the_limit_are_left_out)
{
	log_debug("a");
	ck_assert_uint_eq(caught.lines, 0);
	log_info("%s %d", "b", 7);
	ck_assert_str_eq(caught.last, "b 7");
	ck_assert_int_eq(caught.priority, LOG_INFO);
	log_set_level(LOG_ERR);
	ck_assert_int_eq(log_level(), LOG_ERR);
	log_warnx("c");
	ck_assert_uint_eq(caught.lines, 1);
	log_errx("d");
	ck_assert_int_eq(caught.priority, LOG_ERR);
	ck_assert_uint_eq(caught.lines, 2);
	log_set_level(LOG_DEBUG);
	log_debug("e");
	ck_assert_int_eq(caught.priority, LOG_DEBUG);
}
END_TEST

START_TEST(warn_appends_errno_and_keeps_it)
{
	errno = ENOENT;
	log_warn("file %s", "x");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(caught.last, "file x: No such file or directory");
	ck_assert_int_eq(caught.priority, LOG_WARNING);
}
END_TEST

START_TEST(no_line_forges_a_second_one)
{
	log_line(LOG_INFO, "a\nmlvpn[1]: b\033[2J\r\t\x7f\xff\xc3\xa9 \\");
	ck_assert_str_eq(caught.last,
	    "a\\x0amlvpn[1]: b\\x1b[2J\\x0d\\x09\\x7f\\xff\\xc3\\xa9 \\");
	log_info("%s", "peer \n");
	ck_assert_str_eq(caught.last, "peer \\x0a");
}
END_TEST

START_TEST(foreign_facility_is_cut_off)
{
	log_line(LOG_AUTH | LOG_WARNING, "x");
	ck_assert_int_eq(caught.priority, LOG_WARNING);
	log_line(LOG_AUTH | LOG_DEBUG, "x");
	ck_assert_uint_eq(caught.lines, 1);
}
END_TEST

START_TEST(long_lines_are_cut_between_escapes)
{
	char text[2 * LOG_LINE_MAX], buf[10];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_line(LOG_INFO, text);
	ck_assert_uint_eq(strlen(caught.last), (LOG_LINE_MAX - 1) / 4 * 4);
	memset(text, 'a', sizeof(text) - 1);
	log_line(LOG_INFO, text);
	ck_assert_uint_eq(strlen(caught.last), LOG_LINE_MAX - 1);
	log_info("%s", text);
	ck_assert_uint_eq(strlen(caught.last), LOG_LINE_MAX - 1);
	ck_assert_uint_eq(log_escape(buf, sizeof(buf), "aa\n\n"), 6);
	ck_assert_str_eq(buf, "aa\\x0a");
	ck_assert_uint_eq(log_escape(buf, 1, "a"), 0);
	ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(limit_counts_what_it_leaves_out)
{
	struct log_limit l = { 0 };
	mono_t now = 5;
	int i;

	for (i = 0; i < 100; i++)
		log_limited(&l, now + i, NSEC_PER_SEC, "bad packet");
	ck_assert_uint_eq(caught.lines, 1);
	ck_assert_str_eq(caught.last, "bad packet");
	log_limited(&l, now + NSEC_PER_SEC, NSEC_PER_SEC, "bad packet %d", 2);
	ck_assert_uint_eq(caught.lines, 2);
	ck_assert_str_eq(
	    caught.last, "bad packet 2 (99 more since the last such line)");
	log_limited(&l, now + 2 * NSEC_PER_SEC, NSEC_PER_SEC, "bad packet");
	ck_assert_str_eq(caught.last, "bad packet");
}
END_TEST

START_TEST(fatal_ends_with_status_1)
{
	log_set_sink(NULL, NULL);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	errno = EPERM;
	fatal("can't %s", "go on");
}
END_TEST

START_TEST(fatalx_ends_with_status_1)
{
	log_set_sink(NULL, NULL);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	fatalx("can't go on");
}
END_TEST

START_TEST(stderr_lines_name_the_program)
{
	char buf[64];
	int fds[2];
	ssize_t n;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_ne(dup2(fds[1], STDERR_FILENO), -1);
	log_set_sink(NULL, NULL);
	log_open("mlvpn-a", true, LOG_DEBUG);
	log_debug("hello\n");
	n = read(fds[0], buf, sizeof(buf) - 1);
	ck_assert_int_gt(n, 0);
	buf[n] = '\0';
	ck_assert_str_eq(buf, "mlvpn-a: hello\\x0a\n");
}
END_TEST

Suite *
log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, levels_below_the_limit_are_left_out);
	tcase_add_test(tc, warn_appends_errno_and_keeps_it);
	tcase_add_test(tc, no_line_forges_a_second_one);
	tcase_add_test(tc, foreign_facility_is_cut_off);
	tcase_add_test(tc, long_lines_are_cut_between_escapes);
	tcase_add_test(tc, limit_counts_what_it_leaves_out);
	tcase_add_exit_test(tc, fatal_ends_with_status_1, 1);
	tcase_add_exit_test(tc, fatalx_ends_with_status_1, 1);
	tcase_add_test(tc, stderr_lines_name_the_program);
	suite_add_tcase(s, tc);
	return s;
}
