/*
 * Rates, times and sizes as an administrator writes them.  Integer arithmetic
 * only: what is written is what is paced.
 */
#ifndef MLVPN_BASE_UNITS_H
#define MLVPN_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define RATETEXT_MAX 32

/*
 * Each returns 0, or -1 (nothing changed) for what is no number, carries an
 * unknown unit or does not fit.  Units may be in capitals and follow a blank.
 */

/* 640000 (bytes per second), 600kbit, 2.5mbit, 1gbit; bits in powers of 1000.
 */
int units_rate(const char *text, uint64_t *Bps);
/* 10 or 10s (whole seconds), 1500ms. */
int units_duration(const char *text, uint64_t *ms);
/* 64 (of the unit that a bare number has), 512k, 64m, 1.5g, KiB, MiB, GiB;
 * powers of 1024. */
int units_size(const char *text, uint64_t bare_unit, uint64_t *bytes);
/* Decimal digits only, at most max. */
int units_number(const char *text, uint64_t max, uint64_t *number);

/* "512 kbit/s", "48.3 Mbit/s"; returns buf. */
const char *units_rate_text(uint64_t Bps, char buf[RATETEXT_MAX]);

#endif
