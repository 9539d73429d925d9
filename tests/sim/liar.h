/*
 * A peer that has the password and lies.  It may spoil the tunnel between the
 * two as long as it lies, within bounds of memory and bandwidth; then all is as
 * before.  One end is honest, the other's engine sends what is made up.
 * Without a cipher, so that the lines can be read.
 */
#ifndef MLVPN_TESTS_LIAR_H
#define MLVPN_TESTS_LIAR_H

#include "sim.h"

#define LIAR_LINES 2
#define LIAR_RATE 1250000
#define LIAR_ATTACK (3 * SEC)

struct liar;

/* The payload of the next lie about a line. */
typedef size_t liar_fn(struct liar *x, unsigned line, uint8_t *payload);

struct liar_attack {
	liar_fn *lie;
	enum wire_control control;
	mono_t gap;   /* of lies by each line */
	bool mute;    /* what the engine would report is not sent */
	bool stamps;  /* are made up */
	bool holes;   /* its packets' numbers leave them */
	bool urgent;  /* the honest end sends such packets */
	bool unrated; /* nobody configured what the lines carry */
};

struct liar {
	struct sim *s;
	const struct liar_attack *a;
	int end, honest;
	mono_t until;
	bool lying;	 /* this instant */
	uint32_t number; /* of its latest packet: bucket and sequence */
	uint64_t random;
	/* what the honest end sent */
	uint8_t *sends; /* by id */
	size_t sends_size;
	uint64_t reports, report_bytes, again, first, copies;
	struct sim_flow *load, *sparse, *back, *urgent;
};

struct link *liar_link(struct liar *x, unsigned line);
/* 0..n-1 */
uint64_t liar_below(struct liar *x, uint64_t n);
/* A world in which that end lies for a while, within the bounds. */
struct liar *liar_run(const struct liar_attack *a, int end);
/* All that was must be as before; ends the world. */
void liar_recovers(struct liar *x);
/* Flows that are not lied about get so much through. */
void liar_others_go_on(const struct liar *x, unsigned percent);

#endif
