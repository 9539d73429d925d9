/*
 * One line between the two routers: its configuration, the state of its
 * handshake and sessions, its liveness and its counters.  A link owns its
 * sessions; the tunnel owns the links and everything that they share.
 */
#ifndef MLVPN_TUNNEL_LINK_H
#define MLVPN_TUNNEL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/util.h"
#include "conf/conf.h"
#include "tunnel/delay.h"
#include "tunnel/fq.h"
#include "tunnel/handshake.h"
#include "tunnel/health.h"
#include "tunnel/loss.h"
#include "tunnel/meter.h"
#include "tunnel/pacer.h"
#include "tunnel/parity.h"
#include "tunnel/pktbuf.h"
#include "tunnel/rate.h"
#include "tunnel/retain.h"
#include "tunnel/session.h"
#include "tunnel/wire.h"

#define LINK_PENDING_MAX 8 /* handshakes that wait for their first packet */
#define LINK_ADDRS_MAX 8
/* A round trip longer than this has wrapped around. */
#define LINK_ECHO_MAX (60 * NSEC_PER_SEC)

struct tunnel;

/* Where packets go, and from which of our addresses (PKTINFO). */
struct path {
	union addr peer;
	union addr local; /* AF_UNSPEC: the kernel chooses */
};

struct link_stats {
	uint64_t tx_packets, rx_packets; /* datagrams */
	uint64_t tx_bytes, rx_bytes;	 /* outer IP bytes */
	uint64_t handshakes;		 /* completed */
	uint64_t flaps;			 /* times it went down */
	uint64_t drop_malformed;
	uint64_t drop_auth; /* wrong tag, MAC or challenge */
	uint64_t drop_replay;
	uint64_t drop_stranger; /* of an epoch or address we do not know */
	uint64_t drop_limit;	/* handshakes and questions beyond the limits */
	uint64_t drop_send;	/* refused by our socket */
	uint64_t lost;		/* packets sent that the peer missed */
	uint64_t resent;	/* packets that it carried once more */
	uint64_t copies;	/* sent to see whether it works */
	uint64_t parity;	/* packets sent, of others xored */
	uint64_t restored;	/* lost packets that the peer's were good for */
	uint64_t trials;	/* times it had to prove itself */
	uint64_t held;		/* packets it brought that had to wait, */
	uint64_t late;		/* that others had ceased to wait for, */
	uint64_t duplicates;	/* that had come before */
	/* before the numbers of the peer began anew; meter has the rest */
	uint64_t lost_before, reordered_before;
};

/* Priority packets go ahead of the queue only as long as they leave room. */
struct priority_meter {
	mono_t debt; /* of the line's time they used, drained at half speed */
	mono_t drained_at;
	bool demoted; /* they queue like all others until the debt is lower */
};

/* The peer's totals, of which only the growth means anything. */
struct told {
	uint32_t bytes, packets;
	uint64_t highest;
};

struct link {
	/* conf */
	bool used;
	unsigned slot;
	struct conf_link conf;

	/* state: how to reach the peer */
	int family;			  /* of our socket; 0: there is none */
	union addr addrs[LINK_ADDRS_MAX]; /* what remotehost resolved to */
	size_t naddrs, addr_next;
	struct path path;  /* where the peer was proven to be */
	mono_t socket_at;  /* next request for a socket; MONO_NEVER: none due */
	mono_t resolve_at; /* next request for addresses */
	unsigned socket_tries, resolve_tries; /* for the back-off */

