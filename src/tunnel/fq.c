/*
 * FQ-CoDel.  The queue owns the packets that wait in it.  A bucket belongs to
 * one flow while it has packets or a place in the round; its tag is the flow's
 * full hash, and 8 buckets form a set in which a flow may take any (as in
 * CAKE), so that two flows share one only when 9 of a set are active at once.
 */
#include "config.h"

#include <stdlib.h>

#include "tunnel/codel.h"
#include "tunnel/flow.h"
#include "tunnel/fq.h"

#define WAYS 8
#define DROP_BATCH 64
#define FQ_PATIENCE (10 * NSEC_PER_SEC) /* a sojourn that nothing has */
#define NO_BUCKET FQ_BUCKETS

struct bucket {
	struct pktbuf_list queue;
	struct pktbuf_list again; /* sent before, by number; goes first */
	TAILQ_ENTRY(bucket) entry;
	struct bucket_list *list; /* of the round; NULL: idle */
	struct codel codel;
	int32_t deficit; /* bytes it may still send in this round */
	uint32_t next_seq;
	uint32_t packets;
};

TAILQ_HEAD(bucket_list, bucket);

struct fq {
	/* conf */
	struct pktbuf_pool *pool;
	struct codel_params codel;
	mono_t patient_until;
	size_t limit_bytes;
	int32_t quantum_bytes;
	/* state; tags and backlogs apart, because they are searched */
	uint32_t tags[FQ_BUCKETS];
	size_t backlogs[FQ_BUCKETS]; /* bytes */
	struct bucket buckets[FQ_BUCKETS];
	struct bucket_list new_flows, old_flows;
	struct bucket *current; /* what CoDel works on */
	/* stats */
	struct fq_stats stats;
};

struct fq *
fq_new(struct pktbuf_pool *pool, const struct fq_params *params)
{
	struct fq *fq = calloc(1, sizeof(*fq));

	if (fq == NULL)
		return NULL;
	fq->pool = pool;
	TAILQ_INIT(&fq->new_flows);
	TAILQ_INIT(&fq->old_flows);
	for (unsigned i = 0; i < FQ_BUCKETS; i++) {
		TAILQ_INIT(&fq->buckets[i].queue);
		TAILQ_INIT(&fq->buckets[i].again);
	}
	fq_set_params(fq, params);
	return fq;
}

void
fq_free(struct fq *fq)
{
	if (fq == NULL)
		return;
	fq_purge(fq);
	free(fq);
}

void
fq_set_params(struct fq *fq, const struct fq_params *params)
{
	uint32_t quantum = params->quantum_bytes;

	if (quantum == 0)
		quantum = 1;
	else if (quantum > PKTBUF_LEN_MAX)
		quantum = PKTBUF_LEN_MAX;
	fq->codel.target = params->target;
	fq->codel.interval = params->interval;
	fq->codel.mtu_bytes =
	    params->mtu_bytes == 0 ? quantum : params->mtu_bytes;
	fq->patient_until = params->patient_until;
	fq->limit_bytes = params->limit_bytes;
	fq->quantum_bytes = (int32_t)quantum;
}

static inline unsigned
index_of(const struct fq *fq, const struct bucket *b)
{
	return (unsigned)(b - fq->buckets);
}

static void
move_to(struct bucket *b, struct bucket_list *list)
{
	if (b->list != NULL)
		TAILQ_REMOVE(b->list, b, entry);
	if (list != NULL)
		TAILQ_INSERT_TAIL(list, b, entry);
	b->list = list;
}

/* It takes part in the round, as a new flow if it was idle. */
static void
activate(struct fq *fq, struct bucket *b)
{
	if (b->list != NULL)
		return;
	b->deficit = fq->quantum_bytes;
	move_to(b, &fq->new_flows);
}

static inline bool
is_empty(const struct bucket *b)
{
	return b->packets == 0 && TAILQ_EMPTY(&b->again);
}

/* A bucket begins to serve another flow; its numbering continues. */
static void
assign(struct fq *fq, unsigned n, uint32_t hash)
{
	fq->tags[n] = hash;
	fq->buckets[n].codel = (struct codel){ 0 };
}

/*
 * The flow's own bucket; else an idle one of its set; else one that is empty
 * but still in the round; else it shares the one that its hash names.
 */
