/*
 * A bulk transfer like a modern TCP's: everything that arrived is told with
 * each acknowledgement, losses are found by time (RACK and its tail probe, RFC
 * 8985), which bears reordering, or by a retransmission timeout (RFC 6298, as
 * Linux has it); a reduction that was in vain is undone.  No handshake, no flow
 * control.
 */
#include "config.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bulk.h"

#define ACK_LEN SIM_PACKET_MIN
#define ACK_EVERY 2 /* packets in order */
#define ACK_DELAY (1 * MSEC)
#define RTO_MIN (200 * MSEC)
#define DUP_THRESH 3
#define REO_CALM 16 /* recoveries */
#define PACE_BURST (1 * MSEC)
#define LOG_SIZE (2 * BULK_WINDOW)

static struct bulk_segment *
seg(struct sim_bulk *b, uint64_t seq)
{
	return &b->segs[seq % BULK_WINDOW];
}

/* --- loss --- */

/* By number: what is lost first goes out first. */
static void
insert_lost(struct sim_bulk *b, struct bulk_segment *g)
{
	struct bulk_segment *p = TAILQ_LAST(&b->lost_list, bulk_list);

	if (p != NULL && TAILQ_FIRST(&b->lost_list)->seq > g->seq)
		p = NULL;
	while (p != NULL && p->seq > g->seq)
		p = TAILQ_PREV(p, bulk_list, entry);
	if (p == NULL)
		TAILQ_INSERT_HEAD(&b->lost_list, g, entry);
	else
		TAILQ_INSERT_AFTER(&b->lost_list, p, g, entry);
}

static void
lose(struct sim_bulk *b, struct bulk_segment *g)
{
	TAILQ_REMOVE(&b->flying_list, g, entry);
	g->state = BULK_LOST;
	b->flying--;
	b->lost++;
	b->marked++;
	insert_lost(b, g);
}

static void
begin_recovery(struct sim_bulk *b, enum bulk_ca ca)
{
	b->recover = b->next;
	b->marked -= b->ca == BULK_OPEN ? b->marked : 0;
	b->spurious -= b->ca == BULK_OPEN ? b->spurious : 0;
	b->ca = ca;
	if (ca == BULK_TIMEOUT) {
		b->cc->on_timeout(b);
		return;
	}
	b->cc->on_loss(b);
	if (b->reo_calm > 0 && --b->reo_calm == 0)
		b->reo_steps = 1;
}

/* What Linux bears, before and after it has seen any reordering. */
static mono_t
reordering(const struct sim_bulk *b)
{
	mono_t reo = b->min_rtt / 4 * (mono_t)b->reo_steps;

	if (!b->reord_seen && (b->ca != BULK_OPEN || b->sacked >= DUP_THRESH))
		return 0;
	return reo < b->srtt ? reo : b->srtt;
}

static bool
judge(struct sim_bulk *b, struct bulk_segment *g)
{
	if (b->ca == BULK_OPEN)
		begin_recovery(b, BULK_RECOVERY);
	lose(b, g);
	return true;
}

/* RFC 8985, 6.2 */
static void
find_late(struct sim_bulk *b)
{
	mono_t now = b->sim->now, wait = b->rack_rtt + reordering(b);
	struct bulk_segment *g;

	b->reo_at = MONO_NEVER;
	while ((g = TAILQ_FIRST(&b->flying_list)) != NULL &&
	       g->sent_at < b->rack_at) {
		if (g->sent_at + wait > now) {
			b->reo_at = g->sent_at + wait;
			break;
		}
		judge(b, g);
	}
}

/* RFC 6675: three packets above it have arrived.  What was sent again is left
 * to the timeout. */
static void
find_overtaken(struct sim_bulk *b)
{
	if (b->scan < b->una)
		b->scan = b->una;
	for (; b->scan + 1 < b->highest[DUP_THRESH - 1]; b->scan++) {
		struct bulk_segment *g = seg(b, b->scan);

		if (g->state == BULK_FLYING && g->tries == 1)
			judge(b, g);
	}
}

static void
find_losses(struct sim_bulk *b)
{
	if (b->cc->classic)
		find_overtaken(b);
	else
		find_late(b);
}

/* A packet that was taken for lost had only been late. */
static void
note_spurious(struct sim_bulk *b)
{
	b->spurious++;
	b->stats.spurious++;
	if (b->una >= b->reo_round) {
		b->reo_round = b->next;
		b->reo_steps++;
		b->reo_calm = REO_CALM;
	}
	if (b->cc->classic || b->ca == BULK_OPEN || b->lost > 0 ||
	    b->spurious < b->marked)
		return;
	b->ca = BULK_OPEN;
	b->cc->on_undo(b);
}

