/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a fast keyed hash, so that
 * nobody who lacks the key can aim inputs at one bucket of a table.
 */
#ifndef MLVPN_BASE_SIPHASH_H
#define MLVPN_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The key as two little-endian halves of its 16 bytes; the same value on every
 * machine. */
uint64_t siphash24(uint64_t k0, uint64_t k1, const void *data, size_t len);

#endif
