/*
 * How much a line carries, from the delay of what arrives.
 *
 * A queue raises the least delay of every report above the least ever seen
 * (base), and jitter seldom does so twice: reports are taken together in steps
 * of STEP, and a run of steps with an excess is what is acted on.  Two kinds:
 *
 *   slope   the excess grows by more than 1/12 of the time: what we send does
 *	     not get through.  Believed after two steps.
 *   level   the excess is constant: a buffer that is full, what a stall of the
 *	     line has left, or a longer path.  Believed after LEVEL_SPAN, and
 *	     only while we use the rate.
 *
 * Then the rate falls below what arrived during the run (drain).  What is sent
 * now is seen a round trip and the queue later; from then on the excess has to
 * fall as fast as the rates differ.  If it does, the queue is ours: it is
 * emptied, and the rate is what the line delivered.  If it does not after two
 * tries, the path is longer: base is taken anew and the rate comes back.  So a
 * wrong suspicion costs a tenth or two for a few round trips and nothing else.
 *
 * Below the configured rate it grows by 5 % each round trip until there is a
 * small excess, then steps back and waits (BBR's probing, with LEDBAT's signal
 * instead of the delivery rate, which a polite sender never sees grow).
 *
 * Sources: LEDBAT (RFC 6817) for the signal; BBR (Cardwell et al. 2016) for
 * start-up, drain and rates taken from delivery; CoDel (RFC 8289) for taking
 * the least over a while as the queue.  excess.c explains the multiples of
 * noise.
 */
#include "config.h"

#include "tunnel/rate.h"
#include "tunnel/rate_steps.h"

#define MS NSEC_PER_MSEC

/* Eight packets: fewer do not make a rate. */
#define BYTES_MIN 12000
/* Two steps of 25 ms, less what reports are early. */
#define SLOPE_SPAN (45 * MS)
#define SLOPE_PART 12
/* Longer than LTE takes to hand out what it had held back. */
#define LEVEL_SPAN (200 * MS)
/* While draining, what is older counts for less. */
#define RUN_SPAN (300 * MS)

#define RAISE 1.05
#define LOWER 0.93 /* undoes a raise, and drains a little */
#define KEEP 0.97  /* of what the line delivered, after a drain */
#define RAISE_GAP (50 * MS)
#define START_GAP (25 * MS)
#define FLAT_ROUNDS 4
/* A tenth of at least so many: more than random loss, but for few lines. */
#define DROPPED_OF 20
#define DROPPED_PART 10
#define START_PATIENCE (1 * NSEC_PER_SEC)
#define FIRST_RTT (1 * MS) /* no line of an operator is shorter */
/* This part of the rate less on the line that is the soonest: while a little
 * queue is left, and always.  The latter is 4 ms each second and drains what
 * nobody sees, more than base rises meanwhile (excess.c). */
#define TRIM 64
#define TRIM_ALWAYS 256
#define RESTED_MAX (10 * NSEC_PER_SEC / TRIM_ALWAYS) /* for so long none */
#define HOLD (1 * NSEC_PER_SEC) /* between two probes that failed */
#define SURPLUS 1.4 /* of the rate over what arrives, random loss included */

/* A drain is 10 % slower, as long as nothing proves the queue; then as much as
 * empties it in 0.4 s, but not so much that nothing is left to measure. */
#define SHARE_MIN 0.1
#define SHARE_MAX 0.4
#define DRAIN_NS 400e6
/* Two drains that say the same, not long one after the other. */
#define SAME 0.2
#define SLOW 0.8 /* of the rate: less is more than what jitter feigns */
#define SUSPECT_SPAN (5 * NSEC_PER_SEC)
#define TAPER_NS 300e6
/* So much should have fallen before it is judged, and 6 noise more, by which
 * the least of many steps may differ from a single one. */
#define JUDGE (10 * MS)

static double
clamp(double v, double least, double most)
{
	return v < least ? least : v > most ? most : v;
}

static void
set(struct rate *r, double Bps)
{
	if (r->conf_Bps != 0 && Bps > (double)r->conf_Bps)
		Bps = (double)r->conf_Bps;
	r->now_Bps = Bps < RATE_FLOOR_BPS ? RATE_FLOOR_BPS : (uint64_t)Bps;
}

