/*
 * Long and short options in one table each, as in the manual page.
 */
#include "config.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "options.h"

#define NAME_MAX_LEN 32 /* goes into the syslog ident */

enum { OPT_NATURAL_TITLE = 256, OPT_RUN_AS_ROOT, OPT_DEBUG, OPT_GENCONF };

static const struct option long_options[] = {
	{ "background", no_argument, NULL, 'b' },
	{ "config", required_argument, NULL, 'c' },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "genconf", no_argument, NULL, OPT_GENCONF },
	{ "help", no_argument, NULL, 'h' },
	{ "name", required_argument, NULL, 'n' },
	{ "natural-title", no_argument, NULL, OPT_NATURAL_TITLE },
	{ "pidfile", required_argument, NULL, 'p' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "test", no_argument, NULL, 't' },
	{ "user", required_argument, NULL, 'u' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "yes-run-as-root", no_argument, NULL, OPT_RUN_AS_ROOT },
	{ NULL, 0, NULL, 0 },
};

void
options_help(void)
{
	fputs(
	    "usage: mlvpn [options]\n"
	    "  -b, --background       detach once started\n"
	    "  -c, --config FILE      the configuration (" MLVPN_SYSCONFDIR
	    "/mlvpn/mlvpn.conf)\n"
	    "  -n, --name NAME        in the log and the process title\n"
	    "  -p, --pidfile FILE     write the process number there\n"
	    "  -u, --user USER        of the unprivileged process (" MLVPN_USER
	    ")\n"
	    "  -v, --verbose          log more\n"
	    "  -q, --quiet            log warnings and errors only\n"
	    "  -t, --test             check the configuration and exit\n"
	    "      --genconf          print a configuration to begin with\n"
	    "      --debug            log to the standard error output\n"
	    "      --natural-title    leave the process title alone\n"
	    "      --yes-run-as-root  both processes run as root\n"
	    "  -V, --version          print the version and exit\n"
	    "  -h, --help             print this and exit\n",
	    stdout);
}

static bool
valid_name(const char *name)
{
	const char *c;

	for (c = name; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && strchr("._-@", *c) == NULL)
			return false;
	}
	return c > name && c - name <= NAME_MAX_LEN;
}

/* false: not an option that only sets something. */
static bool
set_option(struct options *o, int c)
{
	switch (c) {
	case 'b':
		o->background = true;
		return true;
	case 'c':
		o->config = optarg;
		return true;
	case 'n':
		o->name = optarg;
		return true;
	case 'p':
		o->pidfile = optarg;
		return true;
	case 'q':
		o->loglevel = LOG_WARNING;
		return true;
	case 'u':
		o->user = optarg;
		return true;
	case 'v':
		o->loglevel = LOG_DEBUG;
		return true;
	case OPT_DEBUG:
		o->debug = true;
		return true;
	case OPT_NATURAL_TITLE:
		o->natural_title = true;
		return true;
	case OPT_RUN_AS_ROOT:
		o->run_as_root = true;
		return true;
	default:
		return false;
	}
}

static enum options_action
action_of(int c)
{
	switch (c) {
	case 't':
		return ACTION_TEST;
	case 'V':
		return ACTION_VERSION;
	case 'h':
		return ACTION_HELP;
	case OPT_GENCONF:
		return ACTION_GENCONF;
	default:
		fputs("mlvpn --help lists the options\n", stderr);
		return ACTION_ERROR;
	}
}

enum options_action
options_parse(struct options *o, int argc, char *argv[])
{
	enum options_action action = ACTION_RUN;
	int c;

	memset(o, 0, sizeof(*o));
	o->config = MLVPN_SYSCONFDIR "/mlvpn/mlvpn.conf";
	o->loglevel = -1;
	optind = 0; /* glibc: from the start, also when called again */
	while ((c = getopt_long(
		    argc, argv, "bc:hn:p:qtu:vV", long_options, NULL)) != -1) {
		if (set_option(o, c))
			continue;
		action = action_of(c);
		if (action != ACTION_TEST)
			return action;
	}
	if (optind < argc) {
		fprintf(
		    stderr, "mlvpn: unexpected argument %s\n", argv[optind]);
		return ACTION_ERROR;
	}
	if (o->name != NULL && !valid_name(o->name)) {
		fprintf(stderr,
		    "mlvpn: --name expects 1 to %d letters, digits and"
		    " ._-@\n",
		    NAME_MAX_LEN);
		return ACTION_ERROR;
	}
	if (o->debug && o->background) {
		fputs("mlvpn: --debug stays in the foreground\n", stderr);
		return ACTION_ERROR;
	}
	return action;
}
