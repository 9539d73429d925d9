/*
 * Numbers with units.  A fraction is taken in billionths, so 2.5mbit is exact
 * and no floating point rounds a rate.
 */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"

#define BILLION UINT64_C(1000000000)
#define FRACTION_DIGITS 9

struct unit {
	const char *name;
	uint64_t factor;
	bool fraction; /* 2.5 of it is allowed */
};

static const struct unit rate_units[] = {
	{ "", 1, false },
	{ "kbit", 125, true },
	{ "mbit", 125000, true },
	{ "gbit", 125000000, true },
};

static const struct unit duration_units[] = {
	{ "", 1000, false },
	{ "s", 1000, false },
	{ "ms", 1, false },
};

static const struct unit size_units[] = {
	{ "k", 1 << 10, true },
	{ "kib", 1 << 10, true },
	{ "m", 1 << 20, true },
	{ "mib", 1 << 20, true },
	{ "g", 1 << 30, true },
	{ "gib", 1 << 30, true },
};

/* A decimal number: integer part, billionths, and where it ends. */
struct decimal {
	uint64_t whole;
	uint64_t billionths;
	bool has_fraction;
	const char *end;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
parse_decimal(const char *p, struct decimal *d)
{
	uint64_t scale = BILLION;

	memset(d, 0, sizeof(*d));
	if (!is_digit(*p))
		return -1;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(d->whole, 10, &d->whole) ||
		    __builtin_add_overflow(
			d->whole, (unsigned)(*p - '0'), &d->whole))
			return -1;
	if (*p == '.') {
		d->has_fraction = true;
		p++;
		if (!is_digit(*p))
			return -1;
		for (; is_digit(*p); p++) {
			scale /= 10;
			if (scale == 0)
				return -1;
			d->billionths += (unsigned)(*p - '0') * scale;
		}
	}
	d->end = p;
	return 0;
}

/* factor stays below 2^33, so that the fraction fits into 64 bits. */
static int
multiply(const struct decimal *d, uint64_t factor, uint64_t *result)
{
	uint64_t value;

	if (__builtin_mul_overflow(d->whole, factor, &value) ||
	    __builtin_add_overflow(
		value, d->billionths * factor / BILLION, &value))
		return -1;
	*result = value;
	return 0;
}

static int
parse_units(
    const char *text, const struct unit *units, size_t nunits, uint64_t *result)
{
	struct decimal d;
	size_t i;

	if (parse_decimal(text, &d) == -1)
		return -1;
	if (*d.end == ' ' && d.end[1] != '\0')
		d.end++;
	for (i = 0; i < nunits; i++)
		if (strcasecmp(d.end, units[i].name) == 0)
			break;
	if (i == nunits || (d.has_fraction && !units[i].fraction))
		return -1;
	return multiply(&d, units[i].factor, result);
}

int
units_rate(const char *text, uint64_t *Bps)
{
	return parse_units(
	    text, rate_units, sizeof(rate_units) / sizeof(rate_units[0]), Bps);
}

int
units_duration(const char *text, uint64_t *ms)
{
	return parse_units(text, duration_units,
	    sizeof(duration_units) / sizeof(duration_units[0]), ms);
}

int
units_size(const char *text, uint64_t bare_unit, uint64_t *bytes)
{
	struct decimal d;

	if (parse_decimal(text, &d) == -1)
		return -1;
	if (*d.end == '\0') {
		if (d.has_fraction)
			return -1;
		return multiply(&d, bare_unit, bytes);
	}
	return parse_units(text, size_units,
	    sizeof(size_units) / sizeof(size_units[0]), bytes);
}

int
units_number(const char *text, uint64_t max, uint64_t *number)
{
	struct decimal d;

	if (parse_decimal(text, &d) == -1 || *d.end != '\0' || d.has_fraction ||
	    d.whole > max)
		return -1;
	*number = d.whole;
	return 0;
}

const char *
units_rate_text(uint64_t Bps, char buf[RATETEXT_MAX])
{
	static const struct {
		const char *name;
		uint64_t Bps;
	} units[] = {
		{ "Gbit/s", 125000000 },
		{ "Mbit/s", 125000 },
		{ "kbit/s", 125 },
	};
	size_t i = 0;
	uint64_t tenths;

	while (i < 2 && Bps < units[i].Bps)
		i++;
	/* whole units first: Bps * 10 could overflow */
	tenths = Bps / units[i].Bps * 10 +
		 (Bps % units[i].Bps * 10 + units[i].Bps / 2) / units[i].Bps;
	if (tenths >= 1000 || tenths % 10 == 0)
		snprintf(buf, RATETEXT_MAX, "%" PRIu64 " %s", (tenths + 5) / 10,
		    units[i].name);
	else
		snprintf(buf, RATETEXT_MAX, "%" PRIu64 ".%u %s", tenths / 10,
		    (unsigned)(tenths % 10), units[i].name);
	return buf;
}
