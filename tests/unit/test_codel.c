/*
 * CoDel alone, with a queue made of invented sojourn times, against the pseudo
 * code of RFC 8289 written down once more with floating point.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "tunnel/codel.h"

Suite *codel_suite(void);

#define MS NSEC_PER_MSEC
#define LEN 1000 /* bytes of every packet */
#define QUEUE_MAX 4096

static const struct codel_params params = { 5 * MS, 100 * MS, 1500 };

/* Packets that all have LEN bytes; a ring of the times they arrived at. */
struct fake {
	mono_t at[QUEUE_MAX];
	size_t head, count;
	struct pktbuf pb[2];
	bool ecn;
	unsigned drops, marks;
};

static struct fake fake;

static struct pktbuf *
fake_take(void *ctx, size_t *left)
{
	struct fake *f = ctx;
	struct pktbuf *pb = &f->pb[f->head % 2];

	if (f->count == 0) {
		*left = 0;
		return NULL;
	}
	pb->queued_at = f->at[f->head++ % QUEUE_MAX];
	f->count--;
	*left = f->count * LEN;
	return pb;
}

static bool
fake_mark(void *ctx, struct pktbuf *pb)
{
	struct fake *f = ctx;

	(void)pb;
	if (f->ecn)
		f->marks++;
	return f->ecn;
}

static bool
fake_drop(void *ctx, struct pktbuf *pb)
{
	struct fake *f = ctx;

	(void)pb;
	f->drops++;
	return true;
}

static const struct codel_queue queue = { fake_take, fake_mark, fake_drop,
	&fake };

static void
put(struct fake *f, mono_t at)
{
	if (f->count >= QUEUE_MAX)
		ck_assert_uint_lt(f->count, QUEUE_MAX);
	f->at[(f->head + f->count++) % QUEUE_MAX] = at;
}

/* The RFC's pseudo code; the same names. */
struct rfc {
	double first_above_time, drop_next;
	uint32_t count, lastcount;
	bool dropping;
	unsigned drops;
	struct fake q;
};

static bool
rfc_dodequeue(struct rfc *r, mono_t now, bool *ok)
{
	size_t left;
	struct pktbuf *pb = fake_take(&r->q, &left);

	*ok = false;
	if (pb == NULL || now - pb->queued_at < params.target ||
	    left <= params.mtu_bytes) {
		r->first_above_time = 0;
	} else if (r->first_above_time == 0) {
		r->first_above_time = (double)(now + params.interval);
	} else if ((double)now >= r->first_above_time)
		*ok = true;
	return pb != NULL;
}

/* Newton's method, so that the tests need no libm. */
static double
root(double v)
{
	double x = v;

	for (int i = 0; i < 32; i++)
		x = (x + v / x) / 2;
	return x;
}

static double
rfc_control_law(double t, uint32_t count)
{
	/* In whole ns, or the sums drift apart. */
	return t +
	       (double)(mono_t)((double)params.interval / root(count) + 1e-6);
}

static bool
rfc_dequeue(struct rfc *r, mono_t now)
{
	bool ok, some = rfc_dodequeue(r, now, &ok);
	uint32_t delta;

	if (r->dropping) {
		if (!ok)
			r->dropping = false;
		while ((double)now >= r->drop_next && r->dropping) {
			r->drops++;
			r->count++;
			some = rfc_dodequeue(r, now, &ok);
			if (!ok)
				r->dropping = false;
			else
				r->drop_next =
				    rfc_control_law(r->drop_next, r->count);
		}
	} else if (ok) {
		r->drops++;
		some = rfc_dodequeue(r, now, &ok);
		r->dropping = true;
		delta = r->count - r->lastcount;
		r->count = 1;
		if (delta > 1 &&
		    (double)now - r->drop_next < 16 * (double)params.interval)
			r->count = delta;
		r->drop_next = rfc_control_law((double)now, r->count);
		r->lastcount = r->count;
	}
	return some;
}

START_TEST(gap_is_interval_over_the_square_root)
{
	ck_assert_int_eq(codel_gap(100 * MS, 1), 100 * MS);
	ck_assert_int_eq(codel_gap(100 * MS, 2), 70710678);
	ck_assert_int_eq(codel_gap(100 * MS, 3), 57735026);
	ck_assert_int_eq(codel_gap(100 * MS, 4), 50 * MS);
	ck_assert_int_eq(codel_gap(100 * MS, 10000), 1 * MS);
	ck_assert_int_eq(codel_gap(100 * MS, 0), 100 * MS);
	for (uint32_t n = 1; n < 100000; n += 37) {
		mono_t g = codel_gap(100 * MS, n);
		double exact = (double)(100 * MS) / root(n);

		ck_assert(exact - (double)g >= -0.001 && exact - (double)g < 1);
	}
	/* The longest interval does not overflow. */
	ck_assert_int_eq(codel_gap(100 * NSEC_PER_SEC, 1), 4 * NSEC_PER_SEC);
	ck_assert_int_eq(codel_gap(100 * MS, UINT32_MAX), 1525);
}
END_TEST

START_TEST(leaves_short_waits_alone)
{
	struct codel c = { 0 };

	fake = (struct fake){ 0 };
	for (int i = 0; i < 2000; i++) {
		put(&fake, i * MS);
		put(&fake, i * MS);
		ck_assert_ptr_nonnull(
		    codel_dequeue(&c, &params, &queue, i * MS + 4 * MS));
		ck_assert_ptr_nonnull(
		    codel_dequeue(&c, &params, &queue, i * MS + 4 * MS));
	}
	ck_assert_uint_eq(fake.drops, 0);
}
END_TEST

