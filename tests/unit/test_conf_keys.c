/*
 * Every row of the keyword table: values that it accepts, values that it
 * refuses, and that a refusal says what was expected.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "conf/conf.h"
#include "conf/conf_keys.h"

Suite *conf_keys_suite(void);

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A256 A64 A64 A64 A64

/* Lists end in NULL. */
static const struct {
	enum conf_section section;
	const char *name;
	const char *good[8], *bad[18];
} cases[] = {
	{ IN_GENERAL, "mode", { "client" },
	    { "", "Client", "peer", "clients" } },
	{ IN_GENERAL, "interface_name",
	    { "mlvpn0", "a", "tun-7.x", "a23456789012345" },
	    { "", "a234567890123456", "a b", "a/b", "a:b", "tun%d", ".", "..",
		"\xc3\xa9" } },
	{ IN_GENERAL, "tuntap", { "tun", "tap" }, { "", "TUN", "tunnel" } },
	{ IN_GENERAL, "password", { "x", "0123456789abcdef" }, { "", A256 } },
	{ IN_GENERAL, "cipher",
	    { "auto", "aes-256-gcm", "chacha20-poly1305", "none" },
	    { "", "aes", "aes-128-gcm", "null" } },
	{ IN_GENERAL, "timeout", { "1", "300", "1s", "1000ms", "300000ms" },
	    { "", "0", "301", "999ms", "300001ms", "0.5", "1min", "-1",
		"99999999999999999999" } },
	{ IN_GENERAL, "mtu", { "auto", "1280", "9000" },
	    { "", "575", "9001", "1400.5", "-1", "1k" } },
	{ IN_GENERAL, "ip4", { "10.0.0.1/30", "10.0.0.1/32", "192.168.1.7/1" },
	    { "", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/0",
		"10.0.0/8", "0.0.0.0/8", "224.0.0.1/4", "255.255.255.255/32",
		"fd00::1/64", "x/8", "10.0.0.1/8 x", "10.0.0.1/-1" } },
	{ IN_GENERAL, "ip6", { "fd00::1/64", "fe80::1/128" },
	    { "", "fd00::1", "fd00::1/129", "fd00::1/0", "::/64", "ff02::1/64",
		"10.0.0.1/30", "fd00::1%eth0/64" } },
	{ IN_GENERAL, "ip4_gateway", { "10.42.42.2" },
	    { "", "10.42.42.2/32", "0.0.0.0", "225.0.0.1", "fd00::2", "gw" } },
	{ IN_GENERAL, "ip6_gateway", { "fd42::2", "fe80::1" },
	    { "", "fd42::2/128", "::", "ff02::2", "10.42.42.2" } },
	{ IN_GENERAL, "ip4_routes",
	    { "default", "0.0.0.0/0", "10.0.0.0/8,192.0.2.1",
		"1.2.3.4/32 , 10.0.0.0/8", ",10.0.0.0/8," },
	    { "", ",", "10.0.0.1/8", "10.0.0.0/8 10.0.0.0/8",
		"10.0.0.0/8;1.2.3.4", "fd00::/8", "10.0.0.0/33", "all", A64 } },
	{ IN_GENERAL, "ip6_routes",
	    { "default", "::/0", "fd00::/8 2001:db8::1" },
	    { "", "fd00::1/8", "fd00::/8,fd00::/8", "10.0.0.0/8",
		"fd00::/129" } },
	{ IN_GENERAL, "statuscommand", { "/etc/mlvpn/updown.sh", "/a b" },
	    { "", "updown.sh", "./updown.sh", "none",
		"/" A256 A256 A256 A256 } },
	{ IN_GENERAL, "loglevel", { "error", "warning", "info", "debug" },
	    { "", "warn", "7", "INFO" } },
	{ IN_GENERAL, "control_socket", { "none", "/run/mlvpn/a.sock" },
	    { "", "a.sock", "/" A64 A64 } },
	{ IN_GENERAL, "memory",
	    { "4", "1024", "64m", "65536k", "1g", "0.5gib" },
	    { "", "3", "1025", "4095k", "1.1g", "64mb", "1.5", "-64" } },
	{ IN_GENERAL, "mark",
	    { "1", "0x1", "0x6d6c", "0XFFFFFFFF", "4294967295" },
	    { "", "0", "0x0", "0x", "0x100000000", "4294967296", "6d6c", "-1",
		"0x1g", "0x 1", "0x000000001" } },
	{ IN_GENERAL, "table", { "1", "252", "256", "4294967295" },
	    { "", "0", "253", "254", "255", "4294967296", "main", "0x10" } },
	{ IN_LINK, "bindhost", { "192.0.2.7", "127.0.0.1", "0.0.0.0" },
	    { "", "localhost", "*", "192.0.2.7:80", "192.0.2.256", "fe80::1%",
		"[::1]", "192.0.2.7%eth0" } },
	{ IN_LINK, "bindport", { "1", "65535", "5080" },
	    { "", "0", "65536", "-1", "http", "5080-5090", "0x10" } },
	{ IN_LINK, "remotehost",
	    { "192.0.2.7", "2001:db8::1", "fe80::1%eth0", "vpn",
		"a.example.org", "1.example.", "x_y-z" },
	    { "", "1.2.3", "300.1.1.1", "a..b", ".a", "-a", "a-", "a.-b", "a b",
		"a:80", "a/b", "\xc3\xa9", A64, A256, "." } },
	{ IN_LINK, "remoteport", { "1", "65535" }, { "", "0", "65536", "x" } },
	{ IN_LINK, "interface", { "eth0", "enp3s0.7", "eth0.100" },
	    { "", "a234567890123456", "eth0:1", "a/b" } },
	{ IN_LINK, "bandwidth_upload",
	    { "0", "1000", "8kbit", "5mbit", "2.5 Mbit", "100gbit" },
	    { "", "5mbps", "50", "999", "7kbit", "100.1gbit", "-1", "5m", "1.5",
		"99999999999999999999gbit" } },
	{ IN_LINK, "bandwidth_download", { "0", "600kbit", "0.5gbit" },
	    { "", "5mbps", "7kbit", "101gbit", "auto" } },
	{ IN_LINK, "timeout", { "1", "300", "2500ms" },
	    { "", "0", "301", "900ms", "x" } },
	{ IN_LINK, "fallback_only", { "yes", "no" },
	    { "", "1", "true", "Yes", "y" } },
	{ IN_LINK, "parity", { "yes", "no" }, { "", "0", "auto" } },
	{ IN_LINK, "overhead", { "0", "8", "64" }, { "", "65", "-1", "8b" } },
};

