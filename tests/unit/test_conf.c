/*
 * Whole files: what is a line, a section, a value; what files must not hold;
 * which keys must or must not stand together. Single keys: test_conf_keys.c.
 */
#include "config.h"

#include <sys/socket.h>

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/util.h"
#include "conf/conf.h"

Suite *conf_suite(void);

#define CLIENT "[general]\nmode=client\npassword=0123456789abcdef\n"
#define SERVER "[general]\nmode=server\npassword=0123456789abcdef\n"
#define LINK_A "[a]\nremotehost=192.0.2.1\nremoteport=5080\n"

static struct conf_errors errs;

static struct conf *
parse(const char *text)
{
	return conf_parse(text, strlen(text), &errs);
}

/* A configuration that must be right. */
static struct conf *
good(const char *text)
{
	struct conf *conf = parse(text);

	ck_assert_msg(conf != NULL, "%s\nline %u: %s", text, errs.list[0].line,
	    errs.list[0].text);
	ck_assert_uint_eq(errs.total, 0);
	return conf;
}

/* One error on that line, with these words. */
static void
bad(const char *text, unsigned line, const char *words)
{
	struct conf *conf = parse(text);

	ck_assert_msg(conf == NULL, "accepted: %s", text);
	ck_assert_msg(errs.total == 1, "%zu errors: %s\n%u: %s", errs.total,
	    text, errs.list[1].line, errs.list[1].text);
	ck_assert_msg(errs.list[0].line == line, "line %u, not %u: %s",
	    errs.list[0].line, line, errs.list[0].text);
	ck_assert_msg(strstr(errs.list[0].text, words) != NULL, "%s: %s", words,
	    errs.list[0].text);
}

START_TEST(smallest_files_have_all_defaults)
{
	struct conf *conf = good(CLIENT LINK_A);
	const struct conf_link *a = &conf->links[0];

	ck_assert_int_eq(conf->mode, MODE_CLIENT);
	ck_assert_str_eq(conf->password, "0123456789abcdef");
	ck_assert_str_eq(conf->interface_name, "mlvpn0");
	ck_assert_int_eq(conf->tuntap, TUNTAP_TUN);
	ck_assert_int_eq(conf->cipher, CIPHER_AUTO);
	ck_assert_uint_eq(conf->timeout_ms, 10000);
	ck_assert_uint_eq(conf->mtu_bytes, 0);
	ck_assert_int_eq(conf->ip4.family, AF_UNSPEC);
	ck_assert_uint_eq(conf->nroutes, 0);
	ck_assert_str_eq(conf->statuscommand, "");
	ck_assert_int_eq(conf->loglevel, LOG_INFO);
	ck_assert_str_eq(conf->control_socket, "/run/mlvpn/mlvpn0.sock");
	ck_assert(conf->memory_bytes == 64 << 20);
	ck_assert_uint_eq(conf->mark, 0x6d6c);
	ck_assert_uint_eq(conf->table, 27756);
	ck_assert_uint_eq(conf->nlinks, 1);
	ck_assert(a->used && !conf->links[1].used);
	ck_assert_str_eq(a->name, "a");
	ck_assert_uint_eq(a->line, 4);
	ck_assert_str_eq(a->bindhost, "");
	ck_assert_uint_eq(a->bindport, 0);
	ck_assert_str_eq(a->remotehost, "192.0.2.1");
	ck_assert_uint_eq(a->remoteport, 5080);
	ck_assert_str_eq(a->interface, "");
	ck_assert(a->upload_Bps == 0 && a->download_Bps == 0);
	ck_assert_uint_eq(a->timeout_ms, 10000);
	ck_assert(!a->fallback_only);
	ck_assert(a->parity);
	ck_assert_uint_eq(a->overhead_bytes, 0);
	conf_free(conf);
	conf_free(good(SERVER "[a]\nbindport=5080"));
	conf_free(NULL);
}
END_TEST

