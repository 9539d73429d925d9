/*
 * What the worker may ask of root: one table row a request, with its exact
 * length, the states in which it is permitted, and whether it may come twice.
 * Here a message is judged; what it does is in struct request_ops, so that the
 * judgement can be tested without root.
 */
#ifndef MLVPN_PRIV_REQUEST_H
#define MLVPN_PRIV_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "ipc/ipc.h"
#include "priv/bucket.h"

enum request_state {
	REQUEST_STARTING = 1, /* the worker has not said READY */
	REQUEST_RUNNING = 2,
	REQUEST_STOPPING = 4 /* what is still under way is ignored */
};

/* slot is that of a link of the present configuration. */
struct request_ops {
	void (*ready)(void *ctx);
	void (*open_link)(void *ctx, unsigned slot);
	void (*resolve)(void *ctx, unsigned slot);
	void (*hook)(void *ctx, enum ipc_hook_event event, unsigned slot);
	void (*reload)(void *ctx);
	void (*log)(void *ctx, int priority, const char *line);
};

struct requests {
	const struct request_ops *ops;
	void *ctx;
	enum request_state state;
	uint32_t generation; /* of the present configuration, from 1 */
	/* the generation that gave the slot to its link; 0: unused */
	uint32_t since[LINKS_MAX];
	uint32_t gone[LINKS_MAX]; /* the generation that took it away */
	uint32_t seen;		  /* bit mask of types that may come once */
	struct bucket open[LINKS_MAX];
	bool open_later[LINKS_MAX]; /* asked for too often, answered later */
	struct bucket log;
	uint64_t log_dropped;
};

void requests_init(
    struct requests *r, const struct request_ops *ops, void *ctx);
/*
 * Acts upon one message.  NULL when it was in order, else what was wrong with
 * it, which ends the worker.
 */
const char *requests_take(struct requests *r, uint32_t type,
    const void *payload, size_t len, mono_t now);
/* The link of the slot is there from the present generation on, or gone. */
void requests_add_link(struct requests *r, unsigned slot);
void requests_remove_link(struct requests *r, unsigned slot);
/* Does what was put off; returns the next deadline. */
mono_t requests_run(struct requests *r, mono_t now);

#endif
