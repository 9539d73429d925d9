/*
 * From a path to a checked configuration, or to lines that say all that is
 * wrong with it; for the start, for SIGHUP and for --test.
 */
#ifndef MLVPN_PRIV_LOAD_H
#define MLVPN_PRIV_LOAD_H

#include <stddef.h>

#include "conf/conf.h"
#include "ipc/ipc.h"

struct loaded {
	struct conf *conf;
	char *text; /* of the file, as it has to be sent to the worker */
	size_t len;
};

/* Where the lines go: the log or a terminal. */
typedef void load_say_fn(const char *line);

/* RELOAD_OK, or what was wrong and in *line the first line with an error. */
enum ipc_reload_error load_conf(
    struct loaded *l, const char *path, load_say_fn *say, unsigned *line);
/* Wipes and frees both. */
void load_free(struct loaded *l);

#endif
