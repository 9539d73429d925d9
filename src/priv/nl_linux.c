/*
 * The plumbing of rtnetlink.  Strict checking makes the kernel filter its
 * dumps, else a router with a full table would be read whole for a handful of
 * routes.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/netlink.h>
#include <errno.h>
#include <stdint.h>

#include "priv/nl.h"

#define ANSWER_MAX (32 * 1024)

int
nl_open(struct nl *nl)
{
	int on = 1;

	nl->seq = 0;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (nl->sock == NULL)
		return -1;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) == -1) {
		nl_close(nl);
		return -1;
	}
	nl->port = mnl_socket_get_portid(nl->sock);
	(void)mnl_socket_setsockopt(
	    nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

void
nl_close(struct nl *nl)
{
	if (nl->sock != NULL)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

struct nlmsghdr *
nl_begin(struct nl *nl, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	return nlh;
}

int
nl_talk(struct nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	union {
		struct nlmsghdr align;
		uint8_t bytes[ANSWER_MAX];
	} answer;
	ssize_t n;
	int r;

	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) == -1)
		return -1;
	do {
		n = mnl_socket_recvfrom(nl->sock, &answer, sizeof(answer));
		if (n == -1 && errno == EINTR) {
			r = MNL_CB_OK;
			continue;
		}
		if (n == -1)
			return -1;
		r = mnl_cb_run(&answer, (size_t)n, nl->seq, nl->port, cb, ctx);
		/* Of an earlier request that broke off: not ours. */
		if (r == MNL_CB_ERROR && (errno == ESRCH || errno == EPROTO) &&
		    answer.align.nlmsg_seq != nl->seq)
			r = MNL_CB_OK;
	} while (r > MNL_CB_STOP);
	return r == MNL_CB_ERROR ? -1 : 0;
}
