/*
 * What the worker gives up before it reads a byte from the network.  Two steps:
 * sandbox_enter as soon as it runs, sandbox_lock when everything that has to be
 * opened or loaded lazily (libcrypto's algorithms, the event loop) is there.
 * Neither can be undone; each ends the process when a step fails.
 */
#ifndef MLVPN_WORKER_SANDBOX_H
#define MLVPN_WORKER_SANDBOX_H

#include <sys/types.h>
#include <stdbool.h>

#define SANDBOX_FILES_MAX 128 /* descriptors the worker may hold */

/*
 * Root only.  Changes into the empty directory chroot_dir, becomes uid and gid
 * (keep_root: stays uid 0, but as powerless), drops every capability, those
 * that could be had by execve included, and can neither dump core nor write a
 * file nor start a process.  The caller may remove the directory afterwards.
 */
void sandbox_enter(
    uid_t uid, gid_t gid, const char *chroot_dir, bool keep_root);
/* From here on every system call that is not listed kills the process. */
void sandbox_lock(void);
/* Does sandbox_lock load a filter in this build? */
bool sandbox_has_filter(void);

#endif
