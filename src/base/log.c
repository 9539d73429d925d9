/*
 * One place where lines leave the program.  Every byte of a line that is not
 * printable ASCII is escaped here, whoever wrote the line: neither the network
 * nor a subverted worker can forge a second line or drive a terminal.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "base/util.h"

static struct {
	char ident[64];
	bool to_stderr;
	int max_priority;
	log_sink_fn *sink;
	void *sink_ctx;
} state = { "mlvpn", true, LOG_INFO, NULL, NULL };

void
log_open(const char *ident, bool to_stderr, int max_priority)
{
	snprintf(state.ident, sizeof(state.ident), "%s", ident);
	state.to_stderr = to_stderr;
	state.max_priority = max_priority;
	closelog();
	if (!to_stderr)
		openlog(state.ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
log_set_level(int max_priority)
{
	state.max_priority = max_priority;
}

int
log_level(void)
{
	return state.max_priority;
}

void
log_set_sink(log_sink_fn *fn, void *ctx)
{
	state.sink = fn;
	state.sink_ctx = ctx;
}

size_t
log_escape(char *buf, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f) {
			if (n + 1 >= size)
				break;
			buf[n++] = (char)c;
			continue;
		}
		if (n + 4 >= size)
			break;
		buf[n++] = '\\';
		buf[n++] = 'x';
		buf[n++] = hex[c >> 4];
		buf[n++] = hex[c & 15];
	}
	buf[n] = '\0';
	return n;
}

void
log_line(int priority, const char *line)
{
	char safe[LOG_LINE_MAX];
	int saved = errno;

	/* What came from elsewhere must not choose a facility. */
	priority &= LOG_PRIMASK;
	if (priority > state.max_priority)
		return;
	log_escape(safe, sizeof(safe), line);
	if (state.sink != NULL)
		state.sink(state.sink_ctx, priority, safe);
	else if (state.to_stderr)
		fprintf(stderr, "%s: %s\n", state.ident, safe);
	else
		syslog(priority, "%s", safe);
	errno = saved;
}

/* error: an errno whose text is appended; 0: none. */
static void __attribute__((format(printf, 3, 0)))
vlog(int priority, int error, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t n;

	if (priority > state.max_priority)
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (error != 0) {
		n = strlen(line);
		snprintf(line + n, sizeof(line) - n, ": %s", strerror(error));
	}
	log_line(priority, line);
	errno = saved;
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_INFO, 0, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, 0, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, error, fmt, ap);
	va_end(ap);
}

void
log_errx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_ERR, 0, fmt, ap);
	va_end(ap);
}

void
log_limited(
    struct log_limit *l, mono_t now, mono_t period, const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;

	if (now < l->next_at) {
		l->suppressed++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (l->suppressed > 0)
		log_warnx("%.460s (%u more since the last such line)", text,
		    l->suppressed);
	else
		log_warnx("%s", text);
	l->suppressed = 0;
	l->next_at = now + period;
}

void
fatal(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_CRIT, error, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_CRIT, 0, fmt, ap);
	va_end(ap);
	exit(1);
}
