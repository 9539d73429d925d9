/*
 * Properties that hold in every world: no packet comes twice, each one is
 * delivered, dropped and counted, or lost on a line; nothing spins; once the
 * lines are good again, all links are up.  SIM_SEED=n runs world n alone,
 * SIM_WORLDS=n that many in each of the 50 tests.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "watch.h"

#define WORLDS 20 /* in one test */
#define TESTS 50
#define SAMPLE (1900 * USEC)

static struct watch *watch; /* NULL: packets cannot be read */

static struct sim_setup
random_setup(uint64_t seed, uint64_t *r)
{
	static const char *const ciphers[] = { NULL, "aes-256-gcm",
		"chacha20-poly1305", "none", "none" };
	struct sim_setup su = sim_setup(1 + (unsigned)sim_upto(r, 5));
	const char *cipher = ciphers[sim_upto(r, 4)];

	if (sim_upto(r, 20) == 0)
		su.lines = 16;
	su.seed = seed;
	su.timeout_ms = 1000 + (unsigned)sim_upto(r, 9) * 1000;
	su.end[CLIENT].cipher = su.end[SERVER].cipher = cipher;
	if (sim_upto(r, 5) == 0)
		su.end[CLIENT].tuntap = su.end[SERVER].tuntap = "tap";
	if (sim_upto(r, 5) == 0)
		su.end[sim_upto(r, 1)].general = "memory = 4";
	su.rates_on_server = sim_upto(r, 2) == 0;
	for (unsigned i = 0; i < su.lines; i++) {
		su.up_Bps[i] = sim_upto(r, 5) == 0 ? 0 : 4000 << sim_upto(r, 9);
		su.down_Bps[i] =
		    sim_upto(r, 5) == 0 ? 0 : 4000 << sim_upto(r, 9);
		su.delay[i] = (mono_t)sim_upto(r, 60) * MSEC;
	}
	if (sim_upto(r, 2) == 0)
		su.late_max = 200 * USEC;
	if (sim_upto(r, 2) == 0) {
		su.stall_max = 5 * MSEC;
		su.stall_gap = 20 * MSEC;
	}
	return su;
}

static void
spoil(struct sim *s, uint64_t *r)
{
	struct sim_dir *d =
	    &s->line[sim_upto(r, s->setup.lines - 1)].dir[sim_upto(r, 1)];

	switch (sim_upto(r, 8)) {
	case 0:
		d->loss = (double)sim_upto(r, 50) / 100;
		break;
	case 1:
		d->burst = 0.01;
		d->burst_end = 0.2;
		break;
	case 2:
		d->dup = (double)sim_upto(r, 30) / 100;
		break;
	case 3:
		d->reorder = (double)sim_upto(r, 50) / 100;
		d->reorder_delay = (mono_t)sim_upto(r, 200) * MSEC;
		break;
	case 4:
		d->jitter = (mono_t)sim_upto(r, 50) * MSEC;
		break;
	case 5:
		d->rate_Bps = 10000 << sim_upto(r, 6);
		d->queue_bytes = 3000 << sim_upto(r, 6);
		break;
	case 6:
		d->cut = !d->cut;
		break;
	case 7:
		sim_roam(s, (unsigned)sim_upto(r, s->setup.lines - 1));
		break;
	default:
		d->delay = (mono_t)sim_upto(r, 300) * MSEC;
		break;
	}
}

static void
disturb(struct sim *s, uint64_t *r)
{
	unsigned line = (unsigned)sim_upto(r, s->setup.lines - 1);
	int end = (int)sim_upto(r, 1);
	struct sim_end *e = &s->end[end];

	s->calling = end;
	switch (sim_upto(r, 9)) {
	case 0:
		sim_restart(s, end);
		if (watch != NULL)
			watch->anew = true;
		break;
	case 1:
		s->setup.up_Bps[line] = 4000 << sim_upto(r, 9);
		sim_reload(s, end, false);
		break;
	case 2:
	case 3:
		tunnel_rekey(e->t, s->now);
		break;
	case 4:
		tunnel_link_error(
		    e->t, sim_link(s, end, line)->slot, ENETUNREACH, s->now);
		break;
	case 5:
		tunnel_link_socket(
		    e->t, sim_link(s, end, line)->slot, 0, ENODEV, s->now);
		break;
	case 6:
		s->setup.end[CLIENT].psk++;
		s->setup.end[SERVER].psk++;
		sim_reload(s, CLIENT, true);
		sim_reload(s, SERVER, true);
		break;
	default:
		spoil(s, r);
		break;
	}
	sim_wake(e, s->now);
}