static const char *
unless(const char *name, const char *other, const char *text)
{
	return strcmp(name, other) == 0 ? "\n" : text;
}

/* A file in which the key is the only doubtful one; its line is *line. */
static void
make_file(char *text, size_t size, size_t i, const char *value, unsigned *line)
{
	const char *name = cases[i].name;
	char key[1200];

	snprintf(key, sizeof(key), "%s = \"%s\"\n", name, value);
	*line = cases[i].section == IN_GENERAL ? 2 : 8;
	snprintf(text, size, "[general]\n%s%s%s%s%s[a]\n%s%s%s",
	    cases[i].section == IN_GENERAL ? key : "\n",
	    unless(name, "mode", "mode = client\n"),
	    unless(name, "password", "password = x\n"),
	    unless(name, "ip4", "ip4 = 10.42.42.1/30\n"),
	    unless(name, "ip6", "ip6 = fd42::1/64\n"),
	    cases[i].section == IN_LINK ? key : "\n",
	    unless(name, "remotehost", "remotehost = h\n"),
	    unless(name, "remoteport", "remoteport = 1\n"));
}

START_TEST(accepts_its_values)
{
	const char *const *value = cases[_i].good;
	struct conf_errors errs;
	struct conf *conf;
	char text[3000];
	unsigned line;

	for (; *value != NULL; value++) {
		make_file(text, sizeof(text), (size_t)_i, *value, &line);
		conf = conf_parse(text, strlen(text), &errs);
		ck_assert_msg(conf != NULL, "%s = %s: line %u: %s",
		    cases[_i].name, *value, errs.list[0].line,
		    errs.list[0].text);
		conf_free(conf);
	}
}
END_TEST

START_TEST(refuses_other_values)
{
	const char *const *value = cases[_i].bad;
	int row = conf_key_find(cases[_i].section, cases[_i].name);
	const struct conf_key *key;
	struct conf_errors errs;
	char text[3000];
	unsigned line;
	size_t count;

	ck_assert_int_ne(row, -1);
	key = conf_keys(&count) + row;
	for (; *value != NULL; value++) {
		make_file(text, sizeof(text), (size_t)_i, *value, &line);
		ck_assert_msg(conf_parse(text, strlen(text), &errs) == NULL,
		    "%s = %s is accepted", key->name, *value);
		ck_assert_msg(errs.total == 1, "%s = %s: %zu errors: %s",
		    key->name, *value, errs.total, errs.list[1].text);
		ck_assert_uint_eq(errs.list[0].line, line);
		ck_assert_msg(strstr(errs.list[0].text, key->expected) != NULL,
		    "%s", errs.list[0].text);
		ck_assert_int_eq(
		    strncmp(errs.list[0].text, key->name, strlen(key->name)),
		    0);
		ck_assert(!key->secret || **value == '\0' ||
			  strstr(errs.list[0].text, *value) == NULL);
	}
}
END_TEST

START_TEST(every_row_is_tested_both_ways)
{
	const struct conf_key *keys;
	size_t i, j, count;

	keys = conf_keys(&count);
	ck_assert_uint_eq(count, nitems_of(cases));
	for (i = 0; i < count; i++) {
		for (j = 0; j < nitems_of(cases); j++)
			if (cases[j].section == keys[i].section &&
			    strcmp(cases[j].name, keys[i].name) == 0)
				break;
		ck_assert_msg(j < nitems_of(cases), "%s", keys[i].name);
		ck_assert_ptr_nonnull(cases[j].good[0]);
		ck_assert_ptr_nonnull(cases[j].bad[0]);
		ck_assert_ptr_nonnull(keys[i].expected);
	}
}
END_TEST

/* Defaults are text, so nothing but this proves that they are accepted. */
START_TEST(defaults_pass_their_own_setters)
{
	struct {
		struct conf conf;
		struct conf_link link;
	} base;
	const struct conf_key *keys;
	size_t i, count;
	void *p;

	memset(&base, 0, sizeof(base));
	keys = conf_keys(&count);
	for (i = 0; i < count; i++) {
		p = keys[i].section == IN_LINK ? (void *)&base.link
					       : (void *)&base.conf;
		if (keys[i].fallback != NULL)
			ck_assert_msg(
			    keys[i].set(&keys[i], p, keys[i].fallback) == 0,
			    "%s", keys[i].name);
	}
}
END_TEST

Suite *
conf_keys_suite(void)
{
	Suite *s = suite_create("conf_keys");
	TCase *tc = tcase_create("keys");

	tcase_add_loop_test(tc, accepts_its_values, 0, (int)nitems_of(cases));
	tcase_add_loop_test(tc, refuses_other_values, 0, (int)nitems_of(cases));
	tcase_add_test(tc, every_row_is_tested_both_ways);
	tcase_add_test(tc, defaults_pass_their_own_setters);
	suite_add_tcase(s, tc);
	return s;
}