void
rate_init(struct rate *r, uint64_t conf_Bps, mono_t now)
{
	*r = (struct rate){
		.conf_Bps = conf_Bps,
		.now_Bps = RATE_FIRST_BPS,
		.phase = conf_Bps != 0 ? RATE_CRUISE : RATE_START,
		.raise_at = now,
		.lowered_at = now,
	};
	if (conf_Bps != 0)
		set(r, (double)conf_Bps);
}

void
rate_begin(struct rate *r, mono_t rtt)
{
	mono_t round = mono_later(rtt, FIRST_RTT);

	if (r->phase != RATE_START || r->excess.steps > 0)
		return;
	set(r, clamp(RATE_FIRST_BYTES * 1e9 / (double)round, RATE_FIRST_BPS,
		   1e18));
}

void
rate_set_conf(struct rate *r, uint64_t conf_Bps, mono_t now)
{
	bool used = r->excess.steps > 0 && !excess_is_idle(&r->excess);
	bool known = r->conf_Bps == 0 ? r->phase != RATE_START
				      : used || rate_is_limited(r);

	if (conf_Bps == r->conf_Bps)
		return;
	r->conf_Bps = conf_Bps;
	/* From here on it is looked for, or found already. */
	if (conf_Bps == 0)
		return;
	if (r->phase == RATE_START)
		r->phase = RATE_CRUISE;
	/* What is known of the line stays known, and nobody who uses it loses
	 * packets because the file promises more than it carries. */
	set(r, (double)(known ? r->now_Bps : conf_Bps));
	r->raise_at = now;
}

void
rate_policed(struct rate *r, unsigned lost_percent, mono_t hold, mono_t now)
{
	if (r->phase == RATE_START || lost_percent > 100)
		return;
	set(r, KEEP * (double)r->now_Bps * (100 - lost_percent) / 100);
	r->line_Bps = r->now_Bps;
	r->phase = RATE_CRUISE;
	r->running = false;
	r->raise_at = now + hold;
}

bool
rate_is_limited(const struct rate *r)
{
	return r->now_Bps < r->conf_Bps || r->phase == RATE_DRAIN;
}

mono_t
rate_looks_until(const struct rate *r)
{
	if (r->phase != RATE_START)
		return 0;
	return r->found_Bps == 0 ? MONO_NEVER : r->raise_at + START_PATIENCE;
}

uint64_t
rate_pace(const struct rate *r)
{
	return r->trim != 0 ? r->now_Bps - r->now_Bps / r->trim : r->now_Bps;
}

/* A queue is gone. */
static mono_t
excess_none(const struct rate *r)
{
	return RATE_EXCESS / 5 + 3 * r->excess.noise / 2 + rate_quantum(r) / 2;
}

/* This much is worth to be emptied slowly. */
static mono_t
excess_little(const struct rate *r)
{
	return RATE_EXCESS / 30 + 2 * r->excess.noise + rate_quantum(r);
}

/* To send less than the line carries, which is known from the run. */
static void
drain(struct rate *r, double Bps, double share, mono_t now)
{
	if (r->phase != RATE_DRAIN) {
		r->return_Bps = r->now_Bps;
		r->slower = false;
		r->phase = RATE_DRAIN;
	}
	r->line_Bps = (uint64_t)clamp(Bps, RATE_FLOOR_BPS,
	    r->now_Bps > RATE_FLOOR_BPS ? (double)r->now_Bps : RATE_FLOOR_BPS);
	r->share = share;
	set(r, (double)r->line_Bps * (1 - share));
	r->drain_at = now;
	r->seen = r->proved = r->again = false;
	r->level = r->excess.now;
}

/* The run may be older than what makes the excess grow; but a stall of the line
 * does that as well, and is no rate. */
static void
begin_run_anew(struct rate *r)
{
	if (r->stalled || r->step.bytes + r->before.bytes < BYTES_MIN)
		return;
	r->run_span = r->step.span + r->before.span;
	r->run_bytes = r->step.bytes + r->before.bytes;
}

