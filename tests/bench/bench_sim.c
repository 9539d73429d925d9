/*
 * What the engine makes of the lines that people have, in virtual time: goodput
 * against the ceiling and against the better line alone, losses and order as
 * the inner flows see them, delay of a sparse flow, overhead.
 *
 * usage: bench_sim [-lrv] [-c cubic|plain|bbr|classic|4] [-s seed]
 *                  [-t seconds] [-w seconds] [-j processes] [row...]
 *
 * -c 4: four CUBIC flows; plain: without HyStart; -r: from server to client;
 * -w: time before the measurement; -v: the bond second by second; -l: names of
 * the rows.  Columns: alone, the better line by itself (where something happens
 * to a line: the others); resent, false and rto of the inner flows; reord, bulk
 * packets behind later ones; p50, p99 and lost of 50 packets/s; over, bytes
 * beyond each inner packet sent once; the resequencer's counters.
 */
#include "config.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <check.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_sim.h"
#include "tunnel/crypto.h"

#define JOBS_MAX 5 /* for each row: the bond, and each line alone */

struct job {
	const struct bench_row *row;
	unsigned mask;
	pid_t pid; /* 0: not begun, -1: over */
};

static const struct {
	const char *name;
	enum sim_cc cc;
	unsigned flows;
} controls[] = { { "cubic", SIM_CUBIC, 1 }, { "plain", SIM_PLAIN, 1 },
	{ "bbr", SIM_BBR, 1 }, { "classic", SIM_CLASSIC, 1 },
	{ "4", SIM_CUBIC, 4 } };

static struct bench_opts opts = {
	.from = CLIENT, .cc = SIM_CUBIC, .flows = 1, .seed = 1, .seconds = 10
};
static unsigned processes = 2;
static struct job *jobs;
static struct bench_result *results; /* of each job, shared */
static size_t njobs, running;

static void
usage(void)
{
	fprintf(stderr,
	    "usage: bench_sim [-lrv] [-c cubic|plain|bbr|classic|4] [-s seed] "
	    "[-t seconds]\n\t[-w seconds] [-j processes] [row...]\n");
	exit(2);
}

static void
add_jobs(const struct bench_row *row)
{
	unsigned all = (1U << row->n) - 1;

	jobs = reallocarray(jobs, njobs + JOBS_MAX, sizeof(*jobs));
	if (jobs == NULL)
		err(1, "reallocarray");
	jobs[njobs++] = (struct job){ row, all, 0 };
	if (opts.verbose)
		return;
	if (row->scenario != NULL) { /* the others without the bad one */
		jobs[njobs++] = (struct job){ row, all & ~1U, 0 };
		return;
	}
	for (unsigned i = 0; i < row->n; i++)
		jobs[njobs++] = (struct job){ row, 1U << i, 0 };
}

/* The simulator's assertions want to be in a test. */
static size_t job;

START_TEST(run_job)
{
	bench_run(jobs[job].row, jobs[job].mask, &opts, &results[job]);
}
END_TEST

static void
run_as_test(void)
{
	Suite *suite = suite_create("bench_sim");
	TCase *tc = tcase_create("job");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, run_job);
	suite_add_tcase(suite, tc);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	if (srunner_ntests_failed(runner) > 0)
		srunner_print(runner, CK_NORMAL);
	fflush(stdout);
	_exit(0);
}

static void
begin_job(size_t i)
{
	if (opts.verbose)
		printf("%s:\n", jobs[i].row->name);
	fflush(stdout);
	if ((jobs[i].pid = fork()) == -1)
		err(1, "fork");
	if (jobs[i].pid != 0) {
		running++;
		return;
	}
	job = i;
	run_as_test();
}

static void
wait_one(void)
{
	pid_t pid = wait(NULL);

	for (size_t i = 0; i < njobs; i++)
		if (pid > 0 && jobs[i].pid == pid) {
			jobs[i].pid = -1;
			running--;
		}
}

/* --- the table --- */

static void
show_head(void)
{
	printf("%-16s %7s %6s %7s %5s %6s %5s %4s %6s %6s %6s %4s %6s %6s %5s "
	       "%5s %4s\n",
	    "row", "Mbit/s", "% ceil", "alone", "ratio", "resent", "false",
	    "rto", "reord", "p50 ms", "p99 ms", "lost", "over %", "held",
	    "late", "holes", "dead");
}