START_TEST(values_are_stored)
{
	struct conf *conf =
	    good("[general]\nmode=server\npassword=p q\n"
		 "interface_name=tap7\ntuntap=tap\n"
		 "cipher=none\ntimeout=2500ms\nmtu=1400\n"
		 "ip4=10.0.0.1/30\nip6=fd00::1/64\n"
		 "ip4_gateway=10.0.0.2\nip6_gateway=fd00::2\n"
		 "ip6_routes=default\n"
		 "ip4_routes=10.1.0.0/16 , 10.0.0.0/8\t1.2.3.4\n"
		 "statuscommand=/bin/true\nloglevel=debug\n"
		 "control_socket=none\nmemory=128\n"
		 "mark=0xffffffff\ntable=7\n"
		 "[b.1_-]\nbindhost=::1\nbindport=65535\n"
		 "interface=eth0\nbandwidth_upload=2.5mbit\n"
		 "bandwidth_download=1gbit\ntimeout=5\n"
		 "fallback_only=yes\nparity=no\noverhead=64\n");
	const struct conf_link *b = &conf->links[0];
	static const uint8_t ip4[16] = { 10, 0, 0, 1 };
	char buf[CONF_PREFIXTEXT_MAX];

	ck_assert_int_eq(conf->mode, MODE_SERVER);
	ck_assert_str_eq(conf_mode_name(conf->mode), "server");
	ck_assert_str_eq(conf->password, "p q");
	ck_assert_str_eq(conf->interface_name, "tap7");
	ck_assert_int_eq(conf->tuntap, TUNTAP_TAP);
	ck_assert_int_eq(conf->cipher, CIPHER_NONE);
	ck_assert_str_eq(conf_cipher_name(conf->cipher), "none");
	ck_assert_uint_eq(conf->timeout_ms, 2500);
	ck_assert_uint_eq(conf->mtu_bytes, 1400);
	ck_assert_int_eq(conf->ip4.family, AF_INET);
	ck_assert_uint_eq(conf->ip4.len, 30);
	ck_assert_mem_eq(conf->ip4.addr, ip4, 16);
	ck_assert_str_eq(conf_prefix_text(&conf->ip6, buf), "fd00::1/64");
	ck_assert_str_eq(
	    conf_prefix_text(&conf->ip4_gateway, buf), "10.0.0.2/32");
	ck_assert_str_eq(
	    conf_prefix_text(&conf->ip6_gateway, buf), "fd00::2/128");
	ck_assert_uint_eq(conf->nroutes, 4);
	ck_assert_str_eq(conf->statuscommand, "/bin/true");
	ck_assert_int_eq(conf->loglevel, LOG_DEBUG);
	ck_assert_str_eq(conf->control_socket, "");
	ck_assert(conf->memory_bytes == 128 << 20);
	ck_assert_uint_eq(conf->mark, UINT32_MAX);
	ck_assert_uint_eq(conf->table, 7);
	ck_assert_str_eq(b->name, "b.1_-");
	ck_assert_str_eq(b->bindhost, "::1");
	ck_assert_uint_eq(b->bindport, 65535);
	ck_assert_str_eq(b->interface, "eth0");
	ck_assert(b->upload_Bps == 312500 && b->download_Bps == 125000000);
	ck_assert_uint_eq(b->timeout_ms, 5000);
	ck_assert(b->fallback_only);
	ck_assert(!b->parity);
	ck_assert_uint_eq(b->overhead_bytes, 64);
	ck_assert(conf_password_weak(conf));
	conf_free(conf);
}
END_TEST

