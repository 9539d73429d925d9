/*
 * Inside of conf/ (and its tests): the keyword table and what the parser has
 * collected.  A keyword is one row; parsing, checking, defaults, the effect of
 * SIGHUP and the test that the example names every key all come from it.
 */
#ifndef MLVPN_CONF_CONF_KEYS_H
#define MLVPN_CONF_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define CONF_KEYS_MAX 32 /* rows of the table */

enum conf_section { IN_GENERAL, IN_LINK };

/* What a change of the key means to a running tunnel. */
enum conf_effect {
	EFFECT_RESTART, /* SIGHUP can't apply it */
	EFFECT_PASSWORD,
	EFFECT_CIPHER,
	EFFECT_ADDRESSES,
	EFFECT_OTHER,
	EFFECT_TUNES, /* the link goes on with its socket and session */
	EFFECT_MOVES  /* the link gets a new socket */
};

struct conf_word {
	const char *name;
	unsigned value;
};

struct conf_key;

/* Reads value into the key's field of base (struct conf, struct conf_link). */
typedef int conf_set_fn(
    const struct conf_key *key, void *base, const char *value);

struct conf_key {
	const char *name;
	enum conf_section section;
	size_t offset, size; /* of the field in its struct */
	conf_set_fn *set;
	enum conf_effect effect;
	bool required;
	bool secret;	   /* its value is never repeated in an error */
	int family;	   /* of addresses */
	uint64_t min, max; /* of numbers */
	const struct conf_word *words; /* for set_word; ends in a NULL name */
	const char *fallback; /* default as text; NULL: see the check */
	const char *expected; /* type and range, after "expected" */
};

/* The setters of the types, in conf_set.c; each 0, or -1: not such a value. */
conf_set_fn conf_set_word;
conf_set_fn conf_set_number;
conf_set_fn conf_set_hex_number;
conf_set_fn conf_set_table;
conf_set_fn conf_set_mtu;
conf_set_fn conf_set_duration;
conf_set_fn conf_set_rate;
conf_set_fn conf_set_memory;
conf_set_fn conf_set_text;
conf_set_fn conf_set_ifname;
conf_set_fn conf_set_path;
conf_set_fn conf_set_socket;
conf_set_fn conf_set_numeric_host;
conf_set_fn conf_set_host;
conf_set_fn conf_set_address;
conf_set_fn conf_set_gateway;
conf_set_fn conf_set_routes;

/* Where a key was set, and whether its value was refused. */
struct conf_seen {
	unsigned line; /* 0: it was not */
	bool bad;
};

/* A file on its way to a configuration. */
struct conf_draft {
	struct conf *conf;
	struct conf_errors *errs;
	unsigned general_line; /* of [general]; 0: not seen */
	bool link_seen;	       /* any section of a link, kept or not */
	struct conf_seen general_keys[CONF_KEYS_MAX]; /* by row */
	struct conf_seen link_keys[LINKS_MAX][CONF_KEYS_MAX];
};

const struct conf_key *conf_keys(size_t *count);
/* The row of name, or -1. */
int conf_key_find(enum conf_section section, const char *name);
/* A key that name may be a slip of the pen for, or NULL. */
const char *conf_key_guess(enum conf_section section, const char *name);
void conf_key_defaults(enum conf_section section, void *base);
/* Is this the name of a link: 1 to 16 of A-Z a-z 0-9 . _ - ? */
bool conf_name_valid(const char *name);
/* AF_INET or AF_INET6 of a numeric host, whether its scope exists or not;
 * AF_UNSPEC if it is none. */
int conf_host_family(const char *host);

/* Everything that concerns more than one key. */
void conf_check(struct conf_draft *d);
void conf_error(struct conf_errors *errs, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
