/*
 * The ring grows by doubling while more is in flight than it holds, up to
 * RETAIN_MAX; then the oldest records are given up unsettled.
 */
#include "config.h"

#include <stdlib.h>

#include "tunnel/retain.h"

#define RING_MIN 256

static struct retain_entry *
entry_of(const struct retain *r, uint64_t seq)
{
	return &r->ring[seq & (r->size - 1)];
}

/* Whatever becomes of it, another link does not wait for this copy. */
static void
disown(struct retain *r, struct retain_entry *e)
{
	if (!e->data || e->given_up)
		return;
	e->given_up = true;
	r->data--;
	if (e->pb != NULL)
		e->pb->flying--;
}

static void
release(struct retain *r, struct pktbuf_pool *pool, struct retain_entry *e)
{
	disown(r, e);
	pktbuf_free(pool, e->pb);
	e->pb = NULL;
	e->settled = true;
}

void
retain_clear(struct retain *r, struct pktbuf_pool *pool)
{
	for (; r->tail < r->head; r->tail++)
		release(r, pool, entry_of(r, r->tail));
	free(r->ring);
	*r = (struct retain){ 0 };
}

/* Room for one more; the oldest has to go where the ring cannot grow. */
static bool
make_room(struct retain *r, struct pktbuf_pool *pool)
{
	uint32_t size = r->size == 0 ? RING_MIN : r->size * 2;
	struct retain_entry *ring = NULL;

	if (size <= RETAIN_MAX)
		ring = calloc(size, sizeof(*ring));
	if (ring == NULL) {
		if (r->size == 0)
			return false;
		release(r, pool, entry_of(r, r->tail++));
		return true;
	}
	for (uint64_t seq = r->tail; seq < r->head; seq++)
		ring[seq & (size - 1)] = *entry_of(r, seq);
	free(r->ring);
	r->ring = ring;
	r->size = size;
	return true;
}

void
retain_note(struct retain *r, struct pktbuf_pool *pool, uint64_t seq,
    struct pktbuf *pb, mono_t now)
{
	struct retain_entry *e;

	if (r->head != seq) {
		/* The first one; later numbers follow one another. */
		retain_clear(r, pool);
		r->tail = r->head = seq;
	}
	if (r->head - r->tail == r->size && !make_room(r, pool))
		return;
	e = entry_of(r, r->head++);
	*e = (struct retain_entry){ .sent_at = now };
	if (pb == NULL)
		return;
	e->data = true;
	if (r->data++ == 0)
		r->data_at = now;
	e->bucket = pb->bucket;
	e->bucket_seq = pb->bucket_seq;
	e->priority = pb->priority;
	if (pktbuf_set_use(pool, pb, PKTBUF_RETAIN) == -1)
		return;
	pktbuf_ref(pb);
	pb->flying++;
	e->pb = pb;
}

/* The owner gets a reference of its own. */
static void
give_up(
    struct retain *r, struct retain_entry *e, retain_lost_fn *lost, void *ctx)
{
	if (!e->data || e->given_up)
		return;
	disown(r, e);
	if (e->pb != NULL)
		pktbuf_ref(e->pb);
	lost(ctx, e);
}

static void
advance(struct retain *r)
{
	while (r->tail < r->head && entry_of(r, r->tail)->settled)
		r->tail++;
}

/* The fate of seq according to the report; *hole walks from the lowest one.  Of
 * what is below its floor others may have told, or will: most has arrived. */
enum fate { ACKED, LOST, OPEN };

static enum fate
fate_of(const struct report_link *rep, uint64_t seq, size_t *hole)
{
	const struct report_hole *h;

	if (seq < rep->floor)
		return OPEN;
	while (*hole > 0) {
		h = &rep->holes[*hole - 1];
		if (seq < h->first)
			return ACKED;
		if (seq < h->first + h->count)
			return h->pending ? OPEN : LOST;
		(*hole)--;
	}
	return ACKED;
}

