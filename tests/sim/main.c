/*
 * The runner of all simulations. CK_RUN_SUITE=sim_NAME runs one alone,
 * CK_FORK=no keeps it in this process, SIM_VERBOSE=1 shows what the engines
 * log.
 */
#include "config.h"

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

#include "tunnel/crypto.h"

/* One line for each sim_NAME.c. */
#define SUITES(suite)                                                          \
	suite(up) suite(fail) suite(reload) suite(silence) suite(share)        \
	    suite(delay) suite(rekey) suite(number) suite(attack)              \
		suite(hostile) suite(memory) suite(order) suite(ahead)         \
		    suite(jitter) suite(property) suite(random)

#define DECLARE(name) Suite *sim_##name##_suite(void);
#define POINTER(name) sim_##name##_suite,

/* clang-format off */
SUITES(DECLARE)

static Suite *(*const suites[])(void) = { SUITES(POINTER) };
/* clang-format on */

int
main(void)
{
	SRunner *runner = srunner_create(NULL);
	size_t i;
	int failed;

	if (crypto_init() == -1)
		return EXIT_FAILURE;
	for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
