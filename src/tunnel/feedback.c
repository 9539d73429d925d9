/*
 * A report goes out every 25 ms while packets come, at once when one is
 * missing, and twice after the last one, so that nothing at the end of a burst
 * stays unknown.  It travels ahead of the queue on the link where it arrives
 * first, and on a second one while any line is suspect.
 */
#include "config.h"

#include "base/util.h"
#include "tunnel/arq.h"
#include "tunnel/feedback.h"
#include "tunnel/tunnel.h"

/* A line that carries packets, or did. */
#define CARRIED (300 * NSEC_PER_MSEC)
/* A packet is taken for lost when it is that much later than others were; more
 * where delays vary. */
#define OVERDUE (20 * NSEC_PER_MSEC)
#define STAMP_AGE_MAX (20 * NSEC_PER_SEC)

void
feedback_heard_data(
    struct tunnel *t, struct link *l, uint32_t bytes, mono_t now)
{
	l->meter.data_at = now;
	t->feedback.owed = 2;
	if (t->feedback.bytes < UINT32_MAX - bytes)
		t->feedback.bytes += bytes;
}

void
feedback_reset(struct tunnel *t)
{
	t->feedback.told = false;
}

/* --- ours --- */

/* Has it a part in our reports? */
static bool
is_told_of(const struct link *l)
{
	return l->used && l->cur.used && l->meter.started;
}

/* Each link has room for the latest of its holes, and one of them, another one
 * each time, has the rest: so all are told of in a few reports. */
static size_t
compose(struct tunnel *t, uint8_t out[REPORT_MAX], mono_t now)
{
	unsigned n = 0, first = t->feedback.first;
	struct report_link r;
	size_t len = 0, holes, least;

	for (unsigned i = 0; i < LINKS_MAX; i++)
		n += is_told_of(&t->links[i]);
	if (n == 0)
		return 0;
	least = (REPORT_MAX / n - REPORT_LINK_LEN) / REPORT_HOLE_LEN / 2;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[(first + i) % LINKS_MAX];

		if (!is_told_of(l))
			continue;
		if (len == 0)
			t->feedback.first = l->slot + 1;
		holes = REPORT_MAX - len - n-- * REPORT_LINK_LEN;
		holes = holes / REPORT_HOLE_LEN - n * least;
		if (holes > REPORT_HOLES)
			holes = REPORT_HOLES;
		meter_report(&l->meter, &r, holes, now);
		r.link = l->wire_id;
		len += report_put(out + len, REPORT_MAX - len, &r);
	}
	return len;
}

static void
send_report(struct tunnel *t, struct link *l, const uint8_t *payload,
    size_t len, mono_t now)
{
	const struct link_control c = {
		.control = WIRE_REPORT, .payload = payload, .len = len
	};

	link_send_control(t, l, &c, now);
	t->feedback.credit -= (int64_t)len + 60;
	/* What was due anyway is not held against a time when there is more. */
	if (t->feedback.credit < -FEEDBACK_SAVED)
		t->feedback.credit = -FEEDBACK_SAVED;
	t->feedback.stats.tx_reports++;
}

/* May one of the lines be dead, in either direction? */
static bool
in_doubt(const struct tunnel *t, mono_t now)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];
		const struct meter *m = &l->meter;

		if (!l->used || !l->up)
			continue;
		if (health_is_suspect(l))
			return true;
		if (m->data_at != 0 && now - m->data_at < CARRIED &&
		    now - m->heard_at >= FEEDBACK_QUIET)
			return true;
	}
	return false;
}

static void
report(struct tunnel *t, mono_t now)
{
	struct feedback *f = &t->feedback;
	struct link *first = sched_soonest(t, NULL, now), *second = NULL;
	uint8_t payload[REPORT_MAX];
	size_t len;

	f->reported_at = now;
	f->bytes = 0;
	if (f->owed > 0)
		f->owed--;
	if (first == NULL || (len = compose(t, payload, now)) == 0)
		return;
	if (in_doubt(t, now))
		second = sched_soonest(t, first, now);
	send_report(t, first, payload, len, now);
	if (second != NULL)
		send_report(t, second, payload, len, now);
}

