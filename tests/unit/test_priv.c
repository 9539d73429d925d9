/*
 * The rest of the root process as far as it can be tested without root: what a
 * resolver may answer, what a link stands on, the MTU, and the file's errors.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "priv/load.h"
#include "priv/monitor.h"
#include "priv/netdev.h"
#include "priv/notify.h"
#include "priv/resolver.h"

Suite *priv_suite(void);

#define START (1000 * NSEC_PER_SEC)

/* --- resolver --- */

static const struct {
	const char *host;
	int family;
	unsigned count;
} answers[] = {
	{ "192.0.2.1", AF_UNSPEC, 1 },
	{ "192.0.2.1", AF_INET, 1 },
	{ "192.0.2.1", AF_INET6, 0 },
	{ "2001:db8::1", AF_UNSPEC, 1 },
	{ "2001:db8::1", AF_INET, 0 },
	{ "::ffff:192.0.2.1", AF_INET, 1 },
	{ "127.0.0.1", AF_UNSPEC, 1 },
	{ "0.0.0.0", AF_UNSPEC, 0 },
	{ "0.1.2.3", AF_UNSPEC, 0 },
	{ "224.0.0.1", AF_UNSPEC, 0 },
	{ "255.255.255.255", AF_UNSPEC, 0 },
	{ "::", AF_UNSPEC, 0 },
	{ "ff02::1", AF_UNSPEC, 0 },
};

START_TEST(believes_only_plausible_addresses)
{
	union addr addr, got[IPC_ADDRS_MAX];

	ck_assert_int_eq(addr_from_text(&addr, answers[_i].host, 99), 0);
	ck_assert_uint_eq(resolver_validate(&addr, sizeof(addr), 5080,
			      answers[_i].family, got),
	    answers[_i].count);
	/* The port is ours, whatever the child wrote. */
	if (answers[_i].count > 0)
		ck_assert_uint_eq(addr_port(&got[0]), 5080);
}
END_TEST

START_TEST(believes_no_answer_of_a_wrong_size)
{
	union addr addrs[IPC_ADDRS_MAX + 1], got[IPC_ADDRS_MAX];
	size_t i;

	for (i = 0; i < nitems_of(addrs); i++)
		addr_from_text(&addrs[i], "192.0.2.1", 0);
	ck_assert_uint_eq(
	    resolver_validate(addrs, sizeof(addrs[0]) - 1, 1, 0, got), 0);
	ck_assert_uint_eq(resolver_validate(addrs, 0, 1, 0, got), 0);
	ck_assert_uint_eq(
	    resolver_validate(addrs, sizeof(addrs), 1, 0, got), 0);
	ck_assert_uint_eq(resolver_validate(addrs,
			      IPC_ADDRS_MAX * sizeof(addrs[0]), 1, 0, got),
	    IPC_ADDRS_MAX);
	addrs[0].sa.sa_family = 0xffff;
	ck_assert_uint_eq(
	    resolver_validate(addrs, sizeof(addrs[0]), 1, 0, got), 0);
}
END_TEST

static int answered;

static void
count_answer(void *ctx, unsigned slot, const union addr *addrs, unsigned count)
{
	(void)ctx;
	ck_assert_uint_eq(slot, 3);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(addr_port(&addrs[0]), 5080);
	answered++;
}

START_TEST(answers_numbers_without_a_child_but_not_as_fast_as_asked)
{
	struct conf_link link = { .remotehost = "192.0.2.1",
		.remoteport = 5080 };
	struct resolver r;
	mono_t at;
	int i;

	answered = 0;
	resolver_init(&r, NULL, count_answer, NULL);
	for (i = 0; i < 1000; i++)
		resolver_ask(&r, 3, &link, AF_UNSPEC, START);
	ck_assert_int_eq(answered, 1);
	at = resolver_run(&r, START);
	ck_assert_int_gt(at, START);
	ck_assert_int_eq(resolver_run(&r, at), MONO_NEVER);
	ck_assert_int_eq(answered, 2);
	resolver_ask(&r, 3, &link, AF_UNSPEC, at);
	resolver_cancel(&r, 3);
	ck_assert_int_eq(resolver_run(&r, at + NSEC_PER_SEC), MONO_NEVER);
	ck_assert_int_eq(answered, 2);
	resolver_close(&r);
}
END_TEST

/* --- what links stand on --- */

static struct iface interfaces[] = {
	{ .index = 1,
	    .mtu_bytes = 65536,
	    .up = true,
	    .running = true,
	    .name = "lo" },
	{ .index = 2,
	    .mtu_bytes = 1500,
	    .up = true,
	    .running = true,
	    .name = "eth0" },
	{ .index = 3,
	    .mtu_bytes = 1500,
	    .up = true,
	    .running = false,
	    .name = "eth1" },
};