START_TEST(quotes_and_comments_end_where_they_should)
{
	static const struct {
		const char *line, *value;
	} cases[] = {
		{ "password=a", "a" },
		{ " \tpassword \t=\t a b \t", "a b" },
		{ "password = \" a # ' \" # x", " a # ' " },
		{ "password = 'say \"x\"'", "say \"x\"" },
		{ "password=a#b # c", "a#b" },
		{ "password=a\t#c", "a" },
		{ "password=a=b==", "a=b==" },
		{ "password=a\"b'", "a\"b'" },
		{ "password=[x]", "[x]" },
		{ "password=\xc3\xa9\xff", "\xc3\xa9\xff" },
		{ "password=a\r", "a" },
	};
	struct conf *conf;
	char text[200];
	size_t i;

	for (i = 0; i < nitems_of(cases); i++) {
		snprintf(text, sizeof(text), "%s%s\n%s",
		    "[general]\nmode=client\n", cases[i].line, LINK_A);
		conf = good(text);
		ck_assert_str_eq(conf->password, cases[i].value);
		conf_free(conf);
	}
}
END_TEST

START_TEST(bom_crlf_blanks_and_comments_are_fine)
{
	struct conf *conf = good("\xef\xbb\xbf# hello\r\n\r\n \t\r\n"
				 " [ general ] # x\r\nmode = client\r\n"
				 "password = \"0123456789abcdef\"\r\n"
				 "#[b]\r\n\t# x\r\n\t[a]\r\n"
				 "remotehost = h.example.org.\r\n"
				 "remoteport = 1");

	ck_assert_str_eq(conf->links[0].name, "a");
	ck_assert_uint_eq(conf->links[0].line, 9);
	ck_assert(!conf_password_weak(conf));
	conf_free(conf);
}
END_TEST

START_TEST(malformed_lines_are_refused)
{
	bad(CLIENT LINK_A "x\n", 7, "expected \"key = value\"");
	bad(CLIENT LINK_A "= x\n", 7, "expected \"key = value\"");
	bad(CLIENT LINK_A "; x\n", 7, "expected \"key = value\"");
	bad(CLIENT LINK_A "[b\n", 7, "expected a section");
	bad(CLIENT LINK_A "[b] x\n", 7, "expected a section");
	bad(CLIENT LINK_A "bindhost=\"::1\n", 7, "closing \"");
	bad(CLIENT LINK_A "bindhost='::1' x\n", 7, "after the closing '");
	bad(CLIENT LINK_A "bindhost=\n", 7, "bindhost = : expected");
	bad(CLIENT LINK_A "bindhost= # ::1\n", 7, "bindhost = : expected");
	bad("x=1\n" CLIENT LINK_A, 1, "before any key");
	bad(CLIENT LINK_A "bindhost=\x01\n", 7, "\\x01");
	bad(CLIENT LINK_A "#\x7f\n", 7, "\\x7f");
	bad(CLIENT LINK_A "#a\rb\n", 7, "\\x0d");
}
END_TEST

START_TEST(nul_bytes_are_refused)
{
	static const char text[] = CLIENT LINK_A "bindhost=::1\0.2\n";

	ck_assert_ptr_null(conf_parse(text, sizeof(text) - 1, &errs));
	ck_assert_uint_eq(errs.total, 1);
	ck_assert_uint_eq(errs.list[0].line, 7);
	ck_assert_ptr_nonnull(strstr(errs.list[0].text, "\\x00"));
}
END_TEST

START_TEST(overlong_lines_and_files_are_refused)
{
	static char text[CONF_TEXT_MAX + 2];
	size_t head = strlen(CLIENT LINK_A);

	memcpy(text, CLIENT LINK_A, head);
	memset(text + head, '#', CONF_LINE_MAX);
	bad(text, 7, "at most 4095 bytes");
	text[head + CONF_LINE_MAX - 1] = '\0';
	conf_free(good(text));
	memset(text + head, '\n', CONF_TEXT_MAX + 1 - head);
	bad(text, 0, "at most 65536 bytes");
	text[CONF_TEXT_MAX] = '\0';
	conf_free(good(text));
}
END_TEST

