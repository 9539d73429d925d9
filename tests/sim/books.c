/*
 * The books of a world: every inner packet and every datagram is somewhere.
 */
#include "config.h"

#include "sim.h"

static uint64_t
link_drops(const struct link *l)
{
	const struct link_stats *st = &l->stats;

	return st->drop_malformed + st->drop_auth + st->drop_replay +
	       st->drop_stranger + st->drop_limit;
}

uint64_t
sim_refused(const struct sim_end *e)
{
	uint64_t n = e->refused;

	/* What waits for its turn may go with its engine. */
	if (e->t != NULL)
		n += playout_stats(e->t->playout)->packets +
		     reseq_stats(e->t->reseq)->packets +
		     reseq_stats(e->t->reseq)->duplicates;
	for (unsigned i = 0; e->t != NULL && i < LINKS_MAX; i++)
		if (e->t->links[i].used)
			n += link_drops(&e->t->links[i]);
	return n;
}

uint64_t
sim_restored(const struct sim_end *e)
{
	return e->gone_restored + (e->t != NULL ? e->t->stats.restored : 0);
}

/* Inner packets that the engine took and did not send. */
uint64_t
sim_dropped(const struct sim_end *e)
{
	const struct tunnel_stats *st;
	const struct fq_stats *q;
	uint64_t n = e->dropped;

	if (e->t == NULL)
		return n;
	st = &e->t->stats;
	q = fq_stats(e->t->fq);
	n += st->drop_no_link + st->drop_malformed + st->drop_loop +
	     st->drop_too_big + st->drop_no_memory;
	return n + q->codel_drops + q->overload_drops + q->packets;
}

/* What links brought and the bond found wanting; links may have gone. */
static void
check_fates(const struct tunnel *t)
{
	struct link_stats sum = { 0 };
	uint64_t resent = 0;

	if (t == NULL)
		return;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		sum.held += t->links[i].stats.held;
		sum.late += t->links[i].stats.late;
		sum.duplicates += t->links[i].stats.duplicates;
		resent += t->links[i].stats.resent;
	}
	ck_assert_uint_le(sum.held, reseq_stats(t->reseq)->held);
	ck_assert_uint_le(sum.late, reseq_stats(t->reseq)->late);
	ck_assert_uint_le(sum.duplicates, reseq_stats(t->reseq)->duplicates);
	ck_assert_uint_le(resent, t->arq.stats.resent);
}

static void
check_end(struct sim *s, int end)
{
	const struct sim_end *e = &s->end[end], *other = &s->end[1 - end];
	uint64_t sent = e->gone_sent, sealed = e->gone_data;
	uint64_t data = 0, lost = 0, arrived = 0, copied = 0, seen;

	if (e->t != NULL) {
		sent += e->t->stats.tx_packets;
		sealed += e->t->stats.tx_data;
	}
	ck_assert_uint_eq(e->inputs, sent + sim_dropped(e));
	for (unsigned i = 0; i < s->setup.lines; i++) {
		const struct sim_dir *d = &s->line[i].dir[end];

		data += d->data;
		copied += d->data_copied;
		lost += d->data_lost;
		arrived += d->data_arrived;
	}
	ck_assert_uint_ge(data + copied, lost + arrived);
	arrived += sim_restored(other);
	seen = sim_handing_over(s);
	ck_assert_uint_eq(sealed, data);
	ck_assert_uint_ge(arrived + seen, other->delivered);
	ck_assert_uint_le(
	    arrived, other->delivered + seen + sim_refused(other));
	check_fates(e->t);
}

void
sim_check(struct sim *s)
{
	check_end(s, CLIENT);
	check_end(s, SERVER);
}
