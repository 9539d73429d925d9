/*
 * What the control socket tells of an engine, and the table that mlvpnctl makes
 * of it.  The engine never runs: its figures are written where they belong.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>

#include "ctl/picture.h"
#include "tunnel/tunnel.h"
#include "worker/status.h"

Suite *status_suite(void);

#define T0 (100 * NSEC_PER_SEC)
#define NOW (T0 + 10 * NSEC_PER_SEC)

static const char conf_text[] = "[general]\n"
				"mode = client\n"
				"password = abcdefghijklmnop\n"
				"[dsl]\n"
				"remotehost = 192.0.2.2\n"
				"remoteport = 5000\n"
				"bandwidth_upload = 1000000\n"
				"[lte]\n"
				"remotehost = 192.0.2.2\n"
				"remoteport = 5001\n";

static struct tunnel *t;
static struct link *dsl, *lte;
static json_t *doc;

static void
no_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 1, len);
}

static void
take_up(struct link *l, mono_t srtt)
{
	l->up = true;
	l->up_at = T0;
	l->srtt = srtt;
	t->nup++;
}

static void
setup(void)
{
	struct tunnel_ops ops = { .random = no_random };
	struct conf_errors errs;
	struct conf *conf = conf_parse(conf_text, strlen(conf_text), &errs);

	ck_assert_ptr_nonnull(conf);
	t = tunnel_new(conf, &ops, T0);
	ck_assert_ptr_nonnull(t);
	dsl = &t->links[0];
	lte = &t->links[1];
	take_up(dsl, 20 * NSEC_PER_MSEC);
	take_up(lte, 50 * NSEC_PER_MSEC);
	tunnel_retune(t);
	doc = NULL;
}

static void
teardown(void)
{
	json_decref(doc);
	tunnel_free(t);
}

/* Asks anew. */
static void
ask(void)
{
	json_decref(doc);
	doc = status_json(t, NOW);
	ck_assert_ptr_nonnull(doc);
}

/* "links.1.health.state" */
static const json_t *
at(const char *path)
{
	const json_t *v = doc;
	char copy[80], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, ".")) != NULL)
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(name))
				     : json_object_get(v, name);
	ck_assert_msg(v != NULL, "no %s", path);
	return v;
}

static void
is_text(const char *path, const char *text)
{
	ck_assert_str_eq(json_string_value(at(path)), text);
}

static void
is_number(const char *path, double value)
{
	double is = json_number_value(at(path));

	ck_assert(json_is_number(at(path)));
	ck_assert_msg(is == value, "%s is %g, not %g", path, is, value);
}

/* --- the document --- */

static const char *const link_names[] = { "name", "state", "state_s", "peer",
	"cipher", "in_use", "fallback_only", "use", "health.state",
	"health.state_s", "health.loss_percent", "health.copies_needed",
	"health.copies_in_vain", "health.relapses", "rtt_ms", "rtt_var_ms",
	"delay_rel_ms", "delay_var_ms", "delay_excess_ms", "queue_ms",
	"noise_ms", "loss_tx", "loss_rx", "rate_tx_Bps", "rate_rx_Bps",
	"rate_conf_Bps", "rate_best_Bps", "rate_phase", "rate_limited",
	"tx_bytes", "rx_bytes", "tx_packets", "rx_packets", "in_flight", "lost",
	"resent", "copies", "trials", "parity", "restored", "held", "late",
	"duplicates", "held_packets", "lost_rx", "reordered", "handshakes",
	"flaps", "drops.malformed", "drops.auth", "drops.replay",
	"drops.stranger", "drops.limit", "drops.send" };

