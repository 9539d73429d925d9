/*
 * An engine whose peer says anything at any time: reports, SKIPs and ASKs as
 * the input has them, among packets, time that passes and links that come and
 * go.  No packet is sent more than four times, no use of memory exceeds its
 * quota, and in the end all of it is free.
 */
#include "config.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tunnel/tunnel.h"

#define LINKS 3
#define PACKETS 4096
#define ID 28 /* offset of a packet's own number */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tunnel *t;
static mono_t now;
static uint8_t room[2048];
static uint8_t sends[PACKETS];
static uint32_t inputs;

static struct input {
	const uint8_t *p;
	size_t len;
} in;

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static unsigned
byte(void)
{
	if (in.len == 0)
		return 0;
	in.len--;
	return *in.p++;
}

/* Bytes of the input that are taken as they are. */
static const uint8_t *
bytes(size_t *len)
{
	const uint8_t *p = in.p;

	if (*len > in.len)
		*len = in.len;
	in.p += *len;
	in.len -= *len;
	return p;
}

/* --- what an engine asks of its owner --- */

static uint8_t *
space(void *ctx, size_t size)
{
	(void)ctx;
	return size <= sizeof(room) ? room : NULL;
}

static void
count_packet(void *ctx, unsigned slot, size_t len, const struct path *path)
{
	const uint8_t *packet =
	    room + WIRE_HEADER_LEN + WIRE_SESSION_LEN + WIRE_INNER_LEN;
	uint32_t id;

	(void)ctx;
	(void)path;
	require(t->links[slot].up || room[0] != WIRE_DATA);
	if (room[0] != WIRE_DATA || !t->links[slot].in_use)
		return;
	require(len > WIRE_CLEAR_OVERHEAD + ID + 4);
	id = get_be32(packet + ID);
	require(id < inputs && ++sends[id] <= ARQ_SENDS_MAX);
}

static void
deliver(void *ctx, struct pktbuf *pb)
{
	(void)ctx;
	pktbuf_free(t->pool, pb);
}

static void
event(void *ctx, enum tunnel_event what, unsigned slot)
{
	(void)ctx;
	(void)what;
	require(slot < LINKS);
}

static void
no_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0x5a, len);
}

static void
no_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	(void)line;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_sink(no_log, NULL);
	return 0;
}

/* --- the bond --- */

static void
start(void)
{
	static const char text[] =
	    "[general]\nmode = server\npassword = abcdefghijklmnop\n"
	    "memory = 4\n"
	    "[l0]\nbindport = 5000\nbandwidth_download = 1250000\n"
	    "[l1]\nbindport = 5001\nbandwidth_download = 125000\n"
	    "[l2]\nbindport = 5002\n";
	const struct tunnel_ops ops = { space, count_packet, deliver, event,
		no_random, NULL };
	struct conf_errors errs;
	struct conf *conf = conf_parse(text, sizeof(text) - 1, &errs);

	require(conf != NULL);
	now = 1000 * NSEC_PER_SEC;
	inputs = 0;
	memset(sends, 0, sizeof(sends));
	t = tunnel_new(conf, &ops, now);
	require(t != NULL);
	tunnel_set_mtu(t, 1400, now);
	for (unsigned i = 0; i < LINKS; i++) {
		struct link *l = &t->links[i];

		require(addr_from_text(&l->path.peer, "192.0.2.1", 4000) == 0);
		l->family = AF_INET;
		session_init_clear(&l->cur, 1, i + 1, i + 1, now);
		l->srtt = (mono_t)(i + 1) * 20 * NSEC_PER_MSEC;
		l->rttvar = NSEC_PER_MSEC;
		link_set_up(t, l, now);
	}
}

static void
check(void)
{
	size_t memory = (size_t)t->conf->memory_bytes;

	require(pktbuf_pool_bytes(t->pool) <= memory);
	require(pktbuf_used(t->pool, PKTBUF_QUEUE) <= memory / 8 * 3);
	require(pktbuf_used(t->pool, PKTBUF_RETAIN) <= memory / 4);
	require(pktbuf_used(t->pool, PKTBUF_RESEQ) <= memory / 4);
	require(pktbuf_used(t->pool, PKTBUF_PLAYOUT) <= memory / 8);
	require(t->arq.nskips <= ARQ_SKIPS);
	require(t->arq.budget <= ARQ_BUDGET_MAX);
	require(t->feedback.credit <= FEEDBACK_SAVED);
	require(t->feedback.credit >= -FEEDBACK_SAVED);
}

static void
stop(void)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (t->links[i].up)
			link_set_down(t, &t->links[i], "end", now);
	tunnel_run(t, now);
	reseq_reset(t->reseq, now);
	playout_reset(t->playout);
	for (int use = 0; use < PKTBUF_USES; use++)
		require(pktbuf_used(t->pool, (enum pktbuf_use)use) == 0);
	tunnel_free(t);
}

