/*
 * Inner packets: what the hosts behind the two routers send.  Each packet has
 * an id of its own, so that the world knows what became of it.
 */
#include "config.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define MAGIC 0x53494d21
#define ETHER 14
#define IP 20
#define TRANSPORT 8
#define BODY 44 /* magic, length, flow, id, aux, time */

static bool
is_tap(const struct sim *s, int end)
{
	return s->end[end].t->conf->tuntap == TUNTAP_TAP;
}

static uint16_t
checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get_be16(p + i);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
put_headers(uint8_t *p, const struct sim_flow *f, int end, size_t len)
{
	p[0] = 0x45;
	p[1] = f->tos;
	put_be16(p + 2, (uint16_t)len);
	put_be32(p + 4, 0x4000); /* don't fragment */
	p[8] = 64;
	p[9] = f->proto;
	put_be32(p + 12, 0x0a0a0002 + (end == CLIENT ? 0 : 0x10000));
	put_be32(p + 16, 0x0a0a0002 + (end == CLIENT ? 0x10000 : 0));
	put_be16(p + 10, checksum(p, IP));
	if (f->proto == IPPROTO_ICMP) {
		p[IP] = 8;
		return;
	}
	put_be16(p + IP, (uint16_t)(1000 + f->id));
	put_be16(p + IP + 2, (uint16_t)(2000 + f->id));
	put_be16(p + IP + 4, (uint16_t)(len - IP));
}

static uint64_t
new_id(struct sim *s)
{
	if (s->nfate == s->fate_size) {
		s->fate_size = s->fate_size == 0 ? 4096 : s->fate_size * 2;
		s->fate = realloc(s->fate, s->fate_size);
		SIM_MUST(s->fate != NULL);
	}
	s->fate[s->nfate] = 1;
	return s->nfate++;
}

static void
put_body(uint8_t *p, size_t len, const struct sim_flow *f, uint64_t id,
    const uint64_t aux[2])
{
	put_be32(p, MAGIC);
	put_be32(p + 4, (uint32_t)len);
	put_be32(p + 8, f->id);
	put_be64(p + 12, id);
	put_be64(p + 20, aux != NULL ? aux[0] : 0);
	put_be64(p + 28, aux != NULL ? aux[1] : 0);
	put_be64(p + 36, (uint64_t)f->sim->now);
	/* The end of the packet has to arrive as well. */
	if (len >= BODY + 8)
		put_be64(p + len - 8, ~id);
}

void
sim_flow_send(struct sim_flow *f, int end, size_t len, const uint64_t aux[2])
{
	struct sim *s = f->sim;
	struct sim_end *e = &s->end[end];
	struct pktbuf *pb;
	size_t l2;
	uint8_t *p;

	f->sent++;
	if (e->t == NULL)
		return;
	l2 = is_tap(s, end) ? ETHER : 0;
	pb = pktbuf_alloc(e->t->pool, len + l2);
	if (pb == NULL)
		return;
	p = pb->data;
	memset(p, 0, len + l2);
	if (l2 != 0) {
		p[0] = p[6] = 2;
		p[5] = (uint8_t)(end == CLIENT ? 2 : 1);
		p[11] = (uint8_t)(end == CLIENT ? 1 : 2);
		put_be16(p + 12, 0x0800);
		p += ETHER;
	}
	put_headers(p, f, end, len);
	put_body(p + IP + TRANSPORT, len - IP - TRANSPORT, f, new_id(s), aux);
	pb->len = (uint32_t)(len + l2);
	e->inputs++;
	s->calling = end;
	tunnel_input(e->t, pb, s->now);
	sim_wake(e, s->now);
}

static void
note_delay(struct sim_flow *f, mono_t delay)
{
	if (f->ndelays == f->delays_size) {
		f->delays_size =
		    f->delays_size == 0 ? 1024 : f->delays_size * 2;
		f->delays =
		    reallocarray(f->delays, f->delays_size, sizeof(*f->delays));
		SIM_MUST(f->delays != NULL);
	}
	f->delays[f->ndelays++] = delay;
}

