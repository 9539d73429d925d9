/*
 * The model of one direction of a line: a byte-limited queue with tail drop,
 * a transmitter of a given rate, then loss, delay and the other accidents of
 * a network. It works in virtual time: what happens to a packet depends on
 * when it arrived, not on when the emulator was scheduled.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/mman.h>

#include <err.h>
#include <math.h>
#include <string.h>

#include "emu.h"

#define NS_PER_S 1000000000LL

static struct {
	unsigned char *base;
	size_t frame_bytes, frames, fresh;
	struct frame *unused;
} pool;

/* Reserves address space only; a page costs memory once it is used, and the
 * list of unused frames is a stack, so that few pages are. */
void
pool_init(size_t frame_bytes, size_t frames)
{
	pool.frame_bytes = frame_bytes;
	pool.frames = frames;
	pool.base = mmap(NULL, (sizeof(struct frame) + frame_bytes) * frames,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);
	if (pool.base == MAP_FAILED)
		err(1, "mmap");
}

/* Gives NULL when all frames are in use. */
struct frame *
pool_get(void)
{
	struct frame *f = pool.unused;
	size_t size = sizeof(struct frame) + pool.frame_bytes;

	if (f != NULL)
		pool.unused = f->next;
	else if (pool.fresh < pool.frames)
		f = (struct frame *)(void *)(pool.base + size * pool.fresh++);
	if (f != NULL) {
		f->next = NULL;
		f->twice = false;
	}
	return f;
}

void
pool_put(struct frame *f)
{
	f->next = pool.unused;
	pool.unused = f;
}

size_t
pool_frame_bytes(void)
{
	return pool.frame_bytes;
}

static void
fifo_put(struct fifo *q, struct frame *f)
{
	f->next = NULL;
	if (q->head == NULL)
		q->head = f;
	else
		q->tail->next = f;
	q->tail = f;
}

struct frame *
fifo_take(struct fifo *q)
{
	struct frame *f = q->head;

	if (f != NULL)
		q->head = f->next;
	return f;
}

/* splitmix64, to spread a seed. */
static uint64_t
mix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* xoroshiro128+ (Blackman, Vigna). */
static uint64_t
rng_u64(struct rng *r)
{
	uint64_t a = r->s[0], b = r->s[1], sum = a + b;

	b ^= a;
	r->s[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
	r->s[1] = (b << 37) | (b >> 27);
	return sum;
}

static double
rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

static bool
rng_hit(struct rng *r, double probability)
{
	return rng_unit(r) < probability;
}

/* Box and Muller. */
static double
rng_normal(struct rng *r)
{
	double u = 1.0 - rng_unit(r), v = rng_unit(r);

	return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979 * v);
}

void
path_init(struct path *p, uint64_t seed, int line, int direction)
{
	struct rng *all[] = { &p->loss_rng, &p->jitter_rng, &p->dup_rng,
		&p->reorder_rng, &p->flip_rng };
	uint64_t x = seed * 1000003 + (uint64_t)(line * 2 + direction);
	size_t i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		all[i]->s[0] = mix(&x);
		all[i]->s[1] = mix(&x);
	}
	p->conf.up = 1;
	p->conf.burst = 1;
	p->conf.queue_bytes = 1 << 30;
	p->conf.late_ns = 5000000;
	p->conf.window_ns = 50000000;
}

static uint32_t
ip_bytes(const struct frame *f)
{
	return f->len > ETHER_BYTES ? f->len - ETHER_BYTES : 0;
}

/* Only these are counted and meet with accidents: the chatter of neighbour
 * and group discovery would otherwise shift the random sequences. */
static bool
is_ip(const struct frame *f)
{
	if (f->len <= ETHER_BYTES || (f->data[0] & 1) != 0)
		return false;
	return (f->data[12] == 0x08 && f->data[13] == 0x00) ||
	       (f->data[12] == 0x86 && f->data[13] == 0xdd);
}

static void
window_forget(struct window *w, emu_time_t before)
{
	while (w->count > 0 &&
	       (w->slot[w->head].at <= before || w->count == WINDOW_SLOTS)) {
		w->bytes -= w->slot[w->head].len;
		w->head = (w->head + 1) % WINDOW_SLOTS;
		w->count--;
	}
}

