/*
 * Header walking.  Everything read here comes from hosts behind the routers:
 * each read is checked against the bytes that are there, never against a
 * length that the packet claims.
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "base/siphash.h"
#include "tunnel/flow.h"

#define ETHER_LEN 14
#define VLAN_LEN 4
#define VLAN_TAGS_MAX 2
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd

#define IP4_LEN 20
#define IP6_LEN 40
#define IP6_EXTENSIONS_MAX 8

#define TCP_FLAGS 13 /* offset in its header */
#define TCP_SYN 0x02

#define PROTO_UDPLITE 136
#define PROTO_DCCP 33

#define DSCP_LOWDELAY 4 /* TOS 0x10 */
#define DSCP_VOICE_ADMIT 44
#define DSCP_EF 46

#define ECN_MASK 3

/* The transport header as found behind an IP header. */
struct l4 {
	uint8_t proto;
	bool fragment; /* the first one included */
	bool present;  /* at offset */
	size_t offset; /* from the IP header */
};

static int
walk4(const uint8_t *ip, size_t len, struct l4 *l4)
{
	size_t header_len;
	uint16_t frag;

	if (len < IP4_LEN || ip[0] >> 4 != 4)
		return -1;
	header_len = (size_t)(ip[0] & 15) * 4;
	if (header_len < IP4_LEN || header_len > len)
		return -1;
	frag = get_be16(ip + 6);
	l4->proto = ip[9];
	l4->fragment = (frag & 0x3fff) != 0;
	l4->present = (frag & 0x1fff) == 0 && header_len < len;
	l4->offset = header_len;
	return 0;
}

/*
 * The length of the extension header of type proto at p, or 0: it is none or
 * it is cut short.
 */
static size_t
extension_len(uint8_t proto, const uint8_t *p, size_t len)
{
	size_t n;

	if (len < 8)
		return 0;
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		n = ((size_t)p[1] + 1) * 8;
		break;
	case IPPROTO_FRAGMENT:
		n = 8;
		break;
	case IPPROTO_AH:
		n = ((size_t)p[1] + 2) * 4;
		break;
	default:
		return 0;
	}
	return n <= len ? n : 0;
}

/*
 * Stops behind a fragment header, so that all fragments of a packet agree on
 * the protocol although only the first shows what follows.
 */
static int
walk6(const uint8_t *ip, size_t len, struct l4 *l4)
{
	size_t n;

	if (len < IP6_LEN || ip[0] >> 4 != 6)
		return -1;
	*l4 = (struct l4){ .proto = ip[6], .present = true, .offset = IP6_LEN };
	for (int i = 0; i < IP6_EXTENSIONS_MAX && !l4->fragment; i++) {
		const uint8_t *p = ip + l4->offset;

		n = extension_len(l4->proto, p, len - l4->offset);
		if (n == 0)
			break;
		if (l4->proto == IPPROTO_FRAGMENT) {
			/* Offset and "more": none in an atomic fragment. */
			l4->fragment = (get_be16(p + 2) & 0xfff9) != 0;
			l4->present = (get_be16(p + 2) & 0xfff8) == 0;
		}
		l4->proto = p[0];
		l4->offset += n;
	}
	if (l4->offset >= len)
		l4->present = false;
	return 0;
}

static int
walk(unsigned version, const uint8_t *ip, size_t len, struct l4 *l4)
{
	if (version == 4)
		return walk4(ip, len, l4);
	return version == 6 ? walk6(ip, len, l4) : -1;
}

/* Whether proto begins with two 16-bit ports. */
static bool
has_ports(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case PROTO_UDPLITE:
	case IPPROTO_SCTP:
	case PROTO_DCCP:
		return true;
	default:
		return false;
	}
}

/* Echo request or answer: the identifier tells one ping from another. */
static bool
is_echo(unsigned version, uint8_t proto, uint8_t type)
{
	if (version == 4)
		return proto == IPPROTO_ICMP && (type == 8 || type == 0);
	return proto == IPPROTO_ICMPV6 && (type == 128 || type == 129);
}

