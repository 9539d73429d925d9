/*
 * The engine: bonds the links into one tunnel.  Pure: no system call, no clock,
 * no allocation per packet; the worker (or a simulator) hands in packets,
 * datagrams and the time, and gets datagrams, packets and events back through
 * struct tunnel_ops.
 */
#ifndef MLVPN_TUNNEL_TUNNEL_H
#define MLVPN_TUNNEL_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "conf/conf.h"
#include "tunnel/arq.h"
#include "tunnel/feedback.h"
#include "tunnel/flow.h"
#include "tunnel/fq.h"
#include "tunnel/handshake.h"
#include "tunnel/link.h"
#include "tunnel/peer.h"
#include "tunnel/pktbuf.h"
#include "tunnel/playout.h"
#include "tunnel/reseq.h"

#define TUNNEL_DGRAM_MAX 65535
#define TUNNEL_FRAME_EXTRA 22 /* Ethernet header with two VLAN tags */

enum tunnel_event {
	TUNNEL_WANT_SOCKET,  /* the link needs a socket, or a new one */
	TUNNEL_WANT_ADDRESS, /* the link needs its remotehost resolved */
	TUNNEL_LINK_UP,
	TUNNEL_LINK_DOWN,
	TUNNEL_BOND_UP, /* the first link is up; slot is its number */
	TUNNEL_BOND_DOWN
};

struct tunnel_ops {
	/* Space for one datagram of up to size bytes, valid until send. */
	uint8_t *(*space)(void *ctx, size_t size);
	/* Sends the len bytes written to the space got last. */
	void (*send)(
	    void *ctx, unsigned slot, size_t len, const struct path *path);
	/* A packet for the tun device; takes it over. */
	void (*deliver)(void *ctx, struct pktbuf *pb);
	void (*event)(void *ctx, enum tunnel_event event, unsigned slot);
	void (*random)(void *ctx, void *buf, size_t len);
	void *ctx;
};

struct tunnel_stats {
	uint64_t tx_packets, tx_bytes; /* inner, from the device, sent */
	uint64_t rx_packets, rx_bytes; /* inner, delivered to the device */
	uint64_t tx_data;	 /* data packets sent, resends and copies too */
	uint64_t drop_no_link;	 /* no link was up */
	uint64_t drop_malformed; /* no IP packet */
	uint64_t drop_loop;	 /* addressed to one of our own link peers */
	uint64_t fragmented;	 /* packets cut for the peer's MTU */
	uint64_t drop_too_big;
	uint64_t drop_no_memory;
	uint64_t drop_device; /* refused by our own device */
	uint64_t demoted;     /* priority packets beyond their share */
	uint64_t restored;    /* received: made of the others of a group */
};

struct tunnel {
	/* conf */
	const struct conf *conf; /* owned */
	struct tunnel_ops ops;
	bool server;
	uint32_t mtu_bytes; /* of the device; 0: not known yet */
	/* state */
	uint64_t instance; /* of this process */
	uint64_t lives;	   /* links that began in it */
	bool aes_fast;
	struct hs_keys keys[2]; /* of this password and the one before */
	unsigned keys_cur;
	mono_t old_keys_until;
	struct link links[LINKS_MAX];
	size_t nup; /* links that are up */
	struct pktbuf_pool *pool;
	struct fq *fq;
	struct flow_key flow_key;
	uint64_t vtime;	    /* of the link served last */
	mono_t delay_min;   /* one way, of the fastest link in use */
	mono_t delay_max;   /* ... and of the slowest */
	uint64_t rate_Bps;  /* of the links in use together */
	size_t queue_bytes; /* that the queue may hold */
	bool trials;	    /* a link is on trial, or quiet */
	bool untuned;	    /* delays or rates changed since tunnel_retune */
	mono_t shrunk_at;   /* a link in use failed, others not long before */
	mono_t keepalive_due_at;
	bool busy;		 /* packets flowed since the last keepalive */
	uint32_t path_mtu_bytes; /* the longest packet that both devices take */
	mono_t too_big_at;	 /* no earlier answer to a longer one */
	uint32_t priority_seq[FQ_BUCKETS]; /* of the next priority packets */
	/* wire id that carried the last one in its turn; [1]: priority ones */
	uint8_t prev_link[2][FQ_BUCKETS];
	struct reseq *reseq;	 /* of what the peer sends */
	struct playout *playout; /* behind it */
	struct arq arq;
	struct feedback feedback;
	uint64_t peer_instance; /* whose numbers it knows */
	struct peer_watch watch;
	/* stats */
	struct tunnel_stats stats;
	struct log_limit log_loop;
	mono_t started_at;
};

/* Takes over conf.  NULL when out of memory or libcrypto fails. */
struct tunnel *tunnel_new(
    const struct conf *conf, const struct tunnel_ops *ops, mono_t now);
