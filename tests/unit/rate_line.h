/*
 * A line for the tests of rate.c, in a closed loop: a sender that paces at
 * rate_pace(), a queue with tail drop before a transmitter, then loss, delay
 * and jitter that keep the order, a receiver that reports, and the way back.
 * Time goes by in steps of 1 ms, as a daemon's loop does.
 */
#ifndef MLVPN_UNIT_RATE_LINE_H
#define MLVPN_UNIT_RATE_LINE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/delay.h"
#include "tunnel/rate.h"
#include "tunnel/wire.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define MBIT 125000.0 /* bytes per second */
#define FLIGHT_MAX (1 << 19)
#define REPORTS_MAX 512

struct line_packet {
	mono_t sent_at, at;
	uint32_t len;
	bool lost;
};

struct line_report {
	mono_t at;	   /* it comes back */
	mono_t made_at;	   /* by the receiver's clock */
	uint64_t sequence; /* highest, as a count */
	uint64_t packets, bytes;
	mono_t owd_min, owd_last;
};

struct line {
	/* conf; may change at any time */
	double real_Bps;
	mono_t buffer;	   /* of the operator, as time at real_Bps */
	mono_t way;	   /* there; the same back */
	mono_t jitter;	   /* sigma */
	double loss;	   /* after the transmitter */
	double app_Bps;	   /* what there is to send; 0: always more */
	double cpu_Bps;	   /* what we can send; 0: everything */
	mono_t hold_until; /* nothing arrives before, then all at once */
	mono_t stop_until; /* nothing is transmitted before */
	mono_t report_min, report_max; /* gaps between reports */
	uint32_t len;
	bool far; /* another line is the soonest */
	/* state */
	struct rate rate;
	struct delay delay;
	mono_t now;
	mono_t due_at, free_at, flight_at;
	double app_credit;
	bool backlogged;
	mono_t rtt;
	struct line_packet flight[FLIGHT_MAX];
	uint64_t head, tail;
	mono_t report_at;
	struct line_report made; /* the receiver's counters */
	bool fresh;		 /* owd_min of made is */
	struct line_report reports[REPORTS_MAX];
	unsigned report_head, report_tail;
	struct line_report seen; /* the last that came */
	/* stats, since line_watch */
	mono_t watched_at;
	double delivered, offered, rate_sum;
	mono_t queue_max;
	double queue_sum;
	unsigned ticks, above_20;
	uint64_t rate_min, rate_max;
	unsigned changes; /* of now_Bps */
	unsigned paces;	  /* changes of rate_pace(), trims as well */
	unsigned untold;  /* ... of which rate_report() said nothing */
};