static bool
is_congested(struct rate *r, const struct rate_sample *s, mono_t now)
{
	mono_t rise = r->excess.now - r->run_first, span = r->run_span;
	double Bps, queue;

	if (!r->running || r->run_bytes < BYTES_MIN)
		return false;
	if (r->run_span >= SLOPE_SPAN &&
	    rise > r->run_span / SLOPE_PART + 4 * r->excess.noise) {
		begin_run_anew(r);
		Bps = rate_passed(r, r->run_bytes, r->run_span);
		/* What is on its way adds to it. */
		queue =
		    (double)r->excess.now + (double)(s->rtt + r->excess.now) *
						(double)rise / (double)span;
		drain(
		    r, Bps, clamp(queue / DRAIN_NS, SHARE_MIN, SHARE_MAX), now);
		return true;
	}
	Bps = rate_passed(r, r->run_bytes, r->run_span);
	/* With half of the rate it may be ours although nothing waits here. */
	if (r->run_high >= LEVEL_SPAN + 50 * r->excess.noise &&
	    2 * Bps >= (double)r->now_Bps) {
		drain(r, Bps, SHARE_MIN, now);
		return true;
	}
	return false;
}

static void
leave_drain(struct rate *r, double Bps, mono_t raise_at)
{
	set(r, Bps);
	r->phase = RATE_CRUISE;
	r->running = false;
	r->soft = 0;
	r->raise_at = raise_at;
}

/* A queue that is gone before we see what we did to it may have been ours: on
 * a line that has become late others carry the packets.  Twice the same slow
 * line is no accident. */
static bool
is_known(struct rate *r, mono_t now)
{
	double line = (double)r->line_Bps, before = (double)r->suspect_Bps;
	bool same = line < (1 + SAME) * before && line > (1 - SAME) * before &&
		    now - r->suspect_at < SUSPECT_SPAN;

	r->suspect_at = now;
	r->suspect_Bps = r->line_Bps;
	return same && line < SLOW * (double)r->return_Bps;
}

/* There is no queue any more. */
static void
drained(struct rate *r, mono_t now)
{
	double Bps = KEEP * (double)r->line_Bps;

	/* Nothing says that it was ours, so nothing says what the line does. */
	if (!r->proved && !r->slower && !is_known(r, now)) {
		Bps = clamp(Bps, 0.95 * (double)r->return_Bps, 1e18);
		leave_drain(r, Bps, now);
		return;
	}
	/* A stall's queue, at a line that is as fast as it should be. */
	if (r->return_Bps == r->conf_Bps &&
	    (double)r->line_Bps >= KEEP * (double)r->conf_Bps)
		Bps = (double)r->conf_Bps;
	leave_drain(r, Bps, now + HOLD);
}

/* What is left does not depend on us: the path is longer. */
static void
rebase(struct rate *r, struct delay *d, mono_t now)
{
	double Bps = (double)r->return_Bps;

	if (r->slower)
		Bps = KEEP * (double)r->line_Bps;
	excess_rebase(&r->excess, r->least_seen);
	delay_rebase(d, r->excess.base, now);
	leave_drain(r, Bps, now);
}

/* What is to be expected before it says anything. */
static mono_t
enough(const struct rate *r)
{
	return JUDGE + 6 * r->excess.noise + rate_quantum(r);
}

/* Were all packets of this step sent after the rate was lowered? */
static bool
is_seen(struct rate *r, const struct rate_sample *s, mono_t now)
{
	mono_t lag = mono_later(r->rtt + r->excess.now, s->rtt) + r->step.span;
	/* Then a queue grows no more.  Wait for that, but not for ever. */
	bool grows = r->excess.now > r->level + r->excess.noise + 2 * MS;

	r->level = r->excess.now;
	if (now - lag < r->drain_at || (grows && now - 2 * lag < r->drain_at))
		return false;
	r->seen = true;
	r->least_seen = r->excess.now;
	r->expected = 0;
	r->seen_span = 0;
	r->seen_bytes = 0;
	return true;
}

/* What was seen of late is what the line carries now; not below 0.6 of what was
 * thought, as jitter bunches packets. */
static void
drain_again(struct rate *r, mono_t now)
{
	double Bps = rate_passed(r, r->seen_bytes, r->seen_span);
	double least = 0.6 * (double)r->line_Bps;

	r->slower = r->slower || r->proved;
	r->run_span = r->seen_span;
	r->run_bytes = r->seen_bytes;
	drain(r, Bps < least ? least : Bps, SHARE_MIN, now);
}