static struct sim_flow *
find(struct sim *s, uint32_t id)
{
	struct sim_flow *f;

	for (f = s->flows; f != NULL && f->id != id; f = f->next)
		continue;
	return f;
}

void
sim_flow_deliver(struct sim *s, int end, const uint8_t *data, size_t len)
{
	struct sim_end *e = &s->end[end];
	struct sim_packet p = { 0 };
	struct sim_flow *f;
	size_t l2 = e->t != NULL && is_tap(s, end) ? ETHER : 0;
	const uint8_t *body = data + l2 + IP + TRANSPORT;

	if (len < l2 + IP + TRANSPORT + BODY || get_be32(body) != MAGIC) {
		e->answers++;
		return;
	}
	p.len = len - l2;
	SIM_MUST(get_be32(body + 4) == p.len - IP - TRANSPORT);
	p.flow = get_be32(body + 8);
	p.id = get_be64(body + 12);
	p.aux[0] = get_be64(body + 20);
	p.aux[1] = get_be64(body + 28);
	p.sent_at = (mono_t)get_be64(body + 36);
	if (p.len >= IP + TRANSPORT + BODY + 8)
		SIM_MUST(get_be64(data + len - 8) == ~p.id);
	SIM_MUST(p.id < s->nfate);
	SIM_MUST(s->fate[p.id] == 1); /* else it came twice */
	s->fate[p.id] = 2;
	e->delivered++;
	f = find(s, p.flow);
	SIM_MUST(f != NULL);
	if (end != f->from) {
		f->got++;
		f->got_bytes += p.len;
		note_delay(f, s->now - p.sent_at);
	}
	if (f->on_packet != NULL)
		f->on_packet(s, f, end, &p);
}

struct sim_flow *
sim_flow(struct sim *s, int from, size_t len)
{
	struct sim_flow *f = calloc(1, sizeof(*f));

	SIM_MUST(f != NULL);
	ck_assert_uint_ge(len, SIM_PACKET_MIN);
	f->sim = s;
	f->id = s->nflows++;
	f->from = from;
	f->len = len;
	f->proto = IPPROTO_UDP;
	f->stop_at = MONO_NEVER;
	f->next = s->flows;
	s->flows = f;
	return f;
}

static void
tick(struct sim *s, void *arg)
{
	struct sim_flow *f = arg;
	mono_t busy_until = s->end[f->from].busy_until;

	if (s->now >= f->stop_at)
		return;
	/* What comes while the end is busy waits in its device. */
	for (; s->now >= busy_until && f->due_at <= s->now; f->due_at += f->gap)
		sim_flow_send(f, f->from, f->len, NULL);
	sim_at(s, f->due_at > busy_until ? f->due_at : busy_until, tick, f);
}

struct sim_flow *
sim_stream(struct sim *s, int from, size_t len, mono_t gap, mono_t stop_at)
{
	struct sim_flow *f = sim_flow(s, from, len);

	f->gap = gap;
	f->due_at = s->now;
	f->stop_at = stop_at == MONO_NEVER ? stop_at : s->start + stop_at;
	sim_at(s, s->now, tick, f);
	return f;
}

struct sim_flow *
sim_load(struct sim *s, int from, uint64_t rate_Bps, mono_t stop_at)
{
	return sim_stream(s, from, SIM_MTU,
	    (mono_t)((uint64_t)SIM_MTU * (uint64_t)SEC / rate_Bps), stop_at);
}

static int
compare(const void *a, const void *b)
{
	const mono_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

mono_t
sim_flow_delay(struct sim_flow *f, double part)
{
	ck_assert_uint_gt(f->ndelays, 0);
	qsort(f->delays, f->ndelays, sizeof(*f->delays), compare);
	return f->delays[(size_t)(part * (double)(f->ndelays - 1))];
}

void
sim_flow_reset(struct sim_flow *f)
{
	f->sent = f->got = f->got_bytes = 0;
	f->ndelays = 0;
}

void
sim_flows_free(struct sim *s)
{
	struct sim_flow *f;

	while ((f = s->flows) != NULL) {
		s->flows = f->next;
		free(f->delays);
		free(f);
	}
}
