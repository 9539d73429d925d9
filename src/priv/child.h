/*
 * Short-lived children of the parent: one function each, run without
 * privileges, whose answer fits into the buffer of a pipe.  Nobody waits for
 * them: the loop asks child_ended when a SIGCHLD or a deadline woke it.
 */
#ifndef MLVPN_PRIV_CHILD_H
#define MLVPN_PRIV_CHILD_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

#define CHILD_STATUS_MAX 64   /* bytes of child_status_text */
#define CHILD_OUTPUT_MAX 1024 /* far below the buffer of a pipe */

struct child {
	pid_t pid;	/* 0: none runs */
	int out;	/* read end of its pipe; -1: none */
	mono_t kill_at; /* SIGKILL then */
	bool group;	/* leads a process group, which dies with it */
	bool timed_out;
};

/* Who the children become, and what of the parent they must not keep. */
struct child_user {
	uid_t uid;
	gid_t gid;
	void (*forget)(void *ctx); /* wipes secrets; may be NULL */
	void *ctx;
};

void child_init(struct child *c);
/*
 * Forks; the child becomes the user, keeps nothing open but out, and exits
 * with what fn returns.  -1 with errno.
 */
int child_start(struct child *c, const struct child_user *user,
    int (*fn)(int out, void *arg), void *arg, mono_t kill_at);
/* The other half of a fork: signals and descriptors as a new program wants
 * them; keep (-1: none) stays open with the standard ones. */
void child_clean(int keep);
/* Only the descriptors. */
void child_close_files(int keep);
/* Standard input, output and errors go nowhere from now on. */
int child_null_streams(void);
/* Kills it when its time is over. */
void child_check(struct child *c, mono_t now);
/* Has it ended?  Then *status is that of waitpid and up to size bytes of its
 * output are in buf; the child may be started anew. */
bool child_ended(
    struct child *c, int *status, void *buf, size_t size, size_t *len);
/* Ends and reaps it at once; nothing happens when none runs. */
void child_kill(struct child *c);
/* "exit status 3", "signal 9 (Killed)", for the log. */
const char *child_status_text(int status, char *buf, size_t size);

#endif
