/*
 * Clock, addresses, big-endian fields, the processor.
 */
#include "config.h"

#include <sys/socket.h>

#include <netinet/in.h>

#include <check.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"

Suite *util_suite(void);

/* The address of a numeric host that must be one. */
static union addr
make(const char *host, uint16_t port)
{
	union addr a;

	ck_assert_int_eq(addr_from_text(&a, host, port), 0);
	return a;
}

START_TEST(clock_goes_forward)
{
	mono_t a = mono_now(), b = mono_now();

	ck_assert_int_gt(a, 0);
	ck_assert_int_ge(b, a);
}
END_TEST

START_TEST(address_survives_text)
{
	static const struct {
		const char *host, *text;
		uint16_t port;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1:5080", 5080 },
		{ "0.0.0.0", "0.0.0.0:0", 0 },
		{ "2001:db8::1", "[2001:db8::1]:65535", 65535 },
		{ "::", "[::]:1", 1 },
		{ "::ffff:192.0.2.1", "192.0.2.1:7", 7 },
		{ "fe80::1%lo", "[fe80::1%1]:7", 7 },
		{ "fe80::1%4294967295", "[fe80::1%4294967295]:7", 7 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295",
		    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]"
		    ":65535",
		    65535 },
	};
	char buf[ADDRTEXT_MAX];
	union addr a;
	size_t i;

	for (i = 0; i < nitems_of(cases); i++) {
		a = make(cases[i].host, cases[i].port);
		ck_assert_str_eq(addr_text(&a, buf), cases[i].text);
		ck_assert_uint_eq(addr_port(&a), cases[i].port);
	}
	memset(&a, 0, sizeof(a));
	ck_assert_str_eq(addr_text(&a, buf), "none");
}
END_TEST

START_TEST(names_and_rubbish_are_no_address)
{
	static const char *const cases[] = { "", "localhost", "1.2.3",
		"256.1.1.1", "1.2.3.4%lo", "fe80::1%", "fe80::1%nosuchdev0",
		"fe80::1%0", "fe80::1%4294967296", "[::1]", "::1 ", ":",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc" };
	union addr a;
	size_t i;

	for (i = 0; i < nitems_of(cases); i++) {
		ck_assert_msg(
		    addr_from_text(&a, cases[i], 1) == -1, "%s", cases[i]);
		ck_assert_int_eq(a.sa.sa_family, AF_UNSPEC);
	}
}
END_TEST

START_TEST(mapped_address_equals_its_plain_one)
{
	union addr plain = make("192.0.2.1", 5080), mapped = plain, back;

	addr_map6(&mapped);
	ck_assert_int_eq(mapped.sa.sa_family, AF_INET6);
	ck_assert_uint_eq(addr_len(&mapped), sizeof(struct sockaddr_in6));
	ck_assert_uint_eq(addr_port(&mapped), 5080);
	ck_assert(addr_equal(&plain, &mapped));
	back = mapped;
	addr_unmap(&back);
	ck_assert_int_eq(back.sa.sa_family, AF_INET);
	ck_assert_uint_eq(addr_len(&back), sizeof(struct sockaddr_in));
	ck_assert(memcmp(&back.in4, &plain.in4, sizeof(plain.in4)) == 0);
}
END_TEST

START_TEST(mapping_leaves_ip6_and_nothing_alone)
{
	union addr a = make("2001:db8::1", 1), b = a, none;

	addr_map6(&b);
	addr_unmap(&b);
	ck_assert(addr_equal(&a, &b));
	memset(&none, 0, sizeof(none));
	addr_map6(&none);
	addr_unmap(&none);
	addr_set_port(&none, 7);
	ck_assert_int_eq(none.sa.sa_family, AF_UNSPEC);
	ck_assert_uint_eq(addr_len(&none), 0);
	ck_assert_uint_eq(addr_port(&none), 0);
	ck_assert(!addr_equal(&a, &none));
	ck_assert(addr_equal(&none, &none));
}
END_TEST

START_TEST(equality_takes_host_port_and_scope)
{
	union addr a = make("fe80::1", 5), b = a;

	ck_assert(addr_equal(&a, &b));
	addr_set_port(&b, 6);
	ck_assert(!addr_equal(&a, &b));
	ck_assert(addr_same_host(&a, &b));
	b = a;
	b.in6.sin6_scope_id = 3;
	ck_assert(!addr_equal(&a, &b));
	b = a;
	b.in6.sin6_flowinfo = 3;
	ck_assert(addr_equal(&a, &b));
	b = make("192.0.2.1", 5);
	a = make("192.0.2.2", 5);
	ck_assert(!addr_same_host(&a, &b));
}
END_TEST

START_TEST(kernel_addresses_are_checked)
{
	union addr a = make("192.0.2.1", 5), b;
	struct sockaddr sa;

	ck_assert_int_eq(addr_from_sockaddr(&b, &a.sa, addr_len(&a)), 0);
	ck_assert(addr_equal(&a, &b));
	ck_assert_int_eq(addr_from_sockaddr(&b, &a.sa, 3), -1);
	ck_assert_int_eq(addr_from_sockaddr(&b, &a.sa, 0), -1);
	a = make("2001:db8::1", 5);
	ck_assert_int_eq(
	    addr_from_sockaddr(&b, &a.sa, sizeof(struct sockaddr_in)), -1);
	ck_assert_int_eq(addr_from_sockaddr(&b, &a.sa, sizeof(a)), 0);
	ck_assert(addr_equal(&a, &b));
	memset(&sa, 0, sizeof(sa));
	sa.sa_family = AF_UNIX;
	ck_assert_int_eq(addr_from_sockaddr(&b, &sa, sizeof(sa)), -1);
}
END_TEST

START_TEST(fields_are_big_endian)
{
	static const uint8_t bytes[] = { 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
		0x87, 0x88 };
	uint8_t out[8];

	ck_assert_uint_eq(get_be16(bytes), 0x8182);
	ck_assert_uint_eq(get_be32(bytes), 0x81828384);
	ck_assert(get_be48(bytes) == UINT64_C(0x818283848586));
	ck_assert(get_be64(bytes) == UINT64_C(0x8182838485868788));
	put_be16(out, 0x8182);
	ck_assert_mem_eq(out, bytes, 2);
	put_be32(out, 0x81828384);
	ck_assert_mem_eq(out, bytes, 4);
	put_be48(out, UINT64_C(0x818283848586));
	ck_assert_mem_eq(out, bytes, 6);
	put_be64(out, UINT64_C(0x8182838485868788));
	ck_assert_mem_eq(out, bytes, 8);
}
END_TEST

START_TEST(processor_gives_the_same_answer_twice)
{
	ck_assert(cpu_has_aes() == cpu_has_aes());
}
END_TEST

Suite *
util_suite(void)
{
	Suite *s = suite_create("util");
	TCase *tc = tcase_create("util");

	tcase_add_test(tc, clock_goes_forward);
	tcase_add_test(tc, address_survives_text);
	tcase_add_test(tc, names_and_rubbish_are_no_address);
	tcase_add_test(tc, mapped_address_equals_its_plain_one);
	tcase_add_test(tc, mapping_leaves_ip6_and_nothing_alone);
	tcase_add_test(tc, equality_takes_host_port_and_scope);
	tcase_add_test(tc, kernel_addresses_are_checked);
	tcase_add_test(tc, fields_are_big_endian);
	tcase_add_test(tc, processor_gives_the_same_answer_twice);
	suite_add_tcase(s, tc);
	return s;
}