static const char *const bond_names[] = { "state", "queue_bytes",
	"queue_packets", "queue_flows", "again_bytes", "again_packets", "marks",
	"requeued", "sojourn_ms", "delay_spread_ms", "rate_tx_Bps", "tx_bytes",
	"rx_bytes", "tx_packets", "rx_packets", "tx_data", "demoted",
	"fragmented", "drops.no_link", "drops.malformed", "drops.loop",
	"drops.too_big", "drops.no_memory", "drops.device", "drops.codel",
	"drops.overload", "order.held_bytes", "order.held_packets",
	"order.held", "order.late", "order.duplicates", "order.holes",
	"order.skipped", "order.deadlines", "order.no_memory",
	"playout.held_bytes", "playout.held_packets", "playout.held",
	"playout.no_memory", "resends.lost", "resends.resent",
	"resends.skipped", "resends.over_budget", "resends.waiting",
	"resends.budget_bytes", "reports.sent", "reports.received",
	"reports.bad", "reports.asked", "memory.limit_bytes",
	"memory.pool_bytes", "memory.io_bytes", "memory.queue_bytes",
	"memory.retain_bytes", "memory.order_bytes", "memory.playout_bytes" };

/* Programs rely on them. */
START_TEST(names_stay)
{
	char path[80];

	ask();
	is_text("version", PACKAGE_VERSION);
	is_text("mode", "client");
	is_text("cipher", "auto");
	is_number("uptime_s", 10);
	at("interface");
	at("mtu");
	at("pid");
	for (size_t i = 0; i < nitems_of(link_names); i++) {
		snprintf(path, sizeof(path), "links.1.%s", link_names[i]);
		at(path);
	}
	for (size_t i = 0; i < nitems_of(bond_names); i++) {
		snprintf(path, sizeof(path), "bond.%s", bond_names[i]);
		at(path);
	}
}
END_TEST

START_TEST(figures_are_those_of_the_engine)
{
	dsl->stats.lost = 1;
	lte->stats.lost = 2;
	lte->stats.duplicates = UINT64_C(1) << 40;
	lte->retain.data = UINT32_MAX;
	t->arq.stats.over = 3;
	t->arq.budget = -4;
	t->feedback.stats.asks = 5;
	t->stats.drop_loop = 6;
	ask();
	is_number("links.0.lost", 1);
	is_number("links.1.lost", 2);
	is_number("links.1.duplicates", (double)(UINT64_C(1) << 40));
	is_number("links.1.in_flight", UINT32_MAX);
	is_number("bond.resends.over_budget", 3);
	is_number("bond.resends.budget_bytes", -4);
	is_number("bond.reports.asked", 5);
	is_number("bond.drops.loop", 6);
	lte->retain.data = 0;
}
END_TEST

START_TEST(rates_are_those_in_force_and_those_configured)
{
	ask();
	is_number("links.0.rate_conf_Bps", 1000000);
	is_number("links.0.rate_tx_Bps", 1000000);
	is_text("links.0.rate_phase", "cruise");
	is_number("links.1.rate_conf_Bps", 0);
	is_number("links.1.rate_tx_Bps", RATE_FIRST_BPS);
	is_text("links.1.rate_phase", "start");
	ck_assert(json_is_false(at("links.0.rate_limited")));
	is_number("bond.rate_tx_Bps", 1000000 + RATE_FIRST_BPS);
}
END_TEST

START_TEST(delays_compare_with_the_fastest_link)
{
	ask();
	is_number("links.0.delay_rel_ms", 0);
	is_number("links.1.delay_rel_ms", 15);
	is_number("bond.delay_spread_ms", 15);
}
END_TEST

START_TEST(memory_is_told_by_use)
{
	struct pktbuf *pb = pktbuf_alloc(t->pool, 1000);

	ck_assert_int_eq(pktbuf_set_use(t->pool, pb, PKTBUF_RESEQ), 0);
	ask();
	ck_assert_uint_ge(pktbuf_used(t->pool, PKTBUF_RESEQ), 1000);
	is_number("bond.memory.order_bytes",
	    (double)pktbuf_used(t->pool, PKTBUF_RESEQ));
	is_number("bond.memory.retain_bytes", 0);
	is_number("bond.memory.playout_bytes", 0);
	is_number("bond.memory.limit_bytes", (double)t->conf->memory_bytes);
	pktbuf_free(t->pool, pb);
}
END_TEST

