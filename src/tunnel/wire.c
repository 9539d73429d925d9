/*
 * Fields of the wire in and out of host structures; see wire.h for the layout
 * and doc/ for the tables.  Nothing here trusts or keeps anything.
 */
#include "config.h"

#include "tunnel/wire.h"

#define STAMP_SPAN (WIRE_STAMP_UNIT * (WIRE_STAMP_MASK + 1))
/* From 20 bits to 32, which wrap by themselves. */
#define DELAY_SHIFT 12

void
wire_put_header(uint8_t out[WIRE_HEADER_LEN], const struct wire_header *h)
{
	out[0] = h->type;
	out[1] = h->epoch;
	put_be48(out + 2, h->seq);
}

bool
wire_is_sealed(uint8_t type)
{
	return type >= WIRE_DATA && type <= WIRE_PARITY;
}

int
wire_get_header(struct wire_header *h, const uint8_t *p, size_t len)
{
	*h = (struct wire_header){ 0 };
	if (len < WIRE_HEADER_LEN || p[0] < WIRE_HELLO || p[0] > WIRE_PARITY)
		return -1;
	h->type = p[0];
	if (wire_is_sealed(h->type)) {
		h->epoch = p[1];
		h->seq = get_be48(p + 2);
	}
	return 0;
}

void
wire_put_inner(
    uint8_t out[WIRE_INNER_LEN], bool control, const struct wire_inner *in)
{
	uint32_t high;

	if (control)
		high = (uint32_t)(in->control & 0xf) << 28 |
		       (uint32_t)in->echo_held << 20 |
		       (in->echo_stamp & WIRE_STAMP_MASK);
	else
		high = (uint32_t)(in->bucket & 0x3ff) << 22 |
		       (in->bucket_seq & 0x3fffff);
	put_be32(out, high);
	put_be32(out + 4, (in->stamp & WIRE_STAMP_MASK) << 12 |
			      (uint32_t)(in->link & 0xf) << 8 | in->flags);
}

void
wire_get_inner(
    struct wire_inner *in, bool control, const uint8_t p[WIRE_INNER_LEN])
{
	uint32_t high = get_be32(p), low = get_be32(p + 4);

	*in = (struct wire_inner){ 0 };
	if (control) {
		in->control = (uint8_t)(high >> 28);
		in->echo_held = high >> 20 & 0xff;
		in->echo_stamp = high & WIRE_STAMP_MASK;
	} else {
		in->bucket = (uint16_t)(high >> 22);
		in->bucket_seq = high & 0x3fffff;
	}
	in->stamp = low >> 12;
	in->link = low >> 8 & 0xf;
	in->flags = low & 0xff;
}

void
wire_put_counts(uint8_t out[WIRE_COUNTS_LEN], const struct wire_counts *c)
{
	put_be64(out, c->highest);
	put_be64(out + 8, c->received);
	put_be64(out + 16, c->restored);
}

void
wire_get_counts(struct wire_counts *c, const uint8_t p[WIRE_COUNTS_LEN])
{
	c->highest = get_be64(p);
	c->received = get_be64(p + 8);
	c->restored = get_be64(p + 16);
}

uint32_t
wire_stamp(mono_t now)
{
	return (uint32_t)(now / WIRE_STAMP_UNIT) & WIRE_STAMP_MASK;
}

mono_t
wire_stamp_age(uint32_t stamp, mono_t now)
{
	uint32_t units = (wire_stamp(now) - stamp) & WIRE_STAMP_MASK;

	return units * WIRE_STAMP_UNIT + now % WIRE_STAMP_UNIT;
}

mono_t
wire_stamp_diff(uint32_t a, uint32_t b)
{
	return wire_delay_diff(a << DELAY_SHIFT, b << DELAY_SHIFT);
}

uint32_t
wire_delay(uint32_t stamp, mono_t now)
{
	return (wire_stamp(now) - stamp) << DELAY_SHIFT;
}

mono_t
wire_delay_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) * WIRE_STAMP_UNIT / (INT64_C(1) << DELAY_SHIFT);
}

uint32_t
wire_delay_mean(uint32_t mean, uint32_t delay, int32_t part)
{
	return mean + (uint32_t)((int32_t)(delay - mean) / part);
}

uint32_t
wire_stamp_echo(uint32_t stamp, mono_t received_at, mono_t now)
{
	return (stamp + wire_stamp(now - received_at)) & WIRE_STAMP_MASK;
}

mono_t
wire_stamp_rtt(uint32_t echo_stamp, mono_t now)
{
	mono_t age = wire_stamp_age(echo_stamp, now);

	return age > STAMP_SPAN - NSEC_PER_SEC ? 0 : age;
}
