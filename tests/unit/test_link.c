/*
 * A link's own life: what its socket refuses, and what is left of it when the
 * peer or its other end begins anew.
 */
#include "config.h"

#include <errno.h>

#include "bond_end.h"

#define RATE 1250000

static struct link *l;

static void
setup(void)
{
	start_end(1, RATE);
	l = &t->links[0];
}

/* The socket refuses the datagram sent last. */
static void
refuse_last(int error)
{
	uint8_t dgram[WIRE_HEADER_LEN];

	wire_put_header(
	    dgram, &(struct wire_header){ WIRE_DATA, 1, sent[nsent - 1].seq });
	tunnel_link_refused(t, 0, dgram, sizeof(dgram), error, now);
}

/* How often it is sent until nothing more comes of it. */
static size_t
tries_in(mono_t span, int error)
{
	size_t n = 1;

	send_by(0, 9, 500);
	for (mono_t end = now + span; now < end; now += MS) {
		size_t before = count_sent_of(THE_DATA);

		refuse_last(error);
		tunnel_run(t, now);
		n += count_sent_of(THE_DATA) - before;
	}
	return n;
}

START_TEST(what_never_left_is_no_resend_in_vain)
{
	ck_assert_uint_gt(tries_in(ARQ_AGE_MAX / 2, EAGAIN), ARQ_SENDS_MAX);
	ck_assert_uint_eq(t->arq.stats.skipped, 0);
	/* But not for ever. */
	tries_in(2 * ARQ_AGE_MAX, ENOBUFS);
	ck_assert_uint_eq(t->arq.nagain, 0);
	ck_assert_uint_ge(t->arq.stats.skipped, 1);
}
END_TEST

START_TEST(what_will_never_leave_is_tried_a_few_times)
{
	ck_assert_uint_eq(tries_in(SEC / 10, EMSGSIZE), ARQ_SENDS_MAX);
	ck_assert_uint_eq(t->arq.stats.skipped, 1);
}
END_TEST

Suite *link_suite(void);

Suite *
link_suite(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("link");

	tcase_add_checked_fixture(tc, setup, stop_end);
	tcase_add_test(tc, what_never_left_is_no_resend_in_vain);
	tcase_add_test(tc, what_will_never_leave_is_tried_a_few_times);
	suite_add_tcase(suite, tc);
	return suite;
}