/* As much fell as was expected to, or not. */
static void
judge(struct rate *r, struct delay *d, mono_t now)
{
	double share;

	if (r->level - r->least_seen < r->expected / 2) {
		if (r->again) {
			rebase(r, d, now);
			return;
		}
		drain_again(r, now);
		r->again = true;
		return;
	}
	r->proved = true;
	r->again = false;
	r->level = r->least_seen;
	r->least_seen = r->excess.now;
	r->expected = 0;
	share = clamp((double)r->excess.now / DRAIN_NS, SHARE_MIN, SHARE_MAX);
	if (share > 1.5 * r->share) {
		r->share = share;
		r->drain_at = now;
		r->seen = false;
	}
}

static void
watch_drain(struct rate *r, struct delay *d, mono_t now)
{
	mono_t high = mono_earlier(r->excess.now, r->excess.last);
	double share;

	r->least_seen = mono_earlier(r->least_seen, r->excess.now);
	if (high > r->least_seen + enough(r) || high > r->level + enough(r)) {
		drain_again(r, now);
		return;
	}
	/* Less as the end comes near, as we see it late. */
	share = ((double)r->excess.now - r->share * (double)r->rtt) / TAPER_NS;
	r->share = clamp(share, SHARE_MIN, r->share);
	if (r->expected >= enough(r))
		judge(r, d, now);
}

/* Where there is a queue, what arrives is what the line carries. */
static void
follow_line(struct rate *r)
{
	mono_t rise = r->excess.now - r->excess.last;
	double Bps;

	if (rise > r->step.span / SLOPE_PART + 4 * r->excess.noise)
		begin_run_anew(r);
	Bps = rate_passed(r, r->run_bytes, r->run_span);
	if (Bps < (double)r->return_Bps)
		r->line_Bps = (uint64_t)Bps;
	if (r->run_span > RUN_SPAN) {
		r->run_span /= 2;
		r->run_bytes /= 2;
	}
}

static void
in_drain(
    struct rate *r, struct delay *d, const struct rate_sample *s, mono_t now)
{
	if (excess_is_idle(&r->excess)) {
		drained(r, now);
		return;
	}
	if (r->stalled)
		return;
	if (r->running && r->run_bytes > 0 && (!r->seen || r->proved))
		follow_line(r);
	if (r->seen) {
		r->expected += (mono_t)((double)r->step.span * r->share);
		r->seen_span += r->step.span;
		r->seen_bytes += r->step.bytes;
	}
	if (r->excess.now <= excess_none(r)) {
		r->proved = r->proved ||
			    (r->seen && r->expected >= enough(r) / 2 &&
				r->level - r->excess.now > r->expected / 2);
		drained(r, now);
		return;
	}
	set(r, (double)r->line_Bps * (1 - r->share));
	if (r->seen || is_seen(r, s, now))
		watch_drain(r, d, now);
}

/* Then a queue may be ours although the sender waits for nothing of us: TCP's
 * window is in it, and the rate is above the line's. */
static bool
is_half_used(const struct rate *r)
{
	return 2 * rate_passed(r, r->step.bytes, r->step.span) >=
	       (double)r->now_Bps;
}

/* Below the configured rate, or none is: are we at the line's end? */
static void
probe(struct rate *r, const struct rate_sample *s, mono_t now)
{
	mono_t gap = mono_later(s->rtt, RAISE_GAP);
	double Bps = (double)r->now_Bps, line = (double)r->line_Bps;
	bool near = Bps > 0.95 * line && Bps < 1.1 * line;

	r->soft = r->excess.now > rate_excess_some(r) ? r->soft + 1 : 0;
	if (r->soft > 0)
		excess_creep(&r->excess);
	if (r->soft >= 2 && (r->step.backlogged || is_half_used(r)) &&
	    now >= r->lowered_at + 2 * gap) {
		/* Only a drain shows that the line has become slower. */
		if (LOWER * Bps > 0.9 * line)
			set(r, LOWER * Bps);
		r->lowered_at = now;
		r->raise_at = now + (near ? HOLD : 4 * gap);
	}
	if (r->soft > 0 || now < r->raise_at || !rate_is_used(r))
		return;
	if (r->conf_Bps == 0 && RAISE * Bps > SURPLUS * (double)r->best_Bps)
		return;
	set(r, RAISE * Bps);
	/* Where it is likely to fail, see what it does before the next. */
	r->raise_at = now + (near ? 2 * gap : gap);
}

