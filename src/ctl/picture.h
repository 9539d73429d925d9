/*
 * The status document as a table for people: one row a link, one for the bond.
 * Keeps the counters of the last document, so that the next one shows rates.
 */
#ifndef MLVPN_CTL_PICTURE_H
#define MLVPN_CTL_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/util.h"

struct picture {
	bool colour;
	bool live;    /* current rates instead of totals */
	json_t *last; /* the document before this one */
	mono_t last_at;
};

/* Draws doc as it was at now and keeps a reference to it. */
void picture_draw(struct picture *p, json_t *doc, mono_t now, FILE *out);
void picture_clear(struct picture *p);

#endif
