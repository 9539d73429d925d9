/*
 * The table and its judgement.  The worker is unprivileged and may have been
 * taken over: an honest one never breaks these rules, so whoever does is ended.
 * Being too fast is no breach, it only has to wait.
 */
#include "config.h"

#include <string.h>
#include <syslog.h>

#include "priv/request.h"

#include "base/log.h"

#define OPEN_BURST 4
#define OPEN_PERIOD (500 * NSEC_PER_MSEC)
#define LOG_BURST 200
#define LOG_PERIOD (20 * NSEC_PER_MSEC)
/* Lines that were left out are counted in a line once so much is free. */
#define LOG_REPORT 10

struct row {
	uint32_t type;
	size_t len;	 /* exact, or of the fixed part */
	size_t text_max; /* bytes that may follow it; 0: none */
	unsigned states; /* permitted in */
	bool once;
	const char *(*act)(
	    struct requests *r, const void *payload, size_t len, mono_t now);
};

void
requests_init(struct requests *r, const struct request_ops *ops, void *ctx)
{
	unsigned i;

	memset(r, 0, sizeof(*r));
	r->ops = ops;
	r->ctx = ctx;
	r->state = REQUEST_STARTING;
	bucket_init(&r->log, LOG_BURST, LOG_PERIOD);
	for (i = 0; i < LINKS_MAX; i++)
		bucket_init(&r->open[i], OPEN_BURST, OPEN_PERIOD);
}

/*
 * Is (generation, slot) a link we know?  Sets *current to whether it is the one
 * that the sender meant: a reload may have passed it on the way.
 */
static const char *
check_slot(
    const struct requests *r, uint32_t generation, uint32_t slot, bool *current)
{
	*current = false;
	if (slot >= LINKS_MAX)
		return "slot out of range";
	if (generation == 0 || generation > r->generation)
		return "generation that is not there yet";
	/* Its end is reported under the generation that brought it. */
	if (r->since[slot] == 0)
		return generation > r->gone[slot] ? "slot without a link"
						  : NULL;
	*current = generation >= r->since[slot];
	return NULL;
}

void
requests_add_link(struct requests *r, unsigned slot)
{
	r->since[slot] = r->generation;
	r->open_later[slot] = false;
}

void
requests_remove_link(struct requests *r, unsigned slot)
{
	r->since[slot] = 0;
	r->gone[slot] = r->generation;
	r->open_later[slot] = false;
}

static const char *
act_ready(struct requests *r, const void *payload, size_t len, mono_t now)
{
	(void)payload;
	(void)len;
	(void)now;
	r->state = REQUEST_RUNNING;
	r->ops->ready(r->ctx);
	return NULL;
}

static const char *
act_open_link(struct requests *r, const void *payload, size_t len, mono_t now)
{
	struct ipc_slot m;
	const char *wrong;
	bool current;

	memcpy(&m, payload, len);
	wrong = check_slot(r, m.generation, m.slot, &current);
	if (wrong != NULL || !current)
		return wrong;
	if (bucket_take(&r->open[m.slot], now))
		r->ops->open_link(r->ctx, m.slot);
	else
		r->open_later[m.slot] = true;
	return NULL;
}

static const char *
act_resolve(struct requests *r, const void *payload, size_t len, mono_t now)
{
	struct ipc_slot m;
	const char *wrong;
	bool current;

	(void)now;
	memcpy(&m, payload, len);
	wrong = check_slot(r, m.generation, m.slot, &current);
	if (wrong == NULL && current)
		r->ops->resolve(r->ctx, m.slot);
	return wrong;
}

static const char *
act_hook(struct requests *r, const void *payload, size_t len, mono_t now)
{
	struct ipc_hook m;
	const char *wrong;
	bool current;

	(void)now;
	memcpy(&m, payload, len);
	if (m.event >= HOOK_EVENTS)
		return "unknown hook event";
	if (m.event == HOOK_TUNTAP_UP || m.event == HOOK_TUNTAP_DOWN) {
		if (m.slot != LINKS_MAX)
			return "device event with a slot";
		r->ops->hook(r->ctx, (enum ipc_hook_event)m.event, LINKS_MAX);
		return NULL;
	}
	wrong = check_slot(r, m.generation, m.slot, &current);
	if (wrong == NULL && current)
		r->ops->hook(r->ctx, (enum ipc_hook_event)m.event, m.slot);
	return wrong;
}

