/*
 * A bulk transfer like a modern TCP's: CUBIC (RFC 9438), every packet
 * acknowledged by itself, losses found by time (RACK, RFC 8985), which bears
 * reordering, and a retransmission timeout.  No handshake, no flow control.
 */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define WINDOW 32768 /* packets; a power of two */
#define CUBIC_C 0.4
#define CUBIC_BETA 0.7
#define ACK_LEN SIM_PACKET_MIN
#define PAYLOAD (SIM_MTU - 40)
#define RTO_MIN (200 * MSEC)
#define FRESH UINT64_MAX /* aux[0] of data: nothing, of an ACK: its number */

enum state { EMPTY, FLYING, LOST, DONE };

struct segment {
	enum state state;
	mono_t sent_at;
	bool resent;
};

struct sim_bulk {
	struct sim *sim;
	struct sim_flow *flow;
	/* sender */
	struct segment segs[WINDOW];
	uint64_t una, next;
	uint64_t flying, lost;
	double cwnd, ssthresh; /* packets */
	double w_max;
	mono_t epoch_at;  /* of CUBIC's curve; 0: none */
	uint64_t recover; /* one reduction until this is acknowledged */
	mono_t srtt, rttvar, min_rtt;
	mono_t rack_at; /* when the latest packet that arrived was sent */
	double reo;	/* reordering that is borne, in min_rtt */
	mono_t rto_at;
	bool timer;
	unsigned backoff;
	/* receiver */
	uint8_t seen[WINDOW];
	uint64_t expected; /* all below have arrived */
	/* stats */
	uint64_t bytes, resent, timeouts;
};

static struct segment *
seg(struct sim_bulk *b, uint64_t seq)
{
	return &b->segs[seq % WINDOW];
}

static void transmit(struct sim_bulk *b);

/* --- window --- */

static void
reduce(struct sim_bulk *b)
{
	if (b->una < b->recover)
		return;
	b->recover = b->next;
	b->w_max = b->cwnd;
	b->cwnd *= CUBIC_BETA;
	if (b->cwnd < 2)
		b->cwnd = 2;
	b->ssthresh = b->cwnd;
	b->epoch_at = 0;
}

static void
grow(struct sim_bulk *b)
{
	double t, target, k;

	if (b->cwnd < b->ssthresh) {
		b->cwnd += 1;
		return;
	}
	if (b->una < b->recover)
		return;
	if (b->epoch_at == 0)
		b->epoch_at = b->sim->now;
	k = cbrt(b->w_max * (1 - CUBIC_BETA) / CUBIC_C);
	t = (double)(b->sim->now - b->epoch_at + b->srtt) / (double)SEC;
	target = CUBIC_C * (t - k) * (t - k) * (t - k) + b->w_max;
	if (target > b->cwnd * 1.5)
		target = b->cwnd * 1.5;
	if (target > b->cwnd)
		b->cwnd += (target - b->cwnd) / b->cwnd;
	else
		b->cwnd += 0.5 / b->cwnd;
	if (b->cwnd > WINDOW / 2)
		b->cwnd = WINDOW / 2;
}

/* --- loss --- */

static mono_t
reordering(const struct sim_bulk *b)
{
	mono_t reo = (mono_t)(b->reo * (double)b->min_rtt);

	if (reo > b->srtt)
		reo = b->srtt;
	return reo > MSEC ? reo : MSEC;
}

static void
lose(struct sim_bulk *b, uint64_t seq)
{
	seg(b, seq)->state = LOST;
	b->flying--;
	b->lost++;
}

static void
find_losses(struct sim_bulk *b)
{
	mono_t reo = reordering(b);
	bool any = false;

	for (uint64_t q = b->una; q < b->next; q++) {
		struct segment *g = seg(b, q);

		if (g->state != FLYING || g->sent_at + reo >= b->rack_at)
			continue;
		lose(b, q);
		any = true;
	}
	if (any)
		reduce(b);
}

static void
on_timer(struct sim *s, void *arg)
{
	struct sim_bulk *b = arg;

	b->timer = false;
	if (b->flying == 0 && b->lost == 0)
		return;
	if (s->now >= b->rto_at) {
		b->timeouts++;
		for (uint64_t q = b->una; q < b->next; q++)
			if (seg(b, q)->state == FLYING)
				lose(b, q);
		b->recover = 0;
		reduce(b);
		b->cwnd = 2;
		b->backoff++;
		transmit(b);
	}
	if (!b->timer) {
		b->timer = true;
		sim_at(s, b->rto_at > s->now ? b->rto_at : s->now + RTO_MIN,
		    on_timer, b);
	}
}