static inline double
line_normal(void)
{
	double u = 1.0 - drand48(), v = drand48();

	return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static inline void
line_watch(struct line *l)
{
	l->watched_at = l->now;
	l->delivered = l->offered = l->rate_sum = l->queue_sum = 0;
	l->queue_max = 0;
	l->ticks = l->above_20 = 0;
	l->changes = l->paces = l->untold = 0;
	l->rate_min = UINT64_MAX;
	l->rate_max = 0;
}

static inline void
line_init(struct line *l, double conf_Bps, double real_Bps, mono_t way)
{
	memset(l, 0, sizeof(*l));
	l->real_Bps = real_Bps;
	l->buffer = 300 * MS;
	l->way = way;
	l->report_min = l->report_max = 25 * MS;
	l->len = 1500;
	l->now = 1000 * SEC;
	l->due_at = l->report_at = l->now;
	l->rtt = 2 * way;
	rate_init(&l->rate, (uint64_t)conf_Bps, l->now);
	delay_reset(&l->delay);
	line_watch(l);
}

/* What waits before the transmitter. */
static inline mono_t
line_queue(const struct line *l)
{
	return l->free_at > l->now ? l->free_at - l->now : 0;
}

static inline void
line_send(struct line *l)
{
	struct line_packet *p = &l->flight[l->tail % FLIGHT_MAX];
	mono_t cost = (mono_t)(l->len * 1e9 / l->real_Bps);

	p->sent_at = l->now;
	p->len = l->len;
	p->lost = true;
	l->tail++;
	l->offered += l->len;
	if (l->stop_until > l->free_at)
		l->free_at = l->stop_until;
	if (l->now > l->free_at)
		l->free_at = l->now;
	p->at = l->free_at;
	if (l->free_at - l->now + cost > l->buffer + cost)
		return;
	l->free_at += cost;
	p->at = l->free_at;
	if (l->loss > 0 && drand48() < l->loss)
		return;
	p->lost = false;
	p->at += l->way;
	if (l->jitter > 0)
		p->at += (mono_t)(line_normal() * (double)l->jitter);
	if (p->at < l->free_at)
		p->at = l->free_at;
	if (p->at < l->hold_until)
		p->at = l->hold_until;
	if (p->at < l->flight_at)
		p->at = l->flight_at;
	l->flight_at = p->at;
}

static inline void
line_sender(struct line *l)
{
	double Bps = (double)rate_pace(&l->rate), credit = l->app_credit;

	if (l->cpu_Bps > 0 && l->cpu_Bps < Bps)
		Bps = l->cpu_Bps;
	if (l->app_Bps > 0) {
		credit += l->app_Bps / 1000;
		if (credit > l->app_Bps / 10 + 5 * l->len)
			credit = l->app_Bps / 10 + 5 * l->len;
	}
	if (l->due_at < l->now - 1 * MS)
		l->due_at = l->now - 1 * MS;
	while (l->due_at <= l->now && l->app_Bps >= 0) {
		if (l->app_Bps > 0 && credit < l->len)
			break;
		credit -= l->len;
		line_send(l);
		l->due_at += (mono_t)(l->len * 1e9 / Bps);
	}
	l->app_credit = l->app_Bps > 0 ? credit : 0;
	if (l->app_Bps < 0 || (l->app_Bps > 0 && credit < l->len))
		l->backlogged = false;
}

static inline void
line_receiver(struct line *l)
{
	struct line_report *m = &l->made;

	for (; l->head != l->tail; l->head++) {
		struct line_packet *p = &l->flight[l->head % FLIGHT_MAX];
		mono_t owd;

		if (p->at > l->now)
			break;
		if (p->lost)
			continue;
		owd = p->at - p->sent_at;
		m->sequence = l->head + 1;
		m->packets++;
		m->bytes += p->len;
		l->delivered += p->len;
		m->owd_last = owd;
		if (!l->fresh || owd < m->owd_min)
			m->owd_min = owd;
		l->fresh = true;
	}
	if (l->now < l->report_at || m->packets == 0)
		return;
	m->made_at = l->now;
	m->at = l->now + l->way;
	l->reports[l->report_tail++ % REPORTS_MAX] = *m;
	l->fresh = false;
	l->report_at =
	    l->now + l->report_min +
	    (mono_t)(drand48() * (double)(l->report_max - l->report_min));
}

static inline uint32_t
line_stamp(mono_t owd)
{
	/* An offset of the clocks that wraps soon. */
	return (uint32_t)((owd + 67 * SEC) / WIRE_STAMP_UNIT) & WIRE_STAMP_MASK;
}

static inline void
line_hear(struct line *l, const struct line_report *r)
{
	struct rate_sample s = {
		.bytes = (uint32_t)(r->bytes - l->seen.bytes),
		.packets = (uint32_t)(r->packets - l->seen.packets),
		.numbered = (uint32_t)(r->sequence - l->seen.sequence),
		.span = r->made_at - l->seen.made_at,
		.backlogged = l->backlogged,
		.soonest = !l->far,
	};
	uint64_t was = l->rate.now_Bps, pace = rate_pace(&l->rate);
	bool told = false;

	if (l->seen.packets != 0) {
		if (s.bytes > 0) {
			delay_sample(&l->delay, line_stamp(r->owd_min),
			    line_stamp(r->owd_last), l->now);
			l->rtt += (r->owd_last + l->way - l->rtt) / 8;
		}
		s.rtt = l->rtt;
		if (l->delay.known)
			told = rate_report(&l->rate, &l->delay, &s, l->now);
		l->changes += l->rate.now_Bps != was;
		l->paces += rate_pace(&l->rate) != pace;
		l->untold += told != (rate_pace(&l->rate) != pace);
		l->backlogged = true;
	}
	l->seen = *r;
}

static inline void
line_count(struct line *l)
{
	mono_t queue = line_queue(l);

	l->ticks++;
	l->queue_sum += (double)queue;
	l->rate_sum += (double)l->rate.now_Bps;
	if (queue > l->queue_max)
		l->queue_max = queue;
	if (queue > 20 * MS)
		l->above_20++;
	if (l->rate.now_Bps < l->rate_min)
		l->rate_min = l->rate.now_Bps;
	if (l->rate.now_Bps > l->rate_max)
		l->rate_max = l->rate.now_Bps;
}

static inline void
line_run(struct line *l, mono_t span)
{
	mono_t end = l->now + span;

	for (; l->now < end; l->now += MS) {
		while (l->report_head != l->report_tail &&
		       l->reports[l->report_head % REPORTS_MAX].at <= l->now)
			line_hear(
			    l, &l->reports[l->report_head++ % REPORTS_MAX]);
		line_sender(l);
		line_receiver(l);
		line_count(l);
	}
}

static inline void
line_watch_for(struct line *l, mono_t span)
{
	line_watch(l);
	line_run(l, span);
}

/* Runs until the rate is at most (or, with most false, at least) Bps; returns
 * how long that took, or limit. */
static inline mono_t
line_until(struct line *l, double Bps, bool most, mono_t limit)
{
	mono_t start = l->now;

	while (l->now - start < limit && (most ? (double)l->rate.now_Bps > Bps
					       : (double)l->rate.now_Bps < Bps))
		line_run(l, MS);
	return l->now - start;
}

static inline mono_t
line_until_drained(struct line *l, mono_t queue, mono_t limit)
{
	mono_t start = l->now;

	while (l->now - start < limit && line_queue(l) > queue)
		line_run(l, MS);
	return l->now - start;
}

/* Means since line_watch. */
static inline double
line_delivered_Bps(const struct line *l)
{
	return l->delivered * 1e9 / (double)(l->now - l->watched_at);
}

static inline double
line_rate_Bps(const struct line *l)
{
	return l->rate_sum / l->ticks;
}

/* The share of the time with more than 20 ms in the operator's queue. */
static inline double
line_bloated(const struct line *l)
{
	return (double)l->above_20 / l->ticks;
}

#endif