START_TEST(sections_stand_once)
{
	bad(CLIENT LINK_A "[general]\n", 7, "first on line 1");
	bad(CLIENT LINK_A LINK_A, 7, "[a]: expected once, first on line 4");
	bad(CLIENT LINK_A "bindport=1\nbindport=1\n", 8,
	    "expected once, first on line 7");
	bad(LINK_A, 0, "expected a section [general]");
	bad(CLIENT, 0, "no link");
	bad(CLIENT "[]\n", 4, "1 to 16 letters");
	bad(CLIENT "[12345678901234567]\n", 4, "1 to 16 letters");
	bad(CLIENT "[a b]\n", 4, "1 to 16 letters");
	bad(CLIENT "[a/b]\n", 4, "1 to 16 letters");
	bad(CLIENT "[\xc3\xa9]\n", 4, "[\\xc3\\xa9]");
	conf_free(good(CLIENT LINK_A "[A]\nremotehost=a\nremoteport=1\n"));
	conf_free(
	    good(CLIENT "[1234567890123456]\nremotehost=a\nremoteport=1\n"));
}
END_TEST

START_TEST(sixteen_links_are_the_most)
{
	char text[4000] = SERVER;
	size_t i, n;
	struct conf *conf;

	for (i = 0; i < LINKS_MAX; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "[l%zu]\nbindport=%zu\n",
		    i, i + 1);
	}
	conf = good(text);
	ck_assert_uint_eq(conf->nlinks, LINKS_MAX);
	ck_assert_str_eq(conf->links[15].name, "l15");
	conf_free(conf);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, "[m]\nbindport=1\n");
	bad(text, 36, "[m]: expected at most 16 links");
}
END_TEST

START_TEST(missing_keys_point_to_their_section)
{
	bad("\n[general]\nmode=client\n" LINK_A, 2, "password is missing");
	bad("\n[general]\npassword=x\n" LINK_A, 2, "mode is missing");
	bad(CLIENT "\n[a]\nremoteport=1\n", 5, "[a]: remotehost is missing");
	bad(CLIENT "\n[a]\nremotehost=x\n", 5, "[a]: remoteport is missing");
	bad(SERVER "\n[a]\n", 5, "[a]: bindport is missing");
	/* a bad mode hides what depends on it */
	bad("[general]\nmode=x\npassword=x\n[a]\n", 2, "mode = x: expected");
}
END_TEST

START_TEST(server_links_wait)
{
	bad(SERVER "[a]\nbindport=1\nremotehost=x\n", 6, "on a client only");
	bad(SERVER "[a]\nbindport=1\nremoteport=1\n", 6, "on a client only");
}
END_TEST

START_TEST(colliding_sockets_are_found)
{
	static const struct {
		const char *a, *b;
		bool collide;
	} cases[] = {
		{ "", "", true },
		{ "bindhost=192.0.2.1", "bindhost=192.0.2.1", true },
		{ "bindhost=192.0.2.1", "bindhost=192.0.2.2", false },
		{ "bindhost=::1", "bindhost=0:0::1", true },
		{ "bindhost=192.0.2.1", "", true },
		{ "", "bindhost=::1", true },
		{ "bindhost=::", "bindhost=192.0.2.1", true },
		{ "bindhost=0.0.0.0", "bindhost=192.0.2.1", true },
		{ "bindhost=0.0.0.0", "bindhost=::1", false },
		{ "bindhost=::1", "bindhost=0.0.0.0", false },
		{ "interface=eth1", "interface=eth2", false },
		{ "interface=eth1", "interface=eth1", true },
		{ "interface=eth1", "", true },
	};
	char text[300];
	size_t i;

	for (i = 0; i < nitems_of(cases); i++) {
		snprintf(text, sizeof(text),
		    SERVER "[a]\nbindport=5080\n%s\n[b]\nbindport=5080\n%s\n",
		    cases[i].a, cases[i].b);
		if (cases[i].collide)
			bad(text, 8, "than that of [a] on line 5");
		else
			conf_free(good(text));
	}
	conf_free(good(SERVER "[a]\nbindport=1\n[b]\nbindport=2\n"));
	conf_free(good(CLIENT LINK_A "[b]\nremotehost=x\nremoteport=1\n"));
}
END_TEST

