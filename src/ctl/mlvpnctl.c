/*
 * mlvpnctl: asks a running mlvpn how it is, or to read its file again, or for
 * new keys.  Exit status: 0 done, 1 mlvpn said no, 2 wrong usage, 3 no answer.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "ctl/picture.h"
#include "ctl/request.h"

#include "base/util.h"

#define PATH_SIZE 128 /* beyond what a socket address holds */

enum exit_status { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_ANSWER };

struct options {
	char socket[PATH_SIZE]; /* empty: the only one there is */
	bool json;
	double watch_s; /* 0: look once */
};

static const char usage_text[] =
    "usage: mlvpnctl [-j] [-i INTERFACE | -s SOCKET] [-w SECONDS]\n"
    "                [status | reload | rekey]\n"
    "  -i, --interface NAME   the tunnel of this interface\n"
    "  -s, --socket PATH      the tunnel behind this socket\n"
    "  -j, --json             the answer as JSON\n"
    "  -w, --watch SECONDS    status again and again, with current rates\n"
    "  -V, --version          print the version and exit\n"
    "  -h, --help             print this and exit\n";

static const struct option long_options[] = {
	{ "interface", required_argument, NULL, 'i' },
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "watch", required_argument, NULL, 'w' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void die(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void
die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("mlvpnctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (status == EXIT_USAGE)
		fputs(usage_text, stderr);
	exit(status);
}

static void
set_socket(
    struct options *o, const char *dir, const char *arg, const char *suffix)
{
	int len;

	if (o->socket[0] != '\0')
		die(EXIT_USAGE, "only one of -i and -s, once");
	len =
	    snprintf(o->socket, sizeof(o->socket), "%s%s%s", dir, arg, suffix);
	if (len < 0 || (size_t)len >= sizeof(o->socket))
		die(EXIT_USAGE, "%s: too long", arg);
}

static double
seconds_of(const char *arg)
{
	char *end;
	double s;

	errno = 0;
	s = strtod(arg, &end);
	if (errno != 0 || end == arg || *end != '\0' || !(s >= 0.1) || s > 3600)
		die(EXIT_USAGE, "%s: expected 0.1 to 3600 seconds", arg);
	return s;
}

/* Root reads this from a process without privileges: no control characters. */
static const char *
printable(const char *s)
{
	static char buf[256];
	size_t i;

	for (i = 0; s[i] != '\0' && i + 1 < sizeof(buf); i++)
		buf[i] = (char)(s[i] < 0x20 || s[i] > 0x7e ? '?' : s[i]);
	buf[i] = '\0';
	return buf;
}

/* Prints a document as JSON; jansson escapes all that is not ASCII. */
static void
print_json(const json_t *doc)
{
	json_dumpf(doc, stdout,
	    JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
	fputc('\n', stdout);
}

/* The error a document carries, if any. */
static void
check_error(const json_t *doc)
{
	const char *error = json_string_value(json_object_get(doc, "error"));
	json_int_t line = json_integer_value(json_object_get(doc, "line"));

	if (error == NULL)
		return;
	if (line > 0)
		die(EXIT_REFUSED, "line %lld: %s", (long long)line,
		    printable(error));
	die(EXIT_REFUSED, "%s", printable(error));
}

static int
run_once(const struct options *o, const char *verb, int timeout_s)
{
	struct picture picture = { .colour = isatty(STDOUT_FILENO) == 1 &&
					     getenv("NO_COLOR") == NULL };
	char error[REQUEST_ERROR_MAX];
	json_t *doc;

	doc = request_send(o->socket, verb, timeout_s, error);
	if (doc == NULL)
		die(EXIT_NO_ANSWER, "%s", error);
	if (o->json)
		print_json(doc);
	check_error(doc);
	if (!o->json && strcmp(verb, "status") == 0)
		picture_draw(&picture, doc, mono_now(), stdout);
	picture_clear(&picture);
	json_decref(doc);
	return EXIT_DONE;
}

static void
nap(double s)
{
	struct timespec ts;

	ts.tv_sec = (time_t)s;
	ts.tv_nsec = (long)((s - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

/* One frame, written in one piece so that it doesn't flicker. */
static void
draw_frame(struct picture *p, const struct options *o, bool terminal)
{
	char error[REQUEST_ERROR_MAX];
	json_t *doc;

	doc = request_send(o->socket, "status", 5, error);
	if (doc != NULL && o->json) {
		json_dumpf(doc, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		fputc('\n', stdout);
	} else {
		if (terminal)
			fputs("\033[H\033[J", stdout);
		if (doc == NULL)
			printf("%s\n", error);
		else
			picture_draw(p, doc, mono_now(), stdout);
		if (!terminal)
			fputc('\n', stdout);
	}
	if (doc == NULL)
		picture_clear(p);
	json_decref(doc);
}

/* Until the terminal or the pipe is closed, or a signal comes; mlvpn may be
 * restarted meanwhile. */
static int
watch(const struct options *o)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;
	struct picture picture = { .live = true,
		.colour = terminal && getenv("NO_COLOR") == NULL };
	static char buf[64 * 1024];

	setvbuf(stdout, buf, _IOFBF, sizeof(buf));
	for (;;) {
		draw_frame(&picture, o, terminal);
		if (fflush(stdout) == EOF)
			break;
		nap(o->watch_s);
	}
	picture_clear(&picture);
	return EXIT_DONE;
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "i:s:jw:Vh", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'i':
			if (strchr(optarg, '/') != NULL)
				die(EXIT_USAGE, "%s: no interface", optarg);
			set_socket(o, REQUEST_DIR "/", optarg, ".sock");
			break;
		case 's':
			set_socket(o, "", optarg, "");
			break;
		case 'j':
			o->json = true;
			break;
		case 'w':
			o->watch_s = seconds_of(optarg);
			break;
		case 'V':
			puts("mlvpnctl " PACKAGE_VERSION);
			exit(EXIT_DONE);
		case 'h':
			fputs(usage_text, stdout);
			exit(EXIT_DONE);
		default:
			fputs(usage_text, stderr);
			exit(EXIT_USAGE);
		}
	}
}

static const struct verb {
	const char *name;
	int timeout_s;
	bool watchable;
} verbs[] = {
	{ "status", 5, true },
	{ "reload", 60, false },
	{ "rekey", 5, false },
};

static const struct verb *
find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < nitems_of(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	die(EXIT_USAGE, "%s: no such request", name);
}

int
main(int argc, char **argv)
{
	char error[REQUEST_ERROR_MAX];
	struct options o = { .socket = "" };
	const struct verb *verb;

	parse_options(argc, argv, &o);
	verb = find_verb(optind < argc ? argv[optind] : "status");
	if (argc - optind > 1)
		die(EXIT_USAGE, "one request at a time");
	if (o.watch_s > 0 && !verb->watchable)
		die(EXIT_USAGE, "-w goes with status only");
	if (o.socket[0] == '\0' &&
	    request_find(o.socket, sizeof(o.socket), error) == -1)
		die(EXIT_NO_ANSWER, "%s", error);
	if (o.watch_s > 0)
		return watch(&o);
	return run_once(&o, verb->name, verb->timeout_s);
}
