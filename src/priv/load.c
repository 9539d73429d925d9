/*
 * Reads and checks the file, and words what is wrong: "PATH:LINE: what was
 * expected", every error of the file.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "priv/load.h"

#include "base/log.h"

static void
say_errors(const char *path, const struct conf_errors *errs, load_say_fn *say)
{
	char text[LOG_LINE_MAX];
	size_t i;

	for (i = 0; i < errs->count; i++) {
		if (errs->list[i].line != 0)
			snprintf(text, sizeof(text), "%.300s:%u: %s", path,
			    errs->list[i].line, errs->list[i].text);
		else
			snprintf(text, sizeof(text), "%.300s: %s", path,
			    errs->list[i].text);
		say(text);
	}
	if (errs->total > errs->count) {
		snprintf(text, sizeof(text), "%.300s: %zu more errors", path,
		    errs->total - errs->count);
		say(text);
	}
}

/* Of what is wrong with a line, not with the file as a whole; 0: nothing. */
static unsigned
first_line(const struct conf_errors *errs)
{
	unsigned line = 0;
	size_t i;

	for (i = 0; i < errs->count && line == 0; i++)
		line = errs->list[i].line;
	return line;
}

enum ipc_reload_error
load_conf(struct loaded *l, const char *path, load_say_fn *say, unsigned *line)
{
	struct conf_errors errs;
	char text[LOG_LINE_MAX];

	*line = 0;
	memset(l, 0, sizeof(*l));
	if (conf_load(path, &l->text, &l->len) == -1) {
		snprintf(text, sizeof(text), "%.300s: %s", path,
		    conf_load_error(errno));
		say(text);
		l->text = NULL;
		return RELOAD_UNREADABLE;
	}
	memset(&errs, 0, sizeof(errs));
	l->conf = conf_parse(l->text, l->len, &errs);
	if (l->conf == NULL) {
		say_errors(path, &errs, say);
		*line = first_line(&errs);
		load_free(l);
		return RELOAD_INVALID;
	}
	return RELOAD_OK;
}

void
load_free(struct loaded *l)
{
	conf_free(l->conf);
	if (l->text != NULL)
		explicit_bzero(l->text, l->len);
	free(l->text);
	memset(l, 0, sizeof(*l));
}
