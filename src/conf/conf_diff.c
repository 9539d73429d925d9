/*
 * Which slot a link has, and what a new file changes.  Parent and worker run
 * this over the same sequence of files, so they agree without a word.
 */
#include "config.h"

#include <string.h>

#include "conf/conf.h"
#include "conf/conf_keys.h"

static int
find_slot(const struct conf *conf, const char *name)
{
	int i;

	for (i = 0; conf != NULL && i < LINKS_MAX; i++)
		if (conf->links[i].used &&
		    strcmp(conf->links[i].name, name) == 0)
			return i;
	return -1;
}

/*
 * A slot that was free before is preferred: then nothing has to be taken down
 * for the newcomer.
 */
static int
free_slot(const struct conf *old, const struct conf_link links[LINKS_MAX])
{
	int i, second = -1;

	for (i = 0; i < LINKS_MAX; i++) {
		if (links[i].used)
			continue;
		if (old == NULL || !old->links[i].used)
			return i;
		if (second == -1)
			second = i;
	}
	return second;
}

void
conf_assign_slots(const struct conf *old, struct conf *next)
{
	struct conf_link links[LINKS_MAX];
	bool placed[LINKS_MAX] = { false };
	int i, slot;

	memset(links, 0, sizeof(links));
	for (i = 0; i < LINKS_MAX; i++) {
		slot = find_slot(old, next->links[i].name);
		if (!next->links[i].used || slot == -1)
			continue;
		links[slot] = next->links[i];
		placed[i] = true;
	}
	for (i = 0; i < LINKS_MAX; i++)
		if (next->links[i].used && !placed[i])
			links[free_slot(old, links)] = next->links[i];
	memcpy(next->links, links, sizeof(links));
}

static bool
key_differs(const struct conf_key *key, const void *old, const void *next)
{
	return memcmp((const char *)old + key->offset,
		   (const char *)next + key->offset, key->size) != 0;
}

static enum conf_link_change
diff_link(const struct conf_link *old, const struct conf_link *next)
{
	enum conf_link_change change = LINK_SAME;
	const struct conf_key *keys;
	size_t i, count;

	if (!old->used)
		return next->used ? LINK_ADDED : LINK_SAME;
	if (!next->used)
		return LINK_REMOVED;
	if (strcmp(old->name, next->name) != 0)
		return LINK_REPLACED;
	keys = conf_keys(&count);
	for (i = 0; i < count; i++) {
		if (keys[i].section != IN_LINK ||
		    !key_differs(&keys[i], old, next))
			continue;
		if (keys[i].effect == EFFECT_MOVES)
			return LINK_MOVED;
		change = LINK_TUNED;
	}
	return change;
}

static void
note_effect(struct conf_diff *diff, const struct conf_key *key)
{
	switch (key->effect) {
	case EFFECT_RESTART:
		if (!diff->restart)
			diff->restart_key = key->name;
		diff->restart = true;
		break;
	case EFFECT_PASSWORD:
		diff->password = true;
		break;
	case EFFECT_CIPHER:
		diff->cipher = true;
		break;
	case EFFECT_ADDRESSES:
		diff->addresses = true;
		break;
	case EFFECT_OTHER:
		diff->other = true;
		break;
	case EFFECT_TUNES:
	case EFFECT_MOVES:
		break; /* of links only, see diff_link */
	}
}

void
conf_diff(
    const struct conf *old, const struct conf *next, struct conf_diff *diff)
{
	const struct conf_key *keys;
	size_t i, count;

	memset(diff, 0, sizeof(*diff));
	keys = conf_keys(&count);
	for (i = 0; i < count; i++)
		if (keys[i].section == IN_GENERAL &&
		    key_differs(&keys[i], old, next))
			note_effect(diff, &keys[i]);
	for (i = 0; i < LINKS_MAX; i++)
		diff->links[i] = diff_link(&old->links[i], &next->links[i]);
}