static void
refill(struct tunnel *t, mono_t now)
{
	struct feedback *f = &t->feedback;
	mono_t span = now - f->credit_at;
	uint64_t rate = t->rate_Bps / FEEDBACK_SHARE, bytes;

	if (span < NSEC_PER_MSEC)
		return;
	if (span > NSEC_PER_SEC)
		span = NSEC_PER_SEC;
	bytes = rate * (uint64_t)(span / NSEC_PER_USEC) /
		(NSEC_PER_SEC / NSEC_PER_USEC);
	if (bytes == 0)
		return;
	/* The time that made no whole byte counts when it does. */
	f->credit_at = now - span + (mono_t)(bytes * NSEC_PER_SEC / rate);
	f->credit += (int64_t)bytes;
	if (f->credit > FEEDBACK_SAVED)
		f->credit = FEEDBACK_SAVED;
}

/* However often it asks, and by however many links. */
static bool
may_answer(const struct tunnel *t, const struct link *l, mono_t now)
{
	mono_t gap =
	    t->feedback.credit >= 0 ? FEEDBACK_HOLE_GAP : FEEDBACK_GAP_MAX;

	return now - l->answered_at >= gap;
}

static void
answer(struct tunnel *t, struct link *l, mono_t now)
{
	uint8_t payload[REPORT_MAX];
	size_t len;

	if (!may_answer(t, l, now) || (len = compose(t, payload, now)) == 0)
		return;
	l->answered_at = now;
	send_report(t, l, payload, len, now);
}

void
feedback_asked(struct link *l)
{
	l->asked = true;
}

/* When the credit allows another report, which is never longer than a while. */
static mono_t
affordable_at(const struct tunnel *t)
{
	const struct feedback *f = &t->feedback;
	uint64_t rate = t->rate_Bps / FEEDBACK_SHARE;
	mono_t wait = FEEDBACK_GAP_MAX;

	if (f->credit >= 0)
		return 0;
	if (rate > 0 && (uint64_t)-f->credit * 4 < rate)
		wait = (mono_t)((uint64_t)-f->credit * NSEC_PER_SEC / rate);
	if (f->credit_at + wait > f->reported_at + FEEDBACK_GAP_MAX)
		return f->reported_at + FEEDBACK_GAP_MAX;
	return f->credit_at + wait;
}

/* What need not wait for the next regular report: a hole, or silence. */
static mono_t
urgent_at(const struct feedback *f, const struct meter *m)
{
	mono_t first = f->reported_at + FEEDBACK_HOLE_GAP;
	mono_t at = m->nholes == 0 ? MONO_NEVER : meter_due_at(m);
	mono_t silent = m->data_at + FEEDBACK_QUIET;

	if (m->data_at != 0 && f->owed > 0 && silent > f->reported_at)
		at = mono_earlier(at, silent);
	return at == MONO_NEVER || at > first ? at : first;
}

static mono_t
report_due_at(const struct tunnel *t)
{
	const struct feedback *f = &t->feedback;
	mono_t due = MONO_NEVER;

	if (t->nup == 0)
		return MONO_NEVER;
	if (f->owed > 0)
		due = f->reported_at + (f->bytes >= FEEDBACK_BUSY_BYTES
					       ? FEEDBACK_GAP
					       : FEEDBACK_GAP_SLOW);
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (is_told_of(&t->links[i]))
			due =
			    mono_earlier(due, urgent_at(f, &t->links[i].meter));
	if (due != MONO_NEVER && affordable_at(t) > due)
		return affordable_at(t);
	return due;
}

/* --- asking --- */

/* Since when the peer's word is waited for; MONO_NEVER: it is not. */
static mono_t
oldest_flight(const struct tunnel *t)
{
	mono_t oldest = MONO_NEVER;

	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used && t->links[i].retain.data > 0)
			oldest =
			    mono_earlier(oldest, t->links[i].retain.data_at);
	return oldest;
}

mono_t
feedback_ask_at(const struct tunnel *t)
{
	const struct feedback *f = &t->feedback;
	mono_t wait, from;

	from = oldest_flight(t);
	if (t->nup == 0 || from == MONO_NEVER)
		return MONO_NEVER;
	if (f->told_at > from)
		from = f->told_at;
	if (f->asked_at > from)
		from = f->asked_at;
	wait = FEEDBACK_ASK << (f->asks < 4 ? f->asks : 4);
	if (wait > FEEDBACK_ASK_MAX)
		wait = FEEDBACK_ASK_MAX;
	return from + wait + 2 * t->delay_max;
}

/* Packets are in flight and no report comes: asks by every link, and the
 * answer comes by the same. */
