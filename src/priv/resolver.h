/*
 * Names of remote hosts.  A numeric one is answered at once; a name is looked
 * up by a child without privileges, one a link, so that neither a slow nor a
 * hostile resolver reaches the root process.
 */
#ifndef MLVPN_PRIV_RESOLVER_H
#define MLVPN_PRIV_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "priv/child.h"

/* count 0: there is no answer. */
typedef void resolver_done_fn(
    void *ctx, unsigned slot, const union addr *addrs, unsigned count);

struct resolver_job {
	char host[CONF_HOST_MAX]; /* of the running child */
	uint16_t port;
	int family; /* AF_UNSPEC: both */
	struct child child;
	mono_t next_at; /* earliest start of the next one */
	bool wanted;	/* asked for and not yet answered */
	char next_host[CONF_HOST_MAX];
	uint16_t next_port;
	int next_family;
};

struct resolver {
	const struct child_user *user;
	resolver_done_fn *done;
	void *ctx;
	struct resolver_job jobs[LINKS_MAX];
};

void resolver_init(struct resolver *r, const struct child_user *user,
    resolver_done_fn *done, void *ctx);
/* Wants the addresses of host (all, or those of one family); done is called
 * later or from within. */
void resolver_ask(struct resolver *r, unsigned slot,
    const struct conf_link *link, int family, mono_t now);
/* Forgets what the slot asked for. */
void resolver_cancel(struct resolver *r, unsigned slot);
/* Starts, ends and answers what is due; returns the next deadline. */
mono_t resolver_run(struct resolver *r, mono_t now);
void resolver_close(struct resolver *r);
/* Checks what a child wrote, as far as one can know; sets the port of each.
 * Returns the number of addresses that are left in addrs. */
unsigned resolver_validate(const void *buf, size_t len, uint16_t port,
    int family, union addr addrs[IPC_ADDRS_MAX]);

#endif
