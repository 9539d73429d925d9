/*
 * "Too big" answers.  They are built in the packet's own buffer: the packet is
 * moved up to make room for an IP and an ICMP header, and cut to the quote
 * that the RFCs allow.
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "tunnel/flow.h"

#define IP4_LEN 20
#define IP6_LEN 40
#define ICMP_LEN 8
#define ICMP4_TOTAL_MAX 576  /* RFC 1812, 4.3.2.3 */
#define ICMP6_TOTAL_MAX 1280 /* RFC 4443, 3.2 */
#define IP4_MTU_MIN 68
#define IP6_MTU_MIN 1280
#define IP4_DF 0x4000
#define TTL 64
#define TOS_CONTROL 0xc0 /* CS6, as routers mark their own messages */

/* The Internet checksum (RFC 1071) continued from sum. */
static uint32_t
checksum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 2; len -= 2, p += 2)
		sum += get_be16(p);
	if (len == 1)
		sum += (uint32_t)p[0] << 8;
	return sum;
}

static uint16_t
checksum_end(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Source and destination could be swapped: both are one host's. */
static bool
answerable4(const uint8_t *ip)
{
	return ip[12] != 0 && ip[12] != 127 && ip[12] < 224 && ip[16] != 0 &&
	       ip[16] != 127 && ip[16] < 224;
}

static bool
is_host6(const uint8_t *addr)
{
	static const uint8_t none[15];

	/* Neither multicast, nor :: or ::1. */
	return addr[0] != 0xff &&
	       (memcmp(addr, none, sizeof(none)) != 0 || addr[15] > 1);
}

/* Types which report an error; they never get an answer. */
static bool
is_error4(uint8_t type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool
is_error6(uint8_t type)
{
	return type < 128 || type == 137;
}

static bool
may_answer(const struct pktbuf *pb, const struct flow_info *info)
{
	const uint8_t *ip = pb->data + pb->l3_offset;
	bool icmp = info->proto ==
		    (pb->ip_version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	/* Frames to or from a group. */
	if (pb->l3_offset > 0 && ((pb->data[0] | pb->data[6]) & 1) != 0)
		return false;
	if (pb->ip_version == 6) {
		if (!is_host6(ip + 8) || !is_host6(ip + 24))
			return false;
		/* Nobody fragments an error, so a later fragment is none. */
		return !icmp || info->l4_offset == 0 ||
		       !is_error6(pb->data[info->l4_offset]);
	}
	if ((get_be16(ip + 6) & IP4_DF) == 0 || !answerable4(ip) ||
	    (get_be16(ip + 6) & 0x1fff) != 0)
		return false;
	return !icmp ||
	       (info->l4_offset != 0 && !is_error4(pb->data[info->l4_offset]));
}

static void
swap_macs(uint8_t *frame)
{
	uint8_t mac[6];

	memcpy(mac, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
}

/* The headers before a quote of quote_len bytes; p is the IP header. */
static void
put_headers4(uint8_t *p, size_t quote_len, uint32_t mtu_bytes)
{
	const uint8_t *quote = p + IP4_LEN + ICMP_LEN;
	uint8_t *icmp = p + IP4_LEN;

	memset(p, 0, IP4_LEN + ICMP_LEN);
	p[0] = 0x45;
	p[1] = TOS_CONTROL;
	put_be16(p + 2, (uint16_t)(IP4_LEN + ICMP_LEN + quote_len));
	p[8] = TTL;
	p[9] = IPPROTO_ICMP;
	memcpy(p + 12, quote + 16, 4);
	memcpy(p + 16, quote + 12, 4);
	put_be16(p + 10, checksum_end(checksum_add(0, p, IP4_LEN)));
	icmp[0] = 3; /* destination unreachable: fragmentation needed */
	icmp[1] = 4;
	if (mtu_bytes < IP4_MTU_MIN)
		mtu_bytes = IP4_MTU_MIN;
	put_be16(icmp + 6, (uint16_t)(mtu_bytes > 0xffff ? 0xffff : mtu_bytes));
	put_be16(icmp + 2,
	    checksum_end(checksum_add(0, icmp, ICMP_LEN + quote_len)));
}

static void
put_headers6(uint8_t *p, size_t quote_len, uint32_t mtu_bytes)
{
	const uint8_t *quote = p + IP6_LEN + ICMP_LEN;
	uint8_t *icmp = p + IP6_LEN;
	size_t icmp_len = ICMP_LEN + quote_len;
	uint32_t sum;

	memset(p, 0, IP6_LEN + ICMP_LEN);
	p[0] = 0x60 | TOS_CONTROL >> 4;
	p[1] = (uint8_t)(TOS_CONTROL << 4);
	put_be16(p + 4, (uint16_t)icmp_len);
	p[6] = IPPROTO_ICMPV6;
	p[7] = TTL;
	memcpy(p + 8, quote + 24, 16);
	memcpy(p + 24, quote + 8, 16);
	icmp[0] = 2; /* packet too big */
	put_be32(icmp + 4, mtu_bytes < IP6_MTU_MIN ? IP6_MTU_MIN : mtu_bytes);
	sum = checksum_add((uint32_t)icmp_len + IPPROTO_ICMPV6, p + 8, 32);
	put_be16(icmp + 2, checksum_end(checksum_add(sum, icmp, icmp_len)));
}

int
flow_too_big(struct pktbuf *pb, uint32_t mtu_bytes)
{
	struct flow_info info;
	size_t header_len, quote_len, total_max;
	uint8_t *ip = pb->data + pb->l3_offset;

	if (flow_info(pb, &info) == -1 || !may_answer(pb, &info))
		return -1;
	header_len = (pb->ip_version == 4 ? IP4_LEN : IP6_LEN) + ICMP_LEN;
	total_max = pb->ip_version == 4 ? ICMP4_TOTAL_MAX : ICMP6_TOTAL_MAX;
	quote_len = pb->len - pb->l3_offset;
	if (quote_len > total_max - header_len)
		quote_len = total_max - header_len;
	if (pktbuf_room(pb) < pb->l3_offset + header_len + quote_len)
		return -1;
	memmove(ip + header_len, ip, quote_len);
	if (pb->l3_offset > 0)
		swap_macs(pb->data);
	if (pb->ip_version == 4)
		put_headers4(ip, quote_len, mtu_bytes);
	else
		put_headers6(ip, quote_len, mtu_bytes);
	pb->len = (uint32_t)(pb->l3_offset + header_len + quote_len);
	pb->gso = (struct pktbuf_gso){ 0 };
	pb->priority = true;
	return 0;
}
