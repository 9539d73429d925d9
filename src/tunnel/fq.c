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
#define BULK_PACKETS 4 /* a flow that has so many waiting has its share */
#define LOOK_MAX 64    /* flows that are looked at for a packet */

struct bucket {
	struct flowq q;
	TAILQ_ENTRY(bucket) entry;
	struct bucket_list *list; /* of the round; NULL: idle */
	struct codel codel;
	int32_t deficit; /* bytes it may still send in this round */
	uint64_t ahead;	 /* bytes that left out of turn */
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
	size_t backlogs[FQ_BUCKETS]; /* bytes of fresh packets */
	struct bucket buckets[FQ_BUCKETS];
	struct bucket_list new_flows, old_flows;
	struct bucket *current; /* what CoDel works on */
	uint32_t bulk_flows;	/* with BULK_PACKETS waiting */
	size_t short_bytes;	/* that wait in all other flows */
	uint64_t ahead;		/* what the bucket had that was served last */
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
	for (unsigned i = 0; i < FQ_BUCKETS; i++)
		flowq_init(&fq->buckets[i].q);
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
		if (empty == NO_BUCKET && flowq_is_empty(&fq->buckets[n].q))
			empty = n;
	}
	if (idle == NO_BUCKET)
		idle = empty;
	if (idle == NO_BUCKET)
		return direct;
	assign(fq, idle, hash);
	return idle;
}

/* --- what waits, and the sums of it --- */

/* A fresh packet of b has come, or gone. */
static void
count_in(struct fq *fq, const struct bucket *b, const struct pktbuf *pb)
{
	const struct flowq *q = &b->q;

	fq->stats.flows += q->packets + q->again_packets == 1;
	if (q->packets == BULK_PACKETS) {
		fq->bulk_flows++;
		fq->short_bytes -= q->bytes - pb->len;
	} else if (q->packets < BULK_PACKETS)
		fq->short_bytes += pb->len;
	fq->backlogs[index_of(fq, b)] = q->bytes;
	fq->stats.bytes += pb->len;
	fq->stats.packets++;
}

static void
count_out(struct fq *fq, const struct bucket *b, const struct pktbuf *pb)
{
	const struct flowq *q = &b->q;

	fq->stats.flows -= flowq_is_empty(q);
	if (q->packets == BULK_PACKETS - 1) {
		fq->bulk_flows--;
		fq->short_bytes += q->bytes;
	} else if (q->packets < BULK_PACKETS)
		fq->short_bytes -= pb->len;
	fq->backlogs[index_of(fq, b)] = q->bytes;
	fq->stats.bytes -= pb->len;
	fq->stats.packets--;
}

static void
detach(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	flowq_remove(&b->q, pb);
	count_out(fq, b, pb);
}

static void
detach_again(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	flowq_remove_again(&b->q, pb);
	fq->stats.flows -= flowq_is_empty(&b->q);
	fq->stats.again_packets--;
	fq->stats.again_bytes -= pb->len;
}

/* --- in --- */

/* One packet always stays, and those that have their numbers. */
static bool
can_spare(const struct bucket *b)
{
	return b->q.packets > 1 && flowq_first_loose(&b->q) != NULL;
}

