/*
 * Reads the inner packet's headers: which flow it belongs to, whether it goes
 * ahead of the queue, whether it may be marked instead of dropped.  Trusts no
 * length field.
 */
#ifndef MLVPN_TUNNEL_FLOW_H
#define MLVPN_TUNNEL_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "tunnel/pktbuf.h"

/* A secret, so that nobody can aim flows at one bucket. */
struct flow_key {
	uint64_t k0, k1;
};

/* What the loop guard and the ICMP answers need of a packet. */
struct flow_info {
	union addr src, dst; /* ports 0 where there are none */
	uint8_t proto;	     /* of the transport header found; 0: none */
	uint8_t tos;	     /* DSCP and ECN */
	bool fragment;	     /* of a bigger packet, the first one included */
	size_t l4_offset;    /* of the transport header in data; 0: not there */
};

/*
 * Fills pb->l3_offset, ip_version, proto, flow_hash (SipHash-2-4 of addresses,
 * protocol and ports; fragments and unknown protocols hash without ports; what
 * is not IP hashes by its Ethernet addresses and type) and pb->priority: DSCP 4
 * (TOS 0x10), 44 (VOICE-ADMIT), 46 (EF), ICMP, ICMPv6 (also ARP on tap). -1
 * when the packet is no IP packet on a tun device, or is cut short: a tap frame
 * that claims to be IP and is not stays a frame, with ip_version 0.
 */
int flow_classify(struct pktbuf *pb, bool tap, const struct flow_key *key);
/* Fills pb->tcp and pb->syn of a packet that was not classified. */
void flow_note_tcp(struct pktbuf *pb, bool tap);
/* The addresses and ports of a classified packet; -1 if it has none. */
int flow_info(const struct pktbuf *pb, struct flow_info *info);
/* The bytes of a packet as its IP header has it, with what is before that, or
 * 0: none is there, or they are more than pb has. */
uint32_t flow_length(const struct pktbuf *pb, bool tap);
/* Sets CE on an ECN-capable packet (IPv4 checksum kept right); false: it is
 * not ECN-capable and has to be dropped instead. */
bool flow_mark_ce(struct pktbuf *pb);

/*
 * Turns a classified pb into an ICMP "fragmentation needed" or ICMPv6 "packet
 * too big" answer to itself, to be delivered to the side it came from, with
 * the next-hop MTU mtu_bytes (RFC 1191, RFC 4443).  The answer comes from the
 * address that the packet went to.  -1, and pb unchanged, when none may be
 * sent: IPv4 without DF, a later IPv4 fragment, an ICMP error, multicast, an
 * address that is nobody's, no IP at all.  The caller limits the rate.
 */
int flow_too_big(struct pktbuf *pb, uint32_t mtu_bytes);

#endif