static mono_t
run_asking(struct tunnel *t, mono_t now)
{
	static const struct link_control ask = { .control = WIRE_ASK };
	struct feedback *f = &t->feedback;
	mono_t due = feedback_ask_at(t);

	if (due == MONO_NEVER)
		f->asks = 0;
	if (now < due)
		return due;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->used || !l->up || !l->cur.used)
			continue;
		link_send_control(t, l, &ask, now);
		f->stats.asks++;
	}
	f->asks++;
	f->asked_at = now;
	return feedback_ask_at(t);
}

mono_t
feedback_run(struct tunnel *t, mono_t now)
{
	mono_t due;

	refill(t, now);
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used && t->links[i].asked) {
			t->links[i].asked = false;
			answer(t, &t->links[i], now);
		}
	due = report_due_at(t);
	if (now >= due) {
		report(t, now);
		due = report_due_at(t);
	}
	return mono_earlier(due, run_asking(t, now));
}

/* --- the peer's --- */

static struct link *
find_link(struct tunnel *t, uint8_t wire_id)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used && t->links[i].cur.used &&
		    t->links[i].wire_id == wire_id)
			return &t->links[i];
	return NULL;
}

/* By our clock: what was sent before should have been in the report. */
static mono_t
expected_before(const struct link *l, uint32_t stamp, mono_t margin, mono_t now)
{
	mono_t flight =
	    l->delay.last > l->delay.mean ? l->delay.last : l->delay.mean;
	/* Its clock less the delay is ours. */
	uint32_t units = (uint32_t)(flight / WIRE_STAMP_UNIT);
	mono_t age = wire_stamp_rtt((stamp - units) & WIRE_STAMP_MASK, now);

	return now - age - margin;
}

/* False: it tells nothing that could be true. */
static bool
settle(struct tunnel *t, struct link *l, const struct report_link *r,
    uint32_t stamp, bool newer, mono_t now)
{
	struct arq_loss loss = { t, now, false };
	struct retain_result res;
	mono_t margin, expected;

	if (!retain_report(&l->retain, t->pool, r, arq_lost, &loss, &res)) {
		/* What was sent before the peer began anew is forgotten. */
		t->feedback.stats.bad_reports += r->highest >= l->tx_seq;
		return false;
	}
	l->stats.lost += res.lost;
	l->stats.lost += retain_expire(
	    &l->retain, t->pool, now - RETAIN_OPEN_MAX, arq_lost, &loss);
	if (!newer)
		return true;
	if (r->packets != l->told.packets)
		delay_sample(&l->delay, r->owd_min, r->owd_last, now);
	margin = OVERDUE + 4 * l->delay.var + pacer_cost(&l->pacer, 1500);
	expected = expected_before(l, stamp, margin, now);
	retain_overdue(&l->retain, expected, arq_lost, &loss);
	health_overdue(t, l, retain_unheard_at(&l->retain) < expected);
	health_report(
	    t, l, r, expected_before(l, stamp, health_patience(l), now), now);
	return true;
}

void
feedback_input(struct tunnel *t, const uint8_t *payload, size_t len,
    uint32_t stamp, mono_t now)
{
	struct feedback *f = &t->feedback;
	uint32_t span = (stamp - f->told_stamp) & WIRE_STAMP_MASK;
	/* Stamps wrap: after a pause they tell nothing of each other. */
	bool first = !f->told || now - f->told_at > STAMP_AGE_MAX;
	bool newer = first || (span != 0 && span <= WIRE_STAMP_MASK / 2);
	struct report_link r;
	uint32_t seen = 0; /* links, by their numbers */
	struct link *l;
	size_t n;

	f->stats.rx_reports++;
	for (; len > 0; payload += n, len -= n) {
		n = report_get(&r, payload, len);
		if (n == 0 || (seen & 1U << r.link) != 0) {
			f->stats.bad_reports++;
			break;
		}
		seen |= 1U << r.link;
		if ((l = find_link(t, r.link)) == NULL)
			continue;
		if (!settle(t, l, &r, stamp, newer, now))
			continue;
		f->told_at = now;
		f->asks = 0;
		if (newer)
			link_take_rate(t, l, &r,
			    first ? 0 : (mono_t)span * WIRE_STAMP_UNIT, now);
	}
	if (newer) {
		f->told = true;
		f->told_stamp = stamp;
	}
	tunnel_retune_soon(t); /* delays change */
}