void tunnel_free(struct tunnel *t);
/* A new configuration, slots assigned; takes it over and frees the old one. */
void tunnel_reload(struct tunnel *t, const struct conf *next, mono_t now);
/* The key of conf's password; the one before is accepted for ten minutes. */
int tunnel_set_psk(struct tunnel *t, const uint8_t psk[HS_PSK_LEN], mono_t now);
/* The MTU that the device got. */
void tunnel_set_mtu(struct tunnel *t, uint32_t mtu_bytes, mono_t now);
/* A new socket for the link is of use.  False: it has come up on the one that
 * it has, and what is on its way to that would be lost. */
bool tunnel_needs_socket(const struct tunnel *t, unsigned slot);
/* The link has a socket of this family, or none any more (0, errno). */
void tunnel_link_socket(
    struct tunnel *t, unsigned slot, int family, int error, mono_t now);
void tunnel_link_addrs(struct tunnel *t, unsigned slot, const union addr *addrs,
    size_t n, mono_t now);
/* The link's socket refused a datagram with this errno. */
void tunnel_link_error(struct tunnel *t, unsigned slot, int error, mono_t now);
/* ... namely this one, which tunnel_ops.send had passed on. */
void tunnel_link_refused(struct tunnel *t, unsigned slot, const uint8_t *dgram,
    size_t len, int error, mono_t now);
/* A packet from the device; takes over pb. */
void tunnel_input(struct tunnel *t, struct pktbuf *pb, mono_t now);
/* A datagram from a link's socket; takes over pb. */
void tunnel_dgram(struct tunnel *t, unsigned slot, struct pktbuf *pb,
    const struct path *from, mono_t now);
/* This process was not running for so long, which proves nothing of any link;
 * what has come meanwhile was handed in. */
void tunnel_stalled(struct tunnel *t, mono_t span, mono_t now);
/* Does all that is due; returns the next deadline. */
mono_t tunnel_run(struct tunnel *t, mono_t now);
/* Client: new keys on all links. */
void tunnel_rekey(struct tunnel *t, mono_t now);
/* Orderly end: tells the peer on every link. */
void tunnel_stop(struct tunnel *t, mono_t now);

/* For the links. */
/* Outer IP bytes of a datagram to a peer of this address. */
size_t tunnel_outer_len(size_t len, const union addr *peer);
/* How often the client sends keepalives. */
mono_t tunnel_keepalive_interval(const struct tunnel *t);
/* What this end says of itself in a handshake of l. */
void tunnel_local(
    const struct tunnel *t, const struct link *l, struct hs_local *me);

/* shape.c */
/* Which links carry packets, and what queue and resequencer have to know of
 * them: at once, when links become fit or unfit. */
void tunnel_retune(struct tunnel *t);
/* The same before packets leave next: delays or rates are others. */
void tunnel_retune_soon(struct tunnel *t);
/* A link in use failed: what it would have carried needs a moment to drain. */
void tunnel_shrunk(struct tunnel *t, mono_t now);

/* sched.c */
/* A link whose packets come this much later than those of the fastest carries
 * none of the queue: farther than that is no satellite, and a flow would need a
 * queue of that length.  It takes over when those fail. */
#define SCHED_SPREAD_MAX (400 * NSEC_PER_MSEC)
/* The link for the next packet of the queue, or NULL while none has credit. */
struct link *sched_next(struct tunnel *t, mono_t now);
/* For a packet of a sparse flow: the link on which it arrives first, among
 * those that have credit or nearly so; never NULL while sched_next is not. */
struct link *sched_sparse(struct tunnel *t, mono_t now);
/* The link on which a priority packet arrives first, among those where such
 * packets leave room for others; NULL: it has to queue. */
struct link *sched_first(struct tunnel *t, mono_t now);
/* The link by which a lost packet arrives first, rather not one that lost it;
 * NULL: that one has no room for it now. */
struct link *sched_again(struct tunnel *t, const struct pktbuf *pb, mono_t now);
/* When there will be room on it. */
mono_t sched_again_at(struct tunnel *t, const struct pktbuf *pb, mono_t now);
/* The link other than `except` by which a control packet arrives first. */
struct link *sched_soonest(
    struct tunnel *t, const struct link *except, mono_t now);
/* May a backlogged flow use this link now? */
bool sched_is_worth_it(const struct tunnel *t, const struct link *l);
/* Counts a packet of the queue to the link's share. */
void sched_charge(struct tunnel *t, struct link *l, size_t len);
/* A link comes (back) into use: it gets no credit for the time it was away. */
void sched_join(struct tunnel *t, struct link *l);
/* Rates changed, and with them what work is: all links start even. */
void sched_restart(struct tunnel *t);
/* Counts a packet of len outer bytes that went ahead. */
void sched_charge_priority(struct link *l, size_t len, mono_t now);
/* When the queue can go on: the earliest credit of a link in use. */
mono_t sched_ready_at(const struct tunnel *t);
/* How fit a link is to carry packets, 0: not at all.  The fittest ones do:
 * first those that are not on trial, then those that are no fallback. */
int sched_fitness(const struct tunnel *t, const struct link *l);

#endif
