/*
 * Line emulator: a process that stands between two ends of each line of a lab
 * and treats its packets as an operator's network does.
 *
 * emu_path.c   the model of one direction of a line; pure, time is passed in
 * emu_port.c   AF_PACKET: frames in and out of one interface, pcap
 * emu_control.c  text commands and counters
 * lineemu.c    the loop
 */
#ifndef EMU_H
#define EMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EMU_LINES 16
#define EMU_BATCH 64
#define EMU_NEVER INT64_MAX
#define ETHER_BYTES 14

/* All instants are nanoseconds of CLOCK_MONOTONIC. */
typedef int64_t emu_time_t;

struct frame {
	struct frame *next;
	emu_time_t arrived_at;
	emu_time_t at; /* end of transmission, then delivery */
	uint32_t len;  /* with the Ethernet header */
	bool twice;    /* deliver a duplicate */
	unsigned char data[];
};

struct fifo {
	struct frame *head;
	struct frame *tail;
};

/* One random sequence per purpose: a change of the jitter does not change
 * which packets are lost. */
struct rng {
	uint64_t s[2];
};

struct path_conf {
	int64_t rate_bps;    /* 0: infinite */
	int64_t queue_bytes; /* tail drop above */
	int64_t delay_ns;
	int64_t jitter_ns; /* sigma of a normal distribution */
	int64_t late_ns;   /* extra delay of a reordered packet */
	double loss;	   /* fraction of the packets */
	double burst;	   /* mean length of a loss burst, packets */
	double dup;
	double reorder;
	double flip;
	int64_t up; /* 0: a black hole */
	int64_t window_ns;
	int64_t depth_bps; /* rate of the bucket of depth_max; 0: off */
};

struct path_stats {
	uint64_t in_packets, in_bytes;
	uint64_t out_packets, out_bytes;
	uint64_t lost, drop_queue, drop_down;
	uint64_t duplicated, reordered, flipped;
	int64_t queue_max_ns;
	int64_t queue_sum_ns; /* of all transmitted packets */
	uint64_t transmitted;
	int64_t late_max_ns; /* worst lateness of the emulator itself */
	int64_t window_max_bytes;
	int64_t depth_max_bytes;
	emu_time_t first_at, last_at;
};

#define WINDOW_SLOTS 16384

/* What entered the line lately, for the largest sum over any window. */
struct window {
	struct {
		emu_time_t at;
		uint32_t len;
	} slot[WINDOW_SLOTS];
	uint32_t head, count;
	int64_t bytes;
	int64_t depth_bytes;
	emu_time_t depth_at;
};

/* One direction of a line. */
struct path {
	struct path_conf conf;

	struct rng loss_rng, jitter_rng, dup_rng, reorder_rng, flip_rng;
	bool in_burst;
	struct fifo queue;  /* in or before transmission */
	struct fifo flight; /* on the way, in order */
	struct fifo late;   /* on the way, overtaken by others */
	int64_t queued_bytes;
	emu_time_t free_at; /* end of the last transmission */
	emu_time_t flight_at, late_at;
	struct window window;

	struct path_stats stats;
};

/* One interface of the emulator. */
struct port {
	char name[16];
	int fd; /* -1: absent */
	uint64_t missed;
	uint64_t send_errors;
};

/* Port 0 is the side of a; path 0 (up) goes from port 0 to port 1. */
struct line {
	bool used;
	struct port port[2];
	struct path path[2];
	FILE *pcap;
};

struct emu {
	struct line line[EMU_LINES + 1]; /* 1.. */
	uint64_t seed;
	int epoll_fd;
	int control_fd;
	int64_t tick_ns; /* the loop runs at most this often */
	bool quit;
};

/* emu_path.c */
void pool_init(size_t frame_bytes, size_t frames);
struct frame *pool_get(void);
void pool_put(struct frame *);
size_t pool_frame_bytes(void);
struct frame *fifo_take(struct fifo *);
void path_init(struct path *, uint64_t seed, int line, int direction);
void path_input(struct path *, struct frame *, emu_time_t arrived_at);
void path_cut(struct path *);
struct frame *path_output(struct path *, emu_time_t now);
emu_time_t path_next(const struct path *);
void path_reset(struct path *);

/* emu_port.c */
int port_open(struct port *, const char *name, int epoll_fd, uint32_t tag);
void port_close(struct port *, int epoll_fd);
int port_receive(struct line *, int side, int epoll_fd);
void port_send(struct line *, int side, struct fifo *);
FILE *pcap_open(const char *path);

/* emu_control.c */
void control_request(
    struct emu *, const char *request, char *answer, size_t size);

emu_time_t emu_now(void);

#endif
