/*
 * Cells are text first, so that each column gets the width that it needs.
 * Strings come from the unprivileged worker: nothing that could drive a
 * terminal is printed.  What a document lacks is shown as "-".
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "ctl/picture.h"

#include "base/util.h"

#define TITLES 2			  /* rows */
#define ROWS_MAX (TITLES + LINKS_MAX + 1) /* titles, links, bond */
#define CELL_MAX 64

enum column {
	COL_NAME,
	COL_STATE,
	COL_USE,
	COL_PEER,
	COL_RTT,
	COL_LOSS_TX,
	COL_LOSS_RX,
	COL_TX,
	COL_TX_MAX,
	COL_RX,
	COL_RX_MAX,
	COLUMNS
};

static const struct {
	const char *titles[TITLES]; /* of a single look */
	const char *live[TITLES];   /* when current rates are known */
	bool right;		    /* numbers are flushed right */
} columns[COLUMNS] = {
	[COL_NAME] = { { "", "LINK" }, { "", "LINK" }, false },
	[COL_STATE] = { { "", "STATE" }, { "", "STATE" }, false },
	[COL_USE] = { { "", "USE" }, { "", "USE" }, false },
	[COL_PEER] = { { "", "PEER" }, { "", "PEER" }, false },
	[COL_RTT] = { { "RTT", "ms" }, { "RTT", "ms" }, true },
	[COL_LOSS_TX] = { { "LOSS", "TX %" }, { "LOSS", "TX %" }, true },
	[COL_LOSS_RX] = { { "LOSS", "RX %" }, { "LOSS", "RX %" }, true },
	[COL_TX] = { { "TX", "TOTAL" }, { "TX NOW", "Mbit/s" }, true },
	[COL_TX_MAX] = { { "TX RATE", "Mbit/s" }, { "TX RATE", "Mbit/s" },
	    true },
	[COL_RX] = { { "RX", "TOTAL" }, { "RX NOW", "Mbit/s" }, true },
	[COL_RX_MAX] = { { "RX RATE", "Mbit/s" }, { "RX RATE", "Mbit/s" },
	    true },
};

struct table {
	char cell[ROWS_MAX][COLUMNS][CELL_MAX];
	size_t rows;
};

/* Of words in the columns STATE and USE. */
static const struct {
	const char *word;
	const char *colour;
} colours[] = {
	{ "up", "\033[32m" },
	{ "down", "\033[31m" },
	{ "closed", "\033[33m" },
	{ "on trial: silent", "\033[33m" },
	{ "on trial: lossy", "\033[33m" },
	{ "on trial: returned", "\033[33m" },
};

/* Words of the document, and what people read. */
static const struct {
	const char *use;
	const char *text;
} uses[] = {
	{ "full", "all" },
	{ "sparse", "sparse flows" },
	{ "spare", "spare" },
	{ "none", "-" },
};

static void set(struct table *t, enum column col, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Fills a cell of the last row, printable ASCII only. */
static void
set(struct table *t, enum column col, const char *fmt, ...)
{
	char *cell = t->cell[t->rows - 1][col];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cell, CELL_MAX, fmt, ap);
	va_end(ap);
	for (; *cell != '\0'; cell++)
		if (*cell < 0x20 || *cell > 0x7e)
			*cell = '?';
}

static const char *
text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s == NULL || *s == '\0' ? "-" : s;
}

static void
set_bytes(struct table *t, enum column col, double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB",
		"PB" };
	size_t i = 0;

	while (bytes >= 1000 && i + 1 < nitems_of(units)) {
		bytes /= 1000;
		i++;
	}
	set(t, col, "%.*f %s", i == 0 || bytes >= 100 ? 0 : 1, bytes, units[i]);
}

/* Three digits that count, so that 256 kbit/s and 1 Gbit/s both fit. */
static int
decimals(double mbit)
{
	if (mbit >= 100 || mbit < 0.0005)
		return 0;
	if (mbit >= 10)
		return 1;
	return mbit >= 1 ? 2 : 3;
}

static void
set_rate(struct table *t, enum column col, double Bps)
{
	double mbit = Bps * 8 / 1e6;

	set(t, col, "%.*f", decimals(mbit), mbit);
}

