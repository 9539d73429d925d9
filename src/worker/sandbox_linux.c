/*
 * Entering the sandbox: order matters.  The bounding set goes first because
 * libcap-ng reads /proc, the root directory before the uid because chroot
 * needs root, no_new_privs last of all; then every promise is tested.
 */
#include "config.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <errno.h>
#include <grp.h>
#include <unistd.h>

#include <cap-ng.h>

#include "worker/sandbox.h"

#include "base/log.h"
#include "base/util.h"

static const struct limit {
	int resource;
	rlim_t max;
	const char *name;
} limits[] = {
	{ RLIMIT_NOFILE, SANDBOX_FILES_MAX, "files" },
	{ RLIMIT_NPROC, 0, "processes" },
	{ RLIMIT_CORE, 0, "core" },
	{ RLIMIT_FSIZE, 0, "file size" },
};

static void
set_limits(void)
{
	struct rlimit rl;
	size_t i;

	for (i = 0; i < nitems_of(limits); i++) {
		rl.rlim_cur = limits[i].max;
		rl.rlim_max = limits[i].max;
		if (setrlimit(limits[i].resource, &rl) == -1)
			fatal("sandbox: limit of %s", limits[i].name);
	}
}

/* Nothing that is executed could regain a capability. */
static void
drop_bounding_set(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		fatalx("sandbox: can't drop the capability bounding set");
}

static void
change_root(const char *dir)
{
	if (chdir(dir) == -1 || chroot(".") == -1 || chdir("/") == -1)
		fatal("sandbox: chroot to %s", dir);
}

static void
change_user(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1)
		fatal("sandbox: group %ld", (long)gid);
	if (setresuid(uid, uid, uid) == -1)
		fatal("sandbox: user %ld", (long)uid);
}

static void
drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) != 0)
		fatalx("sandbox: can't drop the capabilities");
}

static void
forbid_new_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("sandbox: no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("sandbox: not dumpable");
}

/* Tries what must now be impossible. */
static void
verify(uid_t uid)
{
	if (chroot("/") == 0)
		fatalx("sandbox: chroot still works");
	if (uid != 0 && (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0))
		fatalx("sandbox: can become root again");
}

void
sandbox_enter(uid_t uid, gid_t gid, const char *chroot_dir, bool keep_root)
{
	if (uid == 0 && !keep_root)
		fatalx("sandbox: refusing to stay root");
	if (keep_root)
		uid = gid = 0;
	umask(077);
	set_limits();
	drop_bounding_set();
	change_root(chroot_dir);
	change_user(uid, gid);
	drop_capabilities();
	forbid_new_privileges();
	verify(uid);
}