/* --- sending --- */

static bool
may_send(struct sim_bulk *b)
{
	b->pace_waits = false;
	if ((double)b->flying >= b->cwnd)
		return false;
	if (b->lost == 0 && b->next - b->una >= BULK_WINDOW - 1)
		return false;
	if (b->pace <= 0)
		return true;
	if (b->pace_at < b->sim->now)
		b->pace_at = b->sim->now;
	b->pace_waits = b->pace_at > b->sim->now + PACE_BURST;
	return !b->pace_waits;
}

static void
send_segment(struct sim_bulk *b, struct bulk_segment *g)
{
	uint64_t aux[2] = { g->seq, ++g->tries };

	if (b->flying == 0)
		b->first_sent_at = b->delivered_at = b->sim->now;
	g->state = BULK_FLYING;
	g->sent_at = b->sim->now;
	g->delivered = b->delivered;
	g->delivered_at = b->delivered_at;
	g->first_sent_at = b->first_sent_at;
	g->limited = b->bbr.limited > b->delivered;
	TAILQ_INSERT_TAIL(&b->flying_list, g, entry);
	b->flying++;
	b->sent++;
	b->stats.resent += g->tries > 1;
	if (b->pace > 0)
		b->pace_at += (mono_t)((double)SEC / b->pace);
	sim_flow_send(b->flow, b->flow->from, SIM_MTU, aux);
}

static void
transmit(struct sim_bulk *b)
{
	while (may_send(b)) {
		struct bulk_segment *g = TAILQ_FIRST(&b->lost_list);

		if (g != NULL) {
			TAILQ_REMOVE(&b->lost_list, g, entry);
			b->lost--;
		} else {
			g = seg(b, b->next);
			g->seq = b->next++;
			g->tries = 0;
		}
		send_segment(b, g);
	}
}

/* --- timers --- */

static mono_t
rto(const struct sim_bulk *b)
{
	mono_t t = 4 * b->rttvar > RTO_MIN ? 4 * b->rttvar : RTO_MIN;

	if (b->srtt == 0)
		return SEC;
	return (b->srtt + t) << (b->backoff < 6 ? b->backoff : 6);
}

/* From when the first packet that is missing was sent. */
static mono_t
rto_at(struct sim_bulk *b)
{
	const struct bulk_segment *g = seg(b, b->una);
	mono_t from = b->rto_from;

	if (b->flying == 0 && b->lost == 0)
		return MONO_NEVER;
	if (g->sent_at > from)
		from = g->sent_at;
	return from + rto(b);
}

static void
time_out(struct sim_bulk *b)
{
	b->stats.timeouts++;
	begin_recovery(b, BULK_TIMEOUT);
	while (!TAILQ_EMPTY(&b->flying_list))
		lose(b, TAILQ_FIRST(&b->flying_list));
	b->backoff++;
	b->rto_from = b->sim->now;
	b->probe_at = b->reo_at = MONO_NEVER;
	b->pace_at = b->sim->now;
}

/* RFC 8985, 7: the last one once more, so that losses before it show. */
static void
probe_tail(struct sim_bulk *b)
{
	struct bulk_segment *g = TAILQ_LAST(&b->flying_list, bulk_list);

	b->probe_at = MONO_NEVER;
	b->rto_from = b->sim->now;
	if (g == NULL)
		return;
	b->stats.probes++;
	TAILQ_REMOVE(&b->flying_list, g, entry);
	b->flying--;
	send_segment(b, g);
}

static void send_ack(struct sim_bulk *b);
static void on_event(struct sim *s, void *arg);

static void
arm(struct sim_bulk *b)
{
	mono_t at = mono_earlier(rto_at(b), b->ack_at);

	at = mono_earlier(at, mono_earlier(b->probe_at, b->reo_at));
	if (b->pace_waits)
		at = mono_earlier(at, b->pace_at);
	if (at < b->sim->now)
		at = b->sim->now;
	if (at >= b->event_at)
		return;
	b->event_at = at;
	sim_at(b->sim, at, on_event, b);
}

