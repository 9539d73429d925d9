/*
 * Reports: the bytes of a link's part, what is left out where room is short,
 * and what is not believed.
 */
#include "config.h"

#include <string.h>

#include <check.h>

#include "hex.h"
#include "tunnel/report.h"
#include "tunnel/wire.h"

Suite *report_suite(void);

#define HIGHEST UINT64_C(0x0102030405f6)

static struct report_link
example(void)
{
	return (struct report_link){ .link = 5,
		.highest = HIGHEST,
		.floor = HIGHEST - 0x1234,
		.packets = 0xfedcba98,
		.bytes = 0x13579bdf,
		.owd_min = 0xabcde,
		.owd_last = 0x12345,
		.nholes = 2,
		.holes = { { HIGHEST - 3, 2, true },
		    { HIGHEST - 0x1234, 127, false } } };
}

#define EXAMPLE                                                                \
	"05"                                                                   \
	"0102030405f6"                                                         \
	"fedcba98"                                                             \
	"13579bdf"                                                             \
	"0abcde"                                                               \
	"012345"                                                               \
	"1234"                                                                 \
	"02"                                                                   \
	"000282"                                                               \
	"11b67f"

static void
assert_same(const struct report_link *a, const struct report_link *b)
{
	ck_assert_uint_eq(a->link, b->link);
	ck_assert_uint_eq(a->highest, b->highest);
	ck_assert_uint_eq(a->floor, b->floor);
	ck_assert_uint_eq(a->packets, b->packets);
	ck_assert_uint_eq(a->bytes, b->bytes);
	ck_assert_uint_eq(a->owd_min, b->owd_min);
	ck_assert_uint_eq(a->owd_last, b->owd_last);
	ck_assert_uint_eq(a->nholes, b->nholes);
	for (size_t i = 0; i < a->nholes; i++) {
		ck_assert_uint_eq(a->holes[i].first, b->holes[i].first);
		ck_assert_uint_eq(a->holes[i].count, b->holes[i].count);
		ck_assert(a->holes[i].pending == b->holes[i].pending);
	}
}

START_TEST(a_report_is_big_endian)
{
	struct report_link r = example(), got;
	uint8_t out[REPORT_MAX];
	size_t len = report_put(out, sizeof(out), &r);

	ck_assert_hex(out, len, EXAMPLE);
	ck_assert_uint_eq(report_get(&got, out, len), len);
	assert_same(&got, &r);
}
END_TEST

START_TEST(the_greatest_values_fit)
{
	struct report_link got, r = { .link = 15,
		.highest = WIRE_SEQ_MAX,
		.floor = WIRE_SEQ_MAX - REPORT_REACH,
		.packets = UINT32_MAX,
		.bytes = UINT32_MAX,
		.owd_min = WIRE_STAMP_MASK,
		.owd_last = WIRE_STAMP_MASK };
	uint8_t out[REPORT_MAX];
	size_t len;

	r.nholes = REPORT_HOLES;
	for (size_t i = 0; i < REPORT_HOLES; i++)
		r.holes[i] = (struct report_hole){ WIRE_SEQ_MAX - 129 - i * 128,
			REPORT_HOLE_MAX, i % 2 == 0 };
	r.holes[REPORT_HOLES - 1].first = r.floor;
	len = report_put(out, sizeof(out), &r);
	ck_assert_uint_eq(
	    len, REPORT_LINK_LEN + REPORT_HOLES * REPORT_HOLE_LEN);
	ck_assert_uint_eq(report_get(&got, out, len), len);
	assert_same(&got, &r);
}
END_TEST

START_TEST(the_least_values_fit)
{
	struct report_link r = { 0 }, got;
	uint8_t out[REPORT_LINK_LEN];

	ck_assert_uint_eq(
	    report_put(out, sizeof(out), &r), (size_t)REPORT_LINK_LEN);
	ck_assert_uint_eq(
	    report_get(&got, out, sizeof(out)), (size_t)REPORT_LINK_LEN);
	assert_same(&got, &r);
}
END_TEST