/* The bucket with most bytes among those that can lose a packet, or NULL. */
static struct bucket *
fattest(struct fq *fq)
{
	struct bucket *fat = NULL;
	size_t most = 0;

	for (unsigned n = 0; n < FQ_BUCKETS; n++)
		if (fq->backlogs[n] > most && can_spare(&fq->buckets[n])) {
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
	for (int i = 0; i < DROP_BATCH && dropped < half && can_spare(b); i++) {
		pb = flowq_first_loose(&b->q);
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
	while (fq->stats.packets > 0 &&
	       fq->stats.bytes + pb->len > fq->limit_bytes)
		if (!drop_overload(fq))
			goto refuse;
	pb->queued_at = now;
	pb->bucket = (uint16_t)select_bucket(fq, pb->flow_hash);
	b = &fq->buckets[pb->bucket];
	flowq_append(&b->q, pb);
	count_in(fq, b, pb);
	activate(fq, b);
	fq->stats.enqueued++;
	return 0;
refuse:
	fq->stats.overload_drops++;
	pktbuf_free(fq->pool, pb);
	return -1;
}

void
fq_requeue(struct fq *fq, struct pktbuf *pb)
{
	struct bucket *b = &fq->buckets[pb->bucket % FQ_BUCKETS];

	fq->stats.flows += flowq_is_empty(&b->q);
	flowq_insert_again(&b->q, pb);
	fq->stats.again_packets++;
	fq->stats.again_bytes += pb->len;
	fq->stats.requeued++;
	activate(fq, b);
}

/* --- out --- */

/* Sent before and to be sent now; NULL: its receiver has it by now. */
static struct pktbuf *
leave_again(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	detach_again(fq, b, pb);
	if (pb->acked) {
		pktbuf_free(fq->pool, pb);
		return NULL;
	}
	return pb;
}

static struct pktbuf *
dequeue_again(struct fq *fq, struct bucket *b)
{
	struct pktbuf *first, *pb = NULL;

	while (pb == NULL && (first = TAILQ_FIRST(&b->q.again)) != NULL)
		pb = leave_again(fq, b, first);
	return pb;
}

/* A fresh one that has been detached. */
static void
leave(struct fq *fq, struct bucket *b, struct pktbuf *pb)
{
	flowq_number(&b->q, pb);
	pb->sparse = b->list == &fq->new_flows;
	fq->stats.dequeued++;
	pktbuf_set_use(fq->pool, pb, PKTBUF_IO);
}

static struct pktbuf *
codel_take(void *ctx, size_t *left_bytes)
{
	struct fq *fq = ctx;
	struct bucket *b = fq->current;
	struct pktbuf *pb = TAILQ_FIRST(&b->q.fresh);

	if (pb != NULL)
		detach(fq, b, pb);
	*left_bytes = b->q.bytes;
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

/* One that has its number would leave a hole: another one goes for it. */
static bool
codel_drop(void *ctx, struct pktbuf *pb)
{
	struct fq *fq = ctx;
	struct bucket *b = fq->current;

	if (pb->placed) {
		flowq_put_back(&b->q, pb);
		count_in(fq, b, pb);
		if ((pb = flowq_first_loose(&b->q)) == NULL)
			return false;
		detach(fq, b, pb);
	}
	fq->stats.codel_drops++;
	pktbuf_free(fq->pool, pb);
	return true;
}

static struct pktbuf *
dequeue_first(struct fq *fq, struct bucket *b, mono_t now)
{
	const struct codel_queue queue = { codel_take, codel_mark, codel_drop,
		fq };
	struct codel_params codel = fq->codel;
	struct pktbuf *pb;

	if (now < fq->patient_until)
		codel.target = FQ_PATIENCE;
	fq->current = b;
	pb = codel_dequeue(&b->codel, &codel, &queue, now);
	if (pb == NULL)
		return NULL;
	fq->stats.sojourn = now - pb->queued_at;
	leave(fq, b, pb);
	return pb;
}

/* The next packet of the flows on one list of the round. */
static struct pktbuf *
serve(struct fq *fq, struct bucket_list *list, mono_t now)
{
	struct pktbuf *pb;
	struct bucket *b;

	while ((b = TAILQ_FIRST(list)) != NULL) {
		if (b->deficit <= 0) {
			b->deficit += fq->quantum_bytes;
			move_to(b, &fq->old_flows);
			continue;
		}
		if ((pb = dequeue_again(fq, b)) != NULL ||
		    (pb = dequeue_first(fq, b, now)) != NULL) {
			b->deficit -= (int32_t)pb->len;
			return pb;
		}
		/* A new flow passes through the old ones once, so that it
		 * cannot be new again at once and starve them. */
		if (list == &fq->new_flows && !TAILQ_EMPTY(&fq->old_flows))
			move_to(b, &fq->old_flows);
		else
			move_to(b, NULL);
	}
	return NULL;
}

struct pktbuf *
fq_dequeue(struct fq *fq, mono_t now)
{
	struct pktbuf *pb = serve(fq, &fq->new_flows, now);

	return pb != NULL ? pb : serve(fq, &fq->old_flows, now);
}

/* --- out of turn --- */

/* Bytes that b had out of turn, more than the flow served last; who had none
 * for a while has no claim to all of them. */
static int64_t
lead(const struct fq *fq, const struct bucket *b)
{
	int64_t more = (int64_t)(b->ahead - fq->ahead);

	return more < -fq->quantum_bytes ? -fq->quantum_bytes : more;
}

/* Of the flows that have so many bytes waiting, that which had least. */
static struct bucket *
find_long(struct fq *fq, size_t least_bytes, mono_t now)
{
	struct bucket *b, *found = NULL;
	unsigned looks = 0;

	TAILQ_FOREACH(b, &fq->old_flows, entry) {
		if (flowq_is_empty(&b->q))
			continue;
		if (looks++ == LOOK_MAX)
			break;
		if (b->q.bytes + b->q.again_bytes < least_bytes &&
		    !flowq_is_overdue(&b->q, now))
			continue;
		if (found == NULL || lead(fq, b) < lead(fq, found))
			found = b;
	}
	return found;
}

/* The packet of a flow that has so many bytes before it, or the last. */
static struct pktbuf *
dequeue_behind(struct fq *fq, struct bucket *b, size_t ahead_bytes,
    mono_t later, mono_t now)
{
	struct pktbuf *pb;

	if (flowq_is_overdue(&b->q, now))
		ahead_bytes = 0;
	if (b->q.again_bytes > ahead_bytes || b->q.packets == 0)
		return leave_again(fq, b, flowq_find_again(&b->q, ahead_bytes));
	pb = flowq_find(&b->q, ahead_bytes - b->q.again_bytes, now + 2 * later);
	pb->ahead = pb != TAILQ_FIRST(&b->q.fresh);
	detach(fq, b, pb);
	leave(fq, b, pb);
	return pb;
}

/* What is one bulk flow's of that many bytes, of which short flows have all
 * that they want. */
static uint64_t
share_of(const struct fq *fq, uint64_t bytes)
{
	if (bytes <= fq->short_bytes)
		return 0;
	return (bytes - fq->short_bytes) /
	       (fq->bulk_flows > 1 ? fq->bulk_flows : 1);
}

static void
charge_ahead(struct fq *fq, struct bucket *b, const struct pktbuf *pb)
{
	b->ahead = fq->ahead + (uint64_t)lead(fq, b);
	if (b->ahead > fq->ahead)
		fq->ahead = b->ahead;
	b->ahead += pb->len;
}

struct pktbuf *
fq_dequeue_ahead(struct fq *fq, const struct fq_ahead *ahead, mono_t now)
{
	struct pktbuf *pb = serve(fq, &fq->new_flows, now);
	uint64_t bytes = share_of(fq, ahead->bytes);
	uint64_t least = share_of(fq, ahead->least_bytes);
	struct bucket *b;

	/* About its turn is its turn. */
	if (pb == NULL && bytes < (uint64_t)fq->quantum_bytes)
		return serve(fq, &fq->old_flows, now);
	while (pb == NULL && (b = find_long(fq, least, now)) != NULL)
		if ((pb = dequeue_behind(fq, b, bytes, ahead->later, now)) !=
		    NULL)
			charge_ahead(fq, b, pb);
	return pb;
}

bool
fq_empty(const struct fq *fq)
{
	return fq->stats.packets + fq->stats.again_packets == 0;
}

static void
forget_again(struct fq *fq, struct bucket *b)
{
	struct pktbuf *pb;

	while ((pb = TAILQ_FIRST(&b->q.again)) != NULL) {
		detach_again(fq, b, pb);
		pktbuf_free(fq->pool, pb);
	}
}

void
fq_forget_peer(struct fq *fq)
{
	for (unsigned n = 0; n < FQ_BUCKETS; n++) {
		forget_again(fq, &fq->buckets[n]);
		flowq_forget_places(&fq->buckets[n].q);
	}
}

void
fq_purge(struct fq *fq)
{
	struct pktbuf *pb;

	for (unsigned n = 0; n < FQ_BUCKETS; n++) {
		struct bucket *b = &fq->buckets[n];

		while ((pb = TAILQ_FIRST(&b->q.fresh)) != NULL) {
			detach(fq, b, pb);
			pktbuf_free(fq->pool, pb);
		}
		forget_again(fq, b);
		move_to(b, NULL);
		b->codel = (struct codel){ 0 };
	}
}

const struct fq_stats *
fq_stats(const struct fq *fq)
{
	return &fq->stats;
}