/* Takes buffers for full packets for a use until they are refused. */
static void
fill(enum pktbuf_use use, struct pktbuf_list *held)
{
	struct pktbuf *pb;

	while ((pb = pktbuf_alloc(t->pool, 1500)) != NULL) {
		TAILQ_INSERT_TAIL(held, pb, entry);
		if (pktbuf_set_use(t->pool, pb, use) == -1)
			break;
	}
}

/* Each may be full while the others are, but for room to work. */
START_TEST(memory_has_a_part_for_each_use)
{
	static const struct {
		enum pktbuf_use use;
		const char *name;
		size_t eighths;
	} parts[] = {
		{ PKTBUF_PLAYOUT, "bond.memory.playout_bytes", 1 },
		{ PKTBUF_RETAIN, "bond.memory.retain_bytes", 2 },
		{ PKTBUF_RESEQ, "bond.memory.order_bytes", 2 },
		{ PKTBUF_QUEUE, "bond.memory.queue_bytes", 3 },
	};
	struct pktbuf_list held = TAILQ_HEAD_INITIALIZER(held);
	size_t memory = (size_t)t->conf->memory_bytes, part = 0, used = 0;

	for (size_t i = 0; i < nitems_of(parts); i++) {
		fill(parts[i].use, &held);
		part = memory / 8 * parts[i].eighths;
		ask();
		used = (size_t)json_integer_value(at(parts[i].name));
		ck_assert_uint_le(used, part);
		if (i < nitems_of(parts) - 1)
			ck_assert_uint_gt(used, part - part / 64);
	}
	/* The last one has what is left but for the pool's reserve. */
	ck_assert_uint_gt(
	    pktbuf_pool_bytes(t->pool), memory - memory / 16 - memory / 64);
	ck_assert_uint_gt(used, part - part / 4);
	while (!TAILQ_EMPTY(&held)) {
		struct pktbuf *pb = TAILQ_FIRST(&held);

		TAILQ_REMOVE(&held, pb, entry);
		pktbuf_free(t->pool, pb);
	}
}
END_TEST

/* A peer that begins anew takes nothing back. */
START_TEST(losses_outlive_the_peers_process)
{
	dsl->meter.lost = 3;
	dsl->meter.reordered = 4;
	link_forget_traffic(t, dsl);
	ask();
	is_number("links.0.lost_rx", 3);
	is_number("links.0.reordered", 4);
	dsl->meter.lost = 1;
	ask();
	is_number("links.0.lost_rx", 4);
}
END_TEST

/* --- what a link is used for --- */

START_TEST(a_trial_has_a_cause_and_a_beginning)
{
	static const char *const names[] = { "silent", "lossy", "returned" };

	ask();
	is_text("links.1.use", "full");
	is_text("links.1.health.state", "fit");
	is_number("links.1.health.state_s", 10);
	lte->trial.on = true;
	lte->trial.cause = (enum health_cause)_i;
	lte->trial.since = NOW - 2 * NSEC_PER_SEC;
	lte->loss.percent = 40;
	tunnel_retune(t);
	ask();
	is_text("links.1.use", "trial");
	is_text("links.1.health.state", names[_i]);
	is_number("links.1.health.state_s", 2);
	is_number("links.1.health.loss_percent", 40);
	lte->trial.on = false;
	lte->trial.ended_at = NOW - NSEC_PER_SEC;
	tunnel_retune(t);
	ask();
	is_text("links.1.use", "full");
	is_text("links.1.health.state", "fit");
	is_number("links.1.health.state_s", 1);
}
END_TEST