START_TEST(addresses_go_together)
{
	bad("[general]\nmode=client\npassword=x\nip4_gateway=10.0.0.1\n" LINK_A,
	    4, "ip4_gateway: expected ip4 as well");
	bad("[general]\nmode=client\npassword=x\nip6_gateway=fd00::1\n" LINK_A,
	    4, "ip6_gateway: expected ip6 as well");
	bad("[general]\nmode=client\npassword=x\nip4_gateway=10.0.0.1\n"
	    "ip4=10.0.0.1/30\n" LINK_A,
	    4, "peer's address");
	bad("[general]\nmode=client\npassword=x\nip4_gateway=10.0.0.1\n"
	    "ip4=10.0.0.1\n" LINK_A,
	    5, "with its prefix");
	bad("[general]\nmode=client\npassword=x\nmtu=1279\nip6=fd00::1/64\n" LINK_A,
	    4, "at least 1280");
	bad(CLIENT LINK_A "bindhost=::1\n", 5, "expected an IPv6 address");
	bad(CLIENT LINK_A "interface=mlvpn0\n", 7, "than the tunnel's own");
}
END_TEST

START_TEST(routes_are_sorted_and_bounded)
{
	char text[3000];
	struct conf *a, *b;
	size_t i, n;

	a = good("[general]\nmode=client\npassword=x\n"
		 "ip4_routes=10.0.0.0/8 default\nip6_routes=fd00::/8\n" LINK_A);
	b = good(
	    "[general]\nmode=client\npassword=x\n"
	    "ip6_routes=fd00::/8\nip4_routes=0.0.0.0/0,10.0.0.0/8\n" LINK_A);
	ck_assert_uint_eq(a->nroutes, 3);
	ck_assert_mem_eq(a->routes, b->routes, sizeof(a->routes));
	conf_free(a);
	conf_free(b);

	snprintf(text, sizeof(text),
	    "[general]\nmode=client\npassword=x\nip4_routes=");
	for (i = 0; i < CONF_ROUTES_MAX; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "10.%zu.0.0/16 ", 63 - i);
	}
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, "\n" LINK_A);
	a = good(text);
	ck_assert_uint_eq(a->nroutes, CONF_ROUTES_MAX);
	ck_assert_uint_eq(a->routes[63].addr[1], 63);
	conf_free(a);
	snprintf(text + n, sizeof(text) - n, "11.0.0.0/8\n" LINK_A);
	bad(text, 4, "ip4_routes = 10.");
}
END_TEST

START_TEST(keys_of_the_other_section_and_slips_are_named)
{
	bad(CLIENT "bindport=1\n" LINK_A, 4,
	    "bindport: expected in a link, not in [general]");
	bad(CLIENT LINK_A "password=geheim\n", 7,
	    "password: expected in [general], not in a link");
	ck_assert_ptr_null(strstr(errs.list[0].text, "geheim"));
	bad(CLIENT LINK_A "bandwith_uplod=1\n", 7, "perhaps bandwidth_upload");
	bad(CLIENT LINK_A "Bindport=1\n", 7, "perhaps bindport");
	bad(CLIENT LINK_A "quux=1\n", 7, "quux: unknown key");
	bad(CLIENT LINK_A "qu\xff=1\n", 7, "qu\\xff: unknown key");
}
END_TEST

