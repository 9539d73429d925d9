/*
 * The request table, driven as a taken-over worker would: wrong lengths, wrong
 * states, unknown types, other people's slots, floods.  The parent behind it
 * only counts.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <check.h>

#include "base/log.h"
#include "priv/request.h"

Suite *request_suite(void);

#define GENERATION 5
#define SLOT 2	    /* there since generation 3 */
#define LATE_SLOT 4 /* there since generation 5 */
#define GONE_SLOT 6 /* taken away by generation 5 */
#define FREE_SLOT 9 /* never used */
#define START (1000 * NSEC_PER_SEC)

static struct counts {
	int ready, open[LINKS_MAX], resolve[LINKS_MAX], hook, reload, log;
	unsigned hook_slot;
	enum ipc_hook_event hook_event;
	int priority;
	char line[LOG_LINE_MAX];
} counts;

static struct requests requests;
static char own_line[LOG_LINE_MAX]; /* of the parent itself */

static void
count_ready(void *ctx)
{
	((struct counts *)ctx)->ready++;
}

static void
count_open_link(void *ctx, unsigned slot)
{
	((struct counts *)ctx)->open[slot]++;
}

static void
count_resolve(void *ctx, unsigned slot)
{
	((struct counts *)ctx)->resolve[slot]++;
}

static void
count_hook(void *ctx, enum ipc_hook_event event, unsigned slot)
{
	struct counts *c = ctx;

	c->hook++;
	c->hook_event = event;
	c->hook_slot = slot;
}

static void
count_reload(void *ctx)
{
	((struct counts *)ctx)->reload++;
}

static void
count_log(void *ctx, int priority, const char *line)
{
	struct counts *c = ctx;

	c->log++;
	c->priority = priority;
	strlcpy(c->line, line, sizeof(c->line));
}

static const struct request_ops ops = {
	.ready = count_ready,
	.open_link = count_open_link,
	.resolve = count_resolve,
	.hook = count_hook,
	.reload = count_reload,
	.log = count_log,
};

static void
keep_line(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	strlcpy(own_line, line, sizeof(own_line));
}

static void
set_up(void)
{
	memset(&counts, 0, sizeof(counts));
	requests_init(&requests, &ops, &counts);
	requests.generation = 3;
	requests_add_link(&requests, SLOT);
	requests_add_link(&requests, GONE_SLOT);
	requests.generation = GENERATION;
	requests_add_link(&requests, LATE_SLOT);
	requests_remove_link(&requests, GONE_SLOT);
	requests.state = REQUEST_RUNNING;
	own_line[0] = '\0';
	log_set_sink(keep_line, NULL);
}

static void
tear_down(void)
{
	log_set_sink(NULL, NULL);
}

static const char *
take(uint32_t type, const void *payload, size_t len)
{
	return requests_take(&requests, type, payload, len, START);
}

static const char *
take_slot(uint32_t type, uint32_t generation, uint32_t slot)
{
	struct ipc_slot m = { generation, slot };

	return take(type, &m, sizeof(m));
}

static const char *
take_hook(uint32_t generation, uint32_t slot, uint32_t event)
{
	struct ipc_hook m = { generation, slot, event };

	return take(IPC_HOOK, &m, sizeof(m));
}

static const char *
take_log(uint32_t priority, uint32_t len, size_t really, mono_t now)
{
	struct ipc_log m;

	memset(&m, 'a', sizeof(m));
	m.priority = priority;
	m.len = len;
	return requests_take(
	    &requests, IPC_LOG, &m, IPC_LOG_HEADER + really, now);
}

static int
acted(void)
{
	int i, n = counts.ready + counts.hook + counts.reload + counts.log;

	for (i = 0; i < LINKS_MAX; i++)
		n += counts.open[i] + counts.resolve[i];
	return n;
}