static void
on_event(struct sim *s, void *arg)
{
	struct sim_bulk *b = arg;

	if (s->now != b->event_at || s->now >= b->flow->stop_at)
		return;
	b->event_at = MONO_NEVER;
	if (s->now >= b->ack_at)
		send_ack(b);
	if (s->now >= b->reo_at)
		find_late(b);
	if (s->now >= b->probe_at)
		probe_tail(b);
	if (s->now >= rto_at(b))
		time_out(b);
	transmit(b);
	arm(b);
}

/* --- acknowledgements --- */

static void
measure(struct sim_bulk *b, mono_t rtt)
{
	mono_t err = rtt > b->srtt ? rtt - b->srtt : b->srtt - rtt;

	if (b->min_rtt == 0 || rtt < b->min_rtt)
		b->min_rtt = rtt;
	if (b->srtt == 0) {
		b->srtt = rtt;
		b->rttvar = rtt / 2;
		return;
	}
	b->rttvar += (err - b->rttvar) / 4;
	b->srtt += (rtt - b->srtt) / 8;
}

static void
sample(struct sim_bulk *b, const struct bulk_segment *g, struct bulk_sample *rs)
{
	if (g->sent_at >= b->rack_at) {
		b->rack_at = g->sent_at;
		b->rack_rtt = b->sim->now - g->sent_at;
		rs->rtt = b->rack_rtt;
	}
	if (rs->valid && g->delivered < rs->prior_delivered)
		return;
	rs->valid = true;
	rs->limited = g->limited;
	rs->prior_delivered = g->delivered;
	rs->prior_at = g->delivered_at;
	rs->send_span = g->sent_at - g->first_sent_at;
	b->first_sent_at = g->sent_at;
}

static void
note_highest(struct sim_bulk *b, uint64_t seq)
{
	uint64_t *h = b->highest;

	if (seq + 1 > h[0]) {
		h[2] = h[1];
		h[1] = h[0];
		h[0] = seq + 1;
	} else if (seq + 1 > h[1]) {
		h[2] = h[1];
		h[1] = seq + 1;
	} else if (seq + 1 > h[2])
		h[2] = seq + 1;
}

static void
done(struct sim_bulk *b, const struct bulk_arrival *a, struct bulk_sample *rs)
{
	struct bulk_segment *g = seg(b, a->seq);
	bool late;

	if (a->seq < b->una || g->state == BULK_DONE)
		return;
	if (a->seq + 1 < b->highest[0] && g->tries == 1)
		b->reord_seen = true;
	late = g->state == BULK_LOST || a->tries < g->tries;
	if (g->state == BULK_LOST) {
		TAILQ_REMOVE(&b->lost_list, g, entry);
		b->lost--;
	} else {
		TAILQ_REMOVE(&b->flying_list, g, entry);
		b->flying--;
	}
	g->state = BULK_DONE;
	b->sacked++;
	b->delivered++;
	b->delivered_at = b->sim->now;
	rs->acked++;
	note_highest(b, a->seq);
	if (late)
		note_spurious(b);
	else
		sample(b, g, rs);
}

static bool
advance(struct sim_bulk *b)
{
	uint64_t before = b->una;

	while (b->una < b->next && seg(b, b->una)->state == BULK_DONE) {
		seg(b, b->una++)->state = BULK_EMPTY;
		b->sacked--;
	}
	if (b->una == before)
		return false;
	b->backoff = 0;
	if (b->ca != BULK_OPEN && b->una >= b->recover) {
		b->cc->on_recovered(b);
		b->ca = BULK_OPEN;
	}
	return true;
}

static void
on_ack(struct sim_bulk *b, uint64_t upto)
{
	struct bulk_sample rs = { 0 };
	bool moved;

	for (; b->told < upto; b->told++)
		done(b, &b->log[b->told % LOG_SIZE], &rs);
	moved = advance(b);
	if (rs.rtt > 0)
		measure(b, rs.rtt);
	find_losses(b);
	if (rs.acked > 0)
		b->cc->on_ack(b, &rs);
	if (moved)
		b->probe_at =
		    b->ca == BULK_OPEN && b->sacked == 0 && b->flying > 0
			? b->sim->now + 2 * b->srtt
			: MONO_NEVER;
	transmit(b);
	arm(b);
}

/* --- receiving --- */

static void
send_ack(struct sim_bulk *b)
{
	uint64_t aux[2] = { b->arrivals, 0 };

	b->unacked = 0;
	b->ack_at = MONO_NEVER;
	b->stats.acks++;
	sim_flow_send(b->flow, 1 - b->flow->from, ACK_LEN, aux);
}

