/*
 * A queue with both its ends, in invented time.
 */
#ifndef MLVPN_TESTS_FQ_ENDS_H
#define MLVPN_TESTS_FQ_ENDS_H

#include <check.h>
#include <string.h>

#include "tunnel/fq.h"

#define MS NSEC_PER_MSEC

static struct pktbuf_pool *pool;
static struct fq *fq;
static const struct fq_params params = {
	.target = 5 * MS,
	.interval = 100 * MS,
	.limit_bytes = 1 << 20,
	.quantum_bytes = 1514,
};

static inline void
setup(void)
{
	pool = pktbuf_pool_new(32 << 20);
	fq = fq_new(pool, &params);
	ck_assert_ptr_nonnull(fq);
}

static inline void
teardown(void)
{
	fq_free(fq);
	for (unsigned u = 0; u < PKTBUF_USES; u++)
		ck_assert_uint_eq(pktbuf_used(pool, u), 0);
	pktbuf_pool_free(pool);
}

static inline struct pktbuf *
packet(uint32_t hash, size_t len)
{
	struct pktbuf *pb = pktbuf_alloc(pool, 1500);

	if (pb == NULL)
		ck_abort_msg("the pool is full");
	memset(pb->data, 0, len);
	pb->len = (uint32_t)len;
	pb->flow_hash = hash;
	return pb;
}

static inline void
put(uint32_t hash, size_t len, size_t count, mono_t now)
{
	while (count-- > 0)
		fq_enqueue(fq, packet(hash, len), now);
}

/* Dequeues one; returns its flow, or 0. */
static inline uint32_t
get(mono_t now)
{
	struct pktbuf *pb = fq_dequeue(fq, now);
	uint32_t hash;

	if (pb == NULL)
		return 0;
	ck_assert_int_eq(pb->use, PKTBUF_IO);
	hash = pb->flow_hash;
	pktbuf_free(pool, pb);
	return hash;
}

/* Dequeues one and keeps it, as if it had been sent. */
static inline struct pktbuf *
retain(mono_t now)
{
	struct pktbuf *pb = fq_dequeue(fq, now);

	ck_assert_ptr_nonnull(pb);
	ck_assert_int_eq(pktbuf_set_use(pool, pb, PKTBUF_RETAIN), 0);
	return pb;
}

static inline void
requeue(struct pktbuf *pb)
{
	pktbuf_ref(pb);
	fq_requeue(fq, pb);
	if (!pb->again)
		ck_abort_msg("not queued again");
}

#endif
