/*
 * What no single key can tell: missing keys, and values that do not go
 * together.  Also fills in the defaults that depend on other keys.
 */
#include "config.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_keys.h"

#define IP6_MTU_MIN 1280 /* RFC 8200, 5 */

static unsigned
general_key_line(const struct conf_draft *d, const char *key)
{
	return d->general_keys[conf_key_find(IN_GENERAL, key)].line;
}

static unsigned
link_key_line(const struct conf_draft *d, size_t link, const char *key)
{
	return d->link_keys[link][conf_key_find(IN_LINK, key)].line;
}

static void
check_required(struct conf_draft *d)
{
	const struct conf_key *keys;
	size_t i, count;

	keys = conf_keys(&count);
	for (i = 0; i < count; i++)
		if (keys[i].section == IN_GENERAL && keys[i].required &&
		    d->general_keys[i].line == 0)
			conf_error(d->errs, d->general_line,
			    "[general]: %s is missing, expected %s",
			    keys[i].name, keys[i].expected);
}

static void
check_sections(struct conf_draft *d)
{
	if (d->general_line == 0)
		conf_error(d->errs, 0, "expected a section [general]");
	else
		check_required(d);
	if (!d->link_seen)
		conf_error(d->errs, 0,
		    "no link, expected at least one section such as [adsl1]");
}

static void
check_gateway(struct conf_draft *d, const char *key,
    const struct conf_prefix *gateway, const char *address_key,
    const struct conf_prefix *address)
{
	unsigned line = general_key_line(d, key);

	if (gateway->family == AF_UNSPEC)
		return;
	if (address->family == AF_UNSPEC) {
		if (general_key_line(d, address_key) == 0)
			conf_error(d->errs, line, "%s: expected %s as well",
			    key, address_key);
		return;
	}
	if (memcmp(gateway->addr, address->addr, sizeof(address->addr)) == 0)
		conf_error(d->errs, line,
		    "%s: expected the peer's address, not that of %s", key,
		    address_key);
}

static void
check_addresses(struct conf_draft *d)
{
	struct conf *conf = d->conf;

	check_gateway(d, "ip4_gateway", &conf->ip4_gateway, "ip4", &conf->ip4);
	check_gateway(d, "ip6_gateway", &conf->ip6_gateway, "ip6", &conf->ip6);
	if (conf->ip6.family != AF_UNSPEC && conf->mtu_bytes != 0 &&
	    conf->mtu_bytes < IP6_MTU_MIN)
		conf_error(d->errs, general_key_line(d, "mtu"),
		    "mtu = %u: expected at least %d or auto, as ip6 is set",
		    conf->mtu_bytes, IP6_MTU_MIN);
}

static void
check_control_socket(struct conf_draft *d)
{
	if (general_key_line(d, "control_socket") != 0)
		return;
	snprintf(d->conf->control_socket, sizeof(d->conf->control_socket),
	    "/run/mlvpn/%s.sock", d->conf->interface_name);
}

static void
check_server_link(struct conf_draft *d, size_t i)
{
	const struct conf_link *link = &d->conf->links[i];

	if (link_key_line(d, i, "bindport") == 0)
		conf_error(d->errs, link->line,
		    "[%s]: bindport is missing, a server expects one of "
		    "its own for each link",
		    link->name);
	if (link_key_line(d, i, "remotehost") != 0)
		conf_error(d->errs, link_key_line(d, i, "remotehost"),
		    "remotehost: expected on a client only, a server waits");
	if (link_key_line(d, i, "remoteport") != 0)
		conf_error(d->errs, link_key_line(d, i, "remoteport"),
		    "remoteport: expected on a client only, a server waits");
}

static void
check_client_link(struct conf_draft *d, size_t i)
{
	const struct conf_link *link = &d->conf->links[i];
	int bind_family, remote_family;

	if (link_key_line(d, i, "remotehost") == 0)
		conf_error(d->errs, link->line,
		    "[%s]: remotehost is missing, a client expects one",
		    link->name);
	if (link_key_line(d, i, "remoteport") == 0)
		conf_error(d->errs, link->line,
		    "[%s]: remoteport is missing, a client expects one",
		    link->name);
	bind_family = conf_host_family(link->bindhost);
	remote_family = conf_host_family(link->remotehost);
	if (bind_family != AF_UNSPEC && remote_family != AF_UNSPEC &&
	    bind_family != remote_family)
		conf_error(d->errs, link_key_line(d, i, "remotehost"),
		    "remotehost: expected an IPv%d address, as bindhost is one",
		    bind_family == AF_INET ? 4 : 6);
}

static bool
is_wildcard(const char *host, int family)
{
	if (*host == '\0' || strcmp(host, "::") == 0)
		return true;
	return family == AF_INET && strcmp(host, "0.0.0.0") == 0;
}

/* Without asking the system about scopes: the worker may not. */
static bool
same_host(const char *a, const char *b)
{
	struct in6_addr x, y;

	if (inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1)
		return memcmp(&x, &y, sizeof(x)) == 0;
	return strcmp(a, b) == 0;
}

/* Would the kernel refuse the second of these sockets? */
static bool
links_collide(const struct conf_link *a, const struct conf_link *b)
{
	int family = conf_host_family(a->bindhost);

	if (a->bindport == 0 || a->bindport != b->bindport)
		return false;
	if (*a->interface != '\0' && *b->interface != '\0' &&
	    strcmp(a->interface, b->interface) != 0)
		return false;
	if (same_host(a->bindhost, b->bindhost))
		return true;
	return is_wildcard(a->bindhost, conf_host_family(b->bindhost)) ||
	       is_wildcard(b->bindhost, family);
}

static void
check_ports(struct conf_draft *d)
{
	const struct conf_link *links = d->conf->links;
	size_t i, j;

	for (i = 1; i < d->conf->nlinks; i++)
		for (j = 0; j < i; j++) {
			if (!links_collide(&links[i], &links[j]))
				continue;
			conf_error(d->errs, link_key_line(d, i, "bindport"),
			    "bindport = %u: expected another than that of "
			    "[%s] on line %u",
			    links[i].bindport, links[j].name,
			    link_key_line(d, j, "bindport"));
			break;
		}
}

static void
check_links(struct conf_draft *d)
{
	struct conf *conf = d->conf;
	const struct conf_seen *mode =
	    &d->general_keys[conf_key_find(IN_GENERAL, "mode")];
	bool mode_known = mode->line != 0 && !mode->bad;
	size_t i;

	for (i = 0; i < conf->nlinks; i++) {
		if (link_key_line(d, i, "timeout") == 0)
			conf->links[i].timeout_ms = conf->timeout_ms;
		if (mode_known && conf->mode == MODE_SERVER)
			check_server_link(d, i);
		else if (mode_known)
			check_client_link(d, i);
		if (strcmp(conf->links[i].interface, conf->interface_name) == 0)
			conf_error(d->errs, link_key_line(d, i, "interface"),
			    "interface = %s: expected another than the "
			    "tunnel's own",
			    conf->interface_name);
	}
	check_ports(d);
}

void
conf_check(struct conf_draft *d)
{
	check_sections(d);
	check_addresses(d);
	check_control_socket(d);
	check_links(d);
}