/* A line that is idle drains by itself, as in BBR's PROBE_RTT. */
static void
note_rest(struct rate *r)
{
	mono_t span = r->step.span;
	mono_t used = (mono_t)((double)r->step.bytes / (double)r->now_Bps *
			       (double)NSEC_PER_SEC);

	r->rested = mono_later(r->rested - span / TRIM_ALWAYS, 0);
	if (used < span / 2)
		r->rested = mono_earlier(r->rested + span - used, RESTED_MAX);
}

/* With some hysteresis: what is sent now is seen a round trip later. */
static void
trim(struct rate *r, const struct rate_sample *s)
{
	mono_t little = excess_little(r);
	bool left = r->trim == TRIM ? r->excess.now > little / 2
				    : excess_standing(&r->excess) > little &&
					  rate_is_used(r);

	note_rest(r);
	if (r->phase != RATE_CRUISE || !s->soonest)
		r->trim = 0;
	else if (left)
		r->trim = TRIM;
	else
		r->trim = r->rested > 0 ? 0 : TRIM_ALWAYS;
}

/* What the line cannot queue it drops, and we send it again: the sender in the
 * tunnel sees nothing of that, and sends more and more. */
static bool
is_dropped(const struct rate *r)
{
	uint64_t sent = r->step.numbered, got = r->step.packets;

	return sent >= DROPPED_OF && sent > got &&
	       sent - got > sent / DROPPED_PART;
}

/* More does not bring more (BBR): a policer, a short queue, or our CPU. */
static bool
is_flat(struct rate *r, double Bps)
{
	if (Bps >= 1.25 * (double)r->found_Bps && !is_dropped(r)) {
		r->found_Bps = (uint64_t)Bps;
		r->flat = 0;
	} else if (r->step.backlogged || is_dropped(r))
		r->flat++;
	return r->flat >= FLAT_ROUNDS;
}

/* Lets what arrives double each round trip, and is ahead of it: a sender in
 * slow start that has to wait for us takes that for the line's end. */
static void
in_start(struct rate *r, const struct rate_sample *s, mono_t now)
{
	double Bps = rate_passed(r, r->step.bytes, r->step.span);
	double most = (double)r->found_Bps;

	r->soft = r->excess.now > rate_excess_queue(r) - RATE_EXCESS / 3
		      ? r->soft + 1
		      : 0;
	if (r->soft > (r->excess.noise > 2 * MS)) {
		drain(r, Bps < 0.6 * most ? 0.6 * most : Bps, SHARE_MAX, now);
		r->return_Bps = (uint64_t)(Bps > most ? Bps : most);
		return;
	}
	if (now < r->raise_at ||
	    !(r->step.backlogged || is_half_used(r) || is_dropped(r)))
		return;
	r->raise_at = now + mono_later(s->rtt, START_GAP);
	if (is_flat(r, Bps)) {
		most = clamp((double)r->found_Bps, 0, (double)r->best_Bps);
		r->line_Bps = (uint64_t)most;
		r->phase = RATE_CRUISE;
		set(r, most);
		return;
	}
	if (is_dropped(r))
		return;
	set(r, clamp((r->step.backlogged ? 2 : 4) * Bps, (double)r->now_Bps,
		   2 * (double)r->now_Bps));
}

bool
rate_report(
    struct rate *r, struct delay *d, const struct rate_sample *s, mono_t now)
{
	uint64_t was = rate_pace(r);

	if (!d->known || !rate_gather(r, d, s))
		return false;
	rate_observe(r, s);
	if (r->phase == RATE_START)
		in_start(r, s, now);
	else if (r->phase == RATE_DRAIN)
		in_drain(r, d, s, now);
	else if (!is_congested(r, s, now) && r->now_Bps != r->conf_Bps)
		probe(r, s, now);
	trim(r, s);
	r->before = r->stalled ? (struct rate_span){ 0 } : r->step;
	r->step = (struct rate_span){ 0 };
	return rate_pace(r) != was;
}

void
rate_forget(struct rate *r)
{
	r->excess = (struct excess){ 0 };
	r->step = r->before = (struct rate_span){ 0 };
	r->running = false;
	r->trim = 0;
	r->soft = 0;
	if (r->phase != RATE_DRAIN)
		return;
	/* Nothing will tell when the queue is gone. */
	set(r, KEEP * (double)r->line_Bps);
	r->phase = RATE_CRUISE;
}