static void
note_gap(struct sim_bulk *b)
{
	mono_t gap = b->sim->now - b->progress_at;

	if (b->progress_at != 0 && gap > b->stats.gap_max) {
		b->stats.gap_max = gap;
		b->stats.gap_at = b->sim->now;
	}
}

static void
on_data(struct sim_bulk *b, uint64_t seq, unsigned tries)
{
	bool in_order = seq == b->expected;

	SIM_MUST(b->arrivals - b->told < LOG_SIZE);
	b->log[b->arrivals++ % LOG_SIZE] = (struct bulk_arrival){ seq, tries };
	if (seq >= b->expected && !b->seen[seq % BULK_WINDOW]) {
		b->seen[seq % BULK_WINDOW] = 1;
		b->stats.bytes += BULK_PAYLOAD;
	}
	while (b->seen[b->expected % BULK_WINDOW])
		b->seen[b->expected++ % BULK_WINDOW] = 0;
	if (in_order) {
		note_gap(b);
		b->progress_at = b->sim->now;
	}
	/* A hole, or one filled: at once. */
	if (!in_order || b->expected != seq + 1 || ++b->unacked >= ACK_EVERY)
		send_ack(b);
	else
		b->ack_at = b->sim->now + ACK_DELAY;
}

static void
on_packet(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct sim_bulk *b = f->ctx;

	if (s->now >= f->stop_at)
		return;
	if (p->id < b->last_id[at])
		b->stats.reordered[1 - at]++;
	else
		b->last_id[at] = p->id;
	if (at == f->from)
		on_ack(b, p->aux[0]);
	else
		on_data(b, p->aux[0], (unsigned)p->aux[1]);
	arm(b);
}

/* --- for tests --- */

static void
start(struct sim *s, void *arg)
{
	struct sim_bulk *b = arg;

	b->rto_from = s->now;
	transmit(b);
	arm(b);
}

struct sim_bulk *
sim_bulk_cc(struct sim *s, int from, enum sim_cc cc)
{
	static const struct bulk_cc *const all[] = { [SIM_PLAIN] = &bulk_plain,
		[SIM_CUBIC] = &bulk_cubic,
		[SIM_BBR] = &bulk_bbr,
		[SIM_CLASSIC] = &bulk_classic };
	struct sim_bulk *b = calloc(1, sizeof(*b));

	SIM_MUST(b != NULL);
	b->sim = s;
	b->cc = all[cc];
	b->flow = sim_flow(s, from, SIM_MTU);
	b->flow->proto = IPPROTO_TCP;
	b->flow->on_packet = on_packet;
	b->flow->ctx = b;
	TAILQ_INIT(&b->flying_list);
	TAILQ_INIT(&b->lost_list);
	b->cwnd = BULK_CWND_INIT;
	b->ssthresh = BULK_WINDOW;
	b->reo_steps = 1;
	b->reo_at = b->probe_at = b->ack_at = b->event_at = MONO_NEVER;
	b->cc->init(b);
	sim_at(s, s->now, start, b);
	return b;
}

struct sim_bulk *
sim_bulk(struct sim *s, int from)
{
	return sim_bulk_cc(s, from, SIM_PLAIN);
}

void
sim_bulk_free(struct sim_bulk *b)
{
	free(b);
}

uint64_t
sim_bulk_bytes(const struct sim_bulk *b)
{
	return b->stats.bytes;
}

uint64_t
sim_bulk_resent(const struct sim_bulk *b)
{
	return b->stats.resent;
}

uint64_t
sim_bulk_timeouts(const struct sim_bulk *b)
{
	return b->stats.timeouts;
}

const struct sim_bulk_stats *
sim_bulk_stats(struct sim_bulk *b)
{
	note_gap(b);
	return &b->stats;
}

void
sim_bulk_reset(struct sim_bulk *b)
{
	memset(&b->stats, 0, sizeof(b->stats));
}

void
sim_bulk_text(const struct sim_bulk *b, char *buf, size_t size)
{
	snprintf(buf, size,
	    "cwnd %.0f ssthresh %.0f flying %llu lost %llu srtt %.1f min %.1f "
	    "ms pace %.1f Mbit/s bw %.1f mode %u",
	    b->cwnd, b->ssthresh, (unsigned long long)b->flying,
	    (unsigned long long)b->lost, (double)b->srtt / (double)MSEC,
	    (double)b->min_rtt / (double)MSEC, b->pace * SIM_MTU * 8 / 1e6,
	    b->bbr.btl_bw * SIM_MTU * 8 / 1e6, b->bbr.mode);
}
