/*
 * Names in this document are documented in doc/; add, never rename.
 */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/util.h"
#include "tunnel/link.h"
#include "worker/status.h"

static const char *
state_name(const struct link *l)
{
	if (l->up)
		return "up";
	return l->family == 0 ? "closed" : "down";
}

static const char *
cipher_name(const struct link *l)
{
	switch (l->cur.used ? (int)l->cur.cipher : 0) {
	case SESSION_AES_256_GCM:
		return "aes-256-gcm";
	case SESSION_CHACHA20_POLY1305:
		return "chacha20-poly1305";
	case SESSION_NONE:
		return "none";
	default:
		return "";
	}
}

/* --- tables of counters --- */

/* An unsigned integer of 4 or 8 bytes somewhere in a structure. */
struct count {
	const char *name;
	size_t at, size;
};

#define COUNT(type, member, name)                                              \
	{                                                                      \
		name, offsetof(type, member), sizeof(((type *)0)->member)      \
	}
#define LINK(member, name) COUNT(struct link, member, name)
#define BOND(member, name) COUNT(struct tunnel, member, name)
#define QUEUE(member, name) COUNT(struct fq_stats, member, name)
#define ORDER(member, name) COUNT(struct reseq_stats, member, name)
#define PLAYOUT(member, name) COUNT(struct playout_stats, member, name)

static const struct count link_counts[] = {
	LINK(pacer.rate_Bps, "rate_tx_Bps"),
	LINK(rate.conf_Bps, "rate_conf_Bps"),
	LINK(rate.best_Bps, "rate_best_Bps"),
	LINK(stats.tx_bytes, "tx_bytes"),
	LINK(stats.rx_bytes, "rx_bytes"),
	LINK(stats.tx_packets, "tx_packets"),
	LINK(stats.rx_packets, "rx_packets"),
	LINK(retain.data, "in_flight"),
	LINK(stats.lost, "lost"),
	LINK(stats.resent, "resent"),
	LINK(stats.copies, "copies"),
	LINK(stats.parity, "parity"),
	LINK(stats.restored, "restored"),
	LINK(stats.trials, "trials"),
	LINK(stats.held, "held"),
	LINK(stats.late, "late"),
	LINK(stats.duplicates, "duplicates"),
	LINK(stats.handshakes, "handshakes"),
	LINK(stats.flaps, "flaps"),
};

static const struct count link_drops[] = {
	LINK(stats.drop_malformed, "malformed"),
	LINK(stats.drop_auth, "auth"),
	LINK(stats.drop_replay, "replay"),
	LINK(stats.drop_stranger, "stranger"),
	LINK(stats.drop_limit, "limit"),
	LINK(stats.drop_send, "send"),
};

static const struct count link_health[] = {
	LINK(loss.percent, "loss_percent"),
	LINK(trial.needed, "copies_needed"),
	LINK(trial.in_vain, "copies_in_vain"),
	LINK(trial.relapses, "relapses"),
};

static const struct count bond_counts[] = {
	BOND(rate_Bps, "rate_tx_Bps"),
	BOND(stats.tx_bytes, "tx_bytes"),
	BOND(stats.rx_bytes, "rx_bytes"),
	BOND(stats.tx_packets, "tx_packets"),
	BOND(stats.rx_packets, "rx_packets"),
	BOND(stats.tx_data, "tx_data"),
	BOND(stats.demoted, "demoted"),
	BOND(stats.restored, "restored"),
	BOND(stats.fragmented, "fragmented"),
};

static const struct count bond_drops[] = {
	BOND(stats.drop_no_link, "no_link"),
	BOND(stats.drop_malformed, "malformed"),
	BOND(stats.drop_loop, "loop"),
	BOND(stats.drop_too_big, "too_big"),
	BOND(stats.drop_no_memory, "no_memory"),
	BOND(stats.drop_device, "device"),
};

static const struct count queue_drops[] = {
	QUEUE(codel_drops, "codel"),
	QUEUE(overload_drops, "overload"),
};

static const struct count queue_counts[] = {
	QUEUE(bytes, "queue_bytes"),
	QUEUE(packets, "queue_packets"),
	QUEUE(flows, "queue_flows"),
	QUEUE(again_bytes, "again_bytes"),
	QUEUE(again_packets, "again_packets"),
	QUEUE(marks, "marks"),
	QUEUE(requeued, "requeued"),
};

static const struct count order_counts[] = {
	ORDER(bytes, "held_bytes"),
	ORDER(packets, "held_packets"),
	ORDER(held, "held"),
	ORDER(late, "late"),
	ORDER(duplicates, "duplicates"),
	ORDER(holes, "holes"),
	ORDER(skipped, "skipped"),
	ORDER(deadlines, "deadlines"),
	ORDER(no_memory, "no_memory"),
};

