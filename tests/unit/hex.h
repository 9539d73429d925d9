/*
 * Bytes written as hexadecimal text, for tests with vectors.
 */
#ifndef MLVPN_TESTS_HEX_H
#define MLVPN_TESTS_HEX_H

#include <check.h>
#include <stdint.h>
#include <string.h>

#define HEX_MAX 512

static inline unsigned
hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* At most HEX_MAX bytes; returns how many. */
static inline size_t
unhex(uint8_t out[HEX_MAX], const char *text)
{
	size_t len = strlen(text) / 2;

	ck_assert_uint_le(len, HEX_MAX);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 |
				   hex_digit(text[2 * i + 1]));
	return len;
}

/* The len bytes at got are those of the text. */
static inline void
ck_assert_hex(const uint8_t *got, size_t len, const char *text)
{
	uint8_t want[HEX_MAX];

	ck_assert_uint_eq(len, unhex(want, text));
	ck_assert_mem_eq(got, want, len);
}

#endif
