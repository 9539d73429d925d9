/*
 * Resends.  A packet is referred to by the records of all links that carried it
 * and, while it waits to be sent again, by one list: that of the budget here,
 * or its flow's in the queue.
 */
#include "config.h"

#include "base/util.h"
#include "tunnel/arq.h"
#include "tunnel/tunnel.h"

void
arq_init(struct tunnel *t)
{
	TAILQ_INIT(&t->arq.again);
	t->arq.budget = ARQ_BUDGET_MAX;
}

static struct pktbuf *
take_first(struct arq *a)
{
	struct pktbuf *pb = TAILQ_FIRST(&a->again);

	TAILQ_REMOVE(&a->again, pb, entry);
	a->nagain--;
	pb->again = false;
	return pb;
}

void
arq_purge(struct tunnel *t)
{
	while (t->arq.nagain > 0)
		pktbuf_free(t->pool, take_first(&t->arq));
	t->arq.nskips = 0;
}

void
arq_earn(struct tunnel *t, size_t len)
{
	t->arq.budget += (int64_t)(len * ARQ_BUDGET_SHARE / 100);
	if (t->arq.budget > ARQ_BUDGET_MAX)
		t->arq.budget = ARQ_BUDGET_MAX;
}

/* --- what is lost --- */

static void
skip(struct tunnel *t, bool priority, uint16_t bucket, uint32_t seq)
{
	struct arq *a = &t->arq;
	uint8_t *p;

	a->stats.skipped++;
	if (a->nskips == ARQ_SKIPS)
		return; /* the peer's deadline will do */
	p = a->skips + a->nskips++ * ARQ_SKIP_LEN;
	p[0] = priority;
	put_be32(p + 1, (uint32_t)bucket << 22 | (seq & FQ_SEQ_MASK));
}

/* Takes over a reference to a packet that is to be sent again. */
static void
resend(struct tunnel *t, struct pktbuf *pb, bool inject)
{
	struct arq *a = &t->arq;

	if (!pb->priority && (inject || a->budget < (int64_t)pb->len)) {
		a->stats.over += !inject;
		fq_requeue(t->fq, pb);
		return;
	}
	pb->again = true;
	if (!inject)
		a->budget -= pb->len;
	/* Urgent ones need none, but owe no more than can be saved up. */
	if (a->budget < -ARQ_BUDGET_MAX)
		a->budget = -ARQ_BUDGET_MAX;
	TAILQ_INSERT_TAIL(&a->again, pb, entry);
	a->nagain++;
}

bool
arq_is_late(const struct pktbuf *pb, mono_t now)
{
	return pb->sends > 0 && now - pb->sent_at > ARQ_AGE_MAX;
}

void
arq_lost(void *ctx, const struct retain_entry *e)
{
	const struct arq_loss *loss = ctx;
	struct tunnel *t = loss->t;
	struct pktbuf *pb = e->pb;

	t->arq.stats.lost++;
	if (pb == NULL) {
		skip(t, e->priority, e->bucket, e->bucket_seq);
		return;
	}
	/* Or the copy that another link carries may still arrive. */
	if (pb->acked || pb->again || pb->flying > 0) {
		pktbuf_free(t->pool, pb);
		return;
	}
	if (pb->sends >= ARQ_SENDS_MAX || arq_is_late(pb, loss->now)) {
		skip(t, e->priority, e->bucket, e->bucket_seq);
		pktbuf_free(t->pool, pb);
		return;
	}
	resend(t, pb, loss->inject);
}

void
arq_inject(struct tunnel *t, struct link *l, mono_t now)
{
	struct arq_loss loss = { t, now, true };

	retain_give_up(&l->retain, arq_lost, &loss);
}

void
arq_skip(struct tunnel *t, const struct pktbuf *pb)
{
	skip(t, pb->priority, pb->bucket, pb->bucket_seq);
}

/* --- out --- */

bool
arq_waits(struct tunnel *t)
{
	struct arq *a = &t->arq;

	while (a->nagain > 0 && TAILQ_FIRST(&a->again)->acked)
		pktbuf_free(t->pool, take_first(a));
	return a->nagain > 0;
}

bool
arq_send(struct tunnel *t, mono_t now)
{
	struct link *l;
	struct pktbuf *pb;

	if (!arq_waits(t))
		return false;
	if (arq_is_late(TAILQ_FIRST(&t->arq.again), now)) {
		pb = take_first(&t->arq);
		arq_skip(t, pb);
		pktbuf_free(t->pool, pb);
		return true;
	}
	l = sched_again(t, TAILQ_FIRST(&t->arq.again), now);
	if (l == NULL)
		return false;
	pb = take_first(&t->arq);
	sched_charge(t, l, pb->len);
	link_send_data(t, l, pb, now);
	pktbuf_free(t->pool, pb);
	return true;
}

void
arq_flush_skips(struct tunnel *t, mono_t now)
{
	struct arq *a = &t->arq;
	struct link_control c = { .control = WIRE_SKIP,
		.payload = a->skips,
		.len = a->nskips * ARQ_SKIP_LEN };
	struct link *l;

	if (a->nskips == 0 || (l = sched_soonest(t, NULL, now)) == NULL)
		return;
	if (link_send_control(t, l, &c, now))
		a->nskips = 0;
}

void
arq_input_skips(
    struct tunnel *t, const uint8_t *payload, size_t len, mono_t now)
{
	for (; len >= ARQ_SKIP_LEN;
	     payload += ARQ_SKIP_LEN, len -= ARQ_SKIP_LEN) {
		uint32_t number = get_be32(payload + 1);

		reseq_skip(t->reseq, payload[0] != 0, (uint16_t)(number >> 22),
		    number & FQ_SEQ_MASK, now);
	}
}
