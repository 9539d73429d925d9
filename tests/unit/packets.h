/*
 * Inner packets for the tests of flow, icmp and fq.
 */
#ifndef MLVPN_TESTS_PACKETS_H
#define MLVPN_TESTS_PACKETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

#define PACKET_SPORT 1000
#define PACKET_DPORT 2000

struct packet {
	uint8_t bytes[2048];
	size_t len;
	size_t l4; /* offset of the transport header */
	unsigned version;
};

/* The Internet checksum, as plain as can be. */
static inline uint16_t
packet_checksum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void
packet_set_tos(struct packet *p, uint8_t tos)
{
	if (p->version == 4) {
		p->bytes[1] = tos;
		put_be16(p->bytes + 10, 0);
		put_be16(p->bytes + 10, packet_checksum(p->bytes, 20, 0));
	} else {
		p->bytes[0] = (uint8_t)(0x60 | tos >> 4);
		p->bytes[1] = (uint8_t)(tos << 4 | (p->bytes[1] & 15));
	}
}

/* From 192.0.2.1 to 198.51.100.7 or 2001:db8::1 to 2001:db8:1::7. */
static inline void
packet_ip(struct packet *p, unsigned version, uint8_t proto, size_t payload)
{
	static const uint8_t addrs4[] = { 192, 0, 2, 1, 198, 51, 100, 7 };
	static const uint8_t addrs6[] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 1, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 7 };

	memset(p, 0, sizeof(*p));
	p->version = version;
	p->l4 = version == 4 ? 20 : 40;
	p->len = p->l4 + payload;
	if (version == 4) {
		p->bytes[0] = 0x45;
		put_be16(p->bytes + 2, (uint16_t)p->len);
		p->bytes[8] = 64;
		p->bytes[9] = proto;
		memcpy(p->bytes + 12, addrs4, 8);
	} else {
		put_be16(p->bytes + 4, (uint16_t)payload);
		p->bytes[6] = proto;
		p->bytes[7] = 64;
		memcpy(p->bytes + 8, addrs6, 32);
	}
	packet_set_tos(p, 0);
	put_be16(p->bytes + p->l4, PACKET_SPORT);
	put_be16(p->bytes + p->l4 + 2, PACKET_DPORT);
}

/* Puts an extension header of len bytes right behind an IPv6 header. */
static inline void
packet_extend(struct packet *p, uint8_t type, size_t len)
{
	memmove(p->bytes + 40 + len, p->bytes + 40, p->len - 40);
	memset(p->bytes + 40, 0, len);
	p->bytes[40] = p->bytes[6];
	p->bytes[41] = (uint8_t)(type == 51 ? len / 4 - 2 : len / 8 - 1);
	p->bytes[6] = type;
	p->len += len;
	p->l4 += len;
}

/* Puts an Ethernet header with so many VLAN tags before it. */
static inline void
packet_frame(struct packet *p, uint16_t type, unsigned tags)
{
	static const uint8_t macs[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	size_t len = 14 + 4 * tags;

	memmove(p->bytes + len, p->bytes, p->len);
	memcpy(p->bytes, macs, sizeof(macs));
	for (unsigned i = 0; i < tags; i++) {
		put_be16(p->bytes + 12 + 4 * i, i == 0 ? 0x8100 : 0x88a8);
		put_be16(p->bytes + 14 + 4 * i, (uint16_t)(i + 100));
	}
	put_be16(p->bytes + len - 2, type);
	p->len += len;
	p->l4 += len;
}

#endif