static void
show_way(const struct bench_row *row, const struct bench_result *r,
    const struct bench_result *alone, unsigned nalone, int end)
{
	const struct bench_way *w = &r->way[end];
	double best = 0;
	char name[32];

	snprintf(name, sizeof(name), "%s%s", row->name,
	    !row->both	    ? ""
	    : end == CLIENT ? " up"
			    : " down");
	for (unsigned i = 0; i < nalone; i++)
		if (alone[i].valid && alone[i].way[end].goodput > best)
			best = alone[i].way[end].goodput;
	printf("%-16s %7.2f %6.1f %7.2f %5.2f %6llu %5llu %4llu %6llu %6.1f "
	       "%6.1f %4llu %6.2f %6llu %5llu %5llu %4llu",
	    name, w->goodput, 100 * w->goodput / w->ceiling, best,
	    best == 0 ? 0 : w->goodput / best, (unsigned long long)w->resent,
	    (unsigned long long)w->spurious, (unsigned long long)w->timeouts,
	    (unsigned long long)w->reordered, w->p50, w->p99,
	    (unsigned long long)w->sparse_lost, r->overhead,
	    (unsigned long long)w->reseq.held,
	    (unsigned long long)w->reseq.late,
	    (unsigned long long)w->reseq.holes,
	    (unsigned long long)w->reseq.deadlines);
	if (w->reseq.no_memory > 0)
		printf(
		    " no memory %llu", (unsigned long long)w->reseq.no_memory);
	if (row->scenario != NULL)
		printf(
		    "\n%-16s longest gap %.0f ms; %s", "", w->gap_ms, r->note);
	printf("\n");
}

static void
show_row(size_t first, size_t end)
{
	const struct bench_row *row = jobs[first].row;
	const struct bench_result *r = &results[first];
	unsigned nalone = (unsigned)(end - first - 1);

	if (!r->valid) {
		printf("%-16s FAILED\n", row->name);
		return;
	}
	if (row->both || opts.from == CLIENT)
		show_way(row, r, r + 1, nalone, CLIENT);
	if (row->both || opts.from == SERVER)
		show_way(row, r, r + 1, nalone, SERVER);
	fflush(stdout);
}

/* Rows are shown in order, as soon as they are complete. */
static void
run_jobs(void)
{
	size_t next = 0, shown = 0, end;

	while (shown < njobs) {
		while (next < njobs && running < processes)
			begin_job(next++);
		wait_one();
		for (;;) {
			for (end = shown; end < njobs && jobs[end].pid == -1 &&
					  jobs[end].row == jobs[shown].row;)
				end++;
			if (end == shown ||
			    (end < njobs && jobs[end].row == jobs[shown].row))
				break;
			show_row(shown, end);
			shown = end;
		}
	}
}

static void
set_control(const char *name)
{
	for (size_t i = 0; i < nitems_of(controls); i++)
		if (strcmp(controls[i].name, name) == 0) {
			opts.cc = controls[i].cc;
			opts.flows = controls[i].flows;
			return;
		}
	usage();
}

static void
add_named(const char *name)
{
	for (size_t i = 0; i < bench_nrows; i++)
		if (strcmp(bench_rows[i].name, name) == 0) {
			add_jobs(&bench_rows[i]);
			return;
		}
	errx(2, "no row %s; -l lists them", name);
}

static void
list_rows(void)
{
	for (size_t i = 0; i < bench_nrows; i++)
		printf("%s\n", bench_rows[i].name);
	exit(0);
}

static void
parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:j:lrs:t:vw:")) != -1)
		switch (c) {
		case 'c':
			set_control(optarg);
			break;
		case 'j':
			processes = (unsigned)atoi(optarg);
			break;
		case 'l':
			list_rows();
			break;
		case 'r':
			opts.from = SERVER;
			break;
		case 's':
			opts.seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			opts.seconds = (unsigned)atoi(optarg);
			break;
		case 'v':
			opts.verbose = true;
			processes = 1;
			break;
		case 'w':
			opts.start_s = (unsigned)atoi(optarg);
			break;
		default:
			usage();
		}
	if (processes == 0 || opts.seconds == 0)
		usage();
	for (int i = optind; i < argc; i++)
		add_named(argv[i]);
	if (optind == argc)
		for (size_t i = 0; i < bench_nrows; i++)
			add_jobs(&bench_rows[i]);
}

int
main(int argc, char **argv)
{
	parse(argc, argv);
	if (crypto_init() == -1)
		errx(1, "libcrypto");
	results = mmap(NULL, njobs * sizeof(*results), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		err(1, "mmap");
	show_head();
	run_jobs();
	return 0;
}