START_TEST(parts_follow_each_other)
{
	struct report_link a = example(), b = example(), got;
	uint8_t out[REPORT_MAX];
	size_t first, second;

	b.link = 6;
	b.nholes = 1;
	first = report_put(out, sizeof(out), &a);
	second = report_put(out + first, sizeof(out) - first, &b);
	ck_assert_uint_eq(second, first - REPORT_HOLE_LEN);
	ck_assert_uint_eq(report_get(&got, out, first + second), first);
	assert_same(&got, &a);
	ck_assert_uint_eq(report_get(&got, out + first, second), second);
	assert_same(&got, &b);
	ck_assert_uint_eq(report_get(&got, out + first + second, 0), 0);
}
END_TEST

START_TEST(all_links_fit_into_one_payload)
{
	struct report_link r = example();
	uint8_t out[REPORT_MAX];
	size_t len, total = 0;

	for (r.link = 0; r.link < LINKS_MAX; r.link++) {
		len = report_put(out + total, sizeof(out) - total, &r);
		ck_assert_uint_gt(len, 0);
		total += len;
	}
}
END_TEST

START_TEST(short_room_leaves_the_lowest_holes_out)
{
	struct report_link r = example(), got;
	uint8_t out[REPORT_MAX];
	size_t len;

	len = report_put(out, REPORT_LINK_LEN + 2 * REPORT_HOLE_LEN - 1, &r);
	ck_assert_uint_eq(len, REPORT_LINK_LEN + REPORT_HOLE_LEN);
	ck_assert_uint_eq(report_get(&got, out, len), len);
	ck_assert_uint_eq(got.nholes, 1);
	ck_assert_uint_eq(got.holes[0].first, HIGHEST - 3);
	ck_assert_uint_eq(got.floor, HIGHEST - 0x1234 + 127);
	len = report_put(out, REPORT_LINK_LEN, &r);
	ck_assert_uint_eq(report_get(&got, out, len), REPORT_LINK_LEN);
	ck_assert_uint_eq(got.nholes, 0);
	ck_assert_uint_eq(got.floor, HIGHEST - 1);
}
END_TEST

START_TEST(without_room_for_the_fixed_part_there_is_none)
{
	struct report_link r = example();
	uint8_t out[REPORT_LINK_LEN - 1] = { 0xaa };

	for (size_t room = 0; room < REPORT_LINK_LEN; room++)
		ck_assert_uint_eq(report_put(out, room, &r), 0);
	ck_assert_uint_eq(out[0], 0xaa);
}
END_TEST

START_TEST(what_is_out_of_reach_is_below_the_floor)
{
	struct report_link r = example(), got;
	uint8_t out[REPORT_MAX];
	size_t len;

	r.floor = 0;
	r.holes[1].first = HIGHEST - REPORT_REACH - 1;
	r.holes[1].count = 2;
	len = report_put(out, sizeof(out), &r);
	ck_assert_uint_eq(report_get(&got, out, len), len);
	ck_assert_uint_eq(got.nholes, 1);
	ck_assert_uint_eq(got.floor, HIGHEST - REPORT_REACH + 1);
	r.nholes = 1;
	report_put(out, sizeof(out), &r);
	ck_assert_uint_eq(report_get(&got, out, len), len);
	ck_assert_uint_eq(got.floor, HIGHEST - REPORT_REACH);
}
END_TEST

START_TEST(a_floor_above_the_highest_is_at_the_highest)
{
	struct report_link r = example(), got;
	uint8_t out[REPORT_MAX];

	r.nholes = 0;
	r.floor = r.highest + 1;
	report_put(out, sizeof(out), &r);
	ck_assert_uint_gt(report_get(&got, out, REPORT_LINK_LEN), 0);
	ck_assert_uint_eq(got.floor, HIGHEST);
}
END_TEST

START_TEST(what_is_cut_short_is_refused)
{
	uint8_t p[HEX_MAX];
	size_t len = unhex(p, EXAMPLE);
	struct report_link r;

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_uint_eq(report_get(&r, p, cut), 0);
	ck_assert_uint_eq(report_get(&r, NULL, 0), 0);
	ck_assert_uint_eq(report_get(&r, p, len), len);
	ck_assert_uint_eq(report_get(&r, p, len + 100), len);
}
END_TEST

