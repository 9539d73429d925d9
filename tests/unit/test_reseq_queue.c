/*
 * The resequencer and a peer with a queue, from which lines take: the slower
 * ones from behind, so that what they take arrives in its turn.
 */
#include "config.h"

#include <stdlib.h>

#include <check.h>

#include "reseq_peer.h"

Suite *reseq_queue_suite(void);

/* --- the peer --- */

#define PACKETS 5000
#define LINES 3
#define SENDS 3 /* of a packet, and then a SKIP */

/* What comes from it, and when. */
static struct event {
	mono_t at;
	struct arrival a;
	bool ahead, skip;
} events[PACKETS * (SENDS + 1)];

static size_t nevents;

static struct peer {
	/* conf */
	uint64_t rng;
	uint32_t first_seq;
	unsigned lines;
	double loss, pauses;
	mono_t jitter, pause;
	mono_t delay[LINES], gap[LINES]; /* the fastest first */
	/* state; packets are known by their place in the queue */
	mono_t free_at[LINES];
	mono_t clear_at[LINES]; /* a line keeps the order of what is new */
	uint32_t deep[LINES];	/* packets that it leaves to faster ones */
	uint32_t first, end;	/* between them are those that wait */
	uint32_t waiting;
	unsigned prev;
	bool gone[PACKETS];
	/* stats */
	bool came[PACKETS];
	uint32_t from_behind;
} peer;

static bool
happens(double chance)
{
	return (double)(rnd(&peer.rng) % 1000000) < chance * 1000000;
}

static mono_t
any_span(mono_t most)
{
	return (mono_t)(rnd(&peer.rng) % (uint64_t)(most + 1));
}

/* What is lost goes again by the fastest line, and some of the rest, too. */
static void
transmit(struct event e, unsigned sends)
{
	unsigned i = e.a.link;
	mono_t sent_at = e.at;

	e.skip = sends == SENDS;
	if (e.skip || !happens(peer.loss)) {
		e.at += peer.delay[i] + any_span(peer.jitter);
		if (sends == 0)
			e.at = peer.clear_at[i] =
			    mono_later(e.at, peer.clear_at[i]);
		e.a.age = e.at - sent_at;
		events[nevents++] = e;
		if (!e.skip)
			peer.came[(e.a.seq - peer.first_seq) & FQ_SEQ_MASK] =
			    true;
		if (sends > 0 || !happens(peer.loss))
			return;
	}
	e.at = sent_at + peer.delay[i] + peer.delay[0] + peer.jitter + 5 * MS;
	e.a.link = 0;
	transmit(e, sends + 1);
}

/* The packet that has so many before it, or the last. */
static uint32_t
choose(uint32_t deep)
{
	uint32_t n = peer.first;

	if (deep >= peer.waiting)
		deep = peer.waiting - 1;
	while (deep-- > 0)
		do
			n++;
		while (peer.gone[n]);
	return n;
}

static void
pull(unsigned i)
{
	struct event e = { .at = peer.free_at[i],
		.a = { .link = i, .prev = peer.prev } };
	uint32_t n;

	if (peer.waiting == 0 || peer.waiting < peer.deep[i] * 3 / 4)
		return;
	n = choose(peer.deep[i]);
	e.a.seq = (peer.first_seq + n) & FQ_SEQ_MASK;
	e.ahead = n != peer.first;
	peer.gone[n] = true;
	peer.waiting--;
	peer.from_behind += e.ahead;
	if (!e.ahead)
		peer.prev = i;
	while (peer.first < peer.end && peer.gone[peer.first])
		peer.first++;
	transmit(e, 0);
}

/* More comes, or other flows have their turns. */
static void
fill(mono_t at)
{
	while (peer.end < PACKETS && happens(0.8) &&
	       peer.waiting < peer.deep[peer.lines - 1] * 2 + 20) {
		peer.end++;
		peer.waiting++;
	}
	if (happens(peer.pauses))
		for (unsigned i = 0; i < peer.lines; i++)
			peer.free_at[i] = at + peer.pause;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x < y ? -1 : 1;
}

/* How far behind lines take packets, so that these arrive in their turns. */
static void
tune_lines(void)
{
	for (unsigned i = 0; i < peer.lines; i++) {
		peer.free_at[i] = now;
		for (unsigned k = 0; k < i; k++)
			peer.deep[i] +=
			    (uint32_t)((peer.delay[i] - peer.delay[k]) /
				       peer.gap[k]);
	}
}