static void
restart_timer(struct sim_bulk *b)
{
	mono_t rto = b->srtt == 0 ? SEC : b->srtt + 4 * b->rttvar;

	if (rto < RTO_MIN)
		rto = RTO_MIN;
	rto <<= b->backoff < 6 ? b->backoff : 6;
	b->rto_at = b->sim->now + rto;
	if (!b->timer) {
		b->timer = true;
		sim_at(b->sim, b->rto_at, on_timer, b);
	}
}

/* --- sending --- */

static bool
next_lost(struct sim_bulk *b, uint64_t *seq)
{
	if (b->lost == 0)
		return false;
	for (*seq = b->una; *seq < b->next; (*seq)++)
		if (seg(b, *seq)->state == LOST)
			return true;
	return false;
}

static void
transmit(struct sim_bulk *b)
{
	while ((double)b->flying < b->cwnd) {
		uint64_t aux[2], seq;
		struct segment *g;
		bool again = next_lost(b, &seq);

		if (!again && b->next - b->una >= WINDOW - 1)
			return;
		if (again) {
			b->lost--;
			b->resent++;
		} else
			seq = b->next++;
		g = seg(b, seq);
		*g = (struct segment){ FLYING, b->sim->now, again };
		b->flying++;
		if (b->flying == 1)
			restart_timer(b);
		aux[0] = FRESH;
		aux[1] = seq;
		sim_flow_send(b->flow, b->flow->from, SIM_MTU, aux);
	}
}

static void
sample(struct sim_bulk *b, mono_t rtt)
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
done(struct sim_bulk *b, uint64_t seq)
{
	struct segment *g = seg(b, seq);

	if (seq < b->una || seq >= b->next || g->state == DONE)
		return;
	if (g->state == FLYING)
		b->flying--;
	else if (g->state == LOST) {
		/* It had only been late. */
		b->lost--;
		b->reo += 0.25;
	}
	if (!g->resent)
		sample(b, b->sim->now - g->sent_at);
	if (g->sent_at > b->rack_at)
		b->rack_at = g->sent_at;
	g->state = DONE;
	grow(b);
}

static void
on_ack(struct sim_bulk *b, uint64_t seq, uint64_t expected)
{
	done(b, seq);
	while (b->una < expected && b->una < b->next) {
		done(b, b->una);
		seg(b, b->una++)->state = EMPTY;
	}
	b->backoff = 0;
	find_losses(b);
	restart_timer(b);
	transmit(b);
}

/* --- receiving --- */

static void
on_data(struct sim_bulk *b, uint64_t seq)
{
	uint64_t aux[2] = { seq, 0 };

	if (seq >= b->expected && !b->seen[seq % WINDOW]) {
		b->seen[seq % WINDOW] = 1;
		b->bytes += PAYLOAD;
	}
	while (b->seen[b->expected % WINDOW])
		b->seen[b->expected++ % WINDOW] = 0;
	aux[1] = b->expected;
	sim_flow_send(b->flow, 1 - b->flow->from, ACK_LEN, aux);
}

static void
on_packet(struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p)
{
	struct sim_bulk *b = f->ctx;

	(void)s;
	if (at == f->from)
		on_ack(b, p->aux[0], p->aux[1]);
	else
		on_data(b, p->aux[1]);
}

static void
start(struct sim *s, void *arg)
{
	(void)s;
	transmit(arg);
}

struct sim_bulk *
sim_bulk(struct sim *s, int from)
{
	struct sim_bulk *b = calloc(1, sizeof(*b));

	SIM_MUST(b != NULL);
	b->sim = s;
	b->flow = sim_flow(s, from, SIM_MTU);
	b->flow->on_packet = on_packet;
	b->flow->ctx = b;
	b->cwnd = 10;
	b->ssthresh = WINDOW;
	b->reo = 0.25;
	sim_at(s, s->now, start, b);
	return b;
}

void
sim_bulk_free(struct sim_bulk *b)
{
	free(b);
}

uint64_t
sim_bulk_bytes(const struct sim_bulk *b)
{
	return b->bytes;
}

uint64_t
sim_bulk_resent(const struct sim_bulk *b)
{
	return b->resent;
}

uint64_t
sim_bulk_timeouts(const struct sim_bulk *b)
{
	return b->timeouts;
}