static unsigned
select_bucket(struct fq *fq, uint32_t hash)
{
	unsigned direct = hash % FQ_BUCKETS, set = direct - direct % WAYS;
	unsigned idle = NO_BUCKET, empty = NO_BUCKET;

	for (unsigned i = 0; i < WAYS; i++) {
		unsigned n = set + (direct + i) % WAYS;

		if (fq->tags[n] == hash)
			return n;
		if (idle == NO_BUCKET && fq->buckets[n].list == NULL)
			idle = n;
		if (empty == NO_BUCKET && is_empty(&fq->buckets[n]))
			empty = n;
	}
	if (idle == NO_BUCKET)
		idle = empty;
	if (idle == NO_BUCKET)
		return direct;
	assign(fq, idle, hash);
	return idle;
}

static void
append(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	if (is_empty(b))
		fq->stats.flows++;
	TAILQ_INSERT_TAIL(&b->queue, pb, entry);
	b->packets++;
	fq->backlogs[index_of(fq, b)] += pb->len;
	fq->stats.bytes += pb->len;
	fq->stats.packets++;
}

static void
detach(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	TAILQ_REMOVE(&b->queue, pb, entry);
	b->packets--;
	if (is_empty(b))
		fq->stats.flows--;
	fq->backlogs[index_of(fq, b)] -= pb->len;
	fq->stats.bytes -= pb->len;
	fq->stats.packets--;
}

/* The bucket with most bytes among those that can lose a packet, or NULL. */
static struct bucket *
fattest(struct fq *fq)
{
	struct bucket *fat = NULL;
	size_t most = 0;

	for (unsigned n = 0; n < FQ_BUCKETS; n++)
		if (fq->backlogs[n] > most && fq->buckets[n].packets > 1) {
			most = fq->backlogs[n];
			fat = &fq->buckets[n];
		}
	return fat;
}

/*
 * Half of the fattest flow, at most a batch, so that one search pays for many
 * packets.  False: no flow has a packet to spare.
 */
static bool
drop_overload(struct fq *fq)
{
	struct bucket *b = fattest(fq);
	struct pktbuf *pb;
	size_t half, dropped = 0;

	if (b == NULL)
		return false;
	half = fq->backlogs[index_of(fq, b)] / 2;
	for (int i = 0; i < DROP_BATCH && dropped < half && b->packets > 1;
	     i++) {
		pb = TAILQ_FIRST(&b->queue);
		dropped += pb->len;
		detach(fq, b, pb);
		pktbuf_free(fq->pool, pb);
		fq->stats.overload_drops++;
	}
	return true;
}

int
fq_enqueue(struct fq *fq, struct pktbuf *pb, mono_t now)
{
	struct bucket *b;

	pb = pktbuf_shrink(fq->pool, pb);
	/* One batch makes room, unless memory is in too many pieces: then more
	 * would empty the queue and still not help. */
	if (pktbuf_set_use(fq->pool, pb, PKTBUF_QUEUE) == -1 &&
	    (!drop_overload(fq) ||
		pktbuf_set_use(fq->pool, pb, PKTBUF_QUEUE) == -1))
		goto refuse;
	pb->queued_at = now;
	pb->bucket = (uint16_t)select_bucket(fq, pb->flow_hash);
	b = &fq->buckets[pb->bucket];
	append(fq, b, pb);
	while (fq->stats.bytes > fq->limit_bytes && fq->stats.packets > 1)
		if (!drop_overload(fq)) {
			detach(fq, b, pb);
			goto refuse;
		}
	activate(fq, b);
	fq->stats.enqueued++;
	return 0;
refuse:
	fq->stats.overload_drops++;
	pktbuf_free(fq->pool, pb);
	return -1;
}

static bool
goes_before(const struct pktbuf *a, const struct pktbuf *b)
{
	return ((a->bucket_seq - b->bucket_seq) & (FQ_SEQ_MASK + 1) / 2) != 0;
}

/* Mostly the first or the last of all. */
static void
insert_again(struct bucket *b, struct pktbuf *pb)
{
	struct pktbuf *at = TAILQ_FIRST(&b->again);

	if (at == NULL || goes_before(pb, at)) {
		TAILQ_INSERT_HEAD(&b->again, pb, entry);
		return;
	}
	at = TAILQ_LAST(&b->again, pktbuf_list);
	while (goes_before(pb, at))
		at = TAILQ_PREV(at, pktbuf_list, entry);
	TAILQ_INSERT_AFTER(&b->again, at, pb, entry);
}

void
fq_requeue(struct fq *fq, struct pktbuf *pb)
{
	struct bucket *b = &fq->buckets[pb->bucket % FQ_BUCKETS];

	if (is_empty(b))
		fq->stats.flows++;
	insert_again(b, pb);
	pb->again = true;
	fq->stats.again_packets++;
	fq->stats.again_bytes += pb->len;
	fq->stats.requeued++;
	activate(fq, b);
}

