/*
 * The command line.
 */
#ifndef MLVPN_OPTIONS_H
#define MLVPN_OPTIONS_H

#include <stdbool.h>

enum options_action {
	ACTION_RUN,
	ACTION_TEST,	/* check the file */
	ACTION_GENCONF, /* print one to begin with */
	ACTION_VERSION,
	ACTION_HELP,
	ACTION_ERROR /* said on the standard error output */
};

struct options {
	const char *config;
	const char *name;    /* NULL: none was given */
	const char *pidfile; /* NULL: none */
	const char *user;    /* NULL: the default */
	int loglevel;	     /* a priority of syslog; -1: the file's */
	bool background;
	bool debug;
	bool natural_title;
	bool run_as_root;
};

enum options_action options_parse(struct options *o, int argc, char *argv[]);
void options_help(void);

#endif