static const char *
act_reload(struct requests *r, const void *payload, size_t len, mono_t now)
{
	(void)payload;
	(void)len;
	(void)now;
	r->ops->reload(r->ctx);
	return NULL;
}

static const char *
act_log(struct requests *r, const void *payload, size_t len, mono_t now)
{
	char text[LOG_LINE_MAX];
	struct ipc_log m;

	memcpy(&m, payload, IPC_LOG_HEADER);
	if (m.len != len - IPC_LOG_HEADER)
		return "length of a log line";
	if (m.priority > LOG_DEBUG)
		return "priority of a log line";
	if (!bucket_take(&r->log, now)) {
		r->log_dropped++;
		return NULL;
	}
	memcpy(text, (const uint8_t *)payload + IPC_LOG_HEADER, m.len);
	text[m.len] = '\0';
	r->ops->log(r->ctx, (int)m.priority, text);
	return NULL;
}

#define ANY_STATE (REQUEST_STARTING | REQUEST_RUNNING | REQUEST_STOPPING)
#define UP_STATES (REQUEST_RUNNING | REQUEST_STOPPING)

static const struct row table[] = {
	{ IPC_READY, 0, 0, REQUEST_STARTING | REQUEST_STOPPING, true,
	    act_ready },
	{ IPC_OPEN_LINK, sizeof(struct ipc_slot), 0, UP_STATES, false,
	    act_open_link },
	{ IPC_RESOLVE, sizeof(struct ipc_slot), 0, UP_STATES, false,
	    act_resolve },
	{ IPC_HOOK, sizeof(struct ipc_hook), 0, UP_STATES, false, act_hook },
	{ IPC_RELOAD, 0, 0, UP_STATES, false, act_reload },
	{ IPC_LOG, IPC_LOG_HEADER, LOG_LINE_MAX - 1, ANY_STATE, false,
	    act_log },
};

static const struct row *
find_row(uint32_t type)
{
	size_t i;

	for (i = 0; i < nitems_of(table); i++) {
		if (table[i].type == type)
			return &table[i];
	}
	return NULL;
}

const char *
requests_take(struct requests *r, uint32_t type, const void *payload,
    size_t len, mono_t now)
{
	const struct row *row = find_row(type);

	if (row == NULL)
		return "unknown type";
	if (len < row->len || len > row->len + row->text_max)
		return "wrong length";
	if ((row->states & r->state) == 0)
		return "not permitted now";
	if (row->once && (r->seen & 1U << row->type) != 0)
		return "not permitted twice";
	if (row->once)
		r->seen |= 1U << row->type;
	if (r->state == REQUEST_STOPPING && row->type != IPC_LOG &&
	    row->type != IPC_HOOK)
		return NULL;
	return row->act(r, payload, len, now);
}

static void
report_dropped(struct requests *r, mono_t now)
{
	if (r->log_dropped == 0 || now < bucket_at(&r->log, LOG_REPORT))
		return;
	log_warnx("worker: %llu log lines left out, they came too fast",
	    (unsigned long long)r->log_dropped);
	r->log_dropped = 0;
}

mono_t
requests_run(struct requests *r, mono_t now)
{
	mono_t at, next_at = MONO_NEVER;
	unsigned slot;

	for (slot = 0; slot < LINKS_MAX; slot++) {
		if (!r->open_later[slot])
			continue;
		if (r->since[slot] == 0 || r->state != REQUEST_RUNNING) {
			r->open_later[slot] = false;
			continue;
		}
		if (bucket_take(&r->open[slot], now)) {
			r->open_later[slot] = false;
			r->ops->open_link(r->ctx, slot);
			continue;
		}
		at = bucket_at(&r->open[slot], 1);
		if (at < next_at)
			next_at = at;
	}
	report_dropped(r, now);
	if (r->log_dropped > 0 && bucket_at(&r->log, LOG_REPORT) < next_at)
		next_at = bucket_at(&r->log, LOG_REPORT);
	return next_at;
}
