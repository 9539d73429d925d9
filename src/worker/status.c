/*
 * Names in this document are documented in doc/; add, never rename.
 */
#include "config.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

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

static double
ms(mono_t span)
{
	return (double)span / (double)NSEC_PER_MSEC;
}

static json_t *
link_drops(const struct link_stats *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "malformed",
	    (json_int_t)s->drop_malformed, "auth", (json_int_t)s->drop_auth,
	    "replay", (json_int_t)s->drop_replay, "stranger",
	    (json_int_t)s->drop_stranger, "limit", (json_int_t)s->drop_limit,
	    "send", (json_int_t)s->drop_send);
}

static json_t *
link_json(const struct tunnel *t, const struct link *l, mono_t now)
{
	const struct link_stats *s = &l->stats;
	char peer[ADDRTEXT_MAX] = "";
	uint64_t rx = t->server ? l->conf.upload_Bps : l->conf.download_Bps;

	if (l->path.peer.sa.sa_family != AF_UNSPEC)
		link_addr_text(&l->path.peer, peer);
	if (rx == 0 || (l->peer_tx_Bps != 0 && l->peer_tx_Bps < rx))
		rx = l->peer_tx_Bps;
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:f, s:f, s:f, s:f, "
			 "s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
	    "name", l->conf.name, "state", state_name(l), "peer", peer,
	    "cipher", cipher_name(l), "in_use", l->in_use, "fallback_only",
	    l->conf.fallback_only, "state_s",
	    (double)(now - l->up_at) / (double)NSEC_PER_SEC, "rtt_ms",
	    ms(l->srtt), "rtt_var_ms", ms(l->rttvar), "loss_tx",
	    loss_meter_value(&l->tx_loss), "loss_rx",
	    loss_meter_value(&l->rx_loss), "rate_tx_Bps",
	    (json_int_t)l->pacer.rate_Bps, "rate_rx_Bps", (json_int_t)rx,
	    "tx_bytes", (json_int_t)s->tx_bytes, "rx_bytes",
	    (json_int_t)s->rx_bytes, "tx_packets", (json_int_t)s->tx_packets,
	    "rx_packets", (json_int_t)s->rx_packets, "handshakes",
	    (json_int_t)s->handshakes, "flaps", (json_int_t)s->flaps, "drops",
	    link_drops(s));
}

static json_t *
bond_json(const struct tunnel *t)
{
	const struct fq_stats *q = fq_stats(t->fq);
	const struct reseq_stats *r = reseq_stats(t->reseq);
	const struct tunnel_stats *s = &t->stats;
	json_t *drops = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "no_link", (json_int_t)s->drop_no_link, "malformed",
	    (json_int_t)s->drop_malformed, "loop", (json_int_t)s->drop_loop,
	    "too_big", (json_int_t)s->drop_too_big, "no_memory",
	    (json_int_t)s->drop_no_memory, "device", (json_int_t)s->drop_device,
	    "codel", (json_int_t)q->codel_drops, "overload",
	    (json_int_t)q->overload_drops);

	json_t *order =
	    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"held_bytes", (json_int_t)r->bytes, "held_packets",
		(json_int_t)r->packets, "held", (json_int_t)r->held, "late",
		(json_int_t)r->late, "duplicates", (json_int_t)r->duplicates,
		"holes", (json_int_t)r->holes, "skipped",
		(json_int_t)r->skipped, "deadlines", (json_int_t)r->deadlines,
		"no_memory", (json_int_t)r->no_memory);

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:f, s:o, s:o}",
	    "state", t->nup > 0 ? "up" : "down", "queue_bytes",
	    (json_int_t)q->bytes, "queue_packets", (json_int_t)q->packets,
	    "queue_flows", (json_int_t)q->flows, "tx_bytes",
	    (json_int_t)s->tx_bytes, "rx_bytes", (json_int_t)s->rx_bytes,
	    "tx_packets", (json_int_t)s->tx_packets, "rx_packets",
	    (json_int_t)s->rx_packets, "marks", (json_int_t)q->marks, "demoted",
	    (json_int_t)s->demoted, "fragmented", (json_int_t)s->fragmented,
	    "sojourn_ms", ms(q->sojourn), "drops", drops, "order", order);
}

json_t *
status_json(const struct tunnel *t, mono_t now)
{
	json_t *links = json_array();

	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (t->links[i].used)
			json_array_append_new(
			    links, link_json(t, &t->links[i], now));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:o, s:o}",
	    "version", PACKAGE_VERSION, "interface", t->conf->interface_name,
	    "mode", t->server ? "server" : "client", "cipher",
	    conf_cipher_name(t->conf->cipher), "mtu", (json_int_t)t->mtu_bytes,
	    "uptime_s", (double)(now - t->started_at) / (double)NSEC_PER_SEC,
	    "pid", (json_int_t)getpid(), "bond", bond_json(t), "links", links);
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