static struct iface_addr addresses[] = {
	{ .index = 2,
	    .family = AF_INET,
	    .addr = { 192, 0, 2, 1 },
	    .usable = true },
	{ .index = 2,
	    .family = AF_INET,
	    .addr = { 192, 0, 2, 2 },
	    .usable = true },
	{ .index = 2,
	    .family = AF_INET6,
	    .addr = { 0xfe, 0x80 },
	    .usable = true,
	    .link_local = true },
	{ .index = 3,
	    .family = AF_INET,
	    .addr = { 198, 51, 100, 1 },
	    .usable = true },
};

static const struct ifaces picture = { .list = interfaces,
	.count = nitems_of(interfaces),
	.addrs = addresses,
	.naddrs = nitems_of(addresses) };

static const struct {
	struct conf_link link;
	bool watched;
	int error;
	unsigned index;
} footings[] = {
	{ { .remotehost = "192.0.2.9" }, false, 0, 0 },
	{ { .interface = "eth0" }, true, 0, 2 },
	{ { .interface = "eth1" }, true, ENETDOWN, 3 },
	{ { .interface = "eth9" }, true, ENODEV, 0 },
	{ { .bindhost = "192.0.2.2" }, true, 0, 2 },
	{ { .bindhost = "198.51.100.1" }, true, ENETDOWN, 3 },
	{ { .bindhost = "192.0.2.3" }, true, EADDRNOTAVAIL, 0 },
	{ { .bindhost = "2001:db8::1" }, true, EADDRNOTAVAIL, 0 },
	{ { .interface = "eth0", .bindhost = "192.0.2.3" }, true, 0, 2 },
};

START_TEST(finds_the_interface_of_a_link)
{
	struct footing f;

	ck_assert_int_eq(
	    footing_of(&picture, &footings[_i].link, &f), footings[_i].watched);
	ck_assert_int_eq(f.error, footings[_i].error);
	ck_assert_uint_eq(f.index, footings[_i].index);
}
END_TEST

static const struct {
	struct footing old, now;
	enum footing_change change;
} changes[] = {
	{ { 0, 2, 7 }, { 0, 2, 7 }, FOOTING_SAME },
	{ { 0, 2, 7 }, { 0, 2, 8 }, FOOTING_READDRESSED },
	{ { 0, 2, 7 }, { 0, 5, 7 }, FOOTING_BACK },
	{ { 0, 2, 7 }, { ENODEV, 0, 0 }, FOOTING_LOST },
	{ { 0, 2, 7 }, { ENETDOWN, 2, 7 }, FOOTING_LOST },
	{ { ENETDOWN, 2, 7 }, { ENODEV, 0, 0 }, FOOTING_SAME },
	{ { ENODEV, 0, 0 }, { ENETDOWN, 2, 7 }, FOOTING_SAME },
	{ { ENETDOWN, 2, 7 }, { 0, 2, 7 }, FOOTING_BACK },
};

START_TEST(tells_what_changed)
{
	ck_assert_int_eq(footing_compare(&changes[_i].old, &changes[_i].now),
	    changes[_i].change);
}
END_TEST

START_TEST(does_not_mind_the_order_of_addresses)
{
	struct conf_link link = { .interface = "eth0" };
	struct footing before, after;
	struct iface_addr first = addresses[0];

	ck_assert(footing_of(&picture, &link, &before));
	addresses[0] = addresses[1];
	addresses[1] = first;
	ck_assert(footing_of(&picture, &link, &after));
	ck_assert_int_eq(footing_compare(&before, &after), FOOTING_SAME);
	addresses[1].addr[3]++;
	ck_assert(footing_of(&picture, &link, &after));
	ck_assert_int_eq(footing_compare(&before, &after), FOOTING_READDRESSED);
	addresses[1].usable = false;
	ck_assert(footing_of(&picture, &link, &after));
	ck_assert_int_eq(footing_compare(&before, &after), FOOTING_READDRESSED);
}
END_TEST

/* --- MTU --- */

static const struct {
	const char *remotehost, *interface;
	enum conf_tuntap tuntap;
	enum conf_cipher cipher;
	unsigned mtu;
} mtus[] = {
	{ "192.0.2.1", "nosuch0", TUNTAP_TUN, CIPHER_AUTO, 1440 },
	{ "2001:db8::1", "nosuch0", TUNTAP_TUN, CIPHER_AUTO, 1420 },
	{ "a.example", "nosuch0", TUNTAP_TUN, CIPHER_AUTO, 1420 },
	{ "192.0.2.1", "nosuch0", TUNTAP_TAP, CIPHER_AUTO, 1422 },
	{ "192.0.2.1", "nosuch0", TUNTAP_TUN, CIPHER_NONE, 1448 },
	{ "192.0.2.1", "lo", TUNTAP_TUN, CIPHER_AUTO, 9000 },
};

