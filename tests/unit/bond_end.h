/*
 * One end of a bond in invented time: a server whose links are up without a
 * handshake and seal in clear, so that what it sends can be read.  The peer is
 * what the test says in reports.
 */
#ifndef MLVPN_TESTS_BOND_END_H
#define MLVPN_TESTS_BOND_END_H

#include <netinet/in.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tunnel/tunnel.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define WAY (10 * MS) /* one way, each link */
#define SENT_MAX 2048

static struct tunnel *t;
static mono_t now;
static uint8_t room[2048];
static size_t delivered;

/* What was sent, in order. */
static struct sent {
	unsigned slot;
	uint64_t seq;
	bool data;
	struct wire_inner in;
	mono_t at;
	size_t len; /* of the payload */
	uint8_t payload[1500];
} sent[SENT_MAX];
static size_t nsent;

/* The peer's totals, by link. */
static uint32_t told_packets[LINKS_MAX];
static uint32_t bucket_seq[FQ_BUCKETS];

static inline uint8_t *
op_space(void *ctx, size_t size)
{
	(void)ctx;
	return size <= sizeof(room) ? room : NULL;
}

static inline void
op_send(void *ctx, unsigned slot, size_t len, const struct path *path)
{
	size_t front = WIRE_HEADER_LEN + WIRE_SESSION_LEN;
	struct wire_header h;
	struct sent *e = &sent[nsent];

	(void)ctx;
	(void)path;
	if (wire_get_header(&h, room, len) == -1 || h.type < WIRE_DATA)
		return;
	if (nsent++ >= SENT_MAX)
		ck_abort_msg("more was sent than there is room for");
	e->slot = slot;
	e->seq = h.seq;
	e->data = h.type == WIRE_DATA;
	e->at = now;
	wire_get_inner(&e->in, h.type == WIRE_CONTROL, room + front);
	if (h.type != WIRE_CONTROL)
		e->in.control = 0;
	front += WIRE_INNER_LEN;
	e->len = len - front;
	if (e->len > sizeof(e->payload))
		ck_assert_uint_le(e->len, sizeof(e->payload));
	memcpy(e->payload, room + front, e->len);
}

static inline void
op_deliver(void *ctx, struct pktbuf *pb)
{
	(void)ctx;
	delivered++;
	pktbuf_free(t->pool, pb);
}

static inline void
op_event(void *ctx, enum tunnel_event what, unsigned slot)
{
	(void)ctx;
	(void)what;
	(void)slot;
}

static inline void
op_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0x5a, len);
}

static inline void
op_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	(void)line;
}

static inline void
raise_link(struct link *l, uint64_t session)
{
	union addr peer;

	ck_assert_int_eq(addr_from_text(&peer, "192.0.2.1", 4000), 0);
	l->family = AF_INET;
	l->path.peer = peer;
	session_init_clear(&l->cur, 1, session, session, now);
	l->srtt = 2 * WAY;
	l->rttvar = MS;
	link_set_up(t, l, now);
	l->alive_at = now + 1000 * SEC; /* liveness is not the subject */
}

/* That many links which send that many bytes a second. */
static inline void
start_end(unsigned links, unsigned rate_Bps)
{
	const struct tunnel_ops ops = { op_space, op_send, op_deliver, op_event,
		op_random, NULL };
	struct conf_errors errs;
	struct conf *conf;
	char text[2048];
	size_t n = (size_t)snprintf(text, sizeof(text),
	    "[general]\nmode = server\npassword = abcdefghijklmnop\n");

	for (unsigned i = 0; i < links; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[l%u]\nbindport = %u\nbandwidth_download = %u\n", i,
		    5000 + i, rate_Bps);
	log_set_sink(op_log, NULL);
	now = 1000 * SEC;
	nsent = delivered = 0;
	memset(told_packets, 0, sizeof(told_packets));
	memset(bucket_seq, 0, sizeof(bucket_seq));
	conf = conf_parse(text, n, &errs);
	ck_assert_msg(conf != NULL, "%s", errs.list[0].text);
	t = tunnel_new(conf, &ops, now);
	ck_assert_ptr_nonnull(t);
	tunnel_set_mtu(t, 1400, now);
	for (unsigned i = 0; i < links; i++)
		raise_link(&t->links[i], i + 1);
	now += SEC; /* pacers have their credit */
}