static void
add_flow(struct sim *s, uint64_t *r)
{
	static const uint8_t tos[] = { 0, 0, 0, 0x10, 0xb8, 2 };
	struct sim_flow *f;
	mono_t stop_at = s->now - s->start + (mono_t)sim_upto(r, 300) * MSEC;

	f = sim_stream(s, (int)sim_upto(r, 1),
	    SIM_PACKET_MIN + 8 + sim_upto(r, 1400),
	    (mono_t)(100 + sim_upto(r, 10000)) * USEC, stop_at);
	f->tos = tos[sim_upto(r, 5)];
	if (sim_upto(r, 9) == 0)
		f->proto = IPPROTO_ICMP;
	if (watch != NULL)
		watch_flow(watch, f);
}

static void
sample(struct sim *s, void *arg)
{
	struct watch *w = arg;

	watch_check(w);
	sim_at(s, s->now + SAMPLE, sample, w);
}

/* In clear, what goes by the lines can be read. */
static bool
is_clear(const struct sim_setup *su)
{
	const struct sim_end_setup *es = &su->end[CLIENT];

	return es->cipher != NULL && strcmp(es->cipher, "none") == 0 &&
	       es->tuntap == NULL;
}

static void
make_good(struct sim *s)
{
	for (unsigned i = 0; i < s->setup.lines; i++)
		for (int d = 0; d < 2; d++) {
			struct sim_dir *dir = &s->line[i].dir[d];

			dir->loss = dir->burst = dir->dup = dir->reorder = 0;
			dir->jitter = 0;
			dir->in_burst = dir->cut = false;
			dir->rate_Bps = 0;
			dir->delay = 20 * MSEC;
		}
}

/* Idle: all that waits is due within seconds, and little happens. */
static void
check_idle(struct sim *s)
{
	uint64_t wakeups[2] = { s->end[0].wakeups, s->end[1].wakeups };

	sim_for(s, 20 * SEC);
	for (int i = 0; i < 2; i++) {
		struct sim_end *e = &s->end[i];

		/* Keepalives at up to 5 per shortest timeout, an answer by
		 * each line, and the end of a key change. */
		ck_assert_uint_lt(e->wakeups - wakeups[i],
		    20 * 5 * (s->setup.lines + 1) + 100);
	}
	sim_check_empty(s);
}

static void
disturb_for_a_while(struct sim *s, uint64_t *r)
{
	unsigned n = (unsigned)sim_upto(r, 8);

	sim_for(s, (mono_t)sim_upto(r, 500) * MSEC);
	for (unsigned i = 0; i < n; i++) {
		add_flow(s, r);
		disturb(s, r);
		sim_for(s, (mono_t)sim_upto(r, 400) * MSEC);
	}
}

static void
live(uint64_t seed)
{
	uint64_t r = seed * 7919 + 13;
	struct sim_setup su = random_setup(seed, &r);
	struct sim *s = sim_new(&su);
	struct watch w = { .spread = RESEQ_EXPECT_MAX,
		.delay_max = RESEQ_EXPECT_MAX };

	watch = NULL;
	if (is_clear(&su)) {
		watch = &w;
		watch_start(watch, s, seed);
		w.hold += su.late_max + 2 * su.stall_max;
		sample(s, watch);
	}
	disturb_for_a_while(s, &r);
	sim_check(s);
	make_good(s);
	if (!sim_wait_up(s, su.lines, 60 * SEC))
		ck_abort_msg(
		    "world %llu does not recover", (unsigned long long)seed);
	sim_for(s, 30 * SEC);
	check_idle(s);
	sim_check(s);
	sim_free(s);
	watch_end(&w);
}

START_TEST(every_world_keeps_its_books_and_recovers)
{
	sim_worlds(_i, TESTS, WORLDS, live);
}
END_TEST

Suite *sim_random_suite(void);

Suite *
sim_random_suite(void)
{
	Suite *suite = suite_create("sim_random");
	TCase *tc = tcase_create("random");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(
	    tc, every_world_keeps_its_books_and_recovers, 0, TESTS);
	suite_add_tcase(suite, tc);
	return suite;
}
