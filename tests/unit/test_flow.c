/*
 * Packets built by hand: which flow they belong to, which go ahead, which may
 * be marked, and that nothing is read beyond the end.
 */
#include "config.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "packets.h"
#include "tunnel/flow.h"

Suite *flow_suite(void);

static const struct flow_key key = { 1, 2 };
static struct pktbuf_pool *pool;

static void
setup(void)
{
	pool = pktbuf_pool_new(1 << 20);
	ck_assert_ptr_nonnull(pool);
}

static void
teardown(void)
{
	pktbuf_pool_free(pool);
}

static struct pktbuf *
load(const struct packet *p)
{
	struct pktbuf *pb = pktbuf_alloc(pool, p->len);

	if (pb == NULL)
		ck_abort_msg("the pool is full");
	memcpy(pb->data, p->bytes, p->len);
	pb->len = (uint32_t)p->len;
	return pb;
}

/* The hash of a packet on a tun device. */
static uint32_t
hash(const struct packet *p)
{
	struct pktbuf *pb = load(p);
	uint32_t h;

	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	h = pb->flow_hash;
	pktbuf_free(pool, pb);
	return h;
}

static bool
priority(const struct packet *p, bool tap)
{
	struct pktbuf *pb = load(p);
	bool priority;

	ck_assert_int_eq(flow_classify(pb, tap, &key), 0);
	priority = pb->priority;
	pktbuf_free(pool, pb);
	return priority;
}

START_TEST(ports_tell_flows_apart)
{
	static const uint8_t protos[] = { 6, 17, 136, 132, 33, 50 };

	for (size_t i = 0; i < sizeof(protos); i++)
		for (unsigned version = 4; version <= 6; version += 2) {
			struct packet a, b;

			packet_ip(&a, version, protos[i], 40);
			b = a;
			ck_assert_uint_eq(hash(&a), hash(&b));
			b.bytes[b.l4 + 8]++; /* behind the ports */
			ck_assert_uint_eq(hash(&a), hash(&b));
			b.bytes[b.l4 + 1]++;
			ck_assert_uint_ne(hash(&a), hash(&b));
			b = a;
			b.bytes[b.l4 + 3]++;
			ck_assert_uint_ne(hash(&a), hash(&b));
		}
}
END_TEST

