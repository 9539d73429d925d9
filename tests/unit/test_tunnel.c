/*
 * The engine's edges: what it does with packets that it cannot carry, with
 * calls that come at odd times, and how it chooses among its links.  Two
 * engines, joined by a list; what needs time and lines is in tests/sim.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tunnel/crypto.h"
#include "tunnel/tunnel.h"

#define T0 (100 * NSEC_PER_SEC)
#define T1 (T0 + 100 * NSEC_PER_MSEC) /* nothing is owed from before */
#define MTU 1400
#define QUEUE_MAX 256

static struct end {
	struct tunnel *t;
	uint8_t space[TUNNEL_DGRAM_MAX];
	bool no_space;
	size_t sent, delivered;
	uint8_t last[2048]; /* delivered */
	size_t last_len;
	unsigned wants[2]; /* sockets, addresses */
	uint32_t random;
} ends[2]; /* client, server */

static struct {
	int to;
	unsigned slot;
	union addr from;
	size_t len;
	uint8_t data[2048];
} queue[QUEUE_MAX];

static size_t nqueue;
static char logged[64][200];
static size_t nlogged;

static union addr
address(const char *text, uint16_t port)
{
	union addr a;

	ck_assert_int_eq(addr_from_text(&a, text, port), 0);
	return a;
}

static uint8_t *
space(void *ctx, size_t size)
{
	struct end *e = ctx;

	ck_assert_uint_le(size, sizeof(e->space));
	return e->no_space ? NULL : e->space;
}

static void
send_to_peer(void *ctx, unsigned slot, size_t len, const struct path *path)
{
	struct end *e = ctx;

	(void)path;
	e->sent++;
	if (nqueue == QUEUE_MAX || len > sizeof(queue[0].data))
		return;
	queue[nqueue].to = e == &ends[0];
	queue[nqueue].slot = slot;
	queue[nqueue].from = address(e == &ends[0] ? "192.0.2.1" : "192.0.2.2",
	    (uint16_t)((e == &ends[0] ? 4000 : 5000) + slot));
	queue[nqueue].len = len;
	memcpy(queue[nqueue++].data, e->space, len);
}

static void
deliver(void *ctx, struct pktbuf *pb)
{
	struct end *e = ctx;

	e->delivered++;
	e->last_len = pb->len;
	ck_assert_uint_le(pb->len, sizeof(e->last));
	memcpy(e->last, pb->data, pb->len);
	pktbuf_free(e->t->pool, pb);
}

static void
event(void *ctx, enum tunnel_event what, unsigned slot)
{
	struct end *e = ctx;

	(void)slot;
	if (what == TUNNEL_WANT_SOCKET || what == TUNNEL_WANT_ADDRESS)
		e->wants[what]++;
}

static void
some_random(void *ctx, void *buf, size_t len)
{
	struct end *e = ctx;

	for (size_t i = 0; i < len; i++) {
		e->random = e->random * 1103515245 + 12345;
		((uint8_t *)buf)[i] = (uint8_t)(e->random >> 16);
	}
}

static void
note_line(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	if (nlogged < nitems_of(logged))
		strlcpy(logged[nlogged++], line, sizeof(logged[0]));
}

static bool
was_logged(const char *part)
{
	for (size_t i = 0; i < nlogged; i++)
		if (strstr(logged[i], part) != NULL)
			return true;
	return false;
}

static struct conf *
configuration(int end, unsigned links, const char *more)
{
	struct conf_errors errs;
	struct conf *conf;
	char text[4096];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text),
	    "[general]\nmode = %s\npassword = abcdefghijklmnop\n",
	    end == 0 ? "client" : "server");
	for (unsigned i = 0; i < links; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    end == 0 ? "[l%u]\nremotehost = 192.0.2.2\n"
			       "remoteport = %u\n%s\n"
			     : "[l%u]\nbindport = %u\n%s\n",
		    i, 5000 + i, more);
	ck_assert_uint_lt(n, sizeof(text));
	conf = conf_parse(text, n, &errs);
	ck_assert_msg(conf != NULL, "%s", errs.list[0].text);
	return conf;
}

static void
make_end(int end, unsigned links, const char *more)
{
	struct end *e = &ends[end];
	struct tunnel_ops ops = { space, send_to_peer, deliver, event,
		some_random, e };
	uint8_t psk[HS_PSK_LEN] = { 7 };

	memset(e, 0, sizeof(*e));
	e->random = (uint32_t)end + 1;
	e->t = tunnel_new(configuration(end, links, more), &ops, T0);
	ck_assert_ptr_nonnull(e->t);
	tunnel_set_mtu(e->t, MTU, T0);
	ck_assert_int_eq(tunnel_set_psk(e->t, psk, T0), 0);
	for (unsigned i = 0; i < links; i++)
		tunnel_link_socket(e->t, i, AF_INET, 0, T0);
}

