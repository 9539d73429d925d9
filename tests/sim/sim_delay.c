/*
 * Low delay under load: the queue is ours, sparse flows pass it, the priority
 * class goes ahead of everything and yet cannot silence the bond.
 */
#include "config.h"

#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "sim.h"

/* Two lines whose operator has a deep queue behind a slightly higher rate. */
static struct sim *
two_lines(uint64_t rate_Bps, unsigned lines)
{
	struct sim_setup su = sim_setup(lines);
	struct sim *s;

	for (unsigned i = 0; i < lines; i++)
		su.up_Bps[i] = su.down_Bps[i] = rate_Bps * 97 / 100;
	s = sim_new(&su);
	for (unsigned i = 0; i < lines; i++)
		for (int d = 0; d < 2; d++) {
			s->line[i].dir[d].rate_Bps = rate_Bps;
			s->line[i].dir[d].queue_bytes = rate_Bps / 2;
		}
	ck_assert(sim_wait_up(s, lines, SEC));
	return s;
}

/* Delays of 50 packets a second: first idle, then beside the load. */
struct delays {
	mono_t idle, p50, p99;
	uint64_t lost;
};

static struct delays
sparse(struct sim *s, int from, uint8_t tos, uint8_t proto,
    void (*load)(struct sim *, int, uint64_t), uint64_t rate)
{
	struct sim_flow *f = sim_stream(s, from, 200, 20 * MSEC, MONO_NEVER);
	struct delays d;

	f->tos = tos;
	f->proto = proto;
	sim_for(s, 3 * SEC);
	d.idle = sim_flow_delay(f, 0.5);
	load(s, from, rate);
	sim_for(s, 2 * SEC);
	sim_flow_reset(f);
	sim_for(s, 10 * SEC);
	d.p50 = sim_flow_delay(f, 0.5);
	d.p99 = sim_flow_delay(f, 0.99);
	d.lost = f->sent - f->got;
	return d;
}

static struct sim_bulk *bulk;

static void
tcp_load(struct sim *s, int from, uint64_t rate)
{
	(void)rate;
	bulk = sim_bulk(s, from);
}

static void
udp_load(struct sim *s, int from, uint64_t rate)
{
	sim_load(s, from, rate, MONO_NEVER);
}

START_TEST(a_sparse_flow_hardly_feels_a_tcp_flow)
{
	static const uint64_t rates[] = { 1250000, 6250000 };
	uint64_t rate = rates[_i / 2];
	struct sim *s = two_lines(rate, 2);
	struct delays d = sparse(s, _i % 2, 0, IPPROTO_UDP, tcp_load, 0);

	ck_assert_msg(d.p50 <= d.idle + 5 * MSEC && d.p99 <= d.idle + 15 * MSEC,
	    "idle %lld us, loaded %lld us, p99 %lld us",
	    (long long)(d.idle / USEC), (long long)(d.p50 / USEC),
	    (long long)(d.p99 / USEC));
	/* Some may still be on their way. */
	ck_assert_uint_le(d.lost, 2);
	sim_free(s);
	sim_bulk_free(bulk);
}
END_TEST

START_TEST(a_sparse_flow_hardly_feels_a_flood)
{
	struct sim *s = two_lines(1250000, 2);
	struct delays d = sparse(s, CLIENT, 0, IPPROTO_UDP, udp_load, 5000000);

	ck_assert_msg(d.p50 <= d.idle + 5 * MSEC && d.p99 <= d.idle + 15 * MSEC,
	    "idle %lld us, loaded %lld us, p99 %lld us",
	    (long long)(d.idle / USEC), (long long)(d.p50 / USEC),
	    (long long)(d.p99 / USEC));
	sim_free(s);
}
END_TEST

/* On a slow line an ordinary packet waits for one that is being sent; these
 * wait for nothing of ours. */
