/*
 * Clients live in a fixed table.  Each goes through reading, perhaps waiting
 * for a reload, writing, and is closed.  A client that dawdles keeps its place
 * until another one needs it; then whoever is over his time is put out.
 */
#include "config.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>
#include <jansson.h>

#include "worker/control.h"

#include "base/log.h"
#include "base/util.h"

#define CLIENT_TIMEOUT (5 * NSEC_PER_SEC)
#define RELOAD_TIMEOUT (60 * NSEC_PER_SEC)
#define ACCEPT_PAUSE 1.0 /* s without accept after it failed */
#define ANSWER_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

enum client_state {
	CLIENT_FREE,
	CLIENT_READING,
	CLIENT_QUEUED,	  /* wants a reload; another one is under way */
	CLIENT_RELOADING, /* the reload under way is his */
	CLIENT_WRITING
};

struct client {
	enum client_state state;
	struct ev_io io;
	struct control *control;
	mono_t expires_at;
	char request[CONTROL_REQUEST_MAX];
	size_t request_len;
	char *answer; /* from jansson */
	size_t answer_len, answer_sent;
};

struct control {
	struct ev_loop *loop;
	const struct control_ops *ops;
	void *ctx;
	struct ev_io listener;
	struct ev_timer pause; /* runs only after accept failed */
	struct client clients[CONTROL_CLIENTS_MAX];
	bool reloading; /* control_reloaded is still to come */
	struct log_limit warned;
};

static void
client_close(struct client *cl)
{
	ev_io_stop(cl->control->loop, &cl->io);
	close(cl->io.fd);
	free(cl->answer);
	cl->answer = NULL;
	cl->state = CLIENT_FREE;
}

static void
client_watch(struct client *cl, int events)
{
	int fd = cl->io.fd;

	ev_io_stop(cl->control->loop, &cl->io);
	ev_io_set(&cl->io, fd, events);
	if (events != 0)
		ev_io_start(cl->control->loop, &cl->io);
}

/* Sends what the socket takes; the rest when it takes more. */
static void
client_flush(struct client *cl)
{
	ssize_t n;

	n = send(cl->io.fd, cl->answer + cl->answer_sent,
	    cl->answer_len - cl->answer_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		client_close(cl);
		return;
	}
	if (n > 0)
		cl->answer_sent += (size_t)n;
	if (cl->answer_sent == cl->answer_len)
		client_close(cl);
	else if (cl->state != CLIENT_WRITING) {
		cl->state = CLIENT_WRITING;
		client_watch(cl, EV_WRITE);
	}
}

/* Answers with doc, whose reference it takes; NULL just hangs up. */
static void
client_answer(struct client *cl, json_t *doc)
{
	cl->expires_at = mono_now() + CLIENT_TIMEOUT;
	cl->answer = json_dumps(doc, ANSWER_FLAGS); /* NULL: gives NULL */
	json_decref(doc);
	if (cl->answer == NULL) {
		client_close(cl);
		return;
	}
	cl->answer_len = strlen(cl->answer);
	if (cl->answer_len >= CONTROL_ANSWER_MAX) {
		client_close(cl);
		return;
	}
	cl->answer[cl->answer_len++] = '\n'; /* in place of the NUL */
	cl->answer_sent = 0;
	client_flush(cl);
}

static void
client_error(struct client *cl, const char *text)
{
	client_answer(cl, json_pack("{s:s}", "error", text));
}

static void
do_status(struct client *cl)
{
	json_t *doc;

	doc = cl->control->ops->status(cl->control->ctx);
	if (doc == NULL)
		client_error(cl, "out of memory");
	else
		client_answer(cl, doc);
}

static bool
start_reload(struct control *c)
{
	c->reloading = c->ops->reload(c->ctx) == 0;
	return c->reloading;
}

/* A request that comes while one is under way waits for the next: the file
 * may have changed since it was read. */
static void
do_reload(struct client *cl)
{
	struct control *c = cl->control;

	cl->expires_at = mono_now() + RELOAD_TIMEOUT;
	client_watch(cl, 0);
	if (c->reloading)
		cl->state = CLIENT_QUEUED;
	else if (start_reload(c))
		cl->state = CLIENT_RELOADING;
	else
		client_error(cl, "can't reload now");
}

static void
do_rekey(struct client *cl)
{
	cl->control->ops->rekey(cl->control->ctx);
	client_answer(cl, json_pack("{s:b}", "ok", 1));
}

static const struct request {
	const char *name;
	void (*run)(struct client *cl);
} requests[] = {
	{ "status", do_status },
	{ "reload", do_reload },
	{ "rekey", do_rekey },
};

static void
client_request(struct client *cl)
{
	size_t i;

	for (i = 0; i < nitems_of(requests); i++) {
		size_t len = strlen(requests[i].name);

		if (cl->request_len == len &&
		    memcmp(cl->request, requests[i].name, len) == 0) {
			requests[i].run(cl);
			return;
		}
	}
	client_error(cl, "unknown request; known: status, reload, rekey");
}