/* Takes all datagrams to where they go, until there are none. */
static void
settle(mono_t now)
{
	for (size_t i = 0; i < nqueue; i++) {
		struct end *e = &ends[queue[i].to];
		struct pktbuf *pb = pktbuf_alloc(e->t->pool, queue[i].len);
		struct path from = { .peer = queue[i].from };

		ck_assert_ptr_nonnull(pb);
		memcpy(pb->data, queue[i].data, queue[i].len);
		pb->len = (uint32_t)queue[i].len;
		tunnel_dgram(e->t, queue[i].slot, pb, &from, now);
		tunnel_run(e->t, now);
	}
	nqueue = 0;
}

static void
make_bond(unsigned links, const char *more)
{
	union addr server = address("192.0.2.2", 0);

	nqueue = nlogged = 0;
	log_set_sink(note_line, NULL);
	make_end(0, links, more);
	make_end(1, links, more);
	for (unsigned i = 0; i < links; i++)
		tunnel_link_addrs(ends[0].t, i, &server, 1, T0);
	tunnel_run(ends[1].t, T0);
	tunnel_run(ends[0].t, T0);
	settle(T0);
	ck_assert_uint_eq(ends[0].t->nup, links);
	ck_assert_uint_eq(ends[1].t->nup, links);
}

static void
end_bond(void)
{
	for (int i = 0; i < 2; i++) {
		/* What was sent may still wait for a report. */
		for (int use = 0; use < PKTBUF_USES; use++)
			if (use != PKTBUF_RETAIN)
				ck_assert_uint_eq(pktbuf_used(ends[i].t->pool,
						      (enum pktbuf_use)use),
				    0);
		tunnel_free(ends[i].t);
	}
	log_set_sink(NULL, NULL);
}

/* A UDP packet for 198.51.100.1, or where dst says. */
static void
input(struct end *e, size_t len, uint16_t fragment, const char *dst,
    uint16_t port, mono_t now)
{
	struct pktbuf *pb = pktbuf_alloc(e->t->pool, len);
	union addr a = address(dst, port);

	ck_assert_ptr_nonnull(pb);
	memset(pb->data, 0, len);
	pb->data[0] = 0x45;
	put_be16(pb->data + 2, (uint16_t)len);
	put_be16(pb->data + 6, fragment);
	pb->data[8] = 64;
	pb->data[9] = IPPROTO_UDP;
	put_be32(pb->data + 12, 0x0a000001);
	memcpy(pb->data + 16, &a.in4.sin_addr, 4);
	put_be16(pb->data + 20, 1000);
	put_be16(pb->data + 22, port);
	put_be16(pb->data + 24, (uint16_t)(len - 20));
	pb->len = (uint32_t)len;
	tunnel_input(e->t, pb, now);
	tunnel_run(e->t, now);
}

START_TEST(a_packet_arrives_as_it_was)
{
	make_bond(1, "");
	input(&ends[0], 100, 0x4000, "198.51.100.1", 53, T1);
	settle(T1);
	ck_assert_uint_eq(ends[1].delivered, 1);
	ck_assert_uint_eq(ends[1].last_len, 100);
	ck_assert_uint_eq(get_be16(ends[1].last + 22), 53);
	ck_assert_uint_eq(ends[0].t->stats.tx_packets, 1);
	ck_assert_uint_eq(ends[0].t->stats.tx_bytes, 100);
	ck_assert_uint_eq(ends[1].t->stats.rx_packets, 1);
	ck_assert_uint_eq(ends[1].t->stats.rx_bytes, 100);
	end_bond();
}
END_TEST

START_TEST(without_a_link_packets_are_counted_and_dropped)
{
	make_bond(1, "");
	tunnel_link_error(ends[0].t, 0, ENETDOWN, T0);
	ck_assert_uint_eq(ends[0].t->nup, 0);
	ck_assert(was_logged("send error: Network is down"));
	ck_assert(was_logged("bond: down"));
	input(&ends[0], 100, 0, "198.51.100.1", 53, T0);
	ck_assert_uint_eq(ends[0].t->stats.drop_no_link, 1);
	end_bond();
}
END_TEST