/* --- what happens --- */

static void
put_packet(struct pktbuf *pb, unsigned flow, size_t len)
{
	memset(pb->data, 0, len);
	pb->data[0] = 0x45;
	pb->data[1] = flow == 7 ? 0xb8 : 0;
	put_be16(pb->data + 2, (uint16_t)len);
	pb->data[8] = 64;
	pb->data[9] = IPPROTO_UDP;
	put_be32(pb->data + 12, 0x0a000001);
	put_be32(pb->data + 16, 0x0a010001);
	put_be16(pb->data + 20, (uint16_t)flow);
	put_be16(pb->data + 24, (uint16_t)(len - 20));
	put_be32(pb->data + ID, inputs++);
	pb->len = (uint32_t)len;
}

static void
send_packets(void)
{
	unsigned what = byte(), n = byte() % 64;
	size_t len = 60 + (what >> 3) * 40;

	while (n-- > 0 && inputs < PACKETS) {
		struct pktbuf *pb = pktbuf_alloc(t->pool, len);

		if (pb == NULL)
			return;
		put_packet(pb, what & 7, len);
		tunnel_input(t, pb, now);
	}
}

static uint32_t
stamp(void)
{
	unsigned what = byte();
	mono_t ago = (mono_t)what * NSEC_PER_MSEC;

	if (what == 255)
		return (byte() << 16 | byte() << 8 | byte()) & WIRE_STAMP_MASK;
	return wire_stamp(now - ago);
}

/* Any bytes. */
static void
raw_report(void)
{
	uint32_t at = stamp();
	size_t len = (byte() << 8 | byte()) % (REPORT_MAX + 1);
	const uint8_t *p = bytes(&len);

	feedback_input(t, p, len, at, now);
}

/* About what was sent, with holes where the input has them. */
static void
near_report(void)
{
	uint32_t at = stamp();
	const struct link *l = &t->links[byte() % LINKS];
	struct report_link r = { .link = l->wire_id };
	uint8_t payload[REPORT_MAX];
	uint64_t below = byte();
	unsigned holes = byte() % (REPORT_HOLES + 1);

	r.highest = l->tx_seq > below ? l->tx_seq - below : 0;
	r.packets = (uint32_t)r.highest - byte();
	r.bytes = r.packets * 500;
	r.owd_last = byte() * 100;
	r.owd_min = r.owd_last - byte();
	below = r.highest;
	while (r.nholes < holes) {
		unsigned what = byte(), count = 1 + (what & 31);

		if (below < count + (what >> 5) + 1)
			break;
		below -= count + (what >> 5);
		r.holes[r.nholes++] =
		    (struct report_hole){ below, count, (what & 3) == 3 };
	}
	below -= below < byte() ? below : 0;
	r.floor = below;
	feedback_input(
	    t, payload, report_put(payload, REPORT_MAX, &r), at, now);
}

static void
skips(void)
{
	size_t len = (byte() << 8 | byte()) % (REPORT_MAX + 1);
	const uint8_t *p = bytes(&len);

	arq_input_skips(t, p, len, now);
}

/* Data of the peer, which our reports tell. */
static void
hear(void)
{
	struct link *l = &t->links[byte() % LINKS];
	uint64_t seq = l->meter.highest + 1 + byte() % 16;

	meter_note(&l->meter, seq, 1000, wire_stamp(now - byte()), now);
	feedback_heard_data(t, l, 1000, now);
}

static void
link_event(void)
{
	struct link *l = &t->links[byte() % LINKS];

	if (l->up)
		link_set_down(t, l, "test", now);
	else
		link_set_up(t, l, now);
}

static void
pass_time(void)
{
	unsigned n = byte();
	mono_t end = now + (mono_t)n * (mono_t)n * 50 * NSEC_PER_USEC, next;

	/* A run that makes no progress would not end. */
	for (unsigned runs = 0; runs < 10000; runs++) {
		next = tunnel_run(t, now);
		check();
		if (next > end)
			break;
		now = next > now ? next : now + 1;
	}
	now = end;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){ data, size };
	start();
	while (in.len > 0) {
		switch (byte() % 8) {
		case 0:
			send_packets();
			break;
		case 1:
			raw_report();
			break;
		case 2:
			near_report();
			break;
		case 3:
			skips();
			break;
		case 4:
			feedback_asked(&t->links[byte() % LINKS]);
			break;
		case 5:
			hear();
			break;
		case 6:
			link_event();
			break;
		default:
			pass_time();
			break;
		}
		check();
	}
	stop();
	return 0;
}
