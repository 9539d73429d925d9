/*
 * Pieces of IPv4 packets: put together again they are the packet.
 */
#include "config.h"

#include <string.h>

#include <check.h>

#include "packets.h"
#include "tunnel/flow.h"
#include "tunnel/fragment.h"

Suite *fragment_suite(void);

static const struct flow_key key = { 1, 2 };
static struct pktbuf_pool *pool;
static struct pktbuf_list list;

static void
setup(void)
{
	pool = pktbuf_pool_new(1 << 20);
	ck_assert_ptr_nonnull(pool);
	TAILQ_INIT(&list);
}

static void
teardown(void)
{
	struct pktbuf *pb;

	while ((pb = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, pb, entry);
		pktbuf_free(pool, pb);
	}
	ck_assert_uint_eq(pktbuf_used(pool, PKTBUF_IO), 0);
	pktbuf_pool_free(pool);
}

static struct pktbuf *
load(struct packet *p)
{
	struct pktbuf *pb = pktbuf_alloc(pool, p->len);

	ck_assert_ptr_nonnull(pb);
	memcpy(pb->data, p->bytes, p->len);
	pb->len = (uint32_t)p->len;
	ck_assert_int_eq(flow_classify(pb, false, &key), 0);
	return pb;
}

static void
udp4(struct packet *p, size_t len, uint16_t flags)
{
	packet_ip(p, 4, 17, len - 20);
	put_be16(p->bytes + 6, flags);
	packet_set_tos(p, 0);
	for (size_t i = 20; i < p->len; i++)
		p->bytes[i] = (uint8_t)(i * 7);
}

/* Every piece is well formed; their payloads follow each other. */
static void
check_pieces(const struct packet *p, uint32_t mtu, bool more_follow)
{
	size_t at = 20, first = get_be16(p->bytes + 6) & 0x1fff;
	struct pktbuf *pb;

	TAILQ_FOREACH(pb, &list, entry) {
		const uint8_t *ip = pb->data;
		size_t len = pb->len - 20;
		bool last = TAILQ_NEXT(pb, entry) == NULL;

		ck_assert_uint_le(pb->len, mtu);
		ck_assert_uint_eq(get_be16(ip + 2), pb->len);
		ck_assert_uint_eq(packet_checksum(ip, 20, 0), 0);
		ck_assert_mem_eq(ip + 4, p->bytes + 4, 2);
		ck_assert_mem_eq(ip + 12, p->bytes + 12, 8);
		ck_assert_uint_eq(
		    get_be16(ip + 6) & 0x1fff, first + (at - 20) / 8);
		ck_assert_int_eq(
		    (get_be16(ip + 6) & 0x2000) != 0, !last || more_follow);
		ck_assert(last || len % 8 == 0);
		ck_assert_mem_eq(ip + 20, p->bytes + at, len);
		at += len;
	}
	ck_assert_uint_eq(at, p->len);
}

START_TEST(cuts_into_pieces_that_fit)
{
	static const uint32_t mtus[] = { 68, 576, 1280, 1419, 1420, 1499 };
	struct packet p;
	struct pktbuf *pb;

	udp4(&p, 1500, 0);
	pb = load(&p);
	ck_assert(fragment_allowed(pb));
	ck_assert_int_eq(fragment_cut(pool, pb, mtus[_i], &list), 0);
	check_pieces(&p, mtus[_i], false);
	ck_assert_mem_eq(pb->data, p.bytes, p.len);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(cuts_a_fragment_into_smaller_ones)
{
	struct packet p;
	struct pktbuf *pb;

	udp4(&p, 1500, 0x2000 | 185);
	pb = load(&p);
	ck_assert_int_eq(fragment_cut(pool, pb, 600, &list), 0);
	check_pieces(&p, 600, true);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(leaves_alone_what_must_not_be_cut)
{
	struct packet p;
	struct pktbuf *pb;

	udp4(&p, 1500, 0x4000);
	pb = load(&p);
	ck_assert(!fragment_allowed(pb));
	pktbuf_free(pool, pb);
	packet_ip(&p, 6, 17, 1400);
	pb = load(&p);
	ck_assert(!fragment_allowed(pb));
	pktbuf_free(pool, pb);
	/* Its length field says more than came. */
	udp4(&p, 1500, 0);
	pb = load(&p);
	pb->len = 1400;
	ck_assert(!fragment_allowed(pb));
	pktbuf_free(pool, pb);
}
END_TEST

/* Router alert is copied, record route is not. */
START_TEST(copies_only_the_options_that_have_to_be)
{
	struct packet p;
	struct pktbuf *pb, *second;

	udp4(&p, 1500, 0);
	p.bytes[0] = 0x48;
	memcpy(p.bytes + 20, "\x07\x07\x04\x01\x02\x03\x04\x94\x04\0\0\0", 12);
	put_be16(p.bytes + 10, 0);
	put_be16(p.bytes + 10, packet_checksum(p.bytes, 32, 0));
	pb = load(&p);
	ck_assert_int_eq(fragment_cut(pool, pb, 800, &list), 0);
	ck_assert_mem_eq(TAILQ_FIRST(&list)->data + 20, p.bytes + 20, 12);
	second = TAILQ_NEXT(TAILQ_FIRST(&list), entry);
	ck_assert_mem_eq(second->data + 20,
	    "\x01\x01\x01\x01\x01\x01\x01\x94\x04\0\0\0", 12);
	ck_assert_uint_eq(packet_checksum(second->data, 32, 0), 0);
	pktbuf_free(pool, pb);
}
END_TEST

START_TEST(gives_everything_back_when_memory_is_full)
{
	struct pktbuf *hog[1024], *pb;
	struct packet p;
	size_t n = 0;

	udp4(&p, 1500, 0);
	pb = load(&p);
	while (n < 1024 && (hog[n] = pktbuf_alloc(pool, 60000)) != NULL)
		n++;
	while (n < 1024 && (hog[n] = pktbuf_alloc(pool, 1500)) != NULL)
		n++;
	pktbuf_free(pool, hog[--n]);
	ck_assert_int_eq(fragment_cut(pool, pb, 1000, &list), -1);
	ck_assert(TAILQ_EMPTY(&list));
	while (n > 0)
		pktbuf_free(pool, hog[--n]);
	pktbuf_free(pool, pb);
}
END_TEST

Suite *
fragment_suite(void)
{
	Suite *s = suite_create("fragment");
	TCase *tc = tcase_create("fragment");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, cuts_into_pieces_that_fit, 0, 6);
	tcase_add_test(tc, cuts_a_fragment_into_smaller_ones);
	tcase_add_test(tc, leaves_alone_what_must_not_be_cut);
	tcase_add_test(tc, copies_only_the_options_that_have_to_be);
	tcase_add_test(tc, gives_everything_back_when_memory_is_full);
	suite_add_tcase(s, tc);
	return s;
}
