/*
 * The socketpair between the processes: what is sent arrives whole, and what
 * should not have been sent leaves no descriptor behind.
 */
#include "config.h"

#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "ipc/ipc.h"

Suite *ipc_suite(void);

static int fds[2];

static void
open_pair(void)
{
	ck_assert_int_eq(ipc_pair(fds), 0);
}

static void
close_pair(void)
{
	close(fds[0]);
	close(fds[1]);
}

static int
count_open(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* As a hostile process would: any bytes, any number of descriptors. */
static void
send_raw(const void *bytes, size_t len, const int *list, size_t n)
{
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg;
	struct cmsghdr *cmsg;

	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	if (n > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), list, n * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fds[0], &msg, 0), (ssize_t)len);
}

static int
receive(uint32_t *type, void *buf, size_t size, size_t *len, int *fd)
{
	errno = 77;
	return ipc_recv(fds[1], type, buf, size, len, fd);
}

START_TEST(carries_type_payload_and_no_descriptor)
{
	struct ipc_slot m = { 7, 3 }, got;
	uint32_t type;
	size_t len;
	int fd = 99;

	ck_assert_int_eq(ipc_send(fds[0], IPC_RESOLVE, &m, sizeof(m), -1), 0);
	ck_assert_int_eq(receive(&type, &got, sizeof(got), &len, &fd), 1);
	ck_assert_uint_eq(type, IPC_RESOLVE);
	ck_assert_uint_eq(len, sizeof(m));
	ck_assert_uint_eq(got.slot, 3);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(carries_a_descriptor_that_closes_on_exec)
{
	struct ipc_socket m = { 1, 2, 0, AF_INET };
	uint32_t type;
	size_t len;
	int fd, zero = open("/dev/zero", O_RDONLY);
	char c = 1;

	ck_assert_int_eq(ipc_send(fds[0], IPC_SOCKET, &m, sizeof(m), zero), 0);
	close(zero);
	ck_assert_int_eq(receive(&type, &m, sizeof(m), &len, &fd), 1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, &c, 1), 1);
	ck_assert_int_eq(c, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}
END_TEST

START_TEST(carries_a_whole_file)
{
	char *text = calloc(1, IPC_PAYLOAD_MAX), *got = malloc(IPC_PAYLOAD_MAX);
	uint32_t type;
	size_t len;

	memset(text, 'x', IPC_PAYLOAD_MAX);
	ck_assert_int_eq(
	    ipc_send(fds[0], IPC_CONF, text, IPC_PAYLOAD_MAX, -1), 0);
	ck_assert_int_eq(receive(&type, got, IPC_PAYLOAD_MAX, &len, NULL), 1);
	ck_assert_uint_eq(len, IPC_PAYLOAD_MAX);
	ck_assert_mem_eq(text, got, len);
	ck_assert_int_eq(
	    ipc_send(fds[0], IPC_CONF, text, IPC_PAYLOAD_MAX + 1, -1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	free(text);
	free(got);
}
END_TEST

START_TEST(says_when_nothing_waits_and_when_the_other_end_is_gone)
{
	uint32_t type;
	size_t len;
	char buf[8];

	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, NULL), 0);
	close(fds[0]);
	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, NULL), -1);
	ck_assert_int_eq(errno, 0);
	ck_assert_int_eq(ipc_send(fds[1], IPC_READY, NULL, 0, -1), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(does_not_block_when_nobody_reads)
{
	struct ipc_log m;
	int i, r = 0;

	memset(&m, 0, sizeof(m));
	for (i = 0; i < 100000 && r == 0; i++)
		r = ipc_send(fds[0], IPC_LOG, &m, sizeof(m), -1);
	ck_assert_int_eq(r, -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(refuses_what_is_too_short_or_too_long)
{
	uint32_t type;
	size_t len;
	char buf[8], bytes[64] = { 0 };

	send_raw(bytes, 3, NULL, 0);
	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, NULL), -1);
	ck_assert_int_eq(errno, EBADMSG);
	send_raw(bytes, 4 + sizeof(buf) + 1, NULL, 0);
	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, NULL), -1);
	ck_assert_int_eq(errno, EBADMSG);
	send_raw(bytes, 4 + sizeof(buf), NULL, 0);
	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, NULL), 1);
	ck_assert_uint_eq(len, sizeof(buf));
}
END_TEST

/* Number of descriptors, and whether one would be taken. */
static const struct surplus {
	size_t n;
	bool wanted;
} surplus[] = { { 1, false }, { 2, true }, { 8, true }, { 9, true },
	{ 60, true } };

START_TEST(closes_surplus_descriptors)
{
	const struct surplus *s = &surplus[_i];
	uint32_t type = IPC_READY;
	int fd, list[64], before;
	size_t i, len;
	char buf[8];

	for (i = 0; i < s->n; i++)
		list[i] = fds[0];
	before = count_open();
	send_raw(&type, sizeof(type), list, s->n);
	ck_assert_int_eq(
	    receive(&type, buf, sizeof(buf), &len, s->wanted ? &fd : NULL), -1);
	ck_assert_int_eq(errno, EBADMSG);
	ck_assert_int_eq(count_open(), before);
}
END_TEST

START_TEST(closes_the_descriptor_of_a_malformed_message)
{
	uint32_t type;
	int fd, before = count_open();
	size_t len;
	char buf[8];

	send_raw("x", 1, &fds[0], 1);
	ck_assert_int_eq(receive(&type, buf, sizeof(buf), &len, &fd), -1);
	ck_assert_int_eq(errno, EBADMSG);
	ck_assert_int_eq(count_open(), before);
}
END_TEST

Suite *
ipc_suite(void)
{
	Suite *s = suite_create("ipc");
	TCase *tc = tcase_create("messages");

	tcase_add_checked_fixture(tc, open_pair, close_pair);
	tcase_add_test(tc, carries_type_payload_and_no_descriptor);
	tcase_add_test(tc, carries_a_descriptor_that_closes_on_exec);
	tcase_add_test(tc, carries_a_whole_file);
	tcase_add_test(
	    tc, says_when_nothing_waits_and_when_the_other_end_is_gone);
	tcase_add_test(tc, does_not_block_when_nobody_reads);
	tcase_add_test(tc, refuses_what_is_too_short_or_too_long);
	/* qemu-user loses descriptors beyond those that it hands on. */
	tcase_add_loop_test(tc, closes_surplus_descriptors, 0,
	    getenv("UNIT_EMULATED") != NULL ? 3 : (int)nitems_of(surplus));
	tcase_add_test(tc, closes_the_descriptor_of_a_malformed_message);
	suite_add_tcase(s, tc);
	return s;
}
