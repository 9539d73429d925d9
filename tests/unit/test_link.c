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

static void
two_links(void)
{
	stop_end();
	start_end(2, RATE);
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

/* --- a process that does not run --- */

START_TEST(our_own_stall_takes_no_line_down)
{
	mono_t stall;

	two_links();
	stall = 2 * (mono_t)t->links[0].conf.timeout_ms * MS;
	t->links[0].alive_at = t->links[1].alive_at = now;
	now += stall;
	tunnel_stalled(t, stall, now);
	tunnel_run(t, now);
	ck_assert(t->links[0].up && t->links[1].up);
	/* But none lives longer than usual, either. */
	now += stall;
	tunnel_run(t, now);
	ck_assert(!t->links[0].up && !t->links[1].up);
}
END_TEST

/* --- places --- */

#define PLACES 100

/* Two lines, the first of which is slower; some of what waits leaves. */
static void
send_by_far_and_near(void)
{
	two_links();
	t->links[0].srtt += 2 * 20 * MS;
	tunnel_retune(t);
	for (int i = 0; i < PLACES; i++)
		input(1, 1250);
	run_for(15 * MS);
}

/* Though it is the slower line that takes the first one, if that is overdue. */
START_TEST(what_leaves_ahead_says_so_and_is_no_predecessor)
{
	bool left[PLACES + 1] = { false };
	unsigned first = 0, ahead = 0;
	uint8_t in_turn = 0; /* the line of the last one */

	send_by_far_and_near();
	if (_i == 1) {
		pacer_charge(&t->links[1].pacer, RATE, now);
		run_for(100 * MS);
	}
	for (const struct sent *s = sent; s < sent + nsent; s++) {
		if (!s->data)
			continue;
		ck_assert_uint_lt(s->in.bucket_seq, PLACES);
		ck_assert_uint_eq(s->in.link, in_turn);
		ck_assert_uint_eq(
		    s->in.flags, s->in.bucket_seq == first ? 0 : WIRE_F_AHEAD);
		left[s->in.bucket_seq] = true;
		if (s->in.bucket_seq == first)
			in_turn = t->links[s->slot].wire_id;
		else
			ahead++;
		while (left[first])
			first++;
	}
	ck_assert_uint_eq(in_turn, _i == 0 ? 1 : 0);
	ck_assert_uint_ge(ahead, 5);
}
END_TEST

/* The first one that left ahead, or in its turn. */
START_TEST(a_resend_keeps_its_place)
{
	uint8_t flags = _i == 0 ? WIRE_F_AHEAD : 0;
	struct sent lost = { 0 }, again = { 0 };

	send_by_far_and_near();
	for (size_t i = nsent; i-- > 0;)
		if (sent[i].data && sent[i].in.flags == flags)
			lost = sent[i];
	lose(lost.slot, lost.seq);
	nsent = 0;
	run_for(15 * MS);
	for (size_t i = 0; i < nsent; i++)
		if (sent[i].data && sent[i].in.bucket_seq == lost.in.bucket_seq)
			again = sent[i];
	ck_assert(lost.data && again.data);
	ck_assert_uint_eq(again.in.flags, flags);
	ck_assert_uint_eq(again.in.link, lost.in.link);
}
END_TEST

/* --- answers --- */

static void
ask_often(enum wire_control control, unsigned times)
{
	uint8_t payload[8] = { 0 };
	struct link_arrival a = {
		.from = &l->path,
		.s = &l->cur,
		.in = { .control = (uint8_t)control },
		.packet = payload,
		.len = control == WIRE_PROBE ? sizeof(payload) : 0,
	};

	for (unsigned i = 0; i < times; i++)
		link_control(t, l, &a, now);
}

START_TEST(endless_questions_get_a_few_answers)
{
	ask_often(WIRE_KEEPALIVE, 4);
	ck_assert_uint_eq(count_sent_of(WIRE_KEEPALIVE_ACK), 4);
	ask_often(WIRE_KEEPALIVE, 1000);
	ask_often(WIRE_PROBE, 1000);
	ck_assert_uint_le(count_sent_of(WIRE_KEEPALIVE_ACK), 10);
	ck_assert_uint_eq(count_sent_of(WIRE_PROBE_ACK), 0);
	ck_assert_uint_ge(l->stats.drop_limit, 1990);
	nsent = 0;
	for (mono_t end = now + 10 * SEC; now < end; now += MS)
		ask_often(WIRE_KEEPALIVE, 3);
	ck_assert_uint_le(nsent, 300);
	/* What a peer asks that means well is answered each time. */
	now += SEC;
	nsent = 0;
	for (mono_t end = now + 10 * SEC; now < end; now += 100 * MS)
		ask_often(WIRE_KEEPALIVE, 1);
	ck_assert_uint_eq(nsent, 100);
}
END_TEST

/* --- who carries packets --- */

START_TEST(a_link_that_fails_is_not_chosen_from_then_on)
{
	struct report_link r;

	two_links();
	send_by(0, 9, 500);
	r = all_arrived(0, 1);
	tell(&r);
	ck_assert(t->untuned); /* until packets leave */
	link_set_down(t, l, "test", now);
	ck_assert_ptr_eq(sched_first(t, now), &t->links[1]);
	ck_assert_ptr_eq(sched_soonest(t, NULL, now), &t->links[1]);
	ck_assert_ptr_eq(sched_next(t, now), &t->links[1]);
	tell(&r);
	tunnel_run(t, now);
	ck_assert(!t->untuned);
}
END_TEST

/* --- CoDel's patience --- */

START_TEST(a_line_that_flaps_does_not_switch_codel_off)
{
	mono_t patient = 0;

	two_links();
	for (mono_t end = now + 60 * SEC; now < end; now += SEC / 2) {
		if (l->up)
			link_set_down(t, l, "test", now);
		else
			link_set_up(t, l, now);
		l->trial.on = false;
		tunnel_retune(t);
		if (now - t->shrunk_at < 2 * SEC)
			patient += SEC / 2;
	}
	ck_assert_int_ge(patient, 2 * SEC);
	ck_assert_int_le(patient, 60 * SEC / 4);
}
END_TEST

/* --- the peer begins anew --- */

START_TEST(loss_of_before_condemns_nobody)
{
	struct report_link r = all_arrived(0, 1);

	two_links();
	l->loss.percent = 50;
	link_forget_traffic(t, l);
	health_report(t, l, &r, 0, now);
	ck_assert(!l->trial.on);
}
END_TEST

START_TEST(a_trial_counts_from_the_new_totals)
{
	struct report_link r = all_arrived(0, 5000);

	two_links();
	link_set_down(t, l, "test", now);
	link_set_up(t, l, now);
	ck_assert(l->trial.on);
	health_report(t, l, &r, 0, now);
	link_forget_traffic(t, l);
	/* One of many has arrived, which is no success. */
	r = all_arrived(0, 5000 + 10 * HEALTH_GOOD_COPIES);
	r.packets = 1;
	health_report(t, l, &r, 0, now);
	ck_assert(l->trial.on);
}
END_TEST

START_TEST(delays_of_before_show_no_queue)
{
	l->rate.excess.base = 5 * MS;
	l->rate.excess.steps = 100;
	l->rate.running = true;
	l->rate.step.bytes = 1000;
	link_forget_traffic(t, l);
	ck_assert_int_eq(l->rate.excess.base, 0);
	ck_assert_uint_eq(l->rate.excess.steps, 0);
	ck_assert(!l->rate.running);
	ck_assert_uint_eq(l->rate.step.bytes, 0);
	ck_assert_uint_eq(l->pacer.rate_Bps, RATE);
}
END_TEST

START_TEST(no_drain_outlives_its_delays)
{
	l->rate.phase = RATE_DRAIN;
	l->rate.line_Bps = RATE / 2;
	l->rate.now_Bps = RATE / 4;
	link_forget_traffic(t, l);
	ck_assert_int_eq(l->rate.phase, RATE_CRUISE);
	ck_assert_uint_gt(l->pacer.rate_Bps, RATE * 45 / 100);
	ck_assert_uint_lt(l->pacer.rate_Bps, RATE / 2);
}
END_TEST

/* --- what a report may say --- */

/* For so long packets leave each ms, and each 25 ms the peer says that it got
 * so many times what it was sent. */
static void
exaggerate(mono_t span, unsigned factor)
{
	struct report_link r;
	uint64_t from = l->stats.tx_bytes;

	for (mono_t end = now + span; now < end; now += 25 * MS) {
		for (int i = 0; i < 25; i++)
			send_by(0, 9, 500);
		r = all_arrived(0, l->tx_seq - 1);
		r.bytes = (uint32_t)(l->stats.tx_bytes - from) * factor;
		input(1, 500); /* there would be more to send */
		tell(&r);
		nsent = 0;
	}
}

START_TEST(a_rate_is_found_by_what_was_sent_not_by_what_the_peer_says)
{
	uint64_t honest;

	rate_init(&l->rate, 0, now);
	exaggerate(SEC, 1);
	honest = l->rate.now_Bps;
	stop_end();
	setup();
	rate_init(&l->rate, 0, now);
	exaggerate(SEC, 1000);
	ck_assert_uint_ge(honest, 500000);
	ck_assert_uint_eq(l->rate.now_Bps, honest);
}
END_TEST

START_TEST(what_was_lost_cannot_be_claimed_later)
{
	struct report_link r = { .link = 0 };

	rate_init(&l->rate, 0, now);
	exaggerate(SEC, 0);
	r = all_arrived(0, l->tx_seq - 1);
	ck_assert_uint_eq(l->unreported, 0);
	r.bytes = 1000000;
	tell(&r);
	ck_assert_uint_eq(l->rate.step.bytes, 0);
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
	tcase_add_test(tc, our_own_stall_takes_no_line_down);
	tcase_add_loop_test(
	    tc, what_leaves_ahead_says_so_and_is_no_predecessor, 0, 2);
	tcase_add_loop_test(tc, a_resend_keeps_its_place, 0, 2);
	tcase_add_test(tc, loss_of_before_condemns_nobody);
	tcase_add_test(tc, a_trial_counts_from_the_new_totals);
	tcase_add_test(tc, delays_of_before_show_no_queue);
	tcase_add_test(tc, no_drain_outlives_its_delays);
	tcase_add_test(
	    tc, a_rate_is_found_by_what_was_sent_not_by_what_the_peer_says);
	tcase_add_test(tc, what_was_lost_cannot_be_claimed_later);
	tcase_add_test(tc, endless_questions_get_a_few_answers);
	tcase_add_test(tc, a_line_that_flaps_does_not_switch_codel_off);
	tcase_add_test(tc, a_link_that_fails_is_not_chosen_from_then_on);
	suite_add_tcase(suite, tc);
	return suite;
}
