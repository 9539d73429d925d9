/*
 * "Too big" answers: what they say, that they are well formed, and when there
 * is none.
 */
#include "config.h"

#include <string.h>

#include <check.h>

#include "packets.h"
#include "tunnel/flow.h"

Suite *icmp_suite(void);

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

/* A packet that may be answered. */
static void
big(struct packet *p, unsigned version)
{
	packet_ip(p, version, 17, 1500 - (version == 4 ? 20 : 40));
	if (version == 4)
		put_be16(p->bytes + 6, 0x4000);
	packet_set_tos(p, 0);
	for (size_t i = p->l4 + 4; i < p->len; i++)
		p->bytes[i] = (uint8_t)i;
}

static struct pktbuf *
load(const struct packet *p, bool tap)
{
	struct pktbuf *pb = pktbuf_alloc(pool, p->len);

	ck_assert_ptr_nonnull(pb);
	memcpy(pb->data, p->bytes, p->len);
	pb->len = (uint32_t)p->len;
	ck_assert_int_eq(flow_classify(pb, tap, &key), 0);
	return pb;
}

static void
check_answer4(const uint8_t *ip, size_t len, const uint8_t *orig)
{
	ck_assert_uint_eq(len, 576);
	ck_assert_uint_eq(ip[0], 0x45);
	ck_assert_uint_eq(get_be16(ip + 2), len);
	ck_assert_uint_eq(packet_checksum(ip, 20, 0), 0);
	ck_assert_uint_eq(ip[9], 1);
	ck_assert_mem_eq(ip + 12, orig + 16, 4);
	ck_assert_mem_eq(ip + 16, orig + 12, 4);
	ck_assert_uint_eq(ip[20], 3);
	ck_assert_uint_eq(ip[21], 4);
	ck_assert_uint_eq(get_be32(ip + 24), 1420);
	ck_assert_uint_eq(packet_checksum(ip + 20, len - 20, 0), 0);
	ck_assert_mem_eq(ip + 28, orig, len - 28);
}

static void
check_answer6(const uint8_t *ip, size_t len, const uint8_t *orig)
{
	uint32_t pseudo = 58 + (uint32_t)len - 40;

	ck_assert_uint_eq(len, 1280);
	ck_assert_uint_eq(ip[0] >> 4, 6);
	ck_assert_uint_eq(get_be16(ip + 4), len - 40);
	ck_assert_uint_eq(ip[6], 58);
	ck_assert_mem_eq(ip + 8, orig + 24, 16);
	ck_assert_mem_eq(ip + 24, orig + 8, 16);
	ck_assert_uint_eq(ip[40], 2);
	ck_assert_uint_eq(ip[41], 0);
	ck_assert_uint_eq(get_be32(ip + 44), 1420);
	/* Addresses and payload are contiguous. */
	ck_assert_uint_eq(packet_checksum(ip + 8, len - 8, pseudo), 0);
	ck_assert_mem_eq(ip + 48, orig, len - 48);
}

START_TEST(answers_ipv4_with_df)
{
	struct packet p;
	struct pktbuf *pb;

	big(&p, 4);
	pb = load(&p, false);
	pb->gso.type = 1;
	ck_assert_int_eq(flow_too_big(pb, 1420), 0);
	check_answer4(pb->data, pb->len, p.bytes);
	ck_assert_uint_eq(pb->gso.type, 0);
	ck_assert(pb->priority);
	/* It is an ordinary packet, and gets no answer itself. */
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_too_big(pb, 500), -1);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(answers_ipv6)
{
	struct packet p;
	struct pktbuf *pb;

	big(&p, 6);
	pb = load(&p, false);
	ck_assert_int_eq(flow_too_big(pb, 1420), 0);
	check_answer6(pb->data, pb->len, p.bytes);
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_too_big(pb, 1280), -1);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(answers_in_a_frame)
{
	for (unsigned tags = 0; tags < 3; tags++) {
		struct packet p, inner;
		struct pktbuf *pb;
		size_t l2 = 14 + 4 * tags;

		big(&inner, tags == 1 ? 6 : 4);
		p = inner;
		packet_frame(&p, tags == 1 ? 0x86dd : 0x0800, tags);
		pb = load(&p, true);
		ck_assert_int_eq(flow_too_big(pb, 1420), 0);
		ck_assert_mem_eq(pb->data, p.bytes + 6, 6);
		ck_assert_mem_eq(pb->data + 6, p.bytes, 6);
		ck_assert_mem_eq(pb->data + 12, p.bytes + 12, l2 - 12);
		if (tags == 1)
			check_answer6(pb->data + l2, pb->len - l2, inner.bytes);
		else
			check_answer4(pb->data + l2, pb->len - l2, inner.bytes);
		pktbuf_free(pool, pb);
	}
}
END_TEST

START_TEST(answers_a_super_packet)
{
	struct pktbuf *pb = pktbuf_alloc(pool, PKTBUF_LEN_MAX);
	struct packet p;

	big(&p, 4);
	memset(pb->data, 7, PKTBUF_LEN_MAX);
	memcpy(pb->data, p.bytes, p.len);
	pb->len = PKTBUF_LEN_MAX;
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	ck_assert_int_eq(flow_too_big(pb, 1420), 0);
	check_answer4(pb->data, pb->len, p.bytes);
	pktbuf_free(pool, pb);
}
END_TEST