START_TEST(what_is_no_ip_packet_is_dropped)
{
	struct pktbuf *pb;

	make_bond(1, "");
	pb = pktbuf_alloc(ends[0].t->pool, 40);
	memset(pb->data, 0x77, 40);
	pb->len = 40;
	tunnel_input(ends[0].t, pb, T0);
	ck_assert_uint_eq(ends[0].t->stats.drop_malformed, 1);
	end_bond();
}
END_TEST

START_TEST(a_packet_that_is_too_big_is_answered)
{
	make_bond(1, "bandwidth_upload = 1gbit");
	input(&ends[0], MTU, 0x4000, "198.51.100.1", 53, T1);
	ck_assert_uint_eq(ends[0].delivered, 0);
	input(&ends[0], MTU + 1, 0x4000, "198.51.100.1", 53, T1);
	ck_assert_uint_eq(ends[0].t->stats.drop_too_big, 1);
	ck_assert_uint_eq(ends[0].delivered, 1);
	ck_assert_uint_eq(ends[0].last[9], IPPROTO_ICMP);
	ck_assert_uint_eq(ends[0].last[20], 3);
	ck_assert_uint_eq(ends[0].last[21], 4);
	ck_assert_uint_eq(get_be16(ends[0].last + 26), MTU);
	/* Without DF it is cut: the peer's device may take less than ours. */
	input(&ends[0], MTU + 1, 0, "198.51.100.1", 53, T1);
	ck_assert_uint_eq(ends[0].t->stats.drop_too_big, 1);
	ck_assert_uint_eq(ends[0].t->stats.fragmented, 1);
	ck_assert_uint_eq(ends[0].delivered, 1);
	settle(T1);
	end_bond();
}
END_TEST

START_TEST(the_lesser_mtu_of_both_ends_counts)
{
	make_bond(1, "");
	tunnel_set_mtu(ends[1].t, 1300, T0);
	tunnel_rekey(ends[0].t, T0 + 2 * NSEC_PER_SEC);
	tunnel_run(ends[0].t, T0 + 2 * NSEC_PER_SEC);
	settle(T0 + 2 * NSEC_PER_SEC);
	input(
	    &ends[0], 1301, 0x4000, "198.51.100.1", 53, T0 + 2 * NSEC_PER_SEC);
	ck_assert_uint_eq(ends[0].t->stats.drop_too_big, 1);
	ck_assert_uint_eq(get_be16(ends[0].last + 26), 1300);
	settle(T0 + 2 * NSEC_PER_SEC);
	end_bond();
}
END_TEST

START_TEST(our_own_outer_packets_are_not_taken)
{
	make_bond(1, "");
	input(&ends[0], 100, 0, "192.0.2.2", 5000, T1);
	ck_assert_uint_eq(ends[0].t->stats.drop_loop, 1);
	ck_assert(was_logged("routed into itself"));
	/* The same host, but another service. */
	input(&ends[0], 100, 0, "192.0.2.2", 53, T1);
	ck_assert_uint_eq(ends[0].t->stats.drop_loop, 1);
	settle(T1);
	ck_assert_uint_eq(ends[1].delivered, 1);
	end_bond();
}
END_TEST

START_TEST(no_space_for_a_datagram_loses_one_packet)
{
	make_bond(1, "");
	ends[0].no_space = true;
	input(&ends[0], 100, 0, "198.51.100.1", 53, T1);
	ck_assert_uint_eq(ends[0].t->links[0].stats.drop_send, 1);
	ck_assert_uint_eq(ends[0].t->stats.tx_packets, 0);
	ends[0].no_space = false;
	input(&ends[0], 100, 0, "198.51.100.1", 53, T1);
	settle(T1);
	/* The peer waits for it. */
	tunnel_run(ends[1].t, T1 + RESEQ_HOLD);
	ck_assert_uint_eq(ends[1].delivered, 1);
	end_bond();
}
END_TEST

START_TEST(a_packet_too_long_for_the_line_is_no_outage)
{
	make_bond(1, "");
	tunnel_link_error(ends[0].t, 0, EMSGSIZE, T0);
	tunnel_link_error(ends[0].t, 0, ENOBUFS, T0);
	ck_assert_uint_eq(ends[0].t->nup, 1);
	ck_assert_uint_eq(ends[0].t->links[0].stats.drop_send, 2);
	ck_assert(was_logged("lower mtu"));
	end_bond();
}
END_TEST