START_TEST(does_what_is_in_order)
{
	requests.state = REQUEST_STARTING;
	ck_assert_ptr_null(take(IPC_READY, NULL, 0));
	ck_assert_int_eq(counts.ready, 1);
	ck_assert_int_eq(requests.state, REQUEST_RUNNING);
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, GENERATION, SLOT));
	ck_assert_int_eq(counts.open[SLOT], 1);
	ck_assert_ptr_null(take_slot(IPC_RESOLVE, GENERATION, LATE_SLOT));
	ck_assert_int_eq(counts.resolve[LATE_SLOT], 1);
	ck_assert_ptr_null(take_hook(GENERATION, SLOT, HOOK_LINK_UP));
	ck_assert_uint_eq(counts.hook_slot, SLOT);
	ck_assert_ptr_null(take_hook(GENERATION, LINKS_MAX, HOOK_TUNTAP_UP));
	ck_assert_uint_eq(counts.hook_slot, LINKS_MAX);
	ck_assert_ptr_null(take(IPC_RELOAD, NULL, 0));
	ck_assert_int_eq(counts.reload, 1);
	ck_assert_ptr_null(take_log(LOG_INFO, 5, 5, START));
	ck_assert_str_eq(counts.line, "aaaaa");
}
END_TEST

static const struct {
	uint32_t type;
	size_t len;
} lengths[] = {
	{ IPC_READY, 0 },
	{ IPC_OPEN_LINK, sizeof(struct ipc_slot) },
	{ IPC_RESOLVE, sizeof(struct ipc_slot) },
	{ IPC_HOOK, sizeof(struct ipc_hook) },
	{ IPC_RELOAD, 0 },
};

START_TEST(refuses_every_length_but_the_exact_one)
{
	uint8_t zeros[sizeof(struct ipc_log) + 64] = { 0 };
	size_t len;

	for (len = 0; len < sizeof(zeros); len++) {
		if (len == lengths[_i].len)
			continue;
		ck_assert_str_eq(
		    take(lengths[_i].type, zeros, len), "wrong length");
	}
	ck_assert_int_eq(acted(), 0);
}
END_TEST

START_TEST(refuses_log_lines_whose_length_lies)
{
	ck_assert_str_eq(take(IPC_LOG, "1234567", 7), "wrong length");
	ck_assert_ptr_nonnull(take_log(LOG_INFO, 5, 4, START));
	ck_assert_ptr_nonnull(take_log(LOG_INFO, 5, 6, START));
	ck_assert_ptr_nonnull(take_log(LOG_INFO, UINT32_MAX, 6, START));
	ck_assert_ptr_nonnull(take_log(LOG_INFO, 512, 512, START));
	ck_assert_ptr_nonnull(take_log(LOG_DEBUG + 1, 5, 5, START));
	ck_assert_ptr_nonnull(take_log(LOG_AUTHPRIV | LOG_INFO, 5, 5, START));
	ck_assert_int_eq(counts.log, 0);
	ck_assert_ptr_null(take_log(LOG_INFO, 511, 511, START));
	ck_assert_uint_eq(strlen(counts.line), 511);
	ck_assert_ptr_null(take_log(LOG_INFO, 0, 0, START));
}
END_TEST

START_TEST(refuses_unknown_types_and_those_of_the_parent)
{
	uint8_t zeros[16] = { 0 };
	uint32_t type;

	for (type = 0; type < 1000; type++) {
		if (type >= IPC_READY && type <= IPC_LOG)
			continue;
		ck_assert_str_eq(take(type, zeros, 8), "unknown type");
		ck_assert_str_eq(take(type, zeros, 0), "unknown type");
	}
	ck_assert_str_eq(take(UINT32_MAX, zeros, 8), "unknown type");
	ck_assert_int_eq(acted(), 0);
}
END_TEST

START_TEST(permits_only_ready_and_log_before_ready)
{
	requests.state = REQUEST_STARTING;
	ck_assert_str_eq(
	    take_slot(IPC_OPEN_LINK, GENERATION, SLOT), "not permitted now");
	ck_assert_str_eq(
	    take_slot(IPC_RESOLVE, GENERATION, SLOT), "not permitted now");
	ck_assert_str_eq(
	    take_hook(GENERATION, SLOT, HOOK_LINK_UP), "not permitted now");
	ck_assert_str_eq(take(IPC_RELOAD, NULL, 0), "not permitted now");
	ck_assert_int_eq(acted(), 0);
	ck_assert_ptr_null(take_log(LOG_INFO, 1, 1, START));
}
END_TEST