/* The data of a packet opened in place is not where it was allocated. */
START_TEST(stays_inside_the_buffer)
{
	struct packet p;
	struct pktbuf *pb;

	packet_ip(&p, 4, 17, 236);
	put_be16(p.bytes + 6, 0x4000);
	pb = load(&p, false);
	ck_assert_uint_eq(pb->size, 256);
	ck_assert_int_eq(flow_too_big(pb, 100), -1);
	ck_assert_mem_eq(pb->data, p.bytes, p.len);
	/* With the headroom there is just enough room. */
	pb->data -= 28;
	memmove(pb->data, pb->data + 28, pb->len);
	ck_assert_int_eq(flow_too_big(pb, 100), 0);
	ck_assert_uint_eq(pb->len, 284);
	pktbuf_free(pool, pb);
}
END_TEST

/* Changes one thing about a packet that would be answered. */
static void
refused(unsigned version, size_t at, uint8_t value, int frame)
{
	struct packet p;
	struct pktbuf *pb;

	big(&p, version);
	if (frame)
		packet_frame(&p, 0x0800, 0);
	p.bytes[at] = value;
	pb = load(&p, frame);
	ck_assert_int_eq(flow_too_big(pb, 1400), -1);
	ck_assert_uint_eq(pb->len, p.len);
	ck_assert_mem_eq(pb->data, p.bytes, p.len);
	pktbuf_free(pool, pb);
}

START_TEST(does_not_answer_where_none_is_due)
{
	refused(4, 6, 0x00, 0); /* no DF */
	refused(4, 7, 0x01, 0); /* a later fragment */
	refused(4, 12, 224, 0); /* from and to groups */
	refused(4, 12, 0, 0);
	refused(4, 12, 127, 0);
	refused(4, 16, 239, 0);
	refused(4, 16, 255, 0);
	refused(6, 8, 0xff, 0);
	refused(6, 24, 0xff, 0);
	refused(4, 0, 0x03, 1); /* frames to and from groups */
	refused(4, 6, 0x03, 1);
	refused(4, 12, 0x99, 1); /* no IP */
}
END_TEST

START_TEST(does_not_answer_errors)
{
	static const struct {
		unsigned version;
		uint8_t type;
		int result;
	} cases[] = { { 4, 0, 0 }, { 4, 8, 0 }, { 4, 13, 0 }, { 4, 3, -1 },
		{ 4, 4, -1 }, { 4, 5, -1 }, { 4, 11, -1 }, { 4, 12, -1 },
		{ 6, 128, 0 }, { 6, 129, 0 }, { 6, 1, -1 }, { 6, 2, -1 },
		{ 6, 3, -1 }, { 6, 4, -1 }, { 6, 137, -1 } };

	for (size_t i = 0; i < nitems_of(cases); i++) {
		struct packet p;
		struct pktbuf *pb;

		big(&p, cases[i].version);
		p.bytes[cases[i].version == 4 ? 9 : 6] =
		    cases[i].version == 4 ? 1 : 58;
		p.bytes[p.l4] = cases[i].type;
		pb = load(&p, false);
		ck_assert_int_eq(flow_too_big(pb, 1400), cases[i].result);
		pktbuf_free(pool, pb);
	}
}
END_TEST

START_TEST(answers_ipv6_fragments)
{
	struct packet p;
	struct pktbuf *pb;

	big(&p, 6);
	packet_extend(&p, 44, 8);
	put_be16(p.bytes + 42, 185 << 3);
	pb = load(&p, false);
	ck_assert_int_eq(flow_too_big(pb, 1420), 0);
	check_answer6(pb->data, pb->len, p.bytes);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(names_no_mtu_that_hosts_ignore)
{
	struct packet p;
	struct pktbuf *pb;

	big(&p, 6);
	pb = load(&p, false);
	ck_assert_int_eq(flow_too_big(pb, 1000), 0);
	ck_assert_uint_eq(get_be32(pb->data + 44), 1280);
	pktbuf_free(pool, pb);
	big(&p, 4);
	pb = load(&p, false);
	ck_assert_int_eq(flow_too_big(pb, 70000), 0);
	ck_assert_uint_eq(get_be32(pb->data + 24), 65535);
	pktbuf_free(pool, pb);
}
END_TEST

Suite *
icmp_suite(void)
{
	Suite *s = suite_create("icmp");
	TCase *tc = tcase_create("icmp");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, answers_ipv4_with_df);
	tcase_add_test(tc, answers_ipv6);
	tcase_add_test(tc, answers_in_a_frame);
	tcase_add_test(tc, answers_a_super_packet);
	tcase_add_test(tc, stays_inside_the_buffer);
	tcase_add_test(tc, does_not_answer_where_none_is_due);
	tcase_add_test(tc, does_not_answer_errors);
	tcase_add_test(tc, answers_ipv6_fragments);
	tcase_add_test(tc, names_no_mtu_that_hosts_ignore);
	suite_add_tcase(s, tc);
	return s;
}
