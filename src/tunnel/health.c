/*
 * Evidence comes from the peer's reports only: they say what arrived, by a
 * clock that stands still when the peer does, so a busy peer is not taken for a
 * dead line.  The last fit link is never put on trial.
 */
#include "config.h"

#include <stdio.h>

#include "base/log.h"
#include "base/util.h"
#include "tunnel/arq.h"
#include "tunnel/health.h"
#include "tunnel/link.h"
#include "tunnel/peer.h"
#include "tunnel/tunnel.h"

mono_t
health_patience(const struct link *l)
{
	return HEALTH_SILENCE + 4 * l->delay.var + pacer_cost(&l->pacer, 1500);
}

bool
health_is_suspect(const struct link *l)
{
	return l->trial.on || l->quiet;
}

/* Is there another link to carry its packets? */
static bool
has_substitute(const struct tunnel *t, const struct link *l)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *o = &t->links[i];

		if (o != l && o->used && o->up && !o->trial.on &&
		    !peer_is_gone(t, o))
			return true;
	}
	return false;
}

/* What is to come is judged alone. */
static void
forget_loss(struct link *l)
{
	loss_forget(&l->loss.from);
	l->loss.percent = 0;
}

static void
begin(struct tunnel *t, struct link *l, enum health_cause cause,
    uint32_t needed, mono_t now)
{
	struct trial *tr = &l->trial;

	tr->on = true;
	tr->cause = cause;
	tr->since = now;
	tr->needed = needed;
	loss_forget(&tr->from);
	tr->copied_at = 0;
	tr->in_vain = 0;
	l->stats.trials++;
	tunnel_shrunk(t, now);
	tunnel_retune(t);
	arq_inject(t, l, now);
}

static void
end(struct tunnel *t, struct link *l, mono_t now)
{
	l->trial.on = false;
	l->trial.ended_at = now;
	if (l->trial.cause == HEALTH_LOSSY) {
		rate_policed(&l->rate, l->loss.percent,
		    HEALTH_POLICED_HOLD << l->trial.relapses, now);
		link_set_rate(t, l, now);
	}
	forget_loss(l);
	sched_join(t, l);
	tunnel_retune(t);
	if (l->trial.cause == HEALTH_LOSSY && l->trial.logged)
		log_info("link %s: used again", l->conf.name);
}

void
health_up(struct tunnel *t, struct link *l, mono_t now)
{
	forget_loss(l);
	if (l->stats.flaps > 0 && has_substitute(t, l))
		begin(t, l, HEALTH_RETURNED, HEALTH_GOOD_COPIES, now);
}

void
health_down(struct link *l)
{
	l->trial.on = false;
	l->quiet = false;
}

void
health_forget(struct link *l)
{
	forget_loss(l);
	loss_forget(&l->trial.from);
}

/* --- silence --- */

void
health_overdue(struct tunnel *t, struct link *l, bool overdue)
{
	if (!overdue && !l->trial.on)
		l->trial.in_vain = 0;
	if (l->quiet == overdue || !l->up)
		return;
	l->quiet = overdue;
	tunnel_retune(t);
}

static void
judge_silence(struct tunnel *t, struct link *l, mono_t expected, mono_t now)
{
	mono_t unheard = retain_unheard_at(&l->retain);
	char reason[64];

	if (unheard >= expected)
		return;
	if (!l->trial.on) {
		if (has_substitute(t, l) &&
		    retain_misses(&l->retain, HEALTH_MISSES, expected))
			begin(t, l, HEALTH_SILENT, HEALTH_GOOD_COPIES, now);
		return;
	}
	/* Small packets may pass where large ones do not: one that came back is
	 * left on trial, or it would come and go. */
	if (l->trial.cause != HEALTH_SILENT ||
	    expected - unheard < (HEALTH_PERIODS - 1) * health_patience(l) ||
	    !has_substitute(t, l))
		return;
	snprintf(reason, sizeof(reason), "nothing arrived for %lld ms",
	    (long long)((now - unheard) / NSEC_PER_MSEC));
	link_set_down(t, l, reason, now);
}

/* --- loss: all of it, of what was sent lately, as the peer reports --- */

static uint32_t
needed_after_loss(struct trial *tr, mono_t now)
{
	if (tr->ended_at != 0 && now - tr->ended_at < HEALTH_TRUST)
		tr->relapses +=
		    HEALTH_LOSS_COPIES << tr->relapses < HEALTH_LOSS_COPIES_MAX;
	else
		tr->relapses = 0;
	return HEALTH_LOSS_COPIES << tr->relapses;
}

static void
judge_loss(
    struct tunnel *t, struct link *l, const struct report_link *r, mono_t now)
{
	struct loss_span *s = &l->loss;
	struct loss_growth g;
	bool counts = loss_since(&s->from, r->highest, r->packets, &g);

	if (counts && (g.expected < HEALTH_LOSS_SPAN ||
			  now - s->since < HEALTH_LOSS_TIME))
		return;
	if (counts && g.arrived <= g.expected)
		s->percent =
		    (uint32_t)(100 - UINT64_C(100) * g.arrived / g.expected);
	s->since = now;
	loss_begin(&s->from, r->highest, r->packets);
	if (s->percent <= HEALTH_LOSS_MAX || !has_substitute(t, l))
		return;
	l->trial.logged = now >= l->log_loss.next_at;
	log_limited(&l->log_loss, now, HEALTH_LOG_PERIOD,
	    "link %s: %u %% lost, not used until that is better", l->conf.name,
	    s->percent);
	begin(t, l, HEALTH_LOSSY, needed_after_loss(&l->trial, now), now);
}

/* --- trial --- */

static void
judge_trial(
    struct tunnel *t, struct link *l, const struct report_link *r, mono_t now)
{
	struct trial *tr = &l->trial;
	struct loss_growth g;
	bool counts = loss_since(&tr->from, r->highest, r->packets, &g);

	if (counts && g.expected > 0)
		tr->in_vain = 0;
	if (counts && g.expected < tr->needed)
		return;
	if (counts && g.arrived >= g.expected - g.expected / 10) {
		end(t, l, now);
		return;
	}
	loss_begin(&tr->from, r->highest, r->packets);
}

void
health_report(struct tunnel *t, struct link *l, const struct report_link *r,
    mono_t expected, mono_t now)
{
	if (!l->up)
		return;
	if (l->trial.on)
		judge_trial(t, l, r, now);
	else
		judge_loss(t, l, r, now);
	judge_silence(t, l, expected, now);
}

/* The longer nothing arrives, the rarer. */
static mono_t
copy_gap(const struct trial *tr)
{
	mono_t gap = HEALTH_COPY_GAP * (1 + tr->in_vain / 10);

	return gap < HEALTH_COPY_GAP_MAX ? gap : HEALTH_COPY_GAP_MAX;
}

void
health_copy(struct tunnel *t, struct pktbuf *pb, mono_t now)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &t->links[i];

		if (!l->used || !health_is_suspect(l) || !l->up || l->in_use ||
		    now - l->trial.copied_at < copy_gap(&l->trial) ||
		    !pacer_ready(&l->pacer, now))
			continue;
		l->trial.copied_at = now;
		l->trial.in_vain++;
		link_send_copy(t, l, pb, now);
	}
}