START_TEST(priority_packets_go_ahead_on_a_slow_line)
{
	static const struct {
		uint8_t tos, proto;
	} classes[] = {
		{ 0x10, IPPROTO_UDP },
		{ 46 << 2, IPPROTO_UDP },
		{ 44 << 2, IPPROTO_UDP },
		{ 0, IPPROTO_ICMP },
	};
	struct sim *s = two_lines(125000, 1);
	struct delays d = sparse(
	    s, CLIENT, classes[_i].tos, classes[_i].proto, udp_load, 250000);

	/* At most one ordinary packet is in the operator's queue: 12 ms. */
	ck_assert_msg(d.p99 <= d.idle + 13 * MSEC, "idle %lld us, p99 %lld us",
	    (long long)(d.idle / USEC), (long long)(d.p99 / USEC));
	ck_assert_uint_le(d.lost, 2);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* ping -f with big packets, far beyond the line. */
START_TEST(a_flood_of_icmp_does_not_silence_the_bond)
{
	struct sim *s = two_lines(125000, (unsigned)_i);
	struct sim_flow *other, *flood, *sparse_flow;

	other = sim_load(s, CLIENT, 200000, MONO_NEVER);
	sparse_flow = sim_stream(s, CLIENT, 200, 20 * MSEC, MONO_NEVER);
	sim_for(s, 2 * SEC);
	flood = sim_stream(s, CLIENT, 1000, 1 * MSEC, MONO_NEVER);
	flood->proto = IPPROTO_ICMP;
	sim_for(s, 5 * SEC);
	sim_flow_reset(other);
	sim_flow_reset(sparse_flow);
	sim_for(s, 20 * SEC);
	ck_assert_uint_eq(s->end[CLIENT].t->nup, (unsigned)_i);
	ck_assert_uint_eq(s->end[CLIENT].events[TUNNEL_LINK_DOWN], 0);
	/* Half of the line is not theirs; the rest is shared by flow, and they
	 * are one of three. */
	ck_assert_uint_gt(other->got_bytes, 20U * 121250 * (unsigned)_i / 6);
	ck_assert_uint_ge(sparse_flow->got, sparse_flow->sent * 95 / 100);
	ck_assert_uint_gt(s->end[CLIENT].t->stats.demoted, 1000);
	sim_check(s);
	sim_free(s);
}
END_TEST

/* Lines of very different delay do not make the queue drop too early. */
START_TEST(tcp_fills_lines_of_different_delay)
{
	struct sim_setup su = sim_setup(2);
	struct sim *s;
	double got, possible;

	su.delay[1] = 20 * MSEC;
	s = sim_new_up(&su);
	bulk = sim_bulk(s, CLIENT);
	sim_for(s, 3 * SEC);
	got = -(double)sim_bulk_bytes(bulk);
	sim_for(s, 20 * SEC);
	got = (got + (double)sim_bulk_bytes(bulk)) / 20;
	possible = 2 * 1250000.0 * (SIM_MTU - 40) / (SIM_MTU + 60);
	ck_assert_msg(
	    got > 0.95 * possible, "%.0f of %.0f bytes/s", got, possible);
	sim_free(s);
	sim_bulk_free(bulk);
}
END_TEST

Suite *sim_delay_suite(void);

Suite *
sim_delay_suite(void)
{
	Suite *suite = suite_create("sim_delay");
	TCase *tc = tcase_create("delay");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_sparse_flow_hardly_feels_a_tcp_flow, 0, 4);
	tcase_add_test(tc, a_sparse_flow_hardly_feels_a_flood);
	tcase_add_loop_test(tc, priority_packets_go_ahead_on_a_slow_line, 0, 4);
	tcase_add_loop_test(
	    tc, a_flood_of_icmp_does_not_silence_the_bond, 1, 4);
	tcase_add_test(tc, tcp_fills_lines_of_different_delay);
	suite_add_tcase(suite, tc);
	return suite;
}
