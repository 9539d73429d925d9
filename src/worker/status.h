/*
 * The state of the tunnel as JSON, for the control socket, and as a process
 * title.
 */
#ifndef MLVPN_WORKER_STATUS_H
#define MLVPN_WORKER_STATUS_H

#include <jansson.h>
#include <stddef.h>

#include "base/util.h"
#include "tunnel/tunnel.h"

/* A new reference, NULL when out of memory. */
json_t *status_json(const struct tunnel *t, mono_t now);
/* "dsl up, lte down"; returns buf. */
const char *status_title(const struct tunnel *t, char *buf, size_t size);

#endif
