/*
 * Two tunnels in virtual time: no clock, no socket, no device.  A world has a
 * client and a server, joined by lines that delay, lose, duplicate and reorder
 * datagrams, and flows that send inner packets and see what becomes of them.
 * Everything follows from the seed, so a failure repeats.
 *
 * flow ---> client -- line 0..15, dir[CLIENT] --> server ---> flow
 *      <---        <-- line 0..15, dir[SERVER] --        <---
 */
#ifndef MLVPN_TESTS_SIM_H
#define MLVPN_TESTS_SIM_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "conf/conf.h"
#include "tunnel/link.h"
#include "tunnel/tunnel.h"

enum { CLIENT, SERVER };

#define USEC NSEC_PER_USEC
#define MSEC NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define SIM_MTU 1400	  /* of the tunnel devices */
#define SIM_PACKET_MIN 72 /* bytes of an inner packet, tap included */
#define SIM_LOGS_MAX 4096
#define SIM_OUTER 28 /* IPv4 and UDP */

/* For what happens often: libcheck writes to a file at each of its asserts. */
#define SIM_MUST(condition)                                                    \
	do {                                                                   \
		if (!(condition))                                              \
			ck_abort_msg("not true: %s", #condition);              \
	} while (0)

struct sim;

typedef void sim_fn(struct sim *s, void *arg);

/* One direction of a line. */
struct sim_dir {
	/* conf */
	uint64_t rate_Bps;  /* outer bytes; 0: not limited */
	size_t overhead;    /* bytes that each packet costs beyond these */
	size_t queue_bytes; /* before that rate; 0: no limit */
	mono_t delay;
	mono_t jitter;	  /* 0..jitter more; keeps the order */
	mono_t sigma;	  /* the same, normally distributed around delay */
	double loss;	  /* 0..1 of single datagrams */
	double burst;	  /* chance that a burst of losses begins */
	double burst_end; /* chance that it ends, with each datagram */
	double dup;
	double reorder; /* part that takes reorder_delay more */
	mono_t reorder_delay;
	bool cut;
	/* state */
	mono_t free_at; /* the rate's queue is empty */
	mono_t last_at; /* arrival of the last one that keeps the order */
	bool in_burst;
	/* stats, datagrams and outer bytes at the entrance */
	uint64_t packets, bytes;
	uint64_t data, data_copied, data_lost, data_arrived;
	uint64_t data_bytes;
	uint64_t queue_drops;
};

struct sim_line {
	struct sim_dir dir[2]; /* by the end that sends */
	union addr addr[2];    /* where the peer sees each end */
};

/* What one end's configuration says; NULL: the usual. */
struct sim_end_setup {
	const char *mode;
	const char *cipher;
	const char *tuntap;
	const char *prefix;  /* one letter before the number of the line */
	const char *general; /* more lines of [general] */
	const char *link;    /* more lines for each link */
	const char *password;
	uint8_t psk; /* all bytes of the key */
};

struct sim_setup {
	unsigned lines;
	uint64_t seed;
	unsigned timeout_ms;
	uint64_t up_Bps[LINKS_MAX], down_Bps[LINKS_MAX]; /* in the files */
	bool rates_on_server;	 /* the server's file has them as well */
	mono_t delay[LINKS_MAX]; /* one way */
	unsigned removed;	 /* mask of lines that the files leave out */
	uint16_t port;		 /* added to the usual ports of the server */
	/* A busy machine: timers are late, and all stands still at times. */
	mono_t late_max;
	mono_t stall_max;
	mono_t stall_gap; /* between two, on average */
	struct sim_end_setup end[2];
};

struct sim_end {
	struct sim *sim;
	int role;
	struct tunnel *t;
	uint64_t random; /* state of what the engine gets */
	uint8_t space[TUNNEL_DGRAM_MAX];
	mono_t run_at;	   /* next call of tunnel_run; MONO_NEVER */
	mono_t busy_until; /* does not run before */
	mono_t stall_at;   /* the next time that it stands still */
	unsigned spins;	   /* runs without any progress of time */
	mono_t spin_at;
	bool no_sockets; /* requests for sockets remain unanswered */
	uint16_t next_port;
	/* stats */
	uint64_t wakeups; /* distinct instants at which it ran */
	mono_t woken_at;
	uint64_t inputs;    /* inner packets taken */
	uint64_t delivered; /* that the peer's flows sent */
	uint64_t answers;   /* ICMP that the engine made */
	uint64_t sent;	    /* datagrams */
	uint64_t sent_bytes;
	uint64_t dropped;   /* by engines that are gone */
	uint64_t refused;   /* datagrams dropped by engines that are gone */
	uint64_t gone_sent; /* inner packets sent by engines that are gone */
	uint64_t gone_data; /* DATA sealed by them, resends too */
	uint64_t gone_restored; /* packets that they made of parity */
	bool bond_up;
	uint64_t events[TUNNEL_BOND_DOWN + 1];
};

struct sim_log {
	mono_t at;
	int end; /* -1: none */
	char text[240];
};

/* A datagram on its way. */
struct sim_dgram {
	unsigned line;
	int from; /* the end; -1: somebody else */
	int to;
	union addr src, dst;
	size_t len;
	uint8_t data[];
};

/* Sees each datagram at a line's entrance, may change it; false: it is gone. */
typedef bool sim_filter_fn(struct sim *s, void *ctx, struct sim_dgram *d);

/* What an inner packet says of itself. */
struct sim_packet {
	uint32_t flow;
	uint64_t id;
	uint64_t aux[2];
	mono_t sent_at;
	size_t len;
};

struct sim_event {
	mono_t at;
	uint64_t order;
	sim_fn *fn;
	void *arg;
	bool owned; /* arg is freed afterwards */
};

struct sim {
	struct sim_setup setup;
	mono_t now, start;
	uint64_t random; /* of lines and flows */
	struct sim_event *heap;
	size_t nheap, heap_size;
	uint64_t order;
	struct sim_end end[2];
	struct sim_line line[LINKS_MAX];
	struct sim_flow *flows;
	uint32_t nflows;
	uint8_t *fate; /* by id: 1 on its way, 2 delivered */
	uint64_t nfate, fate_size;
	sim_filter_fn *filter;
	void (*arrival)(struct sim *s, void *ctx, const struct sim_dgram *d);
	void *filter_ctx; /* of both */
	int calling;	  /* the end whose engine runs */
	struct sim_log *logs;
	size_t nlogs;
};

/* --- setup.c --- */

/* Lines of 10 Mbit/s and 10 ms each way. */
struct sim_setup sim_setup(unsigned lines);
/* The end's file, parsed. */
struct conf *sim_conf(const struct sim *s, int end);

/* --- world.c --- */

struct sim *sim_new(const struct sim_setup *setup);
void sim_free(struct sim *s);
/* Until the instant start + at; sim_for: that much longer. */
void sim_until(struct sim *s, mono_t at);
void sim_for(struct sim *s, mono_t span);
/* Until n links are up (down: not up) at both ends; false after limit. */
bool sim_wait_up(struct sim *s, unsigned n, mono_t limit);
/* New world with its links up; fails the test otherwise. */
struct sim *sim_new_up(const struct sim_setup *setup);
void sim_at(struct sim *s, mono_t at, sim_fn *fn, void *arg);
/* The same; arg is freed after the call. */
void sim_at_owned(struct sim *s, mono_t at, sim_fn *fn, void *arg);
uint64_t sim_random(uint64_t *state);
double sim_chance(struct sim *s); /* 0..1 */
/* The end's process dies without a word, another one takes its place. */
void sim_restart(struct sim *s, int end);
/* The same with an orderly end. */
void sim_stop(struct sim *s, int end);
void sim_start(struct sim *s, int end);
/* Reads the setup anew, as on SIGHUP; with_psk: the password as well. */
void sim_reload(struct sim *s, int end, bool with_psk);
/* The end has something to do: runs it as soon as it is not busy. */
void sim_wake(struct sim_end *e, mono_t at);
struct link *sim_link(struct sim *s, int end, unsigned line);
/* Takes a datagram to an end as if the network had delivered it. */
void sim_inject(struct sim *s, int to, unsigned line, const union addr *src,
    const uint8_t *data, size_t len);
size_t sim_log_count(struct sim *s, int end, const char *part);
void sim_log_clear(struct sim *s);

/* Inner packets that an engine delivered and no flow has seen yet. */
uint64_t sim_handing_over(const struct sim *s);

/* --- books.c --- */

/* Every inner packet and every datagram is accounted for, none came twice. */
void sim_check(struct sim *s);
/* Datagrams that the end's engines did not take, or took and lost. */
uint64_t sim_refused(const struct sim_end *e);
/* Packets that no line brought to the end, but the parity of others. */
uint64_t sim_restored(const struct sim_end *e);
/* Inner packets that the end's engines took and did not send. */
uint64_t sim_dropped(const struct sim_end *e);

/* --- line.c --- */

void sim_line_init(struct sim *s, unsigned line);
void sim_line_send(struct sim *s, struct sim_dgram *d);
/* Both directions. */
void sim_cut(struct sim *s, unsigned line, bool cut);
/* The client's address changes: what goes to the old one is lost. */
void sim_roam(struct sim *s, unsigned line);
/* The engine's DATA, all lines, that end's direction. */
uint64_t sim_data_bytes(const struct sim *s, int end, unsigned line);

/* --- worlds.c --- */

/* Outer headers of DATA in clear: what follows is the inner packet. */
#define SIM_FRONT (WIRE_HEADER_LEN + WIRE_SESSION_LEN + WIRE_INNER_LEN)

/* 0..n */
uint64_t sim_upto(uint64_t *r, uint64_t n);
/* Of the inner packet in DATA that is not sealed, without tap. */
uint64_t sim_dgram_id(const struct sim_dgram *d);
struct wire_inner sim_dgram_inner(const struct sim_dgram *d);
/* The i-th test of so many runs that many worlds.  SIM_SEED=n: world n alone,
 * SIM_WORLDS=n: that many in each test. */
void sim_worlds(
    int i, unsigned tests, unsigned worlds, void (*run)(uint64_t seed));
/* What the configuration allows is not exceeded. */
void sim_check_memory(const struct tunnel *t);
/* Nothing waits and nothing is kept, at both ends. */
void sim_check_empty(struct sim *s);

/* --- flow.c --- */

typedef void sim_packet_fn(
    struct sim *s, struct sim_flow *f, int at, const struct sim_packet *p);

struct sim_flow {
	struct sim *sim;
	uint32_t id;
	int from; /* the end at which it enters */
	size_t len;
	uint8_t tos, proto;
	mono_t gap; /* between two packets; 0: sends itself */
	mono_t due_at, stop_at;
	sim_packet_fn *on_packet;
	void *ctx;
	/* stats */
	uint64_t sent, got, got_bytes;
	mono_t *delays;
	size_t ndelays, delays_size;
	struct sim_flow *next;
};

/* A flow that sends nothing by itself. */
struct sim_flow *sim_flow(struct sim *s, int from, size_t len);
/* One packet of len bytes every gap, from now to stop_at (start + x). */
struct sim_flow *sim_stream(
    struct sim *s, int from, size_t len, mono_t gap, mono_t stop_at);
/* A stream of 1400-byte packets of that many inner bytes per second. */
struct sim_flow *sim_load(
    struct sim *s, int from, uint64_t rate_Bps, mono_t stop_at);
/* One packet of the flow, sent by an end. */
void sim_flow_send(
    struct sim_flow *f, int end, size_t len, const uint64_t aux[2]);
/* Called for what an engine delivers. */
void sim_flow_deliver(struct sim *s, int end, const uint8_t *data, size_t len);
mono_t sim_flow_delay(struct sim_flow *f, double part);
void sim_flow_reset(struct sim_flow *f);
void sim_flows_free(struct sim *s);

/* --- bulk.c --- */

/* A model of TCP: selective acknowledgements, RACK, RTO. */
struct sim_bulk;

enum sim_cc {
	SIM_PLAIN,  /* CUBIC whose slow start ends with a loss */
	SIM_CUBIC,  /* with HyStart, which takes spread of delay for a queue */
	SIM_BBR,    /* version 1 */
	SIM_CLASSIC /* CUBIC that takes reordering for loss */
};

struct sim_bulk_stats {
	uint64_t bytes; /* of payload that arrived, each counted once */
	uint64_t resent, timeouts, probes;
	uint64_t spurious;	/* resent, and the first one arrived as well */
	uint64_t reordered[2];	/* packets behind later ones, by their sender */
	mono_t gap_max, gap_at; /* longest without progress in order */
	uint64_t acks;
};

struct sim_bulk *sim_bulk(struct sim *s, int from); /* SIM_PLAIN */
struct sim_bulk *sim_bulk_cc(struct sim *s, int from, enum sim_cc cc);
void sim_bulk_free(struct sim_bulk *b);
/* Bytes of payload that arrived, each counted once. */
uint64_t sim_bulk_bytes(const struct sim_bulk *b);
uint64_t sim_bulk_resent(const struct sim_bulk *b);
uint64_t sim_bulk_timeouts(const struct sim_bulk *b);
const struct sim_bulk_stats *sim_bulk_stats(struct sim_bulk *b);
/* Counts from now. */
void sim_bulk_reset(struct sim_bulk *b);
/* For -v of a benchmark: what it thinks of the path. */
void sim_bulk_text(const struct sim_bulk *b, char *buf, size_t size);

#endif
