/*
 * One question to a running mlvpn: connect, one line, one JSON document.
 */
#ifndef MLVPN_CTL_REQUEST_H
#define MLVPN_CTL_REQUEST_H

#include <stddef.h>

#include <jansson.h>

#define REQUEST_DIR "/run/mlvpn" /* of the sockets, INTERFACE.sock each */
#define REQUEST_ERROR_MAX 256

/*
 * Sends verb to the socket at path and waits up to timeout_s seconds for the
 * answer.  A new reference, or NULL with the reason in error.
 */
json_t *request_send(const char *path, const char *verb, int timeout_s,
    char error[REQUEST_ERROR_MAX]);
/* The path of the only socket in REQUEST_DIR; -1 with the reason in error. */
int request_find(char *path, size_t size, char error[REQUEST_ERROR_MAX]);

#endif