START_TEST(all_errors_come_at_once_and_in_order)
{
	char text[2000] = "[general]\nmode=x\n[a]\nbindport=0\n";
	size_t i, n;

	ck_assert_ptr_null(parse(text));
	ck_assert_uint_eq(errs.total, 3);
	ck_assert_uint_eq(errs.count, 3);
	ck_assert_uint_eq(errs.list[0].line, 1); /* password is missing */
	ck_assert_uint_eq(errs.list[1].line, 2);
	ck_assert_uint_eq(errs.list[2].line, 4);
	for (i = 0; i < 30; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "overhead=x\n");
	}
	ck_assert_ptr_null(parse(text));
	ck_assert_uint_eq(errs.total, 33);
	ck_assert_uint_eq(errs.count, CONF_ERRORS_MAX);
}
END_TEST

START_TEST(sections_that_are_not_kept_are_still_checked)
{
	static const char text[] =
	    CLIENT LINK_A "[a]\nbindport=0\n[/]\nfoo=1\n";

	ck_assert_ptr_null(parse(text));
	ck_assert_uint_eq(errs.total, 4);
	ck_assert_uint_eq(errs.list[1].line, 8);
	ck_assert_uint_eq(errs.list[3].line, 10);
}
END_TEST

START_TEST(errors_never_repeat_a_secret)
{
	static const char *const lines[] = { "password = \"hunter2",
		"password = 'hunter2' hunter2", "password hunter2", "hunter2",
		"passwd = hunter2", "[hunter2", "password = hunter2\x01" };
	char text[200];
	size_t i, j;

	for (i = 0; i < nitems_of(lines); i++) {
		snprintf(text, sizeof(text), "[general]\nmode=client\n%s\n%s",
		    lines[i], LINK_A);
		ck_assert_ptr_null(parse(text));
		for (j = 0; j < errs.count; j++)
			ck_assert_msg(
			    strstr(errs.list[j].text, "hunter2") == NULL, "%s",
			    errs.list[j].text);
	}
}
END_TEST

START_TEST(long_values_are_cut_and_escaped)
{
	char text[3000], value[1200];

	memset(value, '\xfe', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	snprintf(text, sizeof(text), CLIENT LINK_A "bindhost=%s\n", value);
	bad(text, 7, "bindhost = \\xfe\\xfe");
	memset(value, 'a', sizeof(value) - 1);
	snprintf(text, sizeof(text), CLIENT LINK_A "bindhost=%s\n", value);
	bad(text, 7, "aaa...: expected an address");
	snprintf(text, sizeof(text), CLIENT LINK_A "%s=1\n", value);
	bad(text, 7, "aaa...: unknown key");
}
END_TEST

Suite *
conf_suite(void)
{
	Suite *s = suite_create("conf");
	TCase *tc = tcase_create("lines");

	tcase_add_test(tc, smallest_files_have_all_defaults);
	tcase_add_test(tc, values_are_stored);
	tcase_add_test(tc, quotes_and_comments_end_where_they_should);
	tcase_add_test(tc, bom_crlf_blanks_and_comments_are_fine);
	tcase_add_test(tc, malformed_lines_are_refused);
	tcase_add_test(tc, nul_bytes_are_refused);
	tcase_add_test(tc, overlong_lines_and_files_are_refused);
	tcase_add_test(tc, keys_of_the_other_section_and_slips_are_named);
	tcase_add_test(tc, all_errors_come_at_once_and_in_order);
	tcase_add_test(tc, sections_that_are_not_kept_are_still_checked);
	tcase_add_test(tc, errors_never_repeat_a_secret);
	tcase_add_test(tc, long_values_are_cut_and_escaped);
	suite_add_tcase(s, tc);
	tc = tcase_create("check");
	tcase_add_test(tc, sections_stand_once);
	tcase_add_test(tc, sixteen_links_are_the_most);
	tcase_add_test(tc, missing_keys_point_to_their_section);
	tcase_add_test(tc, server_links_wait);
	tcase_add_test(tc, colliding_sockets_are_found);
	tcase_add_test(tc, addresses_go_together);
	tcase_add_test(tc, routes_are_sorted_and_bounded);
	suite_add_tcase(s, tc);
	return s;
}
