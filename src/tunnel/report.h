/*
 * What a receiver tells the sender of each link: the payload of a WIRE_REPORT.
 * Pure encoding; meter.h makes the contents, retain.h uses them.  A report
 * repeats the whole state, so a lost one costs nothing but time.
 *
 * Per link, big endian:
 *   0  1  link's number on the wire
 *   1  6  highest link sequence that arrived
 *   7  4  packets that arrived, modulo 2^32
 *  11  4  outer bytes that arrived, modulo 2^32
 *  15  3  one-way delay, least since the report before
 *  18  3  one-way delay of the latest packet
 *  21  2  floor: how far below highest the list of holes reaches; of what
 *         is missing below, nothing is said
 *  23  1  number of holes n
 *  24 3n  holes, highest first: distance of the hole's last packet from
 *         highest (2), then 1 bit "may still come", 7 bits length
 * One-way delays are the receiver's clock less the sender's stamp, in
 * WIRE_STAMP_UNIT modulo 2^20: only their differences mean anything.
 */
#ifndef MLVPN_TUNNEL_REPORT_H
#define MLVPN_TUNNEL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_MAX 1100 /* bytes of a payload */
#define REPORT_LINK_LEN 24
#define REPORT_HOLE_LEN 3
#define REPORT_HOLES UINT8_MAX	/* of a link, in one report */
#define REPORT_HOLE_MAX 127	/* packets of one hole; more make several */
#define REPORT_REACH UINT16_MAX /* below highest */

struct report_hole {
	uint64_t first; /* link sequence */
	uint32_t count; /* 1..REPORT_HOLE_MAX */
	bool pending;	/* may still come: the line reorders */
};

struct report_link {
	uint8_t link; /* number on the wire, 0..15 */
	uint64_t highest;
	uint64_t floor; /* what is missing below is not listed; at most
			   highest */
	uint32_t packets, bytes;
	uint32_t owd_min, owd_last; /* 20 bits */
	size_t nholes;
	struct report_hole holes[REPORT_HOLES]; /* highest first, disjoint,
						   between floor and highest */
};

/*
 * Appends a link's part to a payload; returns its length.  Where room is short
 * it leaves the lowest holes out and raises the floor above them; 0 if not even
 * the fixed part fits.
 */
size_t report_put(uint8_t *out, size_t room, const struct report_link *r);
/* Takes the next part off a payload: returns its length, 0 when it is cut short
 * or contradicts itself (holes out of order or out of range, link above 15);
 * then r is of no use. */
size_t report_get(struct report_link *r, const uint8_t *p, size_t len);

#endif