	/* state: keys */
	struct session cur;  /* seals, opens */
	struct session prev; /* opens what was on its way at a change of keys */
	mono_t prev_until;
	bool prev_is_gone;  /* of a link that has begun anew since */
	bool prev_has_died; /* of a process that has */
	/* client: answered, not yet used by the server */
	struct hs_agreement next;
	struct path next_path;
	struct hs_client attempt; /* client */
	mono_t hello_at;	  /* client: next HELLO; MONO_NEVER: none due */
	mono_t hello_sent_at;	  /* the last one */
	unsigned hello_tries;	  /* since the last session */
	/* client: once more when next is in force; server: wanted */
	bool renew;
	mono_t confirm_at; /* client: next packet under next */
	unsigned confirm_tries;
	struct hs_pending pending[LINK_PENDING_MAX]; /* server */
	mono_t reject_at;  /* server: no earlier REJECT than this */
	uint64_t instance; /* ours, as handshake.h has it */
	uint64_t peer_instance;
	uint8_t wire_id; /* the link's number on the wire: the client's slot */
	uint16_t peer_mtu; /* bytes; of the peer's tunnel device */
	uint64_t peer_tx_Bps, peer_rx_Bps; /* as the peer configured them */

	/* state: traffic */
	bool up;
	bool in_use;	  /* carries packets: the fittest links do */
	mono_t failed_at; /* it went down */
	mono_t up_at;	  /* of the last change */
	uint64_t tx_seq;  /* of the next packet; never goes back */
	struct pacer pacer;
	uint64_t vtime; /* scheduler: work done, weighted by rate */
	struct priority_meter priority; /* what went ahead of the queue */
	struct retain retain;		/* sent, not yet acknowledged */
	struct meter meter;		/* received, for our reports */
	struct parity_tx parity_tx;	/* sent since the last one */
	struct parity_worth parity_worth;
	struct parity_rx parity_rx; /* received lately */
	struct delay delay;	    /* one way, as the peer reports it */
	mono_t delay_est;	    /* the same beside the other links' */
	struct fq_ahead ahead_of;   /* its packets: what faster links bring */
	bool starved;		    /* no flow has enough waiting for it */
	struct rate rate;	    /* that the line was found to carry */
	struct told told;	    /* totals in the peer's last report */
	uint64_t unreported; /* bytes sent that those do not cover, at most */
	bool idled;	     /* it could have carried more since that report */
	bool quiet;	     /* something on it is overdue: rather not more */
	struct trial trial;
	struct loss_span loss;
	mono_t alive_at; /* the latest instant we sent something that arrived */
	mono_t keepalive_at;  /* last KEEPALIVE sent */
	bool asked;	      /* the peer wants a report by it */
	mono_t answered_at;   /* last report that the peer asked for */
	mono_t answers_at;    /* when all other answers so far are paid for */
	mono_t srtt, rttvar;  /* RFC 6298; 0: not known */
	uint32_t rx_stamp;    /* the peer's, of its last packet */
	mono_t rx_stamp_at;   /* when that came; 0: none yet */
	uint64_t rx_highest;  /* of the peer's link sequence */
	uint64_t rx_received; /* packets of the peer's sequence */
	uint64_t counted;     /* rx_received as last told to the peer */
	struct loss_meter tx_loss, rx_loss;
	uint64_t probe; /* 8 random bytes for a new address; 0: none running */
	struct path probe_path;
	mono_t probe_at;

	/* stats */
	struct link_stats stats;
	struct log_limit log_auth, log_mismatch, log_size, log_loss;
};

/* A datagram of the link's socket, as far as it has been opened. */
struct link_arrival {
	const struct path *from;
	size_t outer_bytes;
	struct wire_header h;
	struct session *s;
	struct hs_pending *pending; /* server: whose s is, not yet in force */
	struct wire_inner in;
	uint8_t *packet; /* that was inside, in place */
	size_t len;
};

/* A CONTROL packet to be sent. */
struct link_control {
	enum wire_control control;
	const void *payload;
	size_t len;
	struct session *s;	 /* NULL: that in force */
	const struct path *path; /* NULL: the link's own */
};

/* A datagram that may be a handshake message. */
struct hs_dgram {
	const uint8_t *msg;
	size_t len;
	const struct path *from;
};

/* A new link in its slot; asks for what it needs at the next run. */
void link_init(struct tunnel *t, struct link *l, unsigned slot,
    const struct conf_link *conf, mono_t now);
/* Tells the peer, wipes keys; the slot is free afterwards.  reason is for the
 * log. */
void link_close(
    struct tunnel *t, struct link *l, const char *reason, mono_t now);