START_TEST(permits_ready_once)
{
	requests.state = REQUEST_STARTING;
	ck_assert_ptr_null(take(IPC_READY, NULL, 0));
	ck_assert_ptr_nonnull(take(IPC_READY, NULL, 0));
	requests.state = REQUEST_STARTING;
	ck_assert_str_eq(take(IPC_READY, NULL, 0), "not permitted twice");
	ck_assert_int_eq(counts.ready, 1);
}
END_TEST

START_TEST(refuses_slots_and_generations_that_are_not_there)
{
	static const struct {
		uint32_t generation, slot;
	} wrong[] = {
		{ GENERATION, LINKS_MAX },
		{ GENERATION, UINT32_MAX },
		{ 1, LINKS_MAX },
		{ 0, SLOT },
		{ GENERATION + 1, SLOT },
		{ UINT32_MAX, SLOT },
		{ GENERATION, FREE_SLOT },
		{ 1, FREE_SLOT },
	};
	size_t i;

	for (i = 0; i < nitems_of(wrong); i++) {
		ck_assert_ptr_nonnull(take_slot(
		    IPC_OPEN_LINK, wrong[i].generation, wrong[i].slot));
		ck_assert_ptr_nonnull(
		    take_slot(IPC_RESOLVE, wrong[i].generation, wrong[i].slot));
		ck_assert_ptr_nonnull(take_hook(
		    wrong[i].generation, wrong[i].slot, HOOK_LINK_DOWN));
	}
	ck_assert_int_eq(acted(), 0);
}
END_TEST

START_TEST(ignores_what_a_reload_has_overtaken)
{
	/* The slot had no link, or another one, in generation 4. */
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, 4, LATE_SLOT));
	ck_assert_ptr_null(take_slot(IPC_RESOLVE, 4, GONE_SLOT));
	ck_assert_ptr_null(take_hook(GENERATION, GONE_SLOT, HOOK_LINK_DOWN));
	ck_assert_int_eq(acted(), 0);
	/* But a link that was there then and now is meant. */
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, 4, SLOT));
	ck_assert_int_eq(counts.open[SLOT], 1);
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, 2, SLOT));
	ck_assert_int_eq(counts.open[SLOT], 1);
	requests.generation++;
	ck_assert_ptr_nonnull(
	    take_slot(IPC_RESOLVE, GENERATION + 1, GONE_SLOT));
}
END_TEST

START_TEST(refuses_hook_events_that_do_not_exist)
{
	ck_assert_ptr_nonnull(take_hook(GENERATION, SLOT, HOOK_EVENTS));
	ck_assert_ptr_nonnull(take_hook(GENERATION, SLOT, UINT32_MAX));
	ck_assert_ptr_nonnull(take_hook(GENERATION, SLOT, HOOK_TUNTAP_UP));
	ck_assert_ptr_nonnull(take_hook(GENERATION, LINKS_MAX, HOOK_LINK_UP));
	ck_assert_int_eq(acted(), 0);
}
END_TEST

START_TEST(answers_too_many_sockets_later)
{
	mono_t at, now = START;
	int i, asked = 100;

	for (i = 0; i < asked; i++)
		ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, GENERATION, SLOT));
	ck_assert_int_eq(counts.open[SLOT], 4);
	/* Another link is not held up. */
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, GENERATION, LATE_SLOT));
	ck_assert_int_eq(counts.open[LATE_SLOT], 1);
	at = requests_run(&requests, now);
	ck_assert_int_gt(at, now);
	ck_assert_int_le(at, now + NSEC_PER_SEC);
	ck_assert_int_eq(counts.open[SLOT], 4);
	/* The latest of them, once. */
	ck_assert_int_eq(requests_run(&requests, at), MONO_NEVER);
	ck_assert_int_eq(counts.open[SLOT], 5);
	ck_assert_int_eq(
	    requests_run(&requests, at + 60 * NSEC_PER_SEC), MONO_NEVER);
	ck_assert_int_eq(counts.open[SLOT], 5);
}
END_TEST

