/*
 * A host that checks the way back of each packet strictly (rp_filter = 1) asks
 * its routes without our mark.  With a default route into the tunnel it then
 * drops what comes in on a link, which nobody would ever guess from outside.
 */
#include "config.h"

#include <sys/socket.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "priv/netdev.h"

#include "base/log.h"

#define STRICT '1'

static bool
is_strict(const char *name)
{
	char path[64 + CONF_IFNAME_MAX], value = '0';
	int fd;

	snprintf(
	    path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	if (read(fd, &value, 1) != 1)
		value = '0';
	close(fd);
	return value == STRICT;
}

static bool
has_default_route(const struct conf *conf)
{
	size_t i;

	for (i = 0; i < conf->nroutes; i++) {
		if (conf->routes[i].family == AF_INET &&
		    conf->routes[i].len == 0)
			return true;
	}
	return false;
}

void
netdev_warn(const struct conf *conf)
{
	const char *name = "all";
	bool strict = is_strict(name);
	unsigned i;

	if (!has_default_route(conf))
		return;
	for (i = 0; i < LINKS_MAX && !strict; i++) {
		name = conf->links[i].interface;
		strict =
		    conf->links[i].used && name[0] != '\0' && is_strict(name);
	}
	if (strict)
		log_warnx("net.ipv4.conf.%s.rp_filter is 1: with a default"
			  " route into the tunnel the host drops the packets"
			  " of links; 2 is right",
		    name);
}