static const struct count playout_counts[] = {
	PLAYOUT(bytes, "held_bytes"),
	PLAYOUT(packets, "held_packets"),
	PLAYOUT(held, "held"),
	PLAYOUT(no_memory, "no_memory"),
};

static const struct count resend_counts[] = {
	BOND(arq.stats.lost, "lost"),
	BOND(arq.stats.resent, "resent"),
	BOND(arq.stats.skipped, "skipped"),
	BOND(arq.stats.over, "over_budget"),
	BOND(arq.nagain, "waiting"),
};

static const struct count report_counts[] = {
	BOND(feedback.stats.tx_reports, "sent"),
	BOND(feedback.stats.rx_reports, "received"),
	BOND(feedback.stats.bad_reports, "bad"),
	BOND(feedback.stats.asks, "asked"),
};

static void
put_int(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static void
put_counts(json_t *o, const void *base, const struct count *c, size_t n)
{
	for (; n > 0; n--, c++) {
		const void *p = (const uint8_t *)base + c->at;
		uint64_t u64;
		uint32_t u32;

		if (c->size == sizeof(u64))
			memcpy(&u64, p, sizeof(u64));
		else {
			memcpy(&u32, p, sizeof(u32));
			u64 = u32;
		}
		put_int(o, c->name, u64);
	}
}

#define PUT_COUNTS(o, base, table) put_counts(o, base, table, nitems_of(table))

/* --- other values --- */

static void
put_text(json_t *o, const char *name, const char *text)
{
	json_object_set_new(o, name, json_string(text));
}

static void
put_bool(json_t *o, const char *name, bool value)
{
	json_object_set_new(o, name, json_boolean(value));
}

static void
put_real(json_t *o, const char *name, double value)
{
	json_object_set_new(o, name, json_real(value));
}

static void
put_ms(json_t *o, const char *name, mono_t span)
{
	put_real(o, name, (double)span / (double)NSEC_PER_MSEC);
}

static void
put_seconds(json_t *o, const char *name, mono_t span)
{
	put_real(o, name, (double)span / (double)NSEC_PER_SEC);
}

/* --- a link --- */

static const char *
use_name(const struct tunnel *t, const struct link *l)
{
	if (!l->up)
		return "none";
	if (!l->in_use)
		return health_is_suspect(l) ? "trial" : "spare";
	/* Too late for flows that could fill it, see sched.c. */
	if (link_delay(l) - t->delay_min > SCHED_SPREAD_MAX)
		return "sparse";
	return "full";
}

static const char *
health_name(const struct link *l)
{
	static const char *const causes[] = {
		[HEALTH_SILENT] = "silent",
		[HEALTH_LOSSY] = "lossy",
		[HEALTH_RETURNED] = "returned",
	};

	if (!l->up)
		return "down";
	return l->trial.on ? causes[l->trial.cause] : "fit";
}

static json_t *
health_json(const struct link *l, mono_t now)
{
	json_t *o = json_object();
	mono_t since = l->up_at;

	if (l->trial.on)
		since = l->trial.since;
	else if (l->trial.ended_at > since)
		since = l->trial.ended_at;
	put_text(o, "state", health_name(l));
	put_seconds(o, "state_s", now - since);
	PUT_COUNTS(o, l, link_health);
	return o;
}

static void
put_rates(json_t *o, const struct tunnel *t, const struct link *l)
{
	static const char *const phases[] = {
		[RATE_START] = "start",
		[RATE_CRUISE] = "cruise",
		[RATE_DRAIN] = "drain",
	};
	uint64_t rx = t->server ? l->conf.upload_Bps : l->conf.download_Bps;

	if (rx == 0 || (l->peer_tx_Bps != 0 && l->peer_tx_Bps < rx))
		rx = l->peer_tx_Bps;
	put_int(o, "rate_rx_Bps", rx);
	put_text(o, "rate_phase", phases[l->rate.phase]);
	put_bool(o, "rate_limited", rate_is_limited(&l->rate));
}

static void
put_delays(json_t *o, const struct tunnel *t, const struct link *l)
{
	mono_t later = l->up && t->nup > 0 ? link_delay(l) - t->delay_min : 0;

	put_ms(o, "rtt_ms", l->srtt);
	put_ms(o, "rtt_var_ms", l->rttvar);
	put_ms(o, "delay_rel_ms", later);
	put_ms(o, "delay_var_ms", l->delay.var);
	put_ms(o, "delay_excess_ms", delay_excess(&l->delay));
	put_ms(o, "queue_ms", l->rate.excess.now);
	put_ms(o, "noise_ms", l->rate.excess.noise);
}

static json_t *
link_json(const struct tunnel *t, const struct link *l, mono_t now)
{
	const struct reseq_stats *r = reseq_stats(t->reseq);
	char peer[ADDRTEXT_MAX] = "";
	json_t *o = json_object(), *drops = json_object();

	if (l->path.peer.sa.sa_family != AF_UNSPEC)
		link_addr_text(&l->path.peer, peer);
	put_text(o, "name", l->conf.name);
	put_text(o, "state", state_name(l));
	put_seconds(o, "state_s", now - l->up_at);
	put_text(o, "peer", peer);
	put_text(o, "cipher", cipher_name(l));
	put_bool(o, "in_use", l->in_use);
	put_bool(o, "fallback_only", l->conf.fallback_only);
	put_text(o, "use", use_name(t, l));
	json_object_set_new(o, "health", health_json(l, now));
	put_delays(o, t, l);
	put_real(o, "loss_tx", loss_meter_value(&l->tx_loss));
	put_real(o, "loss_rx", loss_meter_value(&l->rx_loss));
	put_rates(o, t, l);
	PUT_COUNTS(o, l, link_counts);
	put_int(o, "held_packets", r->packets_of[l->wire_id]);
	put_int(o, "lost_rx", l->stats.lost_before + l->meter.lost);
	put_int(o, "reordered", l->stats.reordered_before + l->meter.reordered);
	PUT_COUNTS(drops, l, link_drops);
	json_object_set_new(o, "drops", drops);
	return o;
}

/* --- the bond --- */

static json_t *
memory_json(const struct tunnel *t)
{
	json_t *o = json_object();

	put_int(o, "limit_bytes", (uint64_t)t->conf->memory_bytes);
	put_int(o, "pool_bytes", pktbuf_pool_bytes(t->pool));
	put_int(o, "io_bytes", pktbuf_used(t->pool, PKTBUF_IO));
	put_int(o, "queue_bytes", pktbuf_used(t->pool, PKTBUF_QUEUE));
	put_int(o, "retain_bytes", pktbuf_used(t->pool, PKTBUF_RETAIN));
	put_int(o, "order_bytes", pktbuf_used(t->pool, PKTBUF_RESEQ));
	put_int(o, "playout_bytes", pktbuf_used(t->pool, PKTBUF_PLAYOUT));
	return o;
}

static json_t *
drops_json(const struct tunnel *t)
{
	json_t *o = json_object();

	PUT_COUNTS(o, t, bond_drops);
	PUT_COUNTS(o, fq_stats(t->fq), queue_drops);
	return o;
}

static json_t *
resends_json(const struct tunnel *t)
{
	json_t *o = json_object();

	PUT_COUNTS(o, t, resend_counts);
	json_object_set_new(o, "budget_bytes", json_integer(t->arq.budget));
	return o;
}

static json_t *
bond_json(const struct tunnel *t)
{
	const struct fq_stats *q = fq_stats(t->fq);
	json_t *o = json_object(), *order = json_object();
	json_t *playout = json_object(), *reports = json_object();

	put_text(o, "state", t->nup > 0 ? "up" : "down");
	PUT_COUNTS(o, q, queue_counts);
	put_ms(o, "sojourn_ms", q->sojourn);
	put_ms(o, "delay_spread_ms", t->delay_max - t->delay_min);
	PUT_COUNTS(o, t, bond_counts);
	json_object_set_new(o, "drops", drops_json(t));
	PUT_COUNTS(order, reseq_stats(t->reseq), order_counts);
	json_object_set_new(o, "order", order);
	PUT_COUNTS(playout, playout_stats(t->playout), playout_counts);
	json_object_set_new(o, "playout", playout);
	json_object_set_new(o, "resends", resends_json(t));
	PUT_COUNTS(reports, t, report_counts);
	json_object_set_new(o, "reports", reports);
	json_object_set_new(o, "memory", memory_json(t));
	return o;
}

json_t *
status_json(const struct tunnel *t, mono_t now)
{
	json_t *o = json_object(), *links = json_array();

	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			json_array_append_new(
			    links, link_json(t, &t->links[i], now));
	put_text(o, "version", PACKAGE_VERSION);
	put_text(o, "interface", t->conf->interface_name);
	put_text(o, "mode", t->server ? "server" : "client");
	put_text(o, "cipher", conf_cipher_name(t->conf->cipher));
	put_int(o, "mtu", t->mtu_bytes);
	put_seconds(o, "uptime_s", now - t->started_at);
	put_int(o, "pid", (uint64_t)getpid());
	json_object_set_new(o, "bond", bond_json(t));
	json_object_set_new(o, "links", links);
	return o;
}

const char *
status_title(const struct tunnel *t, char *buf, size_t size)
{
	buf[0] = '\0';
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &t->links[i];

		if (!l->used)
			continue;
		if (buf[0] != '\0')
			strlcat(buf, ", ", size);
		strlcat(buf, l->conf.name, size);
		strlcat(buf, l->up ? " up" : " down", size);
	}
	return buf;
}
