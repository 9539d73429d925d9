/*
 * The UDP socket of a link, ready to be handed to the worker.
 */
#ifndef MLVPN_PRIV_SOCK_H
#define MLVPN_PRIV_SOCK_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * Opens, marks and binds it: unconnected, non-blocking, close-on-exec.  IPv6
 * carrying IPv4 too unless bindhost or the host says otherwise; *family tells.
 * -1 with errno; *step names what failed, for the log.
 */
int sock_open(const struct conf_link *link, uint32_t mark, int *family,
    const char **step);
/* Family of the addresses that make sense for the link's peer: AF_UNSPEC when
 * both do. */
int sock_peer_family(const struct conf_link *link);

#endif