/* Four bytes that tell flows between the same hosts apart. */
static void
flow_ports(uint8_t out[4], unsigned version, const uint8_t *ip, size_t len,
    const struct l4 *l4)
{
	const uint8_t *p = ip + l4->offset;
	size_t left = len - l4->offset;

	memset(out, 0, 4);
	if (!l4->present || l4->fragment)
		return;
	if (has_ports(l4->proto) || l4->proto == IPPROTO_ESP) {
		if (left >= 4)
			memcpy(out, p, 4);
	} else if (left >= 6 && is_echo(version, l4->proto, p[0]))
		memcpy(out, p + 4, 2);
}

static uint8_t
tos_of(unsigned version, const uint8_t *ip)
{
	if (version == 4)
		return ip[1];
	return (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static bool
is_priority(uint8_t tos, uint8_t proto)
{
	unsigned dscp = tos >> 2;

	return dscp == DSCP_LOWDELAY || dscp == DSCP_VOICE_ADMIT ||
	       dscp == DSCP_EF || proto == IPPROTO_ICMP ||
	       proto == IPPROTO_ICMPV6;
}

/* Reads an IP packet at data + l3_offset; -1 when it is none. */
static int
classify_ip(struct pktbuf *pb, unsigned version, const struct flow_key *key)
{
	const uint8_t *ip = pb->data + pb->l3_offset;
	size_t len = pb->len - pb->l3_offset;
	size_t addrs_len = version == 4 ? 8 : 32;
	uint8_t in[6 + 32];
	struct l4 l4;

	if (walk(version, ip, len, &l4) == -1)
		return -1;
	in[0] = (uint8_t)version;
	in[1] = l4.proto;
	flow_ports(in + 2, version, ip, len, &l4);
	memcpy(in + 6, ip + (version == 4 ? 12 : 8), addrs_len);
	pb->ip_version = (uint8_t)version;
	pb->proto = l4.proto;
	pb->flow_hash =
	    (uint32_t)siphash24(key->k0, key->k1, in, 6 + addrs_len);
	pb->priority = is_priority(tos_of(version, ip), l4.proto);
	return 0;
}

/* Where what the frame carries begins, and its type; 0: it is cut short. */
static size_t
frame_payload(const struct pktbuf *pb, uint16_t *ethertype)
{
	size_t offset = ETHER_LEN;
	uint16_t type;

	if (pb->len < ETHER_LEN)
		return 0;
	type = get_be16(pb->data + 12);
	for (int tags = 0;
	     tags < VLAN_TAGS_MAX &&
	     (type == 0x8100 || type == 0x88a8 || type == 0x9100) &&
	     pb->len >= offset + VLAN_LEN;
	     tags++) {
		type = get_be16(pb->data + offset + 2);
		offset += VLAN_LEN;
	}
	*ethertype = type;
	return offset;
}

static int
classify_frame(struct pktbuf *pb, const struct flow_key *key)
{
	uint16_t type;
	size_t offset = frame_payload(pb, &type);

	if (offset == 0)
		return -1;
	pb->l3_offset = (uint8_t)offset;
	if (type == ETHERTYPE_IP4 && classify_ip(pb, 4, key) == 0)
		return 0;
	if (type == ETHERTYPE_IP6 && classify_ip(pb, 6, key) == 0)
		return 0;
	pb->flow_hash = (uint32_t)siphash24(key->k0, key->k1, pb->data, offset);
	pb->priority = type == ETHERTYPE_ARP;
	return 0;
}

int
flow_classify(struct pktbuf *pb, bool tap, const struct flow_key *key)
{
	pb->l3_offset = 0;
	pb->ip_version = 0;
	pb->proto = 0;
	pb->priority = false;
	if (tap)
		return classify_frame(pb, key);
	if (pb->len == 0)
		return -1;
	return classify_ip(pb, pb->data[0] >> 4, key);
}

void
flow_note_tcp(struct pktbuf *pb, bool tap)
{
	uint16_t type = 0;
	size_t offset = tap ? frame_payload(pb, &type) : 0;
	const uint8_t *ip = pb->data + offset;
	struct l4 l4;

	pb->tcp = pb->syn = false;
	if ((tap && type != ETHERTYPE_IP4 && type != ETHERTYPE_IP6) ||
	    pb->len <= offset ||
	    walk(ip[0] >> 4, ip, pb->len - offset, &l4) == -1)
		return;
	pb->tcp = l4.proto == IPPROTO_TCP;
	offset += l4.offset + TCP_FLAGS;
	pb->syn = pb->tcp && l4.present && offset < pb->len &&
		  (pb->data[offset] & TCP_SYN) != 0;
}

uint32_t
flow_length(const struct pktbuf *pb, bool tap)
{
	uint16_t type = 0;
	size_t offset = tap ? frame_payload(pb, &type) : 0, len;
	const uint8_t *ip = pb->data + offset;
	unsigned version;

	if ((tap && type != ETHERTYPE_IP4 && type != ETHERTYPE_IP6) ||
	    pb->len < offset + IP4_LEN)
		return 0;
	version = ip[0] >> 4;
	len = version == 4 ? get_be16(ip + 2) : IP6_LEN + get_be16(ip + 4);
	if ((version != 4 && version != 6) || len < IP4_LEN ||
	    offset + len > pb->len)
		return 0;
	return (uint32_t)(offset + len);
}

static void
fill_addr(
    union addr *a, unsigned version, const uint8_t *p, const uint8_t *port)
{
	uint16_t n_port = port == NULL ? 0 : htons(get_be16(port));

	memset(a, 0, sizeof(*a));
	if (version == 4) {
		a->in4.sin_family = AF_INET;
		a->in4.sin_port = n_port;
		memcpy(&a->in4.sin_addr, p, 4);
	} else {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = n_port;
		memcpy(&a->in6.sin6_addr, p, 16);
	}
}

int
flow_info(const struct pktbuf *pb, struct flow_info *info)
{
	const uint8_t *ip = pb->data + pb->l3_offset, *ports = NULL;
	unsigned version = pb->ip_version;
	size_t len = pb->len - pb->l3_offset;
	struct l4 l4;

	if (pb->len < pb->l3_offset || walk(version, ip, len, &l4) == -1)
		return -1;
	if (l4.present && has_ports(l4.proto) && len - l4.offset >= 4)
		ports = ip + l4.offset;
	fill_addr(&info->src, version, ip + (version == 4 ? 12 : 8), ports);
	fill_addr(&info->dst, version, ip + (version == 4 ? 16 : 24),
	    ports == NULL ? NULL : ports + 2);
	info->proto = l4.proto;
	info->tos = tos_of(version, ip);
	info->fragment = l4.fragment;
	info->l4_offset = l4.present ? pb->l3_offset + l4.offset : 0;
	return 0;
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). */
static uint16_t
checksum_update(uint16_t sum, uint16_t from, uint16_t to)
{
	uint32_t acc = (uint32_t)(uint16_t)~sum + (uint16_t)~from + to;

	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

static void
mark4(uint8_t *ip)
{
	uint16_t from = get_be16(ip);

	ip[1] |= ECN_MASK;
	put_be16(
	    ip + 10, checksum_update(get_be16(ip + 10), from, get_be16(ip)));
}

bool
flow_mark_ce(struct pktbuf *pb)
{
	uint8_t *ip = pb->data + pb->l3_offset;
	size_t need = pb->ip_version == 4 ? IP4_LEN : IP6_LEN;
	unsigned ecn;

	if (pb->ip_version == 0 || pb->len < pb->l3_offset + need)
		return false;
	ecn = tos_of(pb->ip_version, ip) & ECN_MASK;
	if (ecn == 0)
		return false;
	if (ecn == ECN_MASK)
		return true;
	if (pb->ip_version == 4)
		mark4(ip);
	else
		ip[1] |= ECN_MASK << 4;
	return true;
}
