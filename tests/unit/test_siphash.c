/*
 * SipHash against the vectors of its authors: key 00..0f, input 00..n-1.
 */
#include "config.h"

#include <stdint.h>

#include <check.h>

#include "base/siphash.h"
#include "base/util.h"

Suite *siphash_suite(void);

#define K0 UINT64_C(0x0706050403020100)
#define K1 UINT64_C(0x0f0e0d0c0b0a0908)

static const struct {
	size_t len;
	uint64_t hash;
} vectors[] = {
	{ 0, UINT64_C(0x726fdb47dd0e0e31) },
	{ 1, UINT64_C(0x74f839c593dc67fd) },
	{ 2, UINT64_C(0x0d6c8009d9a94f5a) },
	{ 3, UINT64_C(0x85676696d7fb7e2d) },
	{ 4, UINT64_C(0xcf2794e0277187b7) },
	{ 5, UINT64_C(0x18765564cd99a68d) },
	{ 6, UINT64_C(0xcbc9466e58fee3ce) },
	{ 7, UINT64_C(0xab0200f58b01d137) },
	{ 8, UINT64_C(0x93f5f5799a932462) },
	{ 15, UINT64_C(0xa129ca6149be45e5) },
	{ 63, UINT64_C(0x958a324ceb064572) },
};

START_TEST(agrees_with_the_authors)
{
	uint8_t in[64];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < nitems_of(vectors); i++)
		ck_assert_uint_eq(
		    siphash24(K0, K1, in, vectors[i].len), vectors[i].hash);
}
END_TEST

START_TEST(depends_on_both_halves_of_the_key)
{
	ck_assert_uint_ne(siphash24(1, 0, "a", 1), siphash24(0, 0, "a", 1));
	ck_assert_uint_ne(siphash24(0, 1, "a", 1), siphash24(0, 0, "a", 1));
}
END_TEST

Suite *
siphash_suite(void)
{
	Suite *s = suite_create("siphash");
	TCase *tc = tcase_create("siphash");

	tcase_add_test(tc, agrees_with_the_authors);
	tcase_add_test(tc, depends_on_both_halves_of_the_key);
	suite_add_tcase(s, tc);
	return s;
}