START_TEST(calls_about_slots_without_a_link_do_nothing)
{
	union addr a = address("192.0.2.9", 1);
	struct path from = { .peer = a };
	struct pktbuf *pb;

	make_bond(1, "");
	tunnel_link_socket(ends[0].t, 9, AF_INET, 0, T0);
	tunnel_link_addrs(ends[0].t, 9, &a, 1, T0);
	tunnel_link_error(ends[0].t, 9, ENETDOWN, T0);
	pb = pktbuf_alloc(ends[0].t->pool, 10);
	pb->len = 10;
	tunnel_dgram(ends[0].t, 9, pb, &from, T0);
	/* An empty datagram is no datagram. */
	pb = pktbuf_alloc(ends[0].t->pool, 10);
	tunnel_dgram(ends[0].t, 0, pb, &from, T0);
	ck_assert_uint_eq(ends[0].t->nup, 1);
	end_bond();
}
END_TEST

START_TEST(addresses_get_the_port_and_are_not_too_many)
{
	union addr many[LINK_ADDRS_MAX + 3];

	make_bond(1, "");
	for (size_t i = 0; i < nitems_of(many); i++)
		many[i] = address("192.0.2.77", 1);
	tunnel_link_addrs(ends[0].t, 0, many, nitems_of(many), T0);
	ck_assert_uint_eq(ends[0].t->links[0].naddrs, LINK_ADDRS_MAX);
	ck_assert_uint_eq(addr_port(&ends[0].t->links[0].addrs[0]), 5000);
	/* A resolver that found nothing changes nothing. */
	tunnel_link_addrs(ends[0].t, 0, many, 0, T0);
	ck_assert_uint_eq(ends[0].t->links[0].naddrs, LINK_ADDRS_MAX);
	end_bond();
}
END_TEST

START_TEST(the_outer_length_knows_the_family)
{
	union addr a = address("192.0.2.1", 1);

	ck_assert_uint_eq(tunnel_outer_len(100, &a), 128);
	addr_map6(&a);
	ck_assert_uint_eq(tunnel_outer_len(100, &a), 128);
	a = address("2001:db8::1", 1);
	ck_assert_uint_eq(tunnel_outer_len(100, &a), 148);
}
END_TEST

START_TEST(an_idle_engine_sleeps)
{
	mono_t now = T0, next;
	unsigned runs = 0;

	make_bond(3, "");
	/* The first seconds belong to the start. */
	while (now < T0 + 20 * NSEC_PER_SEC) {
		tunnel_run(ends[0].t, now);
		settle(now);
		/* As a turn of the loop that has read an answer. */
		next = tunnel_run(ends[0].t, now);
		ck_assert_int_gt(next, now);
		now = next;
		runs++;
	}
	ck_assert_uint_lt(runs, 20);
	ck_assert_int_gt(tunnel_run(ends[1].t, now), now + NSEC_PER_SEC);
	end_bond();
}
END_TEST

START_TEST(a_priority_packet_takes_the_line_of_least_delay)
{
	struct tunnel *t;

	make_bond(3, "bandwidth_upload = 100000");
	t = ends[0].t;
	t->links[0].srtt = 60 * NSEC_PER_MSEC;
	t->links[1].srtt = 20 * NSEC_PER_MSEC;
	t->links[2].srtt = 40 * NSEC_PER_MSEC;
	tunnel_retune(t);
	ck_assert_ptr_eq(sched_first(t, T0), &t->links[1]);
	/* Its debt counts as delay: 2000 bytes are 20 ms. */
	pacer_charge(&t->links[1].pacer, 2000, T0);
	ck_assert_ptr_eq(sched_first(t, T0), &t->links[2]);
	end_bond();
}
END_TEST

START_TEST(priority_packets_beyond_a_second_have_to_queue)
{
	struct tunnel *t;
	mono_t now = T0;
	unsigned n = 0;

	make_bond(1, "bandwidth_upload = 100000");
	t = ends[0].t;
	for (; sched_first(t, now) != NULL && n < 1000; n++)
		sched_charge_priority(&t->links[0], 1000, now);
	ck_assert_uint_ge(n, 99);
	ck_assert_uint_le(n, 102);
	/* Drained at half the line's speed. */
	ck_assert_ptr_null(sched_first(t, now + 20 * NSEC_PER_MSEC));
	ck_assert_ptr_nonnull(sched_first(t, now + 100 * NSEC_PER_MSEC));
	end_bond();
}
END_TEST

