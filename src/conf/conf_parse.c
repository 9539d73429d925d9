/*
 * The text of a configuration file, line by line: sections, keys and values.
 * Goes on after an error, so that the administrator sees all of them at once.
 * Values of secret keys, and lines that are not understood at all, are never
 * repeated: a password may be in them.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "conf/conf_keys.h"

#define SHOWN_MAX 40 /* bytes of a value that an error repeats */
#define SHOWN_SIZE (4 * SHOWN_MAX + 4) /* escaped, with ... and NUL */

struct parser {
	struct conf_draft draft;
	unsigned line; /* of the text */
	enum conf_section section;
	bool in_section;	/* a section has begun */
	void *base;		/* what the section's keys write to */
	struct conf_seen *seen; /* the section's keys by row */
	/* a section that can't be kept is read into this, for its errors */
	struct conf_link spare;
	struct conf_seen spare_seen[CONF_KEYS_MAX];
};

void
conf_error(struct conf_errors *errs, unsigned line, const char *fmt, ...)
{
	struct conf_error *e;
	va_list ap;

	errs->total++;
	if (errs->count == CONF_ERRORS_MAX)
		return;
	e = &errs->list[errs->count++];
	e->line = line;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

/* The start of text for an error, escaped. */
static const char *
shown(const char *text, char buf[SHOWN_SIZE])
{
	char head[SHOWN_MAX + 1];
	size_t len;

	snprintf(head, sizeof(head), "%s", text);
	len = log_escape(buf, SHOWN_SIZE, head);
	if (strlen(text) > SHOWN_MAX)
		snprintf(buf + len, SHOWN_SIZE - len, "...");
	return buf;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *
skip_blanks(char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static void
trim_end(char *p)
{
	size_t len = strlen(p);

	while (len > 0 && is_blank(p[len - 1]))
		len--;
	p[len] = '\0';
}

/* Nothing or a comment. */
static bool
is_line_end(char *p)
{
	p = skip_blanks(p);
	return *p == '\0' || *p == '#';
}

static void
start_spare(struct parser *p)
{
	memset(&p->spare, 0, sizeof(p->spare));
	memset(p->spare_seen, 0, sizeof(p->spare_seen));
	p->section = IN_LINK;
	p->base = &p->spare;
	p->seen = p->spare_seen;
}

static void
start_general(struct parser *p)
{
	struct conf_draft *d = &p->draft;

	if (d->general_line != 0)
		conf_error(d->errs, p->line,
		    "[general]: expected once, first on line %u",
		    d->general_line);
	else
		d->general_line = p->line;
	p->section = IN_GENERAL;
	p->base = d->conf;
	p->seen = d->general_keys;
}

static const struct conf_link *
find_link(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->nlinks; i++)
		if (strcmp(conf->links[i].name, name) == 0)
			return &conf->links[i];
	return NULL;
}

static void
start_link(struct parser *p, const char *name)
{
	struct conf_draft *d = &p->draft;
	struct conf *conf = d->conf;
	const struct conf_link *other;
	struct conf_link *link;
	char buf[SHOWN_SIZE];

	start_spare(p);
	d->link_seen = true;
	if (!conf_name_valid(name)) {
		conf_error(d->errs, p->line,
		    "[%s]: expected a link name of 1 to 16 letters, digits "
		    "or . _ -",
		    shown(name, buf));
		return;
	}
	other = find_link(conf, name);
	if (other != NULL) {
		conf_error(d->errs, p->line,
		    "[%s]: expected once, first on line %u", name, other->line);
		return;
	}
	if (conf->nlinks == LINKS_MAX) {
		conf_error(d->errs, p->line, "[%s]: expected at most %d links",
		    name, LINKS_MAX);
		return;
	}
	p->seen = d->link_keys[conf->nlinks];
	link = &conf->links[conf->nlinks++];
	p->base = link;
	link->used = true;
	link->line = p->line;
	memcpy(link->name, name, strlen(name));
	conf_key_defaults(IN_LINK, link);
}

static void
parse_section(struct parser *p, char *text)
{
	char *name = skip_blanks(text + 1), *end = strchr(name, ']');

	p->in_section = true;
	if (end == NULL || !is_line_end(end + 1)) {
		conf_error(p->draft.errs, p->line,
		    "expected a section such as [general] or [adsl1]");
		start_spare(p);
		return;
	}
	*end = '\0';
	trim_end(name);
	if (strcmp(name, "general") == 0)
		start_general(p);
	else
		start_link(p, name);
}

/* Takes quotes or a comment off; NULL after an error. */
static char *
parse_value(struct parser *p, const char *key, char *text)
{
	char *value = skip_blanks(text), *end, quote = *value;

	if (quote == '"' || quote == '\'') {
		value++;
		end = strchr(value, quote);
		if (end == NULL) {
			conf_error(p->draft.errs, p->line,
			    "%s: expected a closing %c", key, quote);
			return NULL;
		}
		if (!is_line_end(end + 1)) {
			conf_error(p->draft.errs, p->line,
			    "%s: expected nothing after the closing %c", key,
			    quote);
			return NULL;
		}
		*end = '\0';
		return value;
	}
	/* In the middle of a word # is a character like others. */
	for (end = value; *end != '\0'; end++)
		if (*end == '#' && (end == value || is_blank(end[-1]))) {
			*end = '\0';
			break;
		}
	trim_end(value);
	return value;
}

/* The key is none of this section: say what it may have been. */
static void
unknown_key(struct parser *p, const char *key)
{
	static const char *const sections[] = { "[general]", "a link" };
	enum conf_section other = p->section == IN_LINK ? IN_GENERAL : IN_LINK;
	const char *guess = conf_key_guess(p->section, key);
	char buf[SHOWN_SIZE];

	shown(key, buf);
	if (conf_key_find(other, key) != -1)
		conf_error(p->draft.errs, p->line,
		    "%s: expected in %s, not in %s", buf, sections[other],
		    sections[p->section]);
	else if (guess != NULL)
		conf_error(p->draft.errs, p->line,
		    "%s: unknown key, expected perhaps %s", buf, guess);
	else
		conf_error(p->draft.errs, p->line,
		    "%s: unknown key, expected one of %s in mlvpn.conf(5)", buf,
		    p->section == IN_GENERAL ? "[general]" : "a link");
}

static void
set_key(struct parser *p, int row, const char *value)
{
	size_t count;
	const struct conf_key *key = conf_keys(&count) + row;
	struct conf_errors *errs = p->draft.errs;
	char buf[SHOWN_SIZE];

	if (p->seen[row].line != 0) {
		conf_error(errs, p->line, "%s: expected once, first on line %u",
		    key->name, p->seen[row].line);
		return;
	}
	p->seen[row].line = p->line;
	if (key->set(key, p->base, value) == 0)
		return;
	p->seen[row].bad = true;
	if (key->secret)
		conf_error(
		    errs, p->line, "%s: expected %s", key->name, key->expected);
	else
		conf_error(errs, p->line, "%s = %s: expected %s", key->name,
		    shown(value, buf), key->expected);
}

static void
parse_key(struct parser *p, char *text)
{
	char *equals = strchr(text, '='), *value;
	int row;

	if (equals == NULL || equals == text) {
		conf_error(p->draft.errs, p->line,
		    "expected \"key = value\", [section] or # comment");
		return;
	}
	*equals = '\0';
	trim_end(text);
	if (!p->in_section) {
		conf_error(p->draft.errs, p->line,
		    "expected a section such as [general] before any key");
		return;
	}
	row = conf_key_find(p->section, text);
	if (row == -1) {
		unknown_key(p, text);
		return;
	}
	value = parse_value(p, text, equals + 1);
	if (value != NULL)
		set_key(p, row, value);
}

/* One line without its end; it may hold any bytes. */
static void
parse_line(struct parser *p, const char *line, size_t len)
{
	char buf[CONF_LINE_MAX], *text;
	size_t i;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len >= sizeof(buf)) {
		conf_error(p->draft.errs, p->line,
		    "expected a line of at most %zu bytes", sizeof(buf) - 1);
		return;
	}
	for (i = 0; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') ||
		    line[i] == 0x7f) {
			conf_error(p->draft.errs, p->line,
			    "expected text, found the control character "
			    "\\x%02x",
			    (unsigned)line[i]);
			return;
		}
	memcpy(buf, line, len);
	buf[len] = '\0';
	text = skip_blanks(buf);
	if (*text == '[')
		parse_section(p, text);
	else if (!is_line_end(text))
		parse_key(p, text);
	explicit_bzero(buf, sizeof(buf));
}

static void
parse_lines(struct parser *p, const char *text, size_t len)
{
	const char *end;
	size_t n;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	for (; len > 0; text += n, len -= n) {
		p->line++;
		end = memchr(text, '\n', len);
		n = end != NULL ? (size_t)(end - text) : len;
		parse_line(p, text, n);
		if (end != NULL)
			n++;
	}
}

/* By line; errors of one line stay in the order in which they were found. */
static void
sort_errors(struct conf_errors *errs)
{
	struct conf_error e;
	size_t i, j;

	for (i = 1; i < errs->count; i++) {
		e = errs->list[i];
		for (j = i; j > 0 && errs->list[j - 1].line > e.line; j--)
			errs->list[j] = errs->list[j - 1];
		errs->list[j] = e;
	}
}

struct conf *
conf_parse(const char *text, size_t len, struct conf_errors *errs)
{
	struct parser p;
	struct conf *conf = calloc(1, sizeof(*conf));

	memset(errs, 0, sizeof(*errs));
	if (conf == NULL) {
		conf_error(errs, 0, "out of memory");
		return NULL;
	}
	memset(&p, 0, sizeof(p));
	p.draft.conf = conf;
	p.draft.errs = errs;
	conf_key_defaults(IN_GENERAL, conf);
	if (len > CONF_TEXT_MAX)
		conf_error(errs, 0, "expected at most %d bytes", CONF_TEXT_MAX);
	else {
		parse_lines(&p, text, len);
		conf_check(&p.draft);
	}
	if (errs->total == 0)
		return conf;
	sort_errors(errs);
	conf_free(conf);
	return NULL;
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	explicit_bzero(conf, sizeof(*conf));
	free(conf);
}

bool
conf_password_weak(const struct conf *conf)
{
	return strlen(conf->password) < CONF_PASSWORD_STRONG;
}
