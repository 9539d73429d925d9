/*
 * What a packet costs in the queue: alloc, classify, enqueue, dequeue, free,
 * in ns, for few and for many flows, without and with overload.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tunnel/flow.h"
#include "tunnel/fq.h"

#define PACKETS 2000000
#define BATCH 64

static const uint8_t header[] = { 0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 17, 0,
	0, 192, 0, 2, 1, 198, 51, 100, 7, 0, 0, 0, 53, 0, 0, 0, 0 };

static mono_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (mono_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void
offer(struct pktbuf_pool *pool, struct fq *fq, unsigned flow, mono_t now)
{
	static const struct flow_key key = { 1, 2 };
	struct pktbuf *pb = pktbuf_alloc(pool, 1500);

	if (pb == NULL)
		abort();
	memcpy(pb->data, header, sizeof(header));
	put_be16(pb->data + 20, (uint16_t)flow);
	pb->len = 1500;
	flow_classify(pb, false, &key);
	fq_enqueue(fq, pb, now);
}

/* Offers bursts of in packets and takes out of them. */
static void
run(unsigned flows, unsigned in, unsigned out)
{
	const struct fq_params params = { .target = 5 * NSEC_PER_MSEC,
		.interval = 100 * NSEC_PER_MSEC,
		.limit_bytes = 4 << 20,
		.quantum_bytes = 1514 };
	struct pktbuf_pool *pool = pktbuf_pool_new(64 << 20);
	struct fq *fq = pool == NULL ? NULL : fq_new(pool, &params);
	mono_t start = clock_ns(), now = 0;
	unsigned flow = 0, n;

	if (fq == NULL)
		abort();
	for (n = 0; n < PACKETS; n += in) {
		for (unsigned i = 0; i < in; i++)
			offer(pool, fq, flow++ % flows, now);
		for (unsigned i = 0; i < out; i++)
			pktbuf_free(pool, fq_dequeue(fq, now));
		now += in * 12 * NSEC_PER_USEC; /* 1 Gbit/s */
	}
	printf("%5u flows, %3u in, %3u out: %4lld ns a packet offered, "
	       "%llu dropped\n",
	    flows, in, out, (long long)((clock_ns() - start) / n),
	    (unsigned long long)(fq_stats(fq)->overload_drops +
				 fq_stats(fq)->codel_drops));
	fq_free(fq);
	pktbuf_pool_free(pool);
}

int
main(void)
{
	static const unsigned flows[] = { 1, 16, 256, 4096 };

	for (size_t i = 0; i < nitems_of(flows); i++) {
		run(flows[i], BATCH, BATCH);
		run(flows[i], BATCH, BATCH / 2);
	}
	return 0;
}
