/*
 * The status socket: one request a connection, one line, one JSON document
 * back.  Knows nothing of the engine; whoever owns it answers through
 * struct control_ops.  Costs nothing while nobody asks: time-outs are looked at
 * only when somebody connects.
 */
#ifndef MLVPN_WORKER_CONTROL_H
#define MLVPN_WORKER_CONTROL_H

#include <stdbool.h>

#include <ev.h>
#include <jansson.h>

#define CONTROL_CLIENTS_MAX 8	/* connections at a time */
#define CONTROL_REQUEST_MAX 256 /* bytes of a request with its newline */
#define CONTROL_ANSWER_MAX (256 * 1024) /* bytes of an answer */

struct control_ops {
	/* "status": a new reference, NULL when out of memory */
	json_t *(*status)(void *ctx);
	/* "reload": 0 when under way (control_reloaded tells the end, later
	 * and not from within), -1 when it can't be asked for */
	int (*reload)(void *ctx);
	/* "rekey": new keys on every link */
	void (*rekey)(void *ctx);
};

struct control;

/* Serves the listening, non-blocking listen_fd, which it owns from now on. */
struct control *control_new(struct ev_loop *loop, int listen_fd,
    const struct control_ops *ops, void *ctx);
/* Closes everything; NULL is fine. */
void control_free(struct control *c);
/* The end of a reload that ops->reload began: ok, or what is wrong in which
 * line (0: the file as a whole). */
void control_reloaded(
    struct control *c, bool ok, unsigned line, const char *error);

#endif
