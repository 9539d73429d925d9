/*
 * The configuration parser on any bytes. Whatever it accepts keeps its
 * promises: same bytes, same result; no difference to itself; slots in order.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool truth)
{
	if (!truth)
		abort();
}

static void
check_errors(const struct conf_errors *errs)
{
	size_t i;
	const char *p;

	expect(errs->total > 0 && errs->count > 0);
	expect(errs->count <= errs->total && errs->count <= CONF_ERRORS_MAX);
	for (i = 0; i < errs->count; i++) {
		p = errs->list[i].text;
		expect(memchr(p, '\0', sizeof(errs->list[i].text)) != NULL);
		for (; *p != '\0'; p++)
			expect(*p >= ' ' && *p <= '~');
	}
}

static void
check_conf(const struct conf *conf)
{
	size_t i;

	expect(conf->nlinks > 0 && conf->nlinks <= LINKS_MAX);
	expect(conf->nroutes <= CONF_ROUTES_MAX);
	expect(*conf->password != '\0' && *conf->interface_name != '\0');
	for (i = 0; i < LINKS_MAX; i++) {
		expect(conf->links[i].used == (i < conf->nlinks));
		if (!conf->links[i].used)
			continue;
		expect(*conf->links[i].name != '\0');
		expect(conf->links[i].timeout_ms >= 1000);
		expect(
		    conf->mode == MODE_CLIENT || conf->links[i].bindport != 0);
	}
}

static void
check_diff(const struct conf *a, struct conf *b)
{
	static const struct conf_diff none;
	struct conf_diff diff;

	expect(memcmp(a, b, sizeof(*a)) == 0);
	conf_assign_slots(a, b);
	expect(memcmp(a, b, sizeof(*a)) == 0);
	conf_diff(a, b, &diff);
	expect(memcmp(diff.links, none.links, sizeof(none.links)) == 0);
	expect(!diff.password && !diff.cipher && !diff.addresses);
	expect(!diff.restart && !diff.other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_errors errs, again;
	struct conf *a, *b;

	a = conf_parse((const char *)data, size, &errs);
	b = conf_parse((const char *)data, size, &again);
	expect((a == NULL) == (b == NULL));
	expect(memcmp(&errs, &again, sizeof(errs)) == 0);
	if (a == NULL) {
		check_errors(&errs);
		return 0;
	}
	expect(errs.total == 0);
	check_conf(a);
	check_diff(a, b);
	conf_free(a);
	conf_free(b);
	return 0;
}