/* Cuts the request at its newline, or takes all of it at end of file. */
static bool
client_line(struct client *cl, bool eof)
{
	char *end;

	end = memchr(cl->request, '\n', cl->request_len);
	if (end != NULL)
		cl->request_len = (size_t)(end - cl->request);
	else if (!eof)
		return false;
	if (cl->request_len > 0 && cl->request[cl->request_len - 1] == '\r')
		cl->request_len--;
	return true;
}

static void
client_read(struct client *cl)
{
	size_t room = sizeof(cl->request) - cl->request_len;
	ssize_t n;

	n = recv(cl->io.fd, cl->request + cl->request_len, room, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1 || (n == 0 && cl->request_len == 0)) {
		client_close(cl);
		return;
	}
	cl->request_len += (size_t)n;
	if (client_line(cl, n == 0))
		client_request(cl);
	else if (cl->request_len == sizeof(cl->request))
		client_error(cl, "request is too long");
}

static void
on_client(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct client *cl = w->data;

	(void)loop;
	(void)revents;
	if (cl->state == CLIENT_READING)
		client_read(cl);
	else if (cl->state == CLIENT_WRITING)
		client_flush(cl);
}

/* A free place; those over their time make way. */
static struct client *
free_place(struct control *c)
{
	mono_t now = mono_now();
	struct client *found = NULL;
	size_t i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *cl = &c->clients[i];

		if (cl->state != CLIENT_FREE && now >= cl->expires_at)
			client_close(cl);
		if (cl->state == CLIENT_FREE && found == NULL)
			found = cl;
	}
	return found;
}

static void
refuse(int fd)
{
	static const char text[] = "{\"error\":\"too many clients\"}\n";

	(void)!send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void
client_open(struct control *c, int fd)
{
	struct client *cl;

	cl = free_place(c);
	if (cl == NULL) {
		refuse(fd);
		return;
	}
	memset(cl, 0, sizeof(*cl));
	cl->state = CLIENT_READING;
	cl->control = c;
	cl->expires_at = mono_now() + CLIENT_TIMEOUT;
	ev_io_init(&cl->io, on_client, fd, EV_READ);
	cl->io.data = cl;
	ev_io_start(c->loop, &cl->io);
}

/* Whatever ails accept must not make the loop spin. */
static void
pause_accept(struct control *c)
{
	log_limited(&c->warned, mono_now(), 60 * NSEC_PER_SEC,
	    "control socket: accept: %s", strerror(errno));
	ev_io_stop(c->loop, &c->listener);
	ev_timer_set(&c->pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(c->loop, &c->pause);
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct control *c = w->data;
	int fd;

	(void)loop;
	(void)revents;
	fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd != -1)
		client_open(c, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		pause_accept(c);
}

static void
on_pause_over(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct control *c = w->data;

	(void)revents;
	ev_io_start(loop, &c->listener);
}

/* Left to itself jansson opens /dev/urandom, which the sandbox forbids. */
static void
seed_hashes(void)
{
	size_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		fatal("random seed");
	json_object_seed(seed | 1); /* 0: the library shall choose */
}

struct control *
control_new(struct ev_loop *loop, int listen_fd, const struct control_ops *ops,
    void *ctx)
{
	struct control *c;

	seed_hashes();
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		fatal("control socket");
	c->loop = loop;
	c->ops = ops;
	c->ctx = ctx;
	ev_timer_init(&c->pause, on_pause_over, 0., 0.);
	c->pause.data = c;
	ev_io_init(&c->listener, on_accept, listen_fd, EV_READ);
	c->listener.data = c;
	ev_io_start(loop, &c->listener);
	return c;
}

void
control_free(struct control *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].state != CLIENT_FREE)
			client_close(&c->clients[i]);
	ev_timer_stop(c->loop, &c->pause);
	ev_io_stop(c->loop, &c->listener);
	close(c->listener.fd);
	free(c);
}

static json_t *
reload_answer(bool ok, unsigned line, const char *error)
{
	if (ok)
		return json_pack("{s:b}", "ok", 1);
	return json_pack("{s:b, s:i, s:s}", "ok", 0, "line", (int)line, "error",
	    error == NULL ? "failed" : error);
}

/* Those who asked while it ran start the next one. */
static void
next_reload(struct control *c)
{
	bool tried = false;
	size_t i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *cl = &c->clients[i];

		if (cl->state != CLIENT_QUEUED)
			continue;
		if (!tried)
			start_reload(c);
		tried = true;
		if (c->reloading)
			cl->state = CLIENT_RELOADING;
		else
			client_error(cl, "can't reload now");
	}
}

void
control_reloaded(struct control *c, bool ok, unsigned line, const char *error)
{
	size_t i;

	c->reloading = false;
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].state == CLIENT_RELOADING)
			client_answer(
			    &c->clients[i], reload_answer(ok, line, error));
	next_reload(c);
}