/* A report that changes one thing of what is right. */
static const struct {
	const char *what, *text;
	bool good;
} texts[] = {
/* clang-format off */
#define FIXED "000000000064" "00000000" "00000000"
	{ "nothing wrong", "00" FIXED "000000" "000000" "0064" "00", true },
	{ "holes that touch",
	    "00" FIXED "000000" "000000" "0064" "02" "000102" "000303", true },
	{ "a hole down to the floor",
	    "00" FIXED "000000" "000000" "0064" "01" "000164", true },
	{ "a pending hole",
	    "00" FIXED "000000" "000000" "0064" "01" "000181", true },
	{ "link 16", "10" FIXED "000000" "000000" "0064" "00", false },
	{ "link 255", "ff" FIXED "000000" "000000" "0064" "00", false },
	{ "least delay of 21 bits",
	    "00" FIXED "100000" "000000" "0064" "00", false },
	{ "last delay of 24 bits",
	    "00" FIXED "000000" "800000" "0064" "00", false },
	{ "floor below 0", "00" FIXED "000000" "000000" "0065" "00", false },
	{ "floor far below 0", "00" FIXED "000000" "000000" "ffff" "00", false },
	{ "a hole at the highest",
	    "00" FIXED "000000" "000000" "0064" "01" "000001", false },
	{ "an empty hole",
	    "00" FIXED "000000" "000000" "0064" "01" "000100", false },
	{ "an empty pending hole",
	    "00" FIXED "000000" "000000" "0064" "01" "000180", false },
	{ "a hole across the floor",
	    "00" FIXED "000000" "000000" "0010" "01" "001002", false },
	{ "a hole below the floor",
	    "00" FIXED "000000" "000000" "0010" "01" "002002", false },
	{ "a hole below 0",
	    "00" FIXED "000000" "000000" "0064" "01" "ffff7f", false },
	{ "the same hole twice",
	    "00" FIXED "000000" "000000" "0064" "02" "000201" "000201", false },
	{ "holes that overlap",
	    "00" FIXED "000000" "000000" "0064" "02" "000202" "000302", false },
	{ "holes out of order",
	    "00" FIXED "000000" "000000" "0064" "02" "000501" "000201", false },
	/* clang-format on */
};

START_TEST(what_contradicts_itself_is_refused)
{
	uint8_t p[HEX_MAX];
	size_t len = unhex(p, texts[_i].text);
	struct report_link r;

	ck_assert_msg(report_get(&r, p, len) == (texts[_i].good ? len : 0),
	    "%s", texts[_i].what);
}
END_TEST

START_TEST(as_many_holes_as_a_byte_counts_are_taken)
{
	uint8_t p[REPORT_LINK_LEN + 255 * REPORT_HOLE_LEN] = { 0 };
	struct report_link r;

	p[1] = 1;
	p[21] = 1;
	for (uint8_t i = 0; i < 255; i++) {
		p[REPORT_LINK_LEN + i * REPORT_HOLE_LEN + 1] = (uint8_t)(i + 1);
		p[REPORT_LINK_LEN + i * REPORT_HOLE_LEN + 2] = 1;
	}
	for (unsigned n = 0; n < 256; n++) {
		p[23] = (uint8_t)n;
		ck_assert_uint_eq(report_get(&r, p, sizeof(p)),
		    REPORT_LINK_LEN + n * REPORT_HOLE_LEN);
	}
}
END_TEST

Suite *
report_suite(void)
{
	Suite *s = suite_create("report");
	TCase *tc = tcase_create("report");

	tcase_add_test(tc, a_report_is_big_endian);
	tcase_add_test(tc, the_greatest_values_fit);
	tcase_add_test(tc, the_least_values_fit);
	tcase_add_test(tc, parts_follow_each_other);
	tcase_add_test(tc, all_links_fit_into_one_payload);
	tcase_add_test(tc, short_room_leaves_the_lowest_holes_out);
	tcase_add_test(tc, without_room_for_the_fixed_part_there_is_none);
	tcase_add_test(tc, what_is_out_of_reach_is_below_the_floor);
	tcase_add_test(tc, a_floor_above_the_highest_is_at_the_highest);
	tcase_add_test(tc, what_is_cut_short_is_refused);
	tcase_add_loop_test(
	    tc, what_contradicts_itself_is_refused, 0, nitems_of(texts));
	tcase_add_test(tc, as_many_holes_as_a_byte_counts_are_taken);
	suite_add_tcase(s, tc);
	return s;
}
