/*
 * A resequencer and a peer that numbers as it likes, in invented time; what is
 * delivered is written down.
 */
#ifndef MLVPN_TESTS_RESEQ_PEER_H
#define MLVPN_TESTS_RESEQ_PEER_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/fq.h"
#include "tunnel/reseq.h"
#include "tunnel/wire.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define LEN 100 /* bytes of a packet */

static struct pktbuf_pool *pool;
static struct reseq *r;
static mono_t now;
static char log_text[512]; /* what was delivered, as text */
static uint64_t ncome, ndelivered;
static bool quiet; /* counts only */
static void (*observe)(const struct pktbuf *pb);

static inline void
deliver(void *ctx, struct pktbuf *pb, mono_t at)
{
	size_t used = strlen(log_text);

	/* One check for all: each costs more than the packet. */
	if (ctx != &now || at != now || pb->use != PKTBUF_IO || pb->len != LEN)
		ck_abort_msg("use %u, len %u", pb->use, pb->len);
	ndelivered++;
	if (observe != NULL)
		observe(pb);
	if (!quiet)
		snprintf(log_text + used, sizeof(log_text) - used,
		    pb->priority ? "%sp%u" : "%s%u", used == 0 ? "" : " ",
		    pb->bucket * 1000 + pb->bucket_seq);
	pktbuf_free(pool, pb);
}

static inline void
setup(void)
{
	pool = pktbuf_pool_new(64 << 20);
	r = reseq_new(pool, deliver, &now);
	ck_assert_ptr_nonnull(r);
	reseq_set_links(r, 7);
	now = 1000 * SEC;
	log_text[0] = '\0';
	ncome = ndelivered = 0;
	quiet = false;
	observe = NULL;
}

static inline void
teardown(void)
{
	reseq_free(r);
	for (unsigned u = 0; u < PKTBUF_USES; u++)
		ck_assert_uint_eq(pktbuf_used(pool, u), 0);
	pktbuf_pool_free(pool);
}

/* What was delivered since the last call: bucket * 1000 + number. */
static inline const char *
got(void)
{
	static char text[sizeof(log_text)];

	memcpy(text, log_text, sizeof(text));
	log_text[0] = '\0';
	return text;
}

#define GOT(text) ck_assert_str_eq(got(), text)

struct arrival {
	uint16_t bucket;
	uint32_t seq;
	unsigned link, prev;
	bool priority;
	mono_t age; /* since it was sent */
};

/* A packet as link_input() hands it over. */
static inline enum reseq_fate
come_in(const struct arrival *a, bool ahead)
{
	struct pktbuf *pb = pktbuf_alloc(pool, LEN);
	uint32_t stamp = wire_stamp(now - a->age);

	if (pb == NULL)
		ck_abort_msg("no buffer");
	pb->len = LEN;
	pb->bucket = a->bucket;
	pb->bucket_seq = a->seq;
	pb->priority = a->priority;
	pb->ahead = ahead;
	pb->stamp = stamp;
	pb->link = (uint8_t)a->link;
	pb->prev_link = (uint8_t)a->prev;
	ncome++;
	reseq_heard(r, a->link, stamp, now);
	return reseq_input(r, pb, now);
}

static inline enum reseq_fate
come_as(const struct arrival *a)
{
	return come_in(a, false);
}

/* Of bucket 0, sent 10 ms ago. */
static inline enum reseq_fate
come(uint32_t seq, unsigned link, unsigned prev)
{
	struct arrival a = { 0, seq, link, prev, false, 10 * MS };

	return come_as(&a);
}

/* ... from behind, before those that go before it. */
static inline enum reseq_fate
come_ahead(uint32_t seq, unsigned link, unsigned prev)
{
	struct arrival a = { 0, seq, link, prev, false, 10 * MS };

	return come_in(&a, true);
}

static inline void
come_range(uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		come(i & FQ_SEQ_MASK, 0, 0);
}

/* 0, and one of line 0 that waits for 1 of line 1. */
static inline void
begin_hole(void)
{
	come(0, 0, 0);
	come(2, 0, 1);
}

static inline void
skip(uint32_t seq)
{
	reseq_skip(r, false, 0, seq, now);
}

/* Time goes by, with calls when they are due. */
static inline void
pass_time(mono_t span)
{
	mono_t end = now + span, next;

	while ((next = reseq_run(r, now)) <= end)
		now = next;
	now = end;
}

/* A keepalive, sent so long ago. */
static inline void
speak(unsigned link, mono_t age)
{
	reseq_heard(r, link, wire_stamp(now - age), now);
}

static inline uint64_t
rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

#endif
