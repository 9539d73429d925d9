/*
 * Logging: the only global state of the program.  The parent writes to syslog
 * (or stderr with --debug); the worker sets a sink that sends each line to the
 * parent.  Subject first, lower case, no full stop, one line each.
 */
#ifndef MLVPN_BASE_LOG_H
#define MLVPN_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

#define LOG_LINE_MAX 512 /* bytes of a line with its NUL */

/* Values are those of syslog(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
typedef void log_sink_fn(void *ctx, int priority, const char *line);

/* A limit on lines which the network can trigger; all zero to start with. */
struct log_limit {
	mono_t next_at;	     /* no earlier line */
	unsigned suppressed; /* lines left out since the last one */
};

/*
 * Opens syslog as ident, or stderr if to_stderr; lines up to max_priority.
 * Before that call lines go to stderr up to LOG_INFO.
 */
void log_open(const char *ident, bool to_stderr, int max_priority);
void log_set_level(int max_priority);
int log_level(void);
/* Sends every line to fn instead (NULL: back to syslog or stderr). */
void log_set_sink(log_sink_fn *fn, void *ctx);
/* Writes a finished line of the other process, escaped as by log_escape. */
void log_line(int priority, const char *line);
/*
 * Copies text, every byte but printable ASCII as \xHH; cuts it so that no
 * escape is torn and it ends in NUL.  Returns its length; size is at least 1.
 */
size_t log_escape(char *buf, size_t size, const char *text);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Appends ": " and the text of errno. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_errx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A warning at most once in every period; says how many it left out. */
void log_limited(struct log_limit *l, mono_t now, mono_t period,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Start-up, memory, broken IPC: log with errno (or without), then exit 1. */
void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));
void fatalx(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