START_TEST(forgets_a_late_socket_of_a_removed_link)
{
	int i;

	for (i = 0; i < 10; i++)
		ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, GENERATION, SLOT));
	requests.generation++;
	requests_remove_link(&requests, SLOT);
	ck_assert_int_eq(
	    requests_run(&requests, START + NSEC_PER_SEC), MONO_NEVER);
	ck_assert_int_eq(counts.open[SLOT], 4);
}
END_TEST

START_TEST(drops_and_counts_log_lines_of_a_flood)
{
	mono_t at;
	int i;

	for (i = 0; i < 10000; i++)
		if (take_log(LOG_ERR, 20, 20, START) != NULL)
			ck_abort_msg("line %d was refused", i);
	ck_assert_int_eq(counts.log, 200);
	at = requests_run(&requests, START);
	ck_assert_int_gt(at, START);
	ck_assert_str_eq(own_line, "");
	ck_assert_int_eq(requests_run(&requests, at), MONO_NEVER);
	ck_assert_str_eq(
	    own_line, "worker: 9800 log lines left out, they came too fast");
	/* 50 a second from then on. */
	for (i = 0; i < 1000; i++)
		ck_assert_ptr_null(
		    take_log(LOG_ERR, 1, 1, START + NSEC_PER_SEC));
	ck_assert_int_eq(counts.log, 250);
}
END_TEST

START_TEST(ignores_requests_while_stopping_but_hears_the_end)
{
	requests.state = REQUEST_STOPPING;
	ck_assert_ptr_null(take_slot(IPC_OPEN_LINK, GENERATION, SLOT));
	ck_assert_ptr_null(take_slot(IPC_RESOLVE, GENERATION, SLOT));
	ck_assert_ptr_null(take(IPC_RELOAD, NULL, 0));
	ck_assert_int_eq(acted(), 0);
	ck_assert_ptr_null(take_log(LOG_INFO, 3, 3, START));
	ck_assert_ptr_null(take_hook(GENERATION, SLOT, HOOK_LINK_DOWN));
	ck_assert_int_eq(acted(), 2);
	ck_assert_ptr_nonnull(take(IPC_STOP, NULL, 0));
}
END_TEST

START_TEST(survives_random_messages)
{
	uint8_t bytes[sizeof(struct ipc_log)];
	uint32_t x = 12345;
	size_t i, len;
	int n;

	for (n = 0; n < 200000; n++) {
		for (i = 0; i < sizeof(struct ipc_hook); i++) {
			x = x * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(x >> 24) & 7;
		}
		x = x * 1664525 + 1013904223;
		len = (x >> 16) % 24;
		(void)requests_take(&requests, (x >> 8) % 9, bytes, len, START);
		requests.state = 1U << (x >> 5) % 3;
		(void)requests_run(&requests, START);
	}
	ck_assert_int_le(counts.open[SLOT], 4);
	ck_assert_int_eq(counts.open[FREE_SLOT], 0);
}
END_TEST

Suite *
request_suite(void)
{
	Suite *s = suite_create("request");
	TCase *tc = tcase_create("table");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, does_what_is_in_order);
	tcase_add_loop_test(tc, refuses_every_length_but_the_exact_one, 0,
	    (int)nitems_of(lengths));
	tcase_add_test(tc, refuses_log_lines_whose_length_lies);
	tcase_add_test(tc, refuses_unknown_types_and_those_of_the_parent);
	tcase_add_test(tc, permits_only_ready_and_log_before_ready);
	tcase_add_test(tc, permits_ready_once);
	tcase_add_test(tc, refuses_slots_and_generations_that_are_not_there);
	tcase_add_test(tc, ignores_what_a_reload_has_overtaken);
	tcase_add_test(tc, refuses_hook_events_that_do_not_exist);
	tcase_add_test(tc, answers_too_many_sockets_later);
	tcase_add_test(tc, forgets_a_late_socket_of_a_removed_link);
	tcase_add_test(tc, drops_and_counts_log_lines_of_a_flood);
	tcase_add_test(tc, ignores_requests_while_stopping_but_hears_the_end);
	tcase_add_test(tc, survives_random_messages);
	suite_add_tcase(s, tc);
	return s;
}
