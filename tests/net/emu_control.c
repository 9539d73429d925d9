/*
 * The control channel of the line emulator: one request, one answer.
 *
 *   add LINE IFACE_A IFACE_B        a line between two interfaces
 *   attach LINE a|b IFACE           an interface came back
 *   del LINE
 *   set LINE up|down|both KEY=VALUE ...   see the table below
 *   stat [LINE]                     counters, a JSON document
 *   reset [LINE]                    counters from zero
 *   pcap LINE FILE|off              what enters the line, both directions
 *   quit
 *
 * Answers: `ok`, `error TEXT` or the document. Rates are bits per second of IP
 * bytes, times nanoseconds, probabilities fractions.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "emu.h"

#define MAX_WORDS 32

static const struct {
	const char *name;
	bool real; /* a double, else an int64_t */
	size_t offset;
} keys[] = {
	{ "rate", false, offsetof(struct path_conf, rate_bps) },
	{ "queue", false, offsetof(struct path_conf, queue_bytes) },
	{ "delay", false, offsetof(struct path_conf, delay_ns) },
	{ "jitter", false, offsetof(struct path_conf, jitter_ns) },
	{ "late", false, offsetof(struct path_conf, late_ns) },
	{ "loss", true, offsetof(struct path_conf, loss) },
	{ "burst", true, offsetof(struct path_conf, burst) },
	{ "dup", true, offsetof(struct path_conf, dup) },
	{ "reorder", true, offsetof(struct path_conf, reorder) },
	{ "flip", true, offsetof(struct path_conf, flip) },
	{ "up", false, offsetof(struct path_conf, up) },
	{ "window", false, offsetof(struct path_conf, window_ns) },
	{ "depth", false, offsetof(struct path_conf, depth_bps) },
};

struct text {
	char *at;
	size_t left;
};

static void __attribute__((format(printf, 2, 3)))
put(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->at, t->left, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->left)
		n = t->left > 0 ? (int)t->left - 1 : 0;
	t->at += n;
	t->left -= (size_t)n;
}

static int
set_key(struct path_conf *conf, char *word)
{
	char *value = strchr(word, '='), *end;
	double real;
	int64_t whole;
	size_t i;

	if (value == NULL)
		return -1;
	*value++ = '\0';
	real = strtod(value, &end);
	if (end == value || *end != '\0' || !(real >= 0.0 && real < 9e18))
		return -1;
	whole = (int64_t)real;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(word, keys[i].name) != 0)
			continue;
		if (keys[i].real)
			memcpy(
			    (char *)conf + keys[i].offset, &real, sizeof(real));
		else
			memcpy((char *)conf + keys[i].offset, &whole,
			    sizeof(whole));
		return 0;
	}
	return -1;
}

static void
verb_set(struct line *line, char **words, int count, struct text *out)
{
	struct path_conf conf;
	char text[128];
	int dir, i;
	bool up = strcmp(words[2], "up") == 0, both;

	both = strcmp(words[2], "both") == 0;
	if (!up && !both && strcmp(words[2], "down") != 0) {
		put(out, "error direction %s", words[2]);
		return;
	}
	for (dir = 0; dir < 2; dir++) {
		if (!both && dir != (up ? 0 : 1))
			continue;
		conf = line->path[dir].conf;
		for (i = 3; i < count; i++) {
			snprintf(text, sizeof(text), "%s", words[i]);
			if (set_key(&conf, text) == -1) {
				put(out, "error setting %s", words[i]);
				return;
			}
		}
		line->path[dir].conf = conf;
		if (!conf.up)
			path_cut(&line->path[dir]);
	}
	put(out, "ok");
}

static void
put_path(struct text *out, const char *name, const struct path *p)
{
	const struct path_stats *s = &p->stats;

#define PUT(field) put(out, ",\"" #field "\":%" PRIu64, (uint64_t)s->field)
	put(out, "\"%s\":{\"queue_bytes\":%" PRId64, name, p->queued_bytes);
	PUT(in_packets);
	PUT(in_bytes);
	PUT(out_packets);
	PUT(out_bytes);
	PUT(lost);
	PUT(drop_queue);
	PUT(drop_down);
	PUT(duplicated);
	PUT(reordered);
	PUT(flipped);
	PUT(window_max_bytes);
	PUT(depth_max_bytes);
#undef PUT
	put(out, ",\"queue_max_ms\":%.3f,\"queue_mean_ms\":%.3f",
	    (double)s->queue_max_ns / 1e6,
	    s->transmitted == 0
		? 0.0
		: (double)s->queue_sum_ns / (double)s->transmitted / 1e6);
	put(out, ",\"late_max_ms\":%.3f,\"seconds\":%.6f}",
	    (double)s->late_max_ns / 1e6,
	    (double)(s->last_at - s->first_at) / 1e9);
}