/* New rates, time-out, overhead and the like. */
void link_tune(
    struct tunnel *t, struct link *l, const struct conf_link *conf, mono_t now);
/* 2, 4, 8 ... 64 s for the first, second, third try and so on, less up to a
 * quarter, so that links do not keep step. */
mono_t link_back_off(struct tunnel *t, unsigned tries);
/* link_run.c: all that is due now; returns when it wants to be called again. */
mono_t link_run(struct tunnel *t, struct link *l, mono_t now);
/* A datagram of the link's socket; takes over pb. */
void link_input(struct tunnel *t, struct link *l, struct pktbuf *pb,
    const struct path *from, mono_t now);
/* Seals and sends one inner packet; the caller keeps pb. */
void link_send_data(
    struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now);
/* The same once more, to see whether the line works. */
void link_send_copy(
    struct tunnel *t, struct link *l, struct pktbuf *pb, mono_t now);
/* The parity of what it carried lately. */
void link_send_parity(struct tunnel *t, struct link *l, mono_t now);
/* A report of the peer: how fast packets arrive; span is the peer's time since
 * the one before, 0 for the first. */
void link_take_rate(struct tunnel *t, struct link *l,
    const struct report_link *r, mono_t span, mono_t now);
/* The peer began anew: what is known of the line's packets is void. */
void link_forget_traffic(struct tunnel *t, struct link *l);
/* Wipes everything that a handshake yielded. */
void link_forget_keys(struct link *l);
/* Our totals for the peer; returns their length, 0 when not worth it. */
size_t link_put_counts(struct link *l, uint8_t out[WIRE_COUNTS_LEN]);
/* Sends a handshake message as it is. */
void link_send_hs(struct tunnel *t, struct link *l, const uint8_t msg[HS_LEN],
    const struct path *path, mono_t now);
/* Seals and sends a CONTROL packet; false: there is no socket, or no room. */
bool link_send_control(
    struct tunnel *t, struct link *l, const struct link_control *c, mono_t now);
/* "192.0.2.1:5080", IPv4 also where the socket is of IPv6. */
const char *link_addr_text(const union addr *a, char buf[ADDRTEXT_MAX]);
/* a as the link's socket takes it; -1: its family does not fit. */
int link_map_addr(const struct link *l, union addr *a);
/* The tunnel's keepalive tick. */
void link_keepalive(struct tunnel *t, struct link *l, mono_t now);
/* A CONTROL packet that proved authentic. */
void link_control(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now);
/* Changes of state; reason is for the log, NULL stays silent. */
void link_set_up(struct tunnel *t, struct link *l, mono_t now);
void link_set_down(
    struct tunnel *t, struct link *l, const char *reason, mono_t now);
/* Takes over the rate that both ends' wishes make. */
void link_set_rate(struct tunnel *t, struct link *l, mono_t now);
/* One-way time to the peer if nothing waits: half the RTT of the fastest link
 * and what the reports say of the differences. */
mono_t link_delay(const struct link *l);

/* link_hs.c: handshakes of both roles. */
void link_hs_input(
    struct tunnel *t, struct link *l, const struct hs_dgram *m, mono_t now);
/* Client: sends what is due; returns when something is due again. */
mono_t link_hs_run(struct tunnel *t, struct link *l, mono_t now);
/* New keys as soon as possible, without loss; a server asks its client. */
void link_hs_renew(struct tunnel *t, struct link *l, mono_t now);
/* Server: asks the client for the handshake that is wanted, if one is. */
void link_hs_ask(struct tunnel *t, struct link *l, mono_t now);
/* The session of a's epoch and what it is pending in; false: there is none. */
bool link_hs_find(struct link *l, struct link_arrival *a, mono_t now);
/* a, under a session not yet in force, proved authentic: puts that into force;
 * the caller takes the link up. */
void link_hs_confirmed(
    struct tunnel *t, struct link *l, const struct link_arrival *a, mono_t now);
/* Drops all that is not in force. */
void link_hs_reset(struct link *l);
/* Drops what still needs the keys of a password. */
void link_hs_abandon(struct link *l);

#endif