/* 0 is no limit. */
static void
set_limit(struct table *t, enum column col, double Bps)
{
	if (Bps < 1)
		set(t, col, "-");
	else
		set_rate(t, col, Bps);
}

/* The rate of a counter since the last document. */
static void
set_current(struct table *t, enum column col, const json_t *now,
    const json_t *last, const char *key, double seconds)
{
	double value = json_number_value(json_object_get(now, key));
	double before = json_number_value(json_object_get(last, key));

	if (last == NULL || seconds <= 0 || value < before)
		set(t, col, "-");
	else
		set_rate(t, col, (value - before) / seconds);
}

static void
set_loss(struct table *t, enum column col, const json_t *link, const char *key)
{
	json_t *loss = json_object_get(link, key);

	if (json_is_number(loss))
		set(t, col, "%.1f", 100 * json_number_value(loss));
	else
		set(t, col, "-");
}

static void
set_traffic(const struct picture *p, struct table *t, const json_t *now,
    const json_t *last, double seconds)
{
	if (p->live) {
		set_current(t, COL_TX, now, last, "tx_bytes", seconds);
		set_current(t, COL_RX, now, last, "rx_bytes", seconds);
		return;
	}
	set_bytes(
	    t, COL_TX, json_number_value(json_object_get(now, "tx_bytes")));
	set_bytes(
	    t, COL_RX, json_number_value(json_object_get(now, "rx_bytes")));
}

/* The link of the same name in the last document. */
static const json_t *
link_before(const struct picture *p, const char *name)
{
	json_t *links = json_object_get(p->last, "links");
	json_t *link;
	size_t i;

	json_array_foreach(links, i,
	    link) if (strcmp(text(link, "name"), name) == 0) return link;
	return NULL;
}

static void
set_use(struct table *t, const json_t *link)
{
	const json_t *health = json_object_get(link, "health");
	const char *use = text(link, "use");

	for (size_t i = 0; i < nitems_of(uses); i++)
		if (strcmp(use, uses[i].use) == 0)
			use = uses[i].text;
	if (strcmp(use, "trial") == 0)
		set(t, COL_USE, "on trial: %s", text(health, "state"));
	else
		set(t, COL_USE, "%s", use);
}

static void
add_link(const struct picture *p, struct table *t, const json_t *link,
    double seconds)
{
	json_t *rtt = json_object_get(link, "rtt_ms");

	t->rows++;
	set(t, COL_NAME, "%s", text(link, "name"));
	set(t, COL_STATE, "%s", text(link, "state"));
	set_use(t, link);
	set(t, COL_PEER, "%s", text(link, "peer"));
	if (json_is_number(rtt))
		set(t, COL_RTT, "%.1f", json_number_value(rtt));
	else
		set(t, COL_RTT, "-");
	set_loss(t, COL_LOSS_TX, link, "loss_tx");
	set_loss(t, COL_LOSS_RX, link, "loss_rx");
	set_limit(t, COL_TX_MAX,
	    json_number_value(json_object_get(link, "rate_tx_Bps")));
	set_limit(t, COL_RX_MAX,
	    json_number_value(json_object_get(link, "rate_rx_Bps")));
	set_traffic(p, t, link, link_before(p, text(link, "name")), seconds);
}

/* The sum of a rate over the links that are up; 0 if one of them has none. */
static double
sum_rates(const json_t *links, const char *key)
{
	double rate, sum = 0;
	json_t *link;
	size_t i;

	json_array_foreach(links, i, link)
	{
		if (strcmp(text(link, "state"), "up") != 0)
			continue;
		rate = json_number_value(json_object_get(link, key));
		if (rate < 1)
			return 0;
		sum += rate;
	}
	return sum;
}

static bool
any_up(const json_t *links)
{
	json_t *link;
	size_t i;

	json_array_foreach(links, i,
	    link) if (strcmp(text(link, "state"), "up") == 0) return true;
	return false;
}

