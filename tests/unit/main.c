/*
 * The one runner of all unit tests. A suite is a function NAME_suite in
 * test_NAME.c and one line below. CK_RUN_SUITE=NAME runs one alone,
 * CK_FORK=no keeps it in this process, for a debugger.
 *
 * An assertion that holds is a message to this process all the same, and with
 * a sanitizer the memory of many makes every later test slow.  In a loop of
 * tens of thousands it therefore stands behind an if.
 */
#include "config.h"

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

/* clang-format off */
/* One line for each test_NAME.c. What needs libev is in the worker's program,
 * so that the linker keeps it out of everything else. */
#ifdef UNIT_WORKER
#define SUITES(suite) \
	suite(control) \
	suite(sandbox) \
	suite(status) \
	suite(udp)
#else
#define SUITES(suite) \
	suite(util) \
	suite(log) \
	suite(units) \
	suite(siphash) \
	suite(conf) \
	suite(conf_keys) \
	suite(conf_diff) \
	suite(conf_text) \
	suite(pktbuf) \
	suite(flow) \
	suite(flowq) \
	suite(icmp) \
	suite(fragment) \
	suite(codel) \
	suite(fq) \
	suite(fq_again) \
	suite(fq_ahead) \
	suite(reseq) \
	suite(reseq_ahead) \
	suite(reseq_bad) \
	suite(reseq_copies) \
	suite(reseq_queue) \
	suite(playout) \
	suite(pacer) \
	suite(parity) \
	suite(delay) \
	suite(rate) \
	suite(rate_begin) \
	suite(rate_trim) \
	suite(retain) \
	suite(wire) \
	suite(report) \
	suite(loss) \
	suite(meter) \
	suite(meter_late) \
	suite(replay) \
	suite(session) \
	suite(handshake) \
	suite(handshake_bad) \
	suite(tunnel) \
	suite(sched) \
	suite(shape) \
	suite(arq) \
	suite(feedback) \
	suite(feedback_told) \
	suite(health) \
	suite(link) \
	suite(ipc) \
	suite(request) \
	suite(hook) \
	suite(priv) \
	suite(options)
#endif

#define DECLARE(name) Suite *name##_suite(void);
#define POINTER(name) name##_suite,

SUITES(DECLARE)

static Suite *(*const suites[])(void) = { SUITES(POINTER) };
/* clang-format on */

int
main(void)
{
	SRunner *runner = srunner_create(NULL);
	size_t i;
	int failed;

	/* 4 s, the default, are few for a sanitizer on a busy machine. */
	setenv("CK_DEFAULT_TIMEOUT", "60", 0);
	for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
