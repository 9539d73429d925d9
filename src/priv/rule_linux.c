/*
 * Who looks into our table.  A packet shall take the most specific route of the
 * main table and ours together, ours where they tie, and packets with our mark
 * (those of the links) never ours.  The kernel's rules try one table after the
 * other, so the longest match of both is built from two rules for each prefix
 * length L that our table has, the longest first:
 *
 *   priority 27000 + 2 * (128 - L): main, unless it found a prefix of <= L
 *   the next:  not fwmark MARK: our table, unless it found a prefix of < L
 *
 * For a default route this is what wg-quick does.  Before them all, the user of
 * our resolver is sent to the main table: names have to be found while the
 * tunnel is down.  Rules are shared by the tunnels of a host and go with the
 * last route that needs them, those left behind by a crash included.
 */
#include "config.h"

#include <sys/socket.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <errno.h>
#include <string.h>

#include "priv/netdev.h"

#include "base/log.h"
#include "base/util.h"

#define PRIORITY_UID 26999
#define PRIORITY_FIRST 27000
#define LEN_MAX 128

struct rule {
	int family;
	uint32_t priority;
	uint32_t table;
	uint32_t suppress; /* prefix length; UINT32_MAX: none */
	bool not_mark;
	bool of_uid;
};

/* What rules of ours there are, of whichever tunnel. */
struct present {
	struct netdev *nd;
	bool others[LEN_MAX + 1]; /* some other table is looked into at L */
	bool ours[LEN_MAX + 1];
	bool main[LEN_MAX + 1];
	bool uid;
};

static uint32_t
priority_of(unsigned len)
{
	return PRIORITY_FIRST + 2 * (LEN_MAX - len);
}

static int
change_rule(
    struct netdev *nd, const struct rule *rule, uint16_t type, uint16_t flags)
{
	struct fib_rule_uid_range range = { nd->uid, nd->uid };
	uint8_t buf[NL_REQUEST_MAX];
	struct fib_rule_hdr *hdr;
	struct nlmsghdr *nlh;

	nlh = nl_begin(&nd->nl, buf, type, NLM_F_ACK | flags);
	hdr = mnl_nlmsg_put_extra_header(nlh, sizeof(*hdr));
	hdr->family = (uint8_t)rule->family;
	hdr->table = RT_TABLE_UNSPEC;
	hdr->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, NL_PROTOCOL);
	if (rule->suppress != UINT32_MAX)
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, rule->suppress);
	if (rule->not_mark && nd->mark != 0) {
		hdr->flags |= FIB_RULE_INVERT;
		mnl_attr_put_u32(nlh, FRA_FWMARK, nd->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->of_uid)
		mnl_attr_put(nlh, FRA_UID_RANGE, sizeof(range), &range);
	return nl_talk(&nd->nl, nlh, NULL, NULL);
}

static struct rule
main_rule(int family, unsigned len)
{
	struct rule rule = { family, priority_of(len), RT_TABLE_MAIN, len,
		false, false };

	return rule;
}

static struct rule
own_rule(const struct netdev *nd, int family, unsigned len)
{
	struct rule rule = { family, priority_of(len) + 1, nd->table,
		len > 0 ? len - 1 : UINT32_MAX, true, false };

	return rule;
}

static struct rule
uid_rule(int family)
{
	struct rule rule = { family, PRIORITY_UID, RT_TABLE_MAIN, UINT32_MAX,
		false, true };

	return rule;
}

static void
add_rule(struct netdev *nd, struct rule rule)
{
	if (change_rule(nd, &rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL) ==
		-1 &&
	    errno != EEXIST)
		log_warn("%s: can't set the routing rule of priority %u",
		    nd->name, rule.priority);
}

static void
remove_rule(struct netdev *nd, struct rule rule)
{
	if (change_rule(nd, &rule, RTM_DELRULE, 0) == -1 && errno != ENOENT)
		log_warn("%s: can't remove the routing rule of priority %u",
		    nd->name, rule.priority);
}

static void
note_rule(struct present *p, uint32_t priority, uint32_t table)
{
	unsigned at, len;

	if (priority == PRIORITY_UID)
		p->uid = true;
	if (priority < PRIORITY_FIRST || priority > priority_of(0) + 1)
		return;
	at = priority - PRIORITY_FIRST;
	len = LEN_MAX - at / 2;
	if (at % 2 == 0)
		p->main[len] = true;
	else if (table == p->nd->table)
		p->ours[len] = true;
	else
		p->others[len] = true;
}

static int
take_rule(const struct nlmsghdr *nlh, void *ctx)
{
	const struct fib_rule_hdr *hdr = mnl_nlmsg_get_payload(nlh);
	uint32_t priority = 0, table = hdr->table;
	struct nlattr *attr;
	bool own = false;

	mnl_attr_for_each(attr, nlh, sizeof(*hdr))
	{
		switch (mnl_attr_get_type(attr)) {
		case FRA_PRIORITY:
			priority = mnl_attr_get_u32(attr);
			break;
		case FRA_TABLE:
			table = mnl_attr_get_u32(attr);
			break;
		case FRA_PROTOCOL:
			own = mnl_attr_get_u8(attr) == NL_PROTOCOL;
			break;
		default:
			break;
		}
	}
	if (own)
		note_rule(ctx, priority, table);
	return MNL_CB_OK;
}

static int
present_rules(struct netdev *nd, int family, struct present *p)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct fib_rule_hdr *hdr;
	struct nlmsghdr *nlh;

	memset(p, 0, sizeof(*p));
	p->nd = nd;
	nlh = nl_begin(&nd->nl, buf, RTM_GETRULE, NLM_F_DUMP);
	hdr = mnl_nlmsg_put_extra_header(nlh, sizeof(*hdr));
	hdr->family = (uint8_t)family;
	return nl_talk(&nd->nl, nlh, take_rule, p);
}

/* Removes what no route needs any more. */
static void
clean_family(struct netdev *nd, int family)
{
	bool lengths[LEN_MAX + 1], used = false;
	struct present p;
	unsigned len;

	if (present_rules(nd, family, &p) == -1 ||
	    route_lengths(nd, family, lengths) == -1)
		return;
	for (len = 0; len <= LEN_MAX; len++) {
		if (p.ours[len] && !lengths[len])
			remove_rule(nd, own_rule(nd, family, len));
		if (p.main[len] && !p.others[len] && !lengths[len])
			remove_rule(nd, main_rule(family, len));
		if (p.others[len] || lengths[len])
			used = true;
	}
	if (p.uid && !used && nd->uid != 0)
		remove_rule(nd, uid_rule(family));
}

static void
apply_family(struct netdev *nd, int family)
{
	bool done[LEN_MAX + 1] = { false };
	size_t i;
	unsigned len;

	for (i = 0; i < nd->nroutes; i++) {
		len = nd->routes[i].dst.len;
		if (nd->routes[i].dst.family != family || done[len])
			continue;
		done[len] = true;
		/* Main first: nobody else's table may hide the LAN even for
		 * a moment. */
		add_rule(nd, main_rule(family, len));
		add_rule(nd, own_rule(nd, family, len));
		if (nd->uid != 0)
			add_rule(nd, uid_rule(family));
	}
	clean_family(nd, family);
}

void
rule_apply(struct netdev *nd)
{
	apply_family(nd, AF_INET);
	apply_family(nd, AF_INET6);
}