/* Has all that ever arrived come from the floor on? */
static bool
begins_at_floor(const struct report_link *rep)
{
	uint64_t n = rep->highest - rep->floor + 1;

	for (size_t i = 0; i < rep->nholes; i++)
		n -= rep->holes[i].count;
	return rep->packets == n;
}

bool
retain_report(struct retain *r, struct pktbuf_pool *pool,
    const struct report_link *rep, retain_lost_fn *lost, void *ctx,
    struct retain_result *res)
{
	size_t hole = rep->nholes;
	uint64_t lost_before = begins_at_floor(rep) ? rep->floor : 0;

	*res = (struct retain_result){ 0 };
	if (rep->highest >= r->head)
		return false;
	if (rep->highest > r->highest)
		r->highest = rep->highest;
	for (uint64_t seq = r->tail; seq <= rep->highest; seq++) {
		struct retain_entry *e = entry_of(r, seq);
		enum fate fate =
		    seq < lost_before ? LOST : fate_of(rep, seq, &hole);

		if (e->settled || fate == OPEN)
			continue;
		if (fate == LOST) {
			res->lost++;
			give_up(r, e, lost, ctx);
		} else {
			res->acked++;
			if (e->pb != NULL)
				e->pb->acked = true;
		}
		release(r, pool, e);
	}
	advance(r);
	return true;
}

static uint32_t
give_up_from(struct retain *r, uint64_t seq, mono_t before,
    retain_lost_fn *lost, void *ctx)
{
	uint32_t n = 0;

	for (; seq < r->head; seq++) {
		struct retain_entry *e = entry_of(r, seq);

		if (e->sent_at >= before)
			break;
		if (e->settled || !e->data || e->given_up)
			continue;
		n++;
		give_up(r, e, lost, ctx);
	}
	return n;
}

/* The first after the highest that was reported, of those that there are. */
static uint64_t
first_unheard(const struct retain *r)
{
	return r->highest + 1 > r->tail ? r->highest + 1 : r->tail;
}

uint32_t
retain_overdue(struct retain *r, mono_t before, retain_lost_fn *lost, void *ctx)
{
	return give_up_from(r, first_unheard(r), before, lost, ctx);
}

void
retain_give_up(struct retain *r, retain_lost_fn *lost, void *ctx)
{
	give_up_from(r, r->tail, MONO_NEVER, lost, ctx);
}

uint32_t
retain_expire(struct retain *r, struct pktbuf_pool *pool, mono_t before,
    retain_lost_fn *lost, void *ctx)
{
	uint32_t n = 0;

	for (; r->tail < r->head && r->tail <= r->highest; r->tail++) {
		struct retain_entry *e = entry_of(r, r->tail);

		if (e->settled)
			continue;
		if (e->sent_at >= before)
			break;
		n++;
		give_up(r, e, lost, ctx);
		release(r, pool, e);
	}
	return n;
}

void
retain_refused(struct retain *r, struct pktbuf_pool *pool, uint64_t seq,
    retain_lost_fn *lost, void *ctx)
{
	if (seq < r->tail || seq >= r->head || entry_of(r, seq)->settled)
		return;
	give_up(r, entry_of(r, seq), lost, ctx);
	release(r, pool, entry_of(r, seq));
}

uint32_t
retain_restart(struct retain *r, struct pktbuf_pool *pool)
{
	uint32_t n = 0;

	for (; r->tail < r->head; r->tail++) {
		n += !entry_of(r, r->tail)->settled;
		release(r, pool, entry_of(r, r->tail));
	}
	if (r->head > 0)
		r->highest = r->head - 1;
	return n;
}

mono_t
retain_unheard_at(const struct retain *r)
{
	uint64_t seq = first_unheard(r);

	return seq < r->head ? entry_of(r, seq)->sent_at : MONO_NEVER;
}

bool
retain_misses(const struct retain *r, uint32_t n, mono_t before)
{
	uint64_t last = first_unheard(r) + n - 1;

	return last < r->head && entry_of(r, last)->sent_at < before;
}