/* Whatever waits or flies is all that there is. */
static inline void
stop_end(void)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		retain_clear(&t->links[i].retain, t->pool);
	arq_purge(t);
	fq_purge(t->fq);
	reseq_reset(t->reseq, now);
	playout_reset(t->playout);
	for (int use = 0; use < PKTBUF_USES; use++)
		ck_assert_uint_eq(
		    pktbuf_used(t->pool, (enum pktbuf_use)use), 0);
	tunnel_free(t);
	log_set_sink(NULL, NULL);
}

/* Runs all that is due in that time. */
static inline void
run_for(mono_t span)
{
	mono_t end = now + span, next;

	while ((next = tunnel_run(t, now)) <= end)
		now = next > now ? next : now + 1;
	now = end;
}

static inline struct pktbuf *
packet(uint16_t bucket, size_t len)
{
	struct pktbuf *pb = pktbuf_alloc(t->pool, len);

	ck_assert_ptr_nonnull(pb);
	memset(pb->data, 0, len);
	pb->len = (uint32_t)len;
	pb->bucket = bucket;
	pb->bucket_seq = bucket_seq[bucket]++;
	return pb;
}

/* A packet leaves by that link; returns its number there. */
static inline uint64_t
send_by(unsigned slot, uint16_t bucket, size_t len)
{
	struct pktbuf *pb = packet(bucket, len);
	uint64_t seq = t->links[slot].tx_seq;

	link_send_data(t, &t->links[slot], pb, now);
	pktbuf_free(t->pool, pb);
	return seq;
}

/* A UDP packet of some flow from the device. */
static inline void
input_marked(uint16_t flow, size_t len, uint8_t tos)
{
	struct pktbuf *pb = pktbuf_alloc(t->pool, len);

	ck_assert_ptr_nonnull(pb);
	memset(pb->data, 0, len);
	pb->data[0] = 0x45;
	pb->data[1] = tos;
	put_be16(pb->data + 2, (uint16_t)len);
	pb->data[8] = 64;
	pb->data[9] = IPPROTO_UDP;
	put_be32(pb->data + 12, 0x0a000001);
	put_be32(pb->data + 16, 0x0a010001);
	put_be16(pb->data + 20, flow);
	put_be16(pb->data + 22, 7);
	put_be16(pb->data + 24, (uint16_t)(len - 20));
	pb->len = (uint32_t)len;
	tunnel_input(t, pb, now);
}

static inline void
input(uint16_t flow, size_t len)
{
	input_marked(flow, len, 0);
}

/* What the peer says of a link: all up to highest has arrived. */
static inline struct report_link
all_arrived(unsigned slot, uint64_t highest)
{
	return (struct report_link){
		.link = (uint8_t)slot,
		.highest = highest,
		.packets = (uint32_t)highest,
		.bytes = (uint32_t)highest * 1000,
		.owd_min = (uint32_t)(WAY / WIRE_STAMP_UNIT),
		.owd_last = (uint32_t)(WAY / WIRE_STAMP_UNIT),
	};
}

/* ... but for one hole. */
static inline struct report_link
all_but(unsigned slot, uint64_t highest, uint64_t first, uint32_t count)
{
	struct report_link r = all_arrived(slot, highest);

	r.nholes = 1;
	r.holes[0] = (struct report_hole){ first, count, false };
	r.packets -= count;
	return r;
}

/* The peer's clock is ours; its report left it that long ago. */
static inline void
tell_late(const struct report_link *r, mono_t age)
{
	uint8_t payload[REPORT_MAX];
	size_t len = report_put(payload, sizeof(payload), r);

	ck_assert_uint_gt(len, 0);
	feedback_input(t, payload, len, wire_stamp(now - age), now);
}

static inline void
tell(const struct report_link *r)
{
	tell_late(r, WAY);
}

/* Everything up to the link's latest packet has arrived, but for `seq`. */
static inline void
lose(unsigned slot, uint64_t seq)
{
	struct link *l = &t->links[slot];
	struct report_link r;

	link_keepalive(t, l, now);
	r = all_but(slot, l->tx_seq - 1, seq, 1);
	tell(&r);
}

/* The n-th last that was sent and is data, or control of that kind. */
static inline const struct sent *
last_sent(enum wire_control control, size_t n)
{
	for (size_t i = nsent; i > 0; i--)
		if (sent[i - 1].in.control == control && n-- == 0)
			return &sent[i - 1];
	return NULL;
}

static inline size_t
count_sent_of(enum wire_control control)
{
	size_t n = 0;

	for (size_t i = 0; i < nsent; i++)
		n += sent[i].in.control == control;
	return n;
}

/* As control: DATA. */
#define THE_DATA ((enum wire_control)0)

#endif