START_TEST(addresses_protocol_and_key_tell_flows_apart)
{
	struct packet a, b;
	struct pktbuf *pb;
	struct flow_key other = { 1, 3 };

	packet_ip(&a, 4, 6, 40);
	packet_ip(&b, 4, 17, 40);
	ck_assert_uint_ne(hash(&a), hash(&b));
	b = a;
	b.bytes[15]++;
	ck_assert_uint_ne(hash(&a), hash(&b));
	b = a;
	b.bytes[19]++;
	ck_assert_uint_ne(hash(&a), hash(&b));
	pb = load(&a);
	flow_classify(pb, false, &other);
	ck_assert_uint_ne(pb->flow_hash, hash(&a));
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(unknown_protocols_hash_without_ports)
{
	struct packet a, b;

	packet_ip(&a, 4, 47, 40);
	b = a;
	memset(b.bytes + b.l4, 0xff, 8);
	ck_assert_uint_eq(hash(&a), hash(&b));
}
END_TEST

START_TEST(ipv4_options_are_skipped)
{
	struct packet a;
	struct pktbuf *pb;
	struct flow_info info;

	packet_ip(&a, 4, 17, 40);
	memmove(a.bytes + 32, a.bytes + 20, 40);
	memset(a.bytes + 20, 1, 12);
	a.bytes[0] = 0x48;
	a.len += 12;
	pb = load(&a);
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_info(pb, &info), 0);
	ck_assert_uint_eq(ntohs(info.src.in4.sin_port), PACKET_SPORT);
	ck_assert_uint_eq(info.l4_offset, 32);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(fragments_of_a_packet_stay_together)
{
	struct packet first, later;

	packet_ip(&first, 4, 17, 40);
	put_be16(first.bytes + 6, 0x2000);
	later = first;
	put_be16(later.bytes + 6, 0x2000 | 185);
	memset(later.bytes + later.l4, 0x55, 20);
	ck_assert_uint_eq(hash(&first), hash(&later));
	put_be16(later.bytes + 6, 370);
	ck_assert_uint_eq(hash(&first), hash(&later));
}
END_TEST

START_TEST(ipv6_fragments_stay_together)
{
	struct packet first, later, atomic, plain;

	packet_ip(&plain, 6, 17, 40);
	first = plain;
	packet_extend(&first, 44, 8);
	put_be16(first.bytes + 42, 1);
	later = first;
	put_be16(later.bytes + 42, 185 << 3);
	memset(later.bytes + later.l4, 0x55, 20);
	ck_assert_uint_eq(hash(&first), hash(&later));
	ck_assert_uint_ne(hash(&first), hash(&plain));
	/* One that is whole shows its ports. */
	atomic = first;
	put_be16(atomic.bytes + 42, 0);
	ck_assert_uint_eq(hash(&atomic), hash(&plain));
}
END_TEST

START_TEST(ipv6_extensions_are_skipped)
{
	struct packet plain, p;
	struct pktbuf *pb;
	struct flow_info info;

	packet_ip(&plain, 6, 6, 40);
	p = plain;
	packet_extend(&p, 60, 16);
	packet_extend(&p, 43, 24);
	packet_extend(&p, 51, 24);
	packet_extend(&p, 0, 8);
	ck_assert_uint_eq(hash(&p), hash(&plain));
	pb = load(&p);
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_info(pb, &info), 0);
	ck_assert_uint_eq(info.proto, 6);
	ck_assert_uint_eq(info.l4_offset, 40 + 16 + 24 + 24 + 8);
	ck_assert_uint_eq(ntohs(info.dst.in6.sin6_port), PACKET_DPORT);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(pings_are_told_apart_by_their_id)
{
	struct packet a, b;

	packet_ip(&a, 4, 1, 40);
	a.bytes[a.l4] = 8;
	b = a;
	b.bytes[b.l4 + 7]++; /* sequence */
	ck_assert_uint_eq(hash(&a), hash(&b));
	b.bytes[b.l4 + 5]++;
	ck_assert_uint_ne(hash(&a), hash(&b));
	a.bytes[a.l4] = b.bytes[b.l4] = 3;
	ck_assert_uint_eq(hash(&a), hash(&b));
}
END_TEST

START_TEST(marked_classes_go_ahead)
{
	for (unsigned version = 4; version <= 6; version += 2)
		for (unsigned tos = 0; tos < 256; tos++) {
			unsigned dscp = tos >> 2;
			struct packet p;

			packet_ip(&p, version, 17, 40);
			packet_set_tos(&p, (uint8_t)tos);
			ck_assert_int_eq(priority(&p, false),
			    dscp == 4 || dscp == 44 || dscp == 46);
		}
}
END_TEST

START_TEST(icmp_goes_ahead)
{
	struct packet p;

	packet_ip(&p, 4, 1, 40);
	ck_assert(priority(&p, false));
	packet_ip(&p, 6, 58, 40);
	ck_assert(priority(&p, false));
	packet_extend(&p, 0, 8);
	ck_assert(priority(&p, false));
}
END_TEST

START_TEST(tun_takes_ip_only)
{
	/* No version, a header too short or too long, other versions. */
	static const uint8_t first[] = { 0x00, 0x10, 0x44, 0x54, 0x75, 0xf5 };
	struct packet p;
	struct pktbuf *pb;

	for (size_t i = 0; i < sizeof(first); i++) {
		packet_ip(&p, 4, 17, 40);
		p.bytes[0] = first[i];
		pb = load(&p);
		ck_assert_int_eq(flow_classify(pb, false, &key), -1);
		ck_assert_uint_eq(pb->ip_version, 0);
		pktbuf_free(pool, pb);
	}
}
END_TEST

START_TEST(short_packets_are_refused)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		size_t need = version == 4 ? 20 : 40;
		struct packet p;

		packet_ip(&p, version, 17, 40);
		for (p.len = 0; p.len < 60; p.len++) {
			struct pktbuf *pb = load(&p);

			ck_assert_int_eq(flow_classify(pb, false, &key),
			    p.len < need ? -1 : 0);
			pktbuf_free(pool, pb);
		}
	}
}
END_TEST