/* The largest sum over any window ends with an arrival. */
static void
measure_arrival(struct path *p, uint32_t len, emu_time_t at)
{
	struct window *w = &p->window;
	struct path_stats *s = &p->stats;
	uint32_t tail;

	if (s->in_packets++ == 0)
		s->first_at = at;
	s->last_at = at;
	s->in_bytes += len;
	window_forget(w, at - p->conf.window_ns);
	tail = (w->head + w->count++) % WINDOW_SLOTS;
	w->slot[tail].at = at;
	w->slot[tail].len = len;
	w->bytes += len;
	if (w->bytes > s->window_max_bytes)
		s->window_max_bytes = w->bytes;
	if (p->conf.depth_bps == 0)
		return;
	w->depth_bytes -= (int64_t)((double)(at - w->depth_at) *
				    (double)p->conf.depth_bps / 8e9);
	if (w->depth_bytes < 0 || w->depth_at == 0)
		w->depth_bytes = 0;
	w->depth_at = at;
	w->depth_bytes += len;
	if (w->depth_bytes > s->depth_max_bytes)
		s->depth_max_bytes = w->depth_bytes;
}

/* Two states, Gilbert: all is lost in the bad one, whose mean length is
 * `burst` packets and whose share is `loss`. */
static bool
is_lost(struct path *p)
{
	double loss = p->conf.loss, burst = p->conf.burst;
	double enter, draw = rng_unit(&p->loss_rng);

	if (loss <= 0.0)
		return p->in_burst = false;
	if (loss >= 1.0)
		return true;
	if (burst <= 1.0)
		return draw < loss;
	enter = loss / (burst * (1.0 - loss));
	if (p->in_burst)
		p->in_burst = draw >= 1.0 / burst;
	else
		p->in_burst = draw < enter;
	return p->in_burst;
}

/* Adds a change of one 16-bit word to an Internet checksum (RFC 1624). */
static void
checksum_fix(unsigned char *sum, unsigned before, unsigned after)
{
	unsigned x = (unsigned)(sum[0] << 8 | sum[1]);

	x = (~x & 0xffff) + (~before & 0xffff) + after;
	x = (x & 0xffff) + (x >> 16);
	x = ~((x & 0xffff) + (x >> 16)) & 0xffff;
	sum[0] = (unsigned char)(x >> 8);
	sum[1] = (unsigned char)x;
}

/* Flips one bit of the payload. The checksum of UDP follows the change, else
 * the kernel would catch it before the daemon sees it. */
static void
flip_bit(struct path *p, struct frame *f)
{
	uint64_t draw = rng_u64(&p->flip_rng) >> 8;
	size_t head = ETHER_BYTES, at, word;
	unsigned before;
	bool v4 = f->data[12] == 0x08, udp;

	head += v4 ? (f->data[ETHER_BYTES] & 15) * 4u : 40u;
	udp = f->data[ETHER_BYTES + (v4 ? 9 : 6)] == 17;
	if (f->len <= head + 8)
		return;
	at = head + 8 + (draw >> 3) % (f->len - head - 8);
	word = at - (at - head) % 2;
	before = (unsigned)(f->data[word] << 8);
	if (word + 1 < f->len)
		before |= f->data[word + 1];
	f->data[at] ^= (unsigned char)(1 << (draw & 7));
	p->stats.flipped++;
	if (udp && (f->data[head + 6] | f->data[head + 7]) != 0)
		checksum_fix(f->data + head + 6, before,
		    (unsigned)(f->data[word] << 8 |
			       (word + 1 < f->len ? f->data[word + 1] : 0)));
}

/* A packet has left the transmitter at `end`: onto the way, or lost. */
static void
transmitted(struct path *p, struct frame *f, emu_time_t end)
{
	struct path_conf *c = &p->conf;
	int64_t jitter = 0;
	bool ip = is_ip(f);

	if (ip && is_lost(p)) {
		p->stats.lost++;
		pool_put(f);
		return;
	}
	if (ip && c->flip > 0.0 && rng_hit(&p->flip_rng, c->flip))
		flip_bit(p, f);
	if (c->jitter_ns > 0)
		jitter = (int64_t)(rng_normal(&p->jitter_rng) *
				   (double)c->jitter_ns);
	f->at = end + c->delay_ns + jitter;
	if (f->at < end)
		f->at = end;
	f->twice = ip && c->dup > 0.0 && rng_hit(&p->dup_rng, c->dup);
	if (ip && c->reorder > 0.0 && rng_hit(&p->reorder_rng, c->reorder)) {
		f->at += c->late_ns;
		if (f->at < p->late_at)
			f->at = p->late_at;
		p->late_at = f->at;
		p->stats.reordered++;
		fifo_put(&p->late, f);
		return;
	}
	if (f->at < p->flight_at)
		f->at = p->flight_at;
	p->flight_at = f->at;
	fifo_put(&p->flight, f);
}

