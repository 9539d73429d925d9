/*
 * Datagrams that wait for the end of a turn, and what their sockets say.
 */
#include "config.h"

#include "bond_end.h"
#include "worker/udp.h"

static struct udp u;

static void
setup(void)
{
	start_end(1, 1250000);
	ck_assert_int_eq(udp_init(&u), 0);
	u.tunnel = t;
}

static void
teardown(void)
{
	udp_free(&u);
	stop_end();
}

/* A datagram of the engine's, which has no socket to leave by. */
static void
queue_one(void)
{
	uint8_t *space = udp_space(&u, 100);

	ck_assert_ptr_nonnull(space);
	wire_put_header(
	    space, &(struct wire_header){ WIRE_DATA, 1, send_by(0, 9, 500) });
	udp_queue(&u, 0, 100, &t->links[0].path);
}

START_TEST(a_refusal_is_told_to_the_owner_and_to_the_engine)
{
	queue_one();
	ck_assert(!u.refused);
	udp_flush(&u, now);
	ck_assert(u.refused);
	ck_assert_uint_eq(t->links[0].stats.drop_send, 1);
	ck_assert(!t->links[0].up);
}
END_TEST

START_TEST(nothing_to_send_is_no_refusal)
{
	udp_flush(&u, now);
	ck_assert(!u.refused);
}
END_TEST

Suite *udp_suite(void);

Suite *
udp_suite(void)
{
	Suite *suite = suite_create("udp");
	TCase *tc = tcase_create("udp");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_refusal_is_told_to_the_owner_and_to_the_engine);
	tcase_add_test(tc, nothing_to_send_is_no_refusal);
	suite_add_tcase(suite, tc);
	return suite;
}