START_TEST(derives_the_mtu)
{
	struct conf conf = { .tuntap = mtus[_i].tuntap,
		.cipher = mtus[_i].cipher };
	struct nl nl;

	conf.links[5].used = true;
	strlcpy(conf.links[5].remotehost, mtus[_i].remotehost,
	    sizeof(conf.links[5].remotehost));
	strlcpy(conf.links[5].interface, mtus[_i].interface,
	    sizeof(conf.links[5].interface));
	if (nl_open(&nl) == -1)
		return; /* an emulator without netlink */
	ck_assert_uint_eq(netdev_mtu_auto(&nl, &conf), mtus[_i].mtu);
	nl_close(&nl);
}
END_TEST

/* --- the file --- */

static char lines[4][LOG_LINE_MAX];
static int said;

static void
keep_line(const char *line)
{
	if (said < (int)nitems_of(lines))
		strlcpy(lines[said], line, sizeof(lines[said]));
	said++;
}

static void
write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(names_file_and_line_of_every_error)
{
	char path[] = "/tmp/mlvpn-load-XXXXXX", start[64];
	struct loaded l;
	unsigned line;

	said = 0;
	write_file(path,
	    "[general]\nmode = nothing\npassword = \"0123456789abcdef\"\n"
	    "whatever = 1\n[adsl1]\nremotehost = 192.0.2.1\n"
	    "remoteport = 5080\n");
	ck_assert_int_eq(load_conf(&l, path, keep_line, &line), RELOAD_INVALID);
	ck_assert_uint_eq(line, 2);
	ck_assert_int_ge(said, 2);
	snprintf(start, sizeof(start), "%s:2: ", path);
	ck_assert_int_eq(strncmp(lines[0], start, strlen(start)), 0);
	snprintf(start, sizeof(start), "%s:4: ", path);
	ck_assert_int_eq(strncmp(lines[1], start, strlen(start)), 0);
	said = 0;
	chmod(path, 0644);
	ck_assert_int_eq(
	    load_conf(&l, path, keep_line, &line), RELOAD_UNREADABLE);
	ck_assert_uint_eq(line, 0);
	unlink(path);
	ck_assert_int_eq(
	    load_conf(&l, path, keep_line, &line), RELOAD_UNREADABLE);
	ck_assert_int_eq(said, 2);
}
END_TEST

/* --- the service manager --- */

START_TEST(tells_the_service_manager)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr.sun_family);
	char got[64] = "", name[128] = "@";
	struct notify n;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	/* An abstract name that the kernel chooses. */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	len = sizeof(addr);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	memcpy(name + 1, addr.sun_path + 1,
	    len - offsetof(struct sockaddr_un, sun_path) - 1);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_init(&n);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	notify_send(&n, "READY=1");
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	ck_assert_str_eq(got, "READY=1");
	notify_reloading(&n);
	ck_assert_int_gt(recv(fd, got, sizeof(got), MSG_DONTWAIT), 27);
	ck_assert_int_eq(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	close(fd);
	notify_send(&n, "STOPPING=1"); /* nobody listens: no matter */
	notify_init(&n);
	ck_assert_uint_eq(n.len, 0);
	notify_send(&n, "READY=1");
}
END_TEST

Suite *
priv_suite(void)
{
	Suite *s = suite_create("priv");
	TCase *tc = tcase_create("parent");

	tcase_add_loop_test(
	    tc, believes_only_plausible_addresses, 0, (int)nitems_of(answers));
	tcase_add_test(tc, believes_no_answer_of_a_wrong_size);
	tcase_add_test(
	    tc, answers_numbers_without_a_child_but_not_as_fast_as_asked);
	tcase_add_loop_test(
	    tc, finds_the_interface_of_a_link, 0, (int)nitems_of(footings));
	tcase_add_loop_test(tc, tells_what_changed, 0, (int)nitems_of(changes));
	tcase_add_test(tc, does_not_mind_the_order_of_addresses);
	tcase_add_loop_test(tc, derives_the_mtu, 0, (int)nitems_of(mtus));
	tcase_add_test(tc, names_file_and_line_of_every_error);
	tcase_add_test(tc, tells_the_service_manager);
	suite_add_tcase(s, tc);
	return s;
}