static struct pktbuf *
take_again(struct fq *fq, struct bucket *b)
{
	struct pktbuf *pb = TAILQ_FIRST(&b->again);

	if (pb == NULL)
		return NULL;
	TAILQ_REMOVE(&b->again, pb, entry);
	if (is_empty(b))
		fq->stats.flows--;
	pb->again = false;
	fq->stats.again_packets--;
	fq->stats.again_bytes -= pb->len;
	return pb;
}

/* The next one that its receiver still lacks. */
static struct pktbuf *
dequeue_again(struct fq *fq, struct bucket *b)
{
	struct pktbuf *pb;

	while ((pb = take_again(fq, b)) != NULL && pb->acked)
		pktbuf_free(fq->pool, pb);
	if (pb != NULL)
		b->deficit -= (int32_t)pb->len;
	return pb;
}

static struct pktbuf *
codel_take(void *ctx, size_t *left_bytes)
{
	struct fq *fq = ctx;
	struct bucket *b = fq->current;
	struct pktbuf *pb = TAILQ_FIRST(&b->queue);

	if (pb != NULL)
		detach(fq, b, pb);
	*left_bytes = fq->backlogs[index_of(fq, b)];
	return pb;
}

static bool
codel_mark(void *ctx, struct pktbuf *pb)
{
	struct fq *fq = ctx;

	if (!flow_mark_ce(pb))
		return false;
	fq->stats.marks++;
	return true;
}

static void
codel_drop(void *ctx, struct pktbuf *pb)
{
	struct fq *fq = ctx;

	fq->stats.codel_drops++;
	pktbuf_free(fq->pool, pb);
}

static void
number(struct fq *fq, struct bucket *b, struct pktbuf *pb, mono_t now)
{
	pb->bucket_seq = b->next_seq;
	b->next_seq = (b->next_seq + 1) & FQ_SEQ_MASK;
	pb->sparse = b->list == &fq->new_flows;
	b->deficit -= (int32_t)pb->len;
	fq->stats.dequeued++;
	fq->stats.sojourn = now - pb->queued_at;
	pktbuf_set_use(fq->pool, pb, PKTBUF_IO);
}

struct pktbuf *
fq_dequeue(struct fq *fq, mono_t now)
{
	const struct codel_queue queue = { codel_take, codel_mark, codel_drop,
		fq };
	struct codel_params codel = fq->codel;
	struct pktbuf *pb;
	struct bucket *b;

	if (now < fq->patient_until)
		codel.target = FQ_PATIENCE;
	for (;;) {
		if ((b = TAILQ_FIRST(&fq->new_flows)) == NULL &&
		    (b = TAILQ_FIRST(&fq->old_flows)) == NULL)
			return NULL;
		if (b->deficit <= 0) {
			b->deficit += fq->quantum_bytes;
			move_to(b, &fq->old_flows);
			continue;
		}
		if ((pb = dequeue_again(fq, b)) != NULL)
			return pb;
		fq->current = b;
		pb = codel_dequeue(&b->codel, &codel, &queue, now);
		if (pb != NULL) {
			number(fq, b, pb, now);
			return pb;
		}
		/* A new flow passes through the old ones once, so that it
		 * cannot be new again at once and starve them. */
		if (b->list == &fq->new_flows && !TAILQ_EMPTY(&fq->old_flows))
			move_to(b, &fq->old_flows);
		else
			move_to(b, NULL);
	}
}

bool
fq_empty(const struct fq *fq)
{
	return fq->stats.packets + fq->stats.again_packets == 0;
}

void
fq_forget_again(struct fq *fq)
{
	struct pktbuf *pb;

	for (unsigned n = 0; n < FQ_BUCKETS; n++)
		while ((pb = take_again(fq, &fq->buckets[n])) != NULL)
			pktbuf_free(fq->pool, pb);
}

void
fq_purge(struct fq *fq)
{
	struct pktbuf *pb;

	for (unsigned n = 0; n < FQ_BUCKETS; n++) {
		struct bucket *b = &fq->buckets[n];

		while ((pb = TAILQ_FIRST(&b->queue)) != NULL) {
			detach(fq, b, pb);
			pktbuf_free(fq->pool, pb);
		}
		while ((pb = take_again(fq, b)) != NULL)
			pktbuf_free(fq->pool, pb);
		move_to(b, NULL);
		b->codel = (struct codel){ 0 };
	}
}

const struct fq_stats *
fq_stats(const struct fq *fq)
{
	return &fq->stats;
}