static void
put_line(struct text *out, const struct line *line)
{
	put(out, "{");
	put_path(out, "up", &line->path[0]);
	put(out, ",");
	put_path(out, "down", &line->path[1]);
	put(out, ",\"missed\":%" PRIu64 ",\"send_errors\":%" PRIu64 "}",
	    line->port[0].missed + line->port[1].missed,
	    line->port[0].send_errors + line->port[1].send_errors);
}

static void
verb_stat(struct emu *emu, int only, struct text *out)
{
	const char *comma = "";
	int i;

	put(out, "{");
	for (i = 1; i <= EMU_LINES; i++) {
		if (!emu->line[i].used || (only != 0 && only != i))
			continue;
		put(out, "%s\"%d\":", comma, i);
		put_line(out, &emu->line[i]);
		comma = ",";
	}
	put(out, "}");
}

static void
verb_reset(struct emu *emu, int only, struct text *out)
{
	int i;

	for (i = 1; i <= EMU_LINES; i++) {
		if (only != 0 && only != i)
			continue;
		path_reset(&emu->line[i].path[0]);
		path_reset(&emu->line[i].path[1]);
		emu->line[i].port[0].missed = emu->line[i].port[1].missed = 0;
		emu->line[i].port[0].send_errors = 0;
		emu->line[i].port[1].send_errors = 0;
	}
	put(out, "ok");
}

static void
attach(struct emu *emu, int n, int side, const char *name, struct text *out)
{
	if (port_open(&emu->line[n].port[side], name, emu->epoll_fd,
		(uint32_t)(n * 2 + side)) == -1)
		put(out, "error %s: %s", name, strerror(errno));
}

static void
verb_add(struct emu *emu, int n, char **words, struct text *out)
{
	struct line *line = &emu->line[n];
	int dir;

	for (dir = 0; dir < 2; dir++) {
		path_cut(&line->path[dir]);
		path_init(&line->path[dir], emu->seed, n, dir);
	}
	attach(emu, n, 0, words[2], out);
	attach(emu, n, 1, words[3], out);
	line->used = true;
}

static void
verb_pcap(struct line *line, const char *path, struct text *out)
{
	if (line->pcap != NULL)
		fclose(line->pcap);
	line->pcap = NULL;
	if (strcmp(path, "off") != 0 && (line->pcap = pcap_open(path)) == NULL)
		put(out, "error %s: %s", path, strerror(errno));
}

static void
verb_del(struct emu *emu, struct line *line)
{
	int side;

	for (side = 0; side < 2; side++) {
		port_close(&line->port[side], emu->epoll_fd);
		path_cut(&line->path[side]);
	}
	line->used = false;
}

static int
split(char *text, char **words)
{
	int count = 0;
	char *word;

	while (count < MAX_WORDS && (word = strsep(&text, " \t\n")) != NULL)
		if (*word != '\0')
			words[count++] = word;
	return count;
}

/* Carries out one request; always leaves an answer. */
void
control_request(struct emu *emu, const char *request, char *answer, size_t size)
{
	struct text out = { .at = answer, .left = size };
	char text[2048], *words[MAX_WORDS] = { NULL };
	const char *verb;
	struct line *line;
	int count, n;

	snprintf(text, sizeof(text), "%s", request);
	answer[0] = '\0';
	count = split(text, words);
	verb = count > 0 ? words[0] : "";
	n = count > 1 ? atoi(words[1]) : 0;
	line = n >= 1 && n <= EMU_LINES ? &emu->line[n] : NULL;
	if (strcmp(verb, "quit") == 0)
		emu->quit = true;
	else if (strcmp(verb, "stat") == 0)
		verb_stat(emu, n, &out);
	else if (strcmp(verb, "reset") == 0)
		verb_reset(emu, n, &out);
	else if (line == NULL)
		put(&out, "error request");
	else if (strcmp(verb, "add") == 0 && count == 4)
		verb_add(emu, n, words, &out);
	else if (!line->used)
		put(&out, "error no line %d", n);
	else if (strcmp(verb, "set") == 0 && count >= 3)
		verb_set(line, words, count, &out);
	else if (strcmp(verb, "attach") == 0 && count == 4)
		attach(emu, n, words[2][0] == 'b', words[3], &out);
	else if (strcmp(verb, "pcap") == 0 && count == 3)
		verb_pcap(line, words[2], &out);
	else if (strcmp(verb, "del") == 0)
		verb_del(emu, line);
	else
		put(&out, "error request");
	if (answer[0] == '\0')
		put(&out, "ok");
}