static void
start_head(struct path *p)
{
	struct frame *f = p->queue.head;
	emu_time_t start;
	int64_t waited;

	if (f == NULL)
		return;
	start = f->arrived_at > p->free_at ? f->arrived_at : p->free_at;
	waited = start - f->arrived_at;
	p->stats.queue_sum_ns += waited;
	if (waited > p->stats.queue_max_ns)
		p->stats.queue_max_ns = waited;
	f->at = start;
	if (p->conf.rate_bps > 0)
		f->at += (int64_t)ip_bytes(f) * 8 * NS_PER_S / p->conf.rate_bps;
}

/* Ends the transmissions that are over at `now`. */
static void
transmit(struct path *p, emu_time_t now)
{
	struct frame *f;

	while ((f = p->queue.head) != NULL && f->at <= now) {
		(void)fifo_take(&p->queue);
		p->queued_bytes -= ip_bytes(f);
		p->free_at = f->at;
		p->stats.transmitted++;
		transmitted(p, f, f->at);
		start_head(p);
	}
}

/* Takes a frame that reached the line at `arrived_at`, which never goes back
 * from one call to the next. */
void
path_input(struct path *p, struct frame *f, emu_time_t arrived_at)
{
	uint32_t len = ip_bytes(f);
	bool idle;

	if (is_ip(f))
		measure_arrival(p, len, arrived_at);
	if (!p->conf.up) {
		p->stats.drop_down++;
		pool_put(f);
		return;
	}
	transmit(p, arrived_at);
	idle = p->queue.head == NULL;
	if (!idle && p->queued_bytes + len > p->conf.queue_bytes) {
		p->stats.drop_queue++;
		pool_put(f);
		return;
	}
	f->arrived_at = arrived_at;
	p->queued_bytes += len;
	fifo_put(&p->queue, f);
	if (idle)
		start_head(p);
	transmit(p, arrived_at);
}

static void
purge(struct path *p, struct fifo *q)
{
	struct frame *f;

	while ((f = fifo_take(q)) != NULL) {
		p->stats.drop_down++;
		pool_put(f);
	}
}

/* A cable is cut: what is on the way is gone as well. */
void
path_cut(struct path *p)
{
	purge(p, &p->queue);
	purge(p, &p->flight);
	purge(p, &p->late);
	p->queued_bytes = 0;
	p->free_at = p->flight_at = p->late_at = 0;
}

/* Gives the next frame that has arrived at the far end by `now`, or NULL. */
struct frame *
path_output(struct path *p, emu_time_t now)
{
	struct fifo *q = &p->flight;
	struct frame *f;

	transmit(p, now);
	if (p->late.head != NULL &&
	    (q->head == NULL || p->late.head->at < q->head->at))
		q = &p->late;
	if (q->head == NULL || q->head->at > now)
		return NULL;
	f = fifo_take(q);
	if (now - f->at > p->stats.late_max_ns)
		p->stats.late_max_ns = now - f->at;
	if (is_ip(f)) {
		p->stats.out_packets++;
		p->stats.out_bytes += ip_bytes(f);
		p->stats.duplicated += f->twice;
	}
	return f;
}

/* When path_output() has something to do again. */
emu_time_t
path_next(const struct path *p)
{
	emu_time_t next = EMU_NEVER;

	if (p->queue.head != NULL)
		next = p->queue.head->at;
	if (p->flight.head != NULL && p->flight.head->at < next)
		next = p->flight.head->at;
	if (p->late.head != NULL && p->late.head->at < next)
		next = p->late.head->at;
	return next;
}

/* Counters and window start again; the line itself goes on. */
void
path_reset(struct path *p)
{
	memset(&p->stats, 0, sizeof(p->stats));
	memset(&p->window, 0, sizeof(p->window));
}
