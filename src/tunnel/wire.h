/*
 * The wire format.  Big endian, through helpers only: no struct is ever laid
 * over a packet, so that 32-bit, 64-bit, little and big endian agree.
 *
 * Sealed packet (types DATA, CONTROL and PARITY):
 *   0   1  type        clear, authenticated
 *   1   1  key epoch   clear, authenticated
 *   2   6  link sequence, also the nonce: clear, authenticated
 *  [8   8  session number, with cipher none only]
 *   8   8  inner header, encrypted: struct wire_inner
 *  16   n  inner packet, encrypted
 *  16+n 16 tag (not with cipher none)
 */
#ifndef MLVPN_TUNNEL_WIRE_H
#define MLVPN_TUNNEL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define WIRE_VERSION 1
#define WIRE_HEADER_LEN 8
#define WIRE_SESSION_LEN 8
#define WIRE_INNER_LEN 8
#define WIRE_TAG_LEN 16
/* Added to an inner packet, without IP and UDP. */
#define WIRE_SEALED_OVERHEAD (WIRE_HEADER_LEN + WIRE_INNER_LEN + WIRE_TAG_LEN)
#define WIRE_CLEAR_OVERHEAD                                                    \
	(WIRE_HEADER_LEN + WIRE_SESSION_LEN + WIRE_INNER_LEN)
#define WIRE_SEQ_MAX ((UINT64_C(1) << 48) - 1)
#define WIRE_STAMP_UNIT (64 * NSEC_PER_USEC)
#define WIRE_STAMP_MASK 0xfffff
#define WIRE_HELD_UNIT (64 * NSEC_PER_MSEC)
#define WIRE_HELD_MAX (255 * WIRE_HELD_UNIT) /* older ones are not echoed */

enum wire_type {
	WIRE_HELLO = 1, /* client to server */
	WIRE_REPLY,	/* server to client */
	WIRE_REJECT,	/* server to client: settings do not match */
	WIRE_AUTH,	/* cipher none: the client's answer to the challenge */
	WIRE_DATA,
	WIRE_CONTROL,
	WIRE_PARITY /* of the DATA packets before it, see parity.h */
};

/* Flags of the inner header. */
#define WIRE_F_PARTIAL_CSUM 0x01 /* the receiving kernel completes it */
#define WIRE_F_PRIORITY 0x02	 /* bucket space of its own */
#define WIRE_F_AHEAD 0x04	 /* left before those before it */
#define WIRE_F_ECHO 0x08	 /* CONTROL: echo_stamp is valid */
/* PARITY: the flags below are xored, those above say how many link sequences
 * before its own it is for. */
#define WIRE_PARITY_FLAGS 0x0f
#define WIRE_PARITY_SHIFT 4
#define WIRE_PARITY_SPAN 15

/* What a CONTROL packet is; in its inner header. */
enum wire_control {
	WIRE_KEEPALIVE = 1, /* payload: empty or struct wire_counts */
	WIRE_KEEPALIVE_ACK, /* the answer, sent at once */
	WIRE_PROBE,	    /* payload: 8 bytes; path check of a new address */
	WIRE_PROBE_ACK,	    /* the same 8 bytes, by the way the probe came */
	WIRE_BYE,    /* orderly end: the peer takes the link down at once */
	WIRE_REPORT, /* payload: report.h; what arrived by all links */
	WIRE_RENEW,  /* the server's settings changed: a handshake, please */
	WIRE_SKIP,   /* payload: arq.h; packets that will not be sent again */
	WIRE_ASK     /* a report by this line, please */
};

struct wire_header {
	uint8_t type;
	uint8_t epoch;
	uint64_t seq; /* 48 bits */
};

/* The encrypted 8 bytes.  DATA, PARITY: bucket 10, bucket_seq 22, stamp 20,
 * prev_link 4, flags 8 bits.  CONTROL: control 4, echo_held 8, echo_stamp 20,
 * stamp 20, link 4, flags 8. */
struct wire_inner {
	uint16_t bucket;
	uint32_t bucket_seq;
	uint8_t control;     /* enum wire_control */
	uint32_t echo_stamp; /* peer's last stamp plus the time it was held */
	uint8_t echo_held;   /* that time in WIRE_HELD_UNIT, rounded up */
	uint32_t stamp;	     /* when it was sent, in WIRE_STAMP_UNIT, 20 bits */
	uint8_t link;	     /* of the bucket's previous packet; CONTROL: 0 */
	uint8_t flags;
};

/* Receiver's totals of a link, in a keepalive after traffic: 24 bytes. */
struct wire_counts {
	uint64_t highest;  /* link sequence seen */
	uint64_t received; /* packets since the link's first, mod 2^64 */
	uint64_t restored; /* of those that did not come, by parity */
};
#define WIRE_COUNTS_LEN 24

void wire_put_header(uint8_t out[WIRE_HEADER_LEN], const struct wire_header *h);
/* Has it a sequence, and needs keys? */
bool wire_is_sealed(uint8_t type);
/* -1 when len is too short or the type is unknown. */
int wire_get_header(struct wire_header *h, const uint8_t *p, size_t len);
void wire_put_inner(
    uint8_t out[WIRE_INNER_LEN], bool control, const struct wire_inner *in);
void wire_get_inner(
    struct wire_inner *in, bool control, const uint8_t p[WIRE_INNER_LEN]);
void wire_put_counts(uint8_t out[WIRE_COUNTS_LEN], const struct wire_counts *c);
void wire_get_counts(struct wire_counts *c, const uint8_t p[WIRE_COUNTS_LEN]);
/* An instant as a stamp. */
uint32_t wire_stamp(mono_t now);
/*
 * The span from stamp to now in ns, modulo 67 s.  The peer's stamps come from
 * the peer's clock: then only differences of such spans mean anything.
 */
mono_t wire_stamp_age(uint32_t stamp, mono_t now);
/* a - b in ns of stamps, or of spans in stamps: -33.6 to 33.6 s.  What is
 * further apart than that half of a turn looks closer, the other way round. */
mono_t wire_stamp_diff(uint32_t a, uint32_t b);
/*
 * How long the packet of a stamp took, in 2^-12 of WIRE_STAMP_UNIT (15.6 ns):
 * 20 bits of stamp and 12 of fraction, so that it wraps where stamps do, after
 * 67.1 s, and a mean has room for parts.  It holds the difference of the two
 * ends' clocks, so that only the differences of such delays mean anything.
 */
uint32_t wire_delay(uint32_t stamp, mono_t now);
/* a - b of such delays in ns; right if it is less than half a turn. */
mono_t wire_delay_diff(uint32_t a, uint32_t b);
/* The delay that is 1/part of the way from mean to delay. */
uint32_t wire_delay_mean(uint32_t mean, uint32_t delay, int32_t part);
/* What to send back as echo_stamp: stamp plus the time it was held here. */
uint32_t wire_stamp_echo(uint32_t stamp, mono_t received_at, mono_t now);
/* The round trip that an echo_stamp shows; 0 when the peer's clock makes it
 * lie up to a second in the future, where wire_stamp_age would say 67 s. */
mono_t wire_stamp_rtt(uint32_t echo_stamp, mono_t now);

#endif