/* As conf says. */
static void
run_peer(void)
{
	nevents = 0;
	tune_lines();
	while (peer.first < PACKETS) {
		unsigned i = 0;

		for (unsigned k = 1; k < peer.lines; k++)
			if (peer.free_at[k] < peer.free_at[i])
				i = k;
		fill(peer.free_at[i]);
		pull(i);
		peer.free_at[i] += peer.gap[i];
	}
	qsort(events, nevents, sizeof(events[0]), by_time);
}

/* --- what becomes of it --- */

static uint32_t last;
static mono_t longest; /* that a packet waited */

static void
see(const struct pktbuf *pb)
{
	if (((pb->bucket_seq - last) & FQ_SEQ_MASK) > PACKETS)
		ck_abort_msg("%u after %u", pb->bucket_seq, last);
	last = pb->bucket_seq;
	if (pb->queued_at != 0)
		longest = mono_later(longest, now - pb->queued_at);
}

static void
begin_world(uint64_t n)
{
	peer = (struct peer){ .rng = 1000003 * (n + 1),
		.first_seq = FQ_SEQ_MASK - 1000,
		.lines = 2 + (unsigned)n % 2,
		.loss = (double)(n / 2 % 3) / 50,
		.pauses = 0.002,
		.pause = SEC * 3 / 4 };
	peer.jitter = any_span(8 * MS);
	for (unsigned i = 0; i < peer.lines; i++) {
		peer.gap[i] = MS / 4 + any_span(2 * MS);
		peer.delay[i] = i == 0 ? MS + any_span(7 * MS)
				       : peer.delay[i - 1] + any_span(150 * MS);
	}
	run_peer();
	reseq_set_hold(r, 4 * peer.delay[peer.lines - 1] + 4 * peer.jitter);
	quiet = true;
	observe = see;
	longest = 0;
	last = peer.first_seq - 2;
	come(peer.first_seq - 1, 0, 0);
}

/* And none is taken for lost, be it late, sent again, or not sent yet. */
START_TEST(whatever_comes_goes_on_in_order)
{
	uint64_t came = 1;

	begin_world((uint64_t)_i);
	for (size_t i = 0; i < nevents; i++) {
		const struct event *e = &events[i];

		pass_time(e->at - now);
		if (e->skip)
			skip(e->a.seq);
		else
			come_in(&e->a, e->ahead);
	}
	for (size_t i = 0; i < PACKETS; i++)
		came += peer.came[i];
	ck_assert_uint_eq(reseq_stats(r)->deadlines, 0);
	ck_assert_uint_eq(reseq_stats(r)->late, 0);
	ck_assert_uint_eq(ndelivered, came);
	ck_assert_uint_gt(peer.from_behind, PACKETS / 10);
	ck_assert_int_gt(longest, RESEQ_HOLD);
}
END_TEST

/* However a peer sets the flag. */
START_TEST(what_waits_goes_on_after_two_seconds)
{
	uint64_t rng = 99 + (uint64_t)_i;

	quiet = true;
	for (uint32_t i = 0; i < 20000; i++) {
		struct arrival a = { .seq = i / 4 + (uint32_t)rnd(&rng) % 90,
			.link = (unsigned)rnd(&rng) % 3 };

		come_in(&a, rnd(&rng) % 3 != 0);
		pass_time((mono_t)(rnd(&rng) % (2 * MS)));
		if (rnd(&rng) % 1000 != 0)
			continue;
		pass_time(RESEQ_UNSENT_MAX + MS);
		ck_assert_uint_eq(reseq_stats(r)->packets, 0);
		ck_assert_int_eq(reseq_run(r, now), MONO_NEVER);
	}
	pass_time(RESEQ_UNSENT_MAX + MS);
	ck_assert_uint_eq(ndelivered + reseq_stats(r)->duplicates, ncome);
}
END_TEST

Suite *
reseq_queue_suite(void)
{
	Suite *s = suite_create("reseq_queue");
	TCase *tc = tcase_create("queue");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, whatever_comes_goes_on_in_order, 0, 24);
	tcase_add_loop_test(tc, what_waits_goes_on_after_two_seconds, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