/* Packets have waited 50 ms each; count of them are dequeued, 1 ms apart. */
static void
standing_queue(struct codel *c, mono_t *now, int count)
{
	for (int i = 0; i < count; i++) {
		while (fake.count < 50)
			put(&fake, *now - 50 * MS);
		for (size_t k = 0; k < fake.count; k++)
			fake.at[(fake.head + k) % QUEUE_MAX] = *now - 50 * MS;
		codel_dequeue(c, &params, &queue, *now);
		*now += MS;
	}
}

START_TEST(waits_an_interval_then_drops_ever_faster)
{
	struct codel c = { 0 };
	mono_t now = NSEC_PER_SEC;

	fake = (struct fake){ 0 };
	standing_queue(&c, &now, 100);
	ck_assert_uint_eq(fake.drops, 0);
	standing_queue(&c, &now, 1); /* 100 ms above target */
	ck_assert_uint_eq(fake.drops, 1);
	standing_queue(&c, &now, 99);
	ck_assert_uint_eq(fake.drops, 1);
	standing_queue(&c, &now, 1); /* + 100 ms */
	ck_assert_uint_eq(fake.drops, 2);
	standing_queue(&c, &now, 70);
	ck_assert_uint_eq(fake.drops, 2);
	standing_queue(&c, &now, 1); /* + 70.7 ms */
	ck_assert_uint_eq(fake.drops, 3);
	standing_queue(&c, &now, 58);
	ck_assert_uint_eq(fake.drops, 4);
}
END_TEST

START_TEST(marks_instead_of_dropping)
{
	struct codel c = { 0 };
	mono_t now = NSEC_PER_SEC;

	fake = (struct fake){ .ecn = true };
	standing_queue(&c, &now, 101 + 100 + 71 + 58);
	ck_assert_uint_eq(fake.drops, 0);
	ck_assert_uint_eq(fake.marks, 4);
}
END_TEST

START_TEST(never_drops_the_last_mtu)
{
	struct codel c = { 0 };

	fake = (struct fake){ 0 };
	for (mono_t now = NSEC_PER_SEC; now < 20 * NSEC_PER_SEC; now += MS) {
		put(&fake, now - 500 * MS);
		if (fake.count == 1)
			put(&fake, now - 500 * MS);
		if (codel_dequeue(&c, &params, &queue, now) == NULL)
			ck_abort_msg("the last was dropped");
	}
	ck_assert_uint_eq(fake.drops, 0);
}
END_TEST

START_TEST(resumes_near_its_last_rate)
{
	struct codel c = { 0 };
	mono_t now = NSEC_PER_SEC;
	uint32_t before;

	fake = (struct fake){ 0 };
	standing_queue(&c, &now, 1000);
	before = c.count - c.last_count;
	ck_assert_uint_gt(before, 5);
	/* A moment below target, then above it again. */
	fake.count = 0;
	ck_assert_ptr_null(codel_dequeue(&c, &params, &queue, now));
	ck_assert(!c.dropping);
	standing_queue(&c, &now, 101);
	ck_assert(c.dropping);
	ck_assert_uint_eq(c.count, before);
	/* After a long time it begins at one. */
	fake.count = 0;
	codel_dequeue(&c, &params, &queue, now);
	now += 10 * NSEC_PER_SEC;
	standing_queue(&c, &now, 101);
	ck_assert_uint_eq(c.count, 1);
}
END_TEST

/* Random arrivals around the capacity: both drop the same packets. */
START_TEST(does_what_the_rfc_says)
{
	static struct rfc r;
	struct codel c = { 0 };
	mono_t now = NSEC_PER_SEC;

	fake = (struct fake){ 0 };
	r = (struct rfc){ 0 };
	srand48(_i);
	for (int i = 0; i < 100000; i++) {
		/* Phases of overload and of rest, of 1 s or so. */
		int busy = i / 1000 % 5 < 3;
		long n = lrand48() % (busy ? 4 : 2);

		for (; n > 0 && fake.count < 2000; n--) {
			put(&fake, now);
			put(&r.q, now);
		}
		codel_dequeue(&c, &params, &queue, now);
		rfc_dequeue(&r, now);
		if (fake.count != r.q.count)
			ck_assert_uint_eq(fake.count, r.q.count);
		if (fake.drops != r.drops)
			ck_assert_uint_eq(fake.drops, r.drops);
		if (c.count != r.count)
			ck_assert_uint_eq(c.count, r.count);
		if (fake.count > 0 && c.dropping != r.dropping)
			ck_assert_int_eq(c.dropping, r.dropping);
		now += lrand48() % (2 * MS);
	}
	ck_assert_uint_gt(r.drops, 300);
}
END_TEST

Suite *
codel_suite(void)
{
	Suite *s = suite_create("codel");
	TCase *tc = tcase_create("codel");

	tcase_add_test(tc, gap_is_interval_over_the_square_root);
	tcase_add_test(tc, leaves_short_waits_alone);
	tcase_add_test(tc, waits_an_interval_then_drops_ever_faster);
	tcase_add_test(tc, marks_instead_of_dropping);
	tcase_add_test(tc, never_drops_the_last_mtu);
	tcase_add_test(tc, resumes_near_its_last_rate);
	tcase_add_loop_test(tc, does_what_the_rfc_says, 1, 5);
	suite_add_tcase(s, tc);
	return s;
}
