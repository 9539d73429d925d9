/*
 * Rates, times, sizes: exact, or refused.
 */
#include "config.h"

#include <check.h>
#include <inttypes.h>

#include "base/units.h"
#include "base/util.h"

Suite *units_suite(void);

struct good {
	const char *text;
	uint64_t value;
};

static int
size_in_mib(const char *text, uint64_t *bytes)
{
	return units_size(text, 1 << 20, bytes);
}

static int
port_number(const char *text, uint64_t *number)
{
	return units_number(text, 65535, number);
}

static void
accepts(int (*parse)(const char *, uint64_t *), const struct good *cases,
    size_t count)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < count; i++) {
		value = 42;
		ck_assert_msg(
		    parse(cases[i].text, &value) == 0, "%s", cases[i].text);
		ck_assert_msg(value == cases[i].value, "%s gives %" PRIu64,
		    cases[i].text, value);
	}
}

static void
refuses(int (*parse)(const char *, uint64_t *), const char *const *cases,
    size_t count)
{
	uint64_t value = 42;
	size_t i;

	for (i = 0; i < count; i++) {
		ck_assert_msg(
		    parse(cases[i], &value) == -1, "\"%s\"", cases[i]);
		ck_assert(value == 42);
	}
}

START_TEST(rates_are_exact)
{
	static const struct good cases[] = {
		{ "0", 0 },
		{ "640000", 640000 },
		{ "5mbit", 625000 },
		{ "5 Mbit", 625000 },
		{ "600kbit", 75000 },
		{ "256KBIT", 32000 },
		{ "1gbit", 125000000 },
		{ "2.5mbit", 312500 },
		{ "0.256mbit", 32000 },
		{ "1.000000001gbit", 125000000 },
		{ "9.7mbit", 1212500 },
		{ "0.1kbit", 12 },
		{ "18446744073709551615", UINT64_MAX },
	};

	accepts(units_rate, cases, nitems_of(cases));
}
END_TEST

START_TEST(what_is_no_rate_is_refused)
{
	static const char *const cases[] = { "", " ", "mbit", "5mbps",
		"5mbit/s", "5 ", "5  mbit", " 5mbit", "-1", "+1", "1e6", "0x10",
		"1.5", "1.mbit", ".5mbit", "1.2.3mbit", "1,5mbit", "5m",
		"5mbits", "1.0000000001mbit", "18446744073709551616",
		"99999999999999999999999", "147573952589676413gbit",
		"18446744073709551615kbit", "nan", "inf" };

	refuses(units_rate, cases, nitems_of(cases));
}
END_TEST

START_TEST(times_are_seconds_or_ms)
{
	static const struct good cases[] = {
		{ "10", 10000 },
		{ "10s", 10000 },
		{ "10 s", 10000 },
		{ "1500ms", 1500 },
		{ "0", 0 },
	};
	static const char *const bad[] = { "", "0.5", "1.5s", "5min", "5 m",
		"-5", "ms", "18446744073709551615s" };

	accepts(units_duration, cases, nitems_of(cases));
	refuses(units_duration, bad, nitems_of(bad));
}
END_TEST

START_TEST(sizes_are_in_powers_of_1024)
{
	static const struct good cases[] = {
		{ "64", UINT64_C(64) << 20 },
		{ "512k", 512 << 10 },
		{ "512 KiB", 512 << 10 },
		{ "64m", 64 << 20 },
		{ "1.5g", UINT64_C(3) << 29 },
		{ "1.5GiB", UINT64_C(3) << 29 },
		{ "0.999999999g", 1073741822 },
	};
	static const char *const bad[] = { "", "1.5", "1t", "64b", "64mb", "-1",
		"17592186044416", "17179869184g", "64 " };

	accepts(size_in_mib, cases, nitems_of(cases));
	refuses(size_in_mib, bad, nitems_of(bad));
}
END_TEST

START_TEST(numbers_are_digits_within_bounds)
{
	static const struct good cases[] = {
		{ "0", 0 },
		{ "00080", 80 },
		{ "65535", 65535 },
	};
	static const char *const bad[] = { "", "65536", "-1", "+1", " 1", "1 ",
		"1k", "0x10", "1.0", "18446744073709551617" };

	accepts(port_number, cases, nitems_of(cases));
	refuses(port_number, bad, nitems_of(bad));
}
END_TEST

START_TEST(rates_are_shown_in_three_figures)
{
	static const struct {
		uint64_t Bps;
		const char *text;
	} cases[] = {
		{ 0, "0 kbit/s" },
		{ 32000, "256 kbit/s" },
		{ 75, "0.6 kbit/s" },
		{ 625000, "5 Mbit/s" },
		{ 312500, "2.5 Mbit/s" },
		{ 6037500, "48.3 Mbit/s" },
		{ 12512499, "100 Mbit/s" },
		{ 125000000, "1 Gbit/s" },
		{ UINT64_MAX, "147573952590 Gbit/s" },
	};
	char buf[RATETEXT_MAX];
	size_t i;

	for (i = 0; i < nitems_of(cases); i++)
		ck_assert_str_eq(
		    units_rate_text(cases[i].Bps, buf), cases[i].text);
}
END_TEST

Suite *
units_suite(void)
{
	Suite *s = suite_create("units");
	TCase *tc = tcase_create("units");

	tcase_add_test(tc, rates_are_exact);
	tcase_add_test(tc, what_is_no_rate_is_refused);
	tcase_add_test(tc, times_are_seconds_or_ms);
	tcase_add_test(tc, sizes_are_in_powers_of_1024);
	tcase_add_test(tc, numbers_are_digits_within_bounds);
	tcase_add_test(tc, rates_are_shown_in_three_figures);
	suite_add_tcase(s, tc);
	return s;
}