static void
add_bond(
    const struct picture *p, struct table *t, const json_t *doc, double seconds)
{
	json_t *links = json_object_get(doc, "links");
	json_t *bond = json_object_get(doc, "bond");

	t->rows++;
	set(t, COL_NAME, "bond");
	set(t, COL_STATE, "%s", any_up(links) ? "up" : "down");
	set(t, COL_PEER, "%.0f packets queued",
	    json_number_value(json_object_get(bond, "queue_packets")));
	set_limit(t, COL_TX_MAX, sum_rates(links, "rate_tx_Bps"));
	set_limit(t, COL_RX_MAX, sum_rates(links, "rate_rx_Bps"));
	set_traffic(p, t, bond, json_object_get(p->last, "bond"), seconds);
}

static void
fill(
    const struct picture *p, struct table *t, const json_t *doc, double seconds)
{
	json_t *links = json_object_get(doc, "links");
	json_t *link;
	size_t i;

	memset(t, 0, sizeof(*t));
	while (t->rows < TITLES) {
		const size_t row = t->rows++;

		for (i = 0; i < COLUMNS; i++)
			set(t, i, "%s",
			    p->live ? columns[i].live[row]
				    : columns[i].titles[row]);
	}
	json_array_foreach(links, i, link) if (i < LINKS_MAX)
	    add_link(p, t, link, seconds);
	add_bond(p, t, doc, seconds);
}

static const char *
colour_of(const char *word)
{
	size_t i;

	for (i = 0; i < nitems_of(colours); i++)
		if (strcmp(colours[i].word, word) == 0)
			return colours[i].colour;
	return NULL;
}

static void
print_cell(const struct picture *p, const struct table *t, size_t row,
    size_t col, FILE *out)
{
	const char *cell = t->cell[row][col];
	const char *colour = NULL;
	size_t i, width = 0;

	for (i = 0; i < t->rows; i++)
		if (strlen(t->cell[i][col]) > width)
			width = strlen(t->cell[i][col]);
	if (p->colour && (col == COL_STATE || col == COL_USE))
		colour = colour_of(cell);
	if (colour != NULL)
		fputs(colour, out);
	fprintf(out, columns[col].right ? "%*s" : "%-*s", (int)width, cell);
	if (colour != NULL)
		fputs("\033[0m", out);
	fputs(col + 1 < COLUMNS ? "  " : "\n", out);
}

/* The cipher that was agreed on, else the one that the file allows. */
static const char *
cipher_of(const json_t *doc)
{
	json_t *link;
	size_t i;

	json_array_foreach(json_object_get(doc, "links"), i,
	    link) if (strcmp(text(link, "cipher"), "-") != 0) return text(link,
	    "cipher");
	return text(doc, "cipher");
}

/* "mlvpn0: client, aes-256-gcm, mtu 1440, running for 1 d 02:03:04" */
static void
print_head(const json_t *doc, FILE *out)
{
	unsigned long up =
	    (unsigned long)json_number_value(json_object_get(doc, "uptime_s"));
	struct table t = { .rows = 1 };

	set(&t, COL_NAME, "%s", text(doc, "interface"));
	set(&t, COL_STATE, "%s", text(doc, "mode"));
	set(&t, COL_PEER, "%s", cipher_of(doc));
	fprintf(out, "%s: %s, %s, mtu %.0f, running for ", t.cell[0][COL_NAME],
	    t.cell[0][COL_STATE], t.cell[0][COL_PEER],
	    json_number_value(json_object_get(doc, "mtu")));
	if (up >= 86400)
		fprintf(out, "%lu d ", up / 86400);
	fprintf(out, "%02lu:%02lu:%02lu\n\n", up / 3600 % 24, up / 60 % 60,
	    up % 60);
}

void
picture_draw(struct picture *p, json_t *doc, mono_t now, FILE *out)
{
	struct table t;
	size_t row, col;

	fill(p, &t, doc, (double)(now - p->last_at) / (double)NSEC_PER_SEC);
	print_head(doc, out);
	for (row = 0; row < t.rows; row++)
		for (col = 0; col < COLUMNS; col++)
			print_cell(p, &t, row, col, out);
	json_decref(p->last);
	p->last = json_incref(doc);
	p->last_at = now;
}

void
picture_clear(struct picture *p)
{
	json_decref(p->last);
	p->last = NULL;
}
