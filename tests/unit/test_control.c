/*
 * The status socket against clients that behave and clients that don't.  The
 * loop is driven by hand, one pass at a time, so nothing here waits.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <ev.h>
#include <jansson.h>

#include "worker/control.h"
#include "worker/sandbox.h"

Suite *control_suite(void);

static struct ev_loop *loop;
static struct control *control;
static struct sockaddr_un address;
static int reloads, rekeys;
static int reload_result;
static size_t padding; /* bytes of filling in the status */

static json_t *
ops_status(void *ctx)
{
	char *fill;
	json_t *doc;

	(void)ctx;
	fill = calloc(1, padding + 1);
	ck_assert_ptr_nonnull(fill);
	memset(fill, 'x', padding);
	doc = json_pack("{s:s, s:s}", "version", "1", "fill", fill);
	free(fill);
	return doc;
}

static int
ops_reload(void *ctx)
{
	(void)ctx;
	reloads++;
	return reload_result;
}

static void
ops_rekey(void *ctx)
{
	(void)ctx;
	rekeys++;
}

static const struct control_ops ops = { ops_status, ops_reload, ops_rekey };

static int
listener(void)
{
	socklen_t len = sizeof(address);
	sa_family_t unnamed = AF_UNIX;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(fd, -1);
	/* the kernel picks a name outside of the file system */
	ck_assert_int_eq(bind(fd, (void *)&unnamed, sizeof(unnamed)), 0);
	ck_assert_int_eq(getsockname(fd, (void *)&address, &len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

static void
setup(void)
{
	int fd = listener();

	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_ptr_nonnull(loop);
	control = control_new(loop, fd, &ops, NULL);
	reloads = rekeys = reload_result = 0;
	padding = 0;
}

static void
teardown(void)
{
	control_free(control);
	ev_loop_destroy(loop);
}

/* Lets the server do all it can do now. */
static void
settle(void)
{
	int i;

	for (i = 0; i < 10; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static int
client(void)
{
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(fd, -1);
	/* autobound names have five bytes after their NUL */
	ck_assert_int_eq(
	    connect(fd, (void *)&address, (socklen_t)(sizeof(sa_family_t) + 6)),
	    0);
	settle();
	return fd;
}

static int
ask(const void *text, size_t len)
{
	int fd = client();

	ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
	settle();
	return fd;
}

/* What came until now; NULL if it is not one whole document at end of file. */
static json_t *
answer(int fd)
{
	static char buf[CONTROL_ANSWER_MAX + 1];
	json_t *doc;
	size_t len = 0;
	ssize_t n = -1;
	int i;

	for (i = 0; i < 100 && len < sizeof(buf); i++) {
		n = recv(fd, buf + len, sizeof(buf) - len, 0);
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		settle();
	}
	doc = n != 0 || len == 0 || buf[len - 1] != '\n'
		  ? NULL
		  : json_loadb(buf, len, 0, NULL);
	if (doc != NULL)
		close(fd);
	return doc;
}

static void
expect_error(int fd, const char *text)
{
	json_t *doc = answer(fd);
	const char *error;

	ck_assert_ptr_nonnull(doc);
	error = json_string_value(json_object_get(doc, "error"));
	ck_assert_ptr_nonnull(error);
	ck_assert_ptr_nonnull(strstr(error, text));
	json_decref(doc);
}

static void
expect_ok(int fd, bool ok)
{
	json_t *doc = answer(fd);

	ck_assert_ptr_nonnull(doc);
	ck_assert_int_eq(json_is_true(json_object_get(doc, "ok")), ok);
	json_decref(doc);
}

static const struct {
	const char *text;
	size_t len;
	const char *error; /* NULL: a status */
} questions[] = {
	{ "status\n", 7, NULL },
	{ "status\r\n", 8, NULL },
	{ "status\nrest is not read\n", 24, NULL },
	{ "\n", 1, "unknown" },
	{ "statu\n", 6, "unknown" },
	{ "statuss\n", 8, "unknown" },
	{ "status \n", 8, "unknown" },
	{ "STATUS\n", 7, "unknown" },
	{ "status\0\n", 8, "unknown" },
	{ "\0\0\0\n", 4, "unknown" },
	{ "{\"a\":1}\n", 8, "unknown" },
};

START_TEST(answers_only_what_it_knows)
{
	int fd = ask(questions[_i].text, questions[_i].len);
	json_t *doc;

	if (questions[_i].error != NULL) {
		expect_error(fd, questions[_i].error);
		return;
	}
	doc = answer(fd);
	ck_assert_ptr_nonnull(doc);
	ck_assert_str_eq(
	    json_string_value(json_object_get(doc, "version")), "1");
	json_decref(doc);
}
END_TEST

START_TEST(takes_a_request_in_pieces)
{
	int fd = ask("sta", 3);

	ck_assert_ptr_null(answer(fd));
	ck_assert_int_eq(send(fd, "tus\n", 4, 0), 4);
	settle();
	json_decref(answer(fd));
}
END_TEST

START_TEST(takes_a_request_that_ends_with_the_file)
{
	int fd = ask("rekey", 5);

	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	settle();
	expect_ok(fd, true);
	ck_assert_int_eq(rekeys, 1);
}
END_TEST

START_TEST(refuses_a_request_that_is_too_long)
{
	char text[CONTROL_REQUEST_MAX];

	memset(text, 'a', sizeof(text));
	expect_error(ask(text, sizeof(text)), "too long");
}
END_TEST

START_TEST(survives_clients_that_leave)
{
	int i;

	for (i = 0; i < 3 * CONTROL_CLIENTS_MAX; i++)
		close(i % 2 == 0 ? client() : ask("sta", 3));
	settle();
	expect_ok(ask("rekey\n", 6), true);
}
END_TEST

START_TEST(a_large_answer_waits_for_its_reader)
{
	json_t *doc;

	padding = CONTROL_ANSWER_MAX - 1000;
	doc = answer(ask("status\n", 7));
	ck_assert_ptr_nonnull(doc);
	ck_assert_uint_eq(
	    json_string_length(json_object_get(doc, "fill")), padding);
	json_decref(doc);
}
END_TEST

START_TEST(an_answer_beyond_the_bound_is_not_sent)
{
	padding = CONTROL_ANSWER_MAX;
	ck_assert_ptr_null(answer(ask("status\n", 7)));
}
END_TEST

START_TEST(the_ninth_client_is_told_so)
{
	int fds[CONTROL_CLIENTS_MAX];
	int i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = client();
	expect_error(client(), "too many");
	close(fds[3]);
	settle();
	expect_ok(ask("rekey\n", 6), true);
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (i != 3)
			close(fds[i]);
}
END_TEST

static void
ask_and_reload(void)
{
	int fd = ask("reload\n", 7);

	ck_assert_ptr_null(answer(fd));
	control_reloaded(control, true, 0, NULL);
	expect_ok(fd, true);
}

START_TEST(a_reload_is_answered_when_it_ended)
{
	ask_and_reload();
	ck_assert_int_eq(reloads, 1);
}
END_TEST

START_TEST(a_failed_reload_names_line_and_error)
{
	int fd = ask("reload\n", 7);
	json_t *doc;

	control_reloaded(control, false, 12, "bad value");
	doc = answer(fd);
	ck_assert_ptr_nonnull(doc);
	ck_assert(json_is_false(json_object_get(doc, "ok")));
	ck_assert_int_eq(json_integer_value(json_object_get(doc, "line")), 12);
	ck_assert_str_eq(
	    json_string_value(json_object_get(doc, "error")), "bad value");
	json_decref(doc);
}
END_TEST

START_TEST(a_second_reload_waits_for_the_first)
{
	int first = ask("reload\n", 7);
	int second = ask("reload\n", 7);
	int third = ask("reload\n", 7);

	ck_assert_int_eq(reloads, 1);
	control_reloaded(control, false, 1, "old file");
	expect_error(first, "old file");
	ck_assert_int_eq(reloads, 2);
	ck_assert_ptr_null(answer(second));
	control_reloaded(control, true, 0, NULL);
	expect_ok(second, true);
	expect_ok(third, true);
	ck_assert_int_eq(reloads, 2);
}
END_TEST

START_TEST(a_reload_that_cannot_begin_is_an_error)
{
	reload_result = -1;
	expect_error(ask("reload\n", 7), "can't reload");
	reload_result = 0;
	ask_and_reload();
}
END_TEST

START_TEST(an_unasked_end_of_reload_is_ignored)
{
	int fd = client();

	control_reloaded(control, true, 0, NULL);
	ck_assert_int_eq(send(fd, "rekey\n", 6, 0), 6);
	settle();
	expect_ok(fd, true);
}
END_TEST

START_TEST(closing_down_hangs_up_on_everybody)
{
	int idle = client();
	int waiting = ask("reload\n", 7);
	char c;

	control_free(control);
	control = NULL;
	ck_assert_int_eq(recv(idle, &c, 1, 0), 0);
	ck_assert_int_eq(recv(waiting, &c, 1, 0), 0);
	close(idle);
	close(waiting);
}
END_TEST

/* In a process of its own, where no library has opened anything yet. */
START_TEST(answers_inside_the_sandbox)
{
	int listen_fd = listener(), fd, status;
	json_t *doc;
	pid_t pid;

	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_ptr_nonnull(loop);
	fd = client();
	ck_assert_int_eq(send(fd, "status\n", 7, MSG_NOSIGNAL), 7);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		ev_loop_fork(loop);
		sandbox_lock();
		control = control_new(loop, listen_fd, &ops, NULL);
		settle();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	doc = answer(fd);
	ck_assert_ptr_nonnull(doc);
	json_decref(doc);
	close(listen_fd);
	ev_loop_destroy(loop);
}
END_TEST

Suite *
control_suite(void)
{
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");
	TCase *boxed = tcase_create("sandbox");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, answers_only_what_it_knows, 0,
	    (int)(sizeof(questions) / sizeof(questions[0])));
	tcase_add_test(tc, takes_a_request_in_pieces);
	tcase_add_test(tc, takes_a_request_that_ends_with_the_file);
	tcase_add_test(tc, refuses_a_request_that_is_too_long);
	tcase_add_test(tc, survives_clients_that_leave);
	tcase_add_test(tc, a_large_answer_waits_for_its_reader);
	tcase_add_test(tc, an_answer_beyond_the_bound_is_not_sent);
	tcase_add_test(tc, the_ninth_client_is_told_so);
	tcase_add_test(tc, a_reload_is_answered_when_it_ended);
	tcase_add_test(tc, a_failed_reload_names_line_and_error);
	tcase_add_test(tc, a_second_reload_waits_for_the_first);
	tcase_add_test(tc, a_reload_that_cannot_begin_is_an_error);
	tcase_add_test(tc, an_unasked_end_of_reload_is_ignored);
	tcase_add_test(tc, closing_down_hangs_up_on_everybody);
	suite_add_tcase(s, tc);
	tcase_add_test(boxed, answers_inside_the_sandbox);
	suite_add_tcase(s, boxed);
	return s;
}