START_TEST(frames_with_and_without_tags)
{
	static const size_t offsets[] = { 14, 18, 22 };
	struct packet plain;
	uint32_t want;

	packet_ip(&plain, 4, 17, 40);
	want = hash(&plain);
	for (unsigned tags = 0; tags < 3; tags++) {
		struct packet p = plain;
		struct pktbuf *pb;

		packet_frame(&p, 0x0800, tags);
		pb = load(&p);
		ck_assert_int_eq(flow_classify(pb, true, &key), 0);
		ck_assert_uint_eq(pb->l3_offset, offsets[tags]);
		ck_assert_uint_eq(pb->ip_version, 4);
		ck_assert_uint_eq(pb->flow_hash, want);
		pktbuf_free(pool, pb);
	}
}
END_TEST

START_TEST(frames_that_are_no_ip_stay_frames)
{
	struct packet a, b;
	struct pktbuf *pa, *pb;
	struct flow_info info;

	packet_ip(&a, 4, 17, 40);
	packet_frame(&a, 0x88cc, 0);
	b = a;
	b.bytes[11]++; /* another sender */
	pa = load(&a);
	pb = load(&b);
	ck_assert_int_eq(flow_classify(pa, true, &key), 0);
	ck_assert_int_eq(flow_classify(pb, true, &key), 0);
	ck_assert_uint_eq(pa->ip_version, 0);
	ck_assert_uint_ne(pa->flow_hash, pb->flow_hash);
	ck_assert(!pa->priority);
	ck_assert_int_eq(flow_info(pa, &info), -1);
	ck_assert(!flow_mark_ce(pa));
	/* A broken IP header in a frame. */
	pa->data[12] = 0x08;
	pa->data[13] = 0x00;
	pa->data[14] = 0x41;
	ck_assert_int_eq(flow_classify(pa, true, &key), 0);
	ck_assert_uint_eq(pa->ip_version, 0);
	pa->len = 13;
	ck_assert_int_eq(flow_classify(pa, true, &key), -1);
	pktbuf_free(pool, pa);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(arp_goes_ahead)
{
	struct packet p;

	packet_ip(&p, 4, 17, 40);
	packet_frame(&p, 0x0806, 0);
	ck_assert(priority(&p, true));
	packet_ip(&p, 4, 17, 40);
	packet_frame(&p, 0x0806, 1);
	ck_assert(priority(&p, true));
}
END_TEST

START_TEST(info_has_addresses_and_ports)
{
	struct packet p;
	struct pktbuf *pb;
	struct flow_info info;

	packet_ip(&p, 4, 17, 40);
	packet_set_tos(&p, 0xb9);
	pb = load(&p);
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_info(pb, &info), 0);
	ck_assert_int_eq(info.src.sa.sa_family, AF_INET);
	ck_assert_mem_eq(&info.src.in4.sin_addr, p.bytes + 12, 4);
	ck_assert_mem_eq(&info.dst.in4.sin_addr, p.bytes + 16, 4);
	ck_assert_uint_eq(ntohs(info.src.in4.sin_port), PACKET_SPORT);
	ck_assert_uint_eq(ntohs(info.dst.in4.sin_port), PACKET_DPORT);
	ck_assert_uint_eq(info.proto, 17);
	ck_assert_uint_eq(info.tos, 0xb9);
	ck_assert(!info.fragment);
	/* A later fragment has no ports. */
	put_be16(pb->data + 6, 100);
	ck_assert_int_eq(flow_info(pb, &info), 0);
	ck_assert_uint_eq(info.src.in4.sin_port, 0);
	ck_assert_uint_eq(info.l4_offset, 0);
	ck_assert(info.fragment);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(marks_what_is_ecn_capable)
{
	for (unsigned version = 4; version <= 6; version += 2)
		for (unsigned tos = 0; tos < 256; tos++) {
			struct packet p;
			struct pktbuf *pb;
			struct flow_info info;

			packet_ip(&p, version, 6, 40);
			packet_set_tos(&p, (uint8_t)tos);
			pb = load(&p);
			ck_assert_int_eq(flow_classify(pb, false, &key), 0);
			ck_assert_int_eq(flow_mark_ce(pb), (tos & 3) != 0);
			flow_info(pb, &info);
			ck_assert_uint_eq(
			    info.tos, (tos & 3) == 0 ? tos : (tos | 3));
			pktbuf_free(pool, pb);
		}
}
END_TEST

/* Also where a naive update would give 0xffff for 0. */
START_TEST(marking_keeps_the_checksum_right)
{
	srand48(1);
	for (int i = 0; i < 100000; i++) {
		struct packet p;
		struct pktbuf *pb;

		packet_ip(&p, 4, 6, 40);
		for (size_t k = 12; k < 20; k++)
			p.bytes[k] = (uint8_t)lrand48();
		packet_set_tos(
		    &p, (uint8_t)(lrand48() % 64 << 2 | 1 | (unsigned)(i & 1)));
		pb = load(&p);
		if (flow_classify(pb, false, &key) != 0 || !flow_mark_ce(pb))
			ck_abort_msg("not taken or not marked");
		if (packet_checksum(pb->data, 20, 0) != 0)
			ck_abort_msg("a wrong checksum");
		pktbuf_free(pool, pb);
	}
}
END_TEST

/* As a packet is that was made of others: longer than it was. */
static void
length_is(const struct packet *p, bool tap, uint32_t len, bool tcp)
{
	struct packet padded = *p;
	struct pktbuf *pb;

	padded.len += 33;
	pb = load(&padded);
	ck_assert_uint_eq(flow_length(pb, tap), len);
	flow_note_tcp(pb, tap);
	ck_assert(pb->tcp == tcp && !pb->syn);
	pktbuf_free(pool, pb);
}

START_TEST(length_and_tcp_without_classifying)
{
	struct packet p;

	for (unsigned version = 4; version <= 6; version += 2) {
		packet_ip(&p, version, IPPROTO_TCP, 100);
		length_is(&p, false, (uint32_t)p.len, true);
		packet_frame(&p, version == 4 ? 0x0800 : 0x86dd, (unsigned)_i);
		length_is(&p, true, (uint32_t)p.len, true);
	}
}
END_TEST

START_TEST(what_is_no_ip_has_neither)
{
	struct packet p = { .len = 60 };

	length_is(&p, false, 0, false);
	packet_frame(&p, 0x0806, 0);
	length_is(&p, true, 0, false);
	/* A type that lies. */
	p = (struct packet){ .len = 60 };
	packet_frame(&p, 0x0800, 0);
	length_is(&p, true, 0, false);
}
END_TEST

START_TEST(a_length_beyond_the_bytes_is_none)
{
	struct packet p;
	struct pktbuf *pb;

	packet_ip(&p, 4, IPPROTO_UDP, 100);
	p.len--;
	pb = load(&p);
	ck_assert_uint_eq(flow_length(pb, false), 0);
	put_be16(pb->data + 2, 19);
	ck_assert_uint_eq(flow_length(pb, false), 0);
	pb->len = 0;
	ck_assert_uint_eq(flow_length(pb, false), 0);
	flow_note_tcp(pb, false);
	ck_assert(!pb->tcp);
	ck_assert_uint_eq(flow_length(pb, true), 0);
	flow_note_tcp(pb, true);
	ck_assert(!pb->tcp);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(the_first_packet_of_a_tcp_flow_is_known)
{
	struct packet p;
	struct pktbuf *pb;

	for (unsigned version = 4; version <= 6; version += 2) {
		packet_ip(&p, version, IPPROTO_TCP, 14);
		p.bytes[p.l4 + 13] = 0x12; /* SYN, ACK */
		pb = load(&p);
		flow_note_tcp(pb, false);
		ck_assert(pb->tcp && pb->syn);
		pb->len--;
		flow_note_tcp(pb, false);
		ck_assert(pb->tcp && !pb->syn);
		pktbuf_free(pool, pb);
		packet_ip(&p, version, IPPROTO_UDP, 14);
		p.bytes[p.l4 + 13] = 0x12;
		pb = load(&p);
		flow_note_tcp(pb, false);
		ck_assert(!pb->tcp && !pb->syn);
		pktbuf_free(pool, pb);
	}
}
END_TEST

/* Random bytes with a plausible start; the sanitizer sees every read. */
START_TEST(survives_random_bytes)
{
	static const uint8_t protos[] = { 0, 43, 44, 51, 60, 1, 58, 6, 17 };

	srand48(2);
	for (int i = 0; i < 200000; i++) {
		size_t len = (size_t)lrand48() % 256;
		uint8_t *exact = malloc(len + 1);
		struct pktbuf fake = { .data = exact, .len = (uint32_t)len };
		struct flow_info info;

		for (size_t k = 0; k < len; k++)
			exact[k] =
			    lrand48() % 3 == 0
				? protos[(size_t)lrand48() % sizeof(protos)]
				: (uint8_t)lrand48();
		if (len > 0 && i % 2 == 0)
			exact[0] = i % 4 == 0 ? 0x45 : 0x60;
		if (flow_classify(&fake, i % 8 == 7, &key) == 0) {
			flow_info(&fake, &info);
			flow_mark_ce(&fake);
		}
		if (flow_length(&fake, i % 8 == 7) > fake.len)
			ck_abort_msg("longer than it is");
		flow_note_tcp(&fake, i % 8 == 7);
		free(exact);
	}
}
END_TEST

Suite *
flow_suite(void)
{
	Suite *s = suite_create("flow");
	TCase *tc = tcase_create("flow");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ports_tell_flows_apart);
	tcase_add_test(tc, addresses_protocol_and_key_tell_flows_apart);
	tcase_add_test(tc, unknown_protocols_hash_without_ports);
	tcase_add_test(tc, ipv4_options_are_skipped);
	tcase_add_test(tc, fragments_of_a_packet_stay_together);
	tcase_add_test(tc, ipv6_fragments_stay_together);
	tcase_add_test(tc, ipv6_extensions_are_skipped);
	tcase_add_test(tc, pings_are_told_apart_by_their_id);
	tcase_add_test(tc, marked_classes_go_ahead);
	tcase_add_test(tc, icmp_goes_ahead);
	tcase_add_test(tc, tun_takes_ip_only);
	tcase_add_test(tc, short_packets_are_refused);
	tcase_add_test(tc, frames_with_and_without_tags);
	tcase_add_test(tc, frames_that_are_no_ip_stay_frames);
	tcase_add_test(tc, arp_goes_ahead);
	tcase_add_test(tc, info_has_addresses_and_ports);
	tcase_add_test(tc, marks_what_is_ecn_capable);
	tcase_add_test(tc, marking_keeps_the_checksum_right);
	tcase_add_loop_test(tc, length_and_tcp_without_classifying, 0, 3);
	tcase_add_test(tc, what_is_no_ip_has_neither);
	tcase_add_test(tc, the_first_packet_of_a_tcp_flow_is_known);
	tcase_add_test(tc, a_length_beyond_the_bytes_is_none);
	tcase_add_test(tc, survives_random_bytes);
	suite_add_tcase(s, tc);
	return s;
}