START_TEST(a_fallback_is_in_use_only_while_no_other_link_is)
{
	struct tunnel *t;

	make_bond(2, "");
	t = ends[0].t;
	t->links[1].conf.fallback_only = true;
	tunnel_retune(t);
	ck_assert(t->links[0].in_use);
	ck_assert(!t->links[1].in_use);
	tunnel_link_error(t, 0, ENETDOWN, T0);
	ck_assert(!t->links[0].in_use);
	ck_assert(t->links[1].in_use);
	end_bond();
}
END_TEST

/* The second link's comes last and is not needed. */
START_TEST(a_copy_is_counted_where_it_went_and_where_it_came)
{
	struct pktbuf *pb;

	make_bond(2, "");
	pb = pktbuf_alloc(ends[0].t->pool, 100);
	ck_assert_ptr_nonnull(pb);
	memset(pb->data, 0x45, 100);
	pb->len = 100;
	link_send_data(ends[0].t, &ends[0].t->links[0], pb, T1);
	link_send_copy(ends[0].t, &ends[0].t->links[1], pb, T1);
	pktbuf_free(ends[0].t->pool, pb);
	settle(T1);
	ck_assert_uint_eq(ends[1].delivered, 1);
	ck_assert_uint_eq(ends[0].t->links[0].stats.copies, 0);
	ck_assert_uint_eq(ends[0].t->links[1].stats.copies, 1);
	ck_assert_uint_eq(ends[1].t->links[0].stats.duplicates, 0);
	ck_assert_uint_eq(ends[1].t->links[1].stats.duplicates, 1);
	end_bond();
}
END_TEST

START_TEST(a_reload_changes_links_in_place)
{
	struct tunnel *t;
	struct conf *next;

	make_bond(2, "bandwidth_upload = 100000");
	t = ends[0].t;
	next = configuration(0, 3, "bandwidth_upload = 50000");
	conf_assign_slots(t->conf, next);
	tunnel_reload(t, next, T0);
	ck_assert_uint_eq(t->nup, 2);
	ck_assert_uint_eq(t->links[0].pacer.rate_Bps, 50000);
	ck_assert(t->links[2].used);
	next = configuration(0, 1, "bandwidth_upload = 50000");
	conf_assign_slots(t->conf, next);
	tunnel_reload(t, next, T0);
	ck_assert_uint_eq(t->nup, 1);
	ck_assert(!t->links[1].used);
	settle(T0);
	ck_assert_uint_eq(ends[1].t->nup, 1);
	end_bond();
}
END_TEST

START_TEST(stopping_tells_the_peer)
{
	make_bond(2, "");
	tunnel_stop(ends[0].t, T0);
	settle(T0);
	ck_assert_uint_eq(ends[1].t->nup, 0);
	ck_assert(was_logged("peer closed"));
	end_bond();
}
END_TEST

static void
setup(void)
{
	ck_assert_int_eq(crypto_init(), 0);
}

Suite *tunnel_suite(void);

Suite *
tunnel_suite(void)
{
	Suite *suite = suite_create("tunnel");
	TCase *tc = tcase_create("tunnel");

	tcase_add_unchecked_fixture(tc, setup, crypto_cleanup);
	tcase_add_test(tc, a_packet_arrives_as_it_was);
	tcase_add_test(tc, without_a_link_packets_are_counted_and_dropped);
	tcase_add_test(tc, what_is_no_ip_packet_is_dropped);
	tcase_add_test(tc, a_packet_that_is_too_big_is_answered);
	tcase_add_test(tc, the_lesser_mtu_of_both_ends_counts);
	tcase_add_test(tc, our_own_outer_packets_are_not_taken);
	tcase_add_test(tc, no_space_for_a_datagram_loses_one_packet);
	tcase_add_test(tc, a_packet_too_long_for_the_line_is_no_outage);
	tcase_add_test(tc, calls_about_slots_without_a_link_do_nothing);
	tcase_add_test(tc, addresses_get_the_port_and_are_not_too_many);
	tcase_add_test(tc, the_outer_length_knows_the_family);
	tcase_add_test(tc, an_idle_engine_sleeps);
	tcase_add_test(tc, a_priority_packet_takes_the_line_of_least_delay);
	tcase_add_test(tc, priority_packets_beyond_a_second_have_to_queue);
	tcase_add_test(tc, a_fallback_is_in_use_only_while_no_other_link_is);
	tcase_add_test(tc, a_copy_is_counted_where_it_went_and_where_it_came);
	tcase_add_test(tc, a_reload_changes_links_in_place);
	tcase_add_test(tc, stopping_tells_the_peer);
	suite_add_tcase(suite, tc);
	return suite;
}
