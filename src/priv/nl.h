/*
 * One request, one answer over rtnetlink.  Built on libmnl; the kernel answers
 * at once, so a request blocks no longer than a system call does.
 */
#ifndef MLVPN_PRIV_NL_H
#define MLVPN_PRIV_NL_H

#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#define NL_REQUEST_MAX 512 /* bytes of a request */
/* So that we recognise our own routes and rules; `ip` shows "proto 109". */
#define NL_PROTOCOL 109

struct nl {
	struct mnl_socket *sock;
	unsigned port;
	uint32_t seq;
};

int nl_open(struct nl *nl);
void nl_close(struct nl *nl);
/* Starts a request in buf of NL_REQUEST_MAX bytes; flags beside REQUEST: a
 * dump, or one with NLM_F_ACK, or nl_talk waits for an end that never comes. */
struct nlmsghdr *nl_begin(
    struct nl *nl, void *buf, uint16_t type, uint16_t flags);
/* Sends it and hands each message of the answer to cb, which may be NULL; -1
 * with the kernel's errno. */
int nl_talk(struct nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx);

#endif
