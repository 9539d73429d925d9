/*
 * SIGHUP: a new configuration is loaded, compared and applied, or nothing
 * changes at all.
 */
#include "config.h"

#include <string.h>

#include "priv/parent_int.h"

#include "base/log.h"
#include "priv/load.h"

#define PERIOD NSEC_PER_SEC /* between two reloads */

struct tally {
	unsigned added, removed, changed;
};

static void
say(const char *line)
{
	log_errx("%s", line);
}

static void
answer(struct parent *p, enum ipc_reload_error error, unsigned line)
{
	struct ipc_reloaded m;

	if (!p->reload_asked)
		return;
	p->reload_asked = false;
	memset(&m, 0, sizeof(m));
	m.ok = error == RELOAD_OK;
	m.line = line;
	m.error = error;
	parent_send(p, IPC_RELOADED, &m, sizeof(m), -1);
}

static void
log_tally(const struct tally *t)
{
	log_info("configuration reloaded: %u link%s added, %u removed, %u"
		 " changed",
	    t->added, t->added == 1 ? "" : "s", t->removed, t->changed);
}

static void
forget_link(struct parent *p, unsigned slot)
{
	hook_post(&p->hook, HOOK_LINK_DOWN, p->conf->links[slot].name);
	resolver_cancel(&p->resolver, slot);
	requests_remove_link(&p->requests, slot);
}

/* What each slot's change means to us; p->conf is still the old one. */
static void
apply_link(struct parent *p, unsigned slot, enum conf_link_change change,
    struct tally *t)
{
	switch (change) {
	case LINK_SAME:
		return;
	case LINK_ADDED:
		t->added++;
		break;
	case LINK_REMOVED:
		t->removed++;
		forget_link(p, slot);
		return;
	case LINK_REPLACED:
		t->added++;
		t->removed++;
		forget_link(p, slot);
		break;
	case LINK_TUNED:
		t->changed++;
		return;
	case LINK_MOVED:
		t->changed++;
		resolver_cancel(&p->resolver, slot);
		p->reopen[slot].at = MONO_NEVER;
		p->open_error[slot] = 0;
		return;
	}
	p->reopen[slot].at = MONO_NEVER;
	p->open_error[slot] = 0;
	requests_add_link(&p->requests, slot);
}

static void
apply_device(struct parent *p)
{
	unsigned mtu = p->conf->mtu_bytes;
	unsigned before = p->netdev.mtu_bytes;

	if (mtu == 0)
		mtu = netdev_mtu_auto(&p->netdev.nl, p->conf);
	(void)netdev_apply(&p->netdev, p->conf, mtu);
	hook_configure(&p->hook, p->conf, p->netdev.mtu_bytes);
	if (p->netdev.mtu_bytes == before)
		return;
	log_info("%s: mtu %u", p->netdev.name, p->netdev.mtu_bytes);
	parent_send_tun(p, -1);
}

void
reload_mtu(struct parent *p)
{
	if (p->conf->mtu_bytes == 0 &&
	    netdev_mtu_auto(&p->netdev.nl, p->conf) != p->netdev.mtu_bytes)
		apply_device(p);
}

static void
apply(struct parent *p, struct loaded *l, const struct conf_diff *diff)
{
	struct tally t = { 0, 0, 0 };
	bool fresh[LINKS_MAX];
	unsigned slot;

	p->requests.generation++;
	for (slot = 0; slot < LINKS_MAX; slot++) {
		apply_link(p, slot, diff->links[slot], &t);
		fresh[slot] = diff->links[slot] == LINK_ADDED ||
			      diff->links[slot] == LINK_REPLACED ||
			      diff->links[slot] == LINK_MOVED;
	}
	parent_send_conf(p, l->text, l->len);
	conf_free(p->conf);
	p->conf = l->conf;
	l->conf = NULL;
	log_set_level(parent_log_level(p->args, p->conf));
	monitor_start(&p->monitor, p->conf, fresh);
	apply_device(p);
	if (diff->password || diff->cipher)
		start_warn(p->conf);
	if (diff->addresses)
		netdev_warn(p->conf);
	if (diff->password)
		kdf_start(&p->kdf, p->conf->password, mono_now());
	log_tally(&t);
}

static enum ipc_reload_error
reload(struct parent *p, unsigned *line)
{
	enum ipc_reload_error error;
	struct conf_diff diff;
	struct loaded l;

	error = load_conf(&l, p->args->conf_path, say, line);
	if (error != RELOAD_OK)
		return error;
	conf_assign_slots(p->conf, l.conf);
	conf_diff(p->conf, l.conf, &diff);
	if (diff.restart) {
		log_errx("%s: a change of %s needs a restart",
		    p->args->conf_path, diff.restart_key);
		error = RELOAD_RESTART;
	} else {
		apply(p, &l, &diff);
	}
	load_free(&l);
	return error;
}

mono_t
reload_deadline(const struct parent *p)
{
	if (!p->reload_wanted || kdf_busy(&p->kdf) ||
	    p->requests.state != REQUEST_RUNNING)
		return MONO_NEVER;
	return p->reload_at;
}

void
reload_run(struct parent *p, mono_t now)
{
	enum ipc_reload_error error;
	unsigned line;

	if (p->reload_announced && !kdf_busy(&p->kdf)) {
		p->reload_announced = false;
		notify_send(&p->notify, "READY=1");
	}
	if (now < reload_deadline(p))
		return;
	p->reload_wanted = false;
	p->reload_at = now + PERIOD;
	notify_reloading(&p->notify);
	p->reload_announced = true;
	error = reload(p, &line);
	if (error != RELOAD_OK)
		log_errx("configuration not reloaded, nothing has changed");
	answer(p, error, line);
	if (!kdf_busy(&p->kdf)) {
		p->reload_announced = false;
		notify_send(&p->notify, "READY=1");
	}
}