START_TEST(links_that_stand_by_are_told_from_those_that_cannot)
{
	lte->conf.fallback_only = true;
	tunnel_retune(t);
	ask();
	is_text("links.1.use", "spare");
	lte->quiet = true; /* it gets copies */
	ask();
	is_text("links.1.use", "trial");
	lte->quiet = false;
	dsl->up = false;
	dsl->up_at = NOW - 3 * NSEC_PER_SEC;
	t->nup--;
	tunnel_retune(t);
	ask();
	is_text("links.0.use", "none");
	is_text("links.0.health.state", "down");
	is_number("links.0.health.state_s", 3);
	is_number("links.0.delay_rel_ms", 0);
	is_text("links.1.use", "full");
}
END_TEST

START_TEST(a_link_that_is_far_too_slow_is_for_sparse_flows)
{
	lte->srtt = 2 * SCHED_SPREAD_MAX + 40 * NSEC_PER_MSEC;
	tunnel_retune(t);
	ask();
	is_text("links.1.use", "sparse");
}
END_TEST

/* --- the table --- */

/* The row of a link or of the bond. */
static const char *
row(const char *name)
{
	static char line[256];
	struct picture p = { .live = false };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	picture_draw(&p, doc, NOW, out);
	picture_clear(&p);
	fclose(out);
	line[0] = '\0';
	for (char *rest = text, *l; (l = strsep(&rest, "\n")) != NULL;)
		if (strncmp(l, name, strlen(name)) == 0 &&
		    l[strlen(name)] == ' ')
			snprintf(line, sizeof(line), "%s", l);
	free(text);
	ck_assert_msg(line[0] != '\0', "no row %s", name);
	return line;
}

static void
row_has(const char *name, const char *part)
{
	const char *line = row(name);

	ck_assert_msg(strstr(line, part) != NULL, "no '%s': %s", part, line);
}

START_TEST(the_table_tells_what_a_link_is_used_for)
{
	lte->conf.fallback_only = true;
	tunnel_retune(t);
	ask();
	row_has("dsl", "  up     all ");
	row_has("dsl", " 20.0 ");
	row_has("dsl", " 8.00 ");
	row_has("lte", "  spare ");
	lte->conf.fallback_only = false;
	lte->trial.on = true;
	lte->trial.cause = HEALTH_LOSSY;
	tunnel_retune(t);
	ask();
	row_has("lte", "  on trial: lossy ");
	row_has("bond", " 0 packets queued ");
}
END_TEST

/* A worker of another version, or one that lies. */
START_TEST(the_table_needs_nothing_and_trusts_nothing)
{
	doc = json_pack("{s:[{s:s}, {s:s, s:s, s:s}]}", "links", "name", "old",
	    "name", "new", "use", "trial", "health", "\033[31m");
	ck_assert_ptr_nonnull(doc);
	row_has("old", " - ");
	row_has("new", "on trial: -");
	json_decref(doc);
	doc = json_pack("{s:[{s:s, s:s}]}", "links", "name", "dsl", "use",
	    "\033[31m and so on, much longer than a cell can be, which is cut "
	    "somewhere");
	row_has("dsl", " ?[31m and so on");
}
END_TEST

Suite *
status_suite(void)
{
	Suite *s = suite_create("status");
	TCase *tc = tcase_create("status");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, names_stay);
	tcase_add_test(tc, figures_are_those_of_the_engine);
	tcase_add_test(tc, rates_are_those_in_force_and_those_configured);
	tcase_add_test(tc, delays_compare_with_the_fastest_link);
	tcase_add_test(tc, memory_is_told_by_use);
	tcase_add_test(tc, memory_has_a_part_for_each_use);
	tcase_add_test(tc, losses_outlive_the_peers_process);
	tcase_add_loop_test(tc, a_trial_has_a_cause_and_a_beginning, 0, 3);
	tcase_add_test(tc, links_that_stand_by_are_told_from_those_that_cannot);
	tcase_add_test(tc, a_link_that_is_far_too_slow_is_for_sparse_flows);
	tcase_add_test(tc, the_table_tells_what_a_link_is_used_for);
	tcase_add_test(tc, the_table_needs_nothing_and_trusts_nothing);
	suite_add_tcase(s, tc);
	return s;
}
