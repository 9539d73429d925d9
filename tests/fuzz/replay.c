/*
 * Runs a fuzz harness over stored inputs, with any compiler: one binary for
 * each harness, fuzz_NAME.c and this file. What libFuzzer once found stays
 * found.
 *
 *	replay_NAME DIRECTORY-OR-FILE...
 */
#include "config.h"

#include <sys/stat.h>

#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A harness may have something to do once, before all inputs. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned long replayed;

/* The input has exactly its length, so that a sanitizer sees every overrun. */
static void
replay_file(const char *path)
{
	struct stat st;
	uint8_t *data;
	size_t len;
	FILE *f = fopen(path, "rb");

	if (f == NULL || fstat(fileno(f), &st) == -1)
		err(1, "%s", path);
	len = (size_t)st.st_size;
	data = malloc(len > 0 ? len : 1);
	if (data == NULL)
		err(1, "malloc");
	if (fread(data, 1, len, f) != len)
		errx(1, "%s: short read", path);
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	replayed++;
}

static void
replay_directory(const char *path)
{
	struct dirent **entries;
	char file[4096];
	int i, count = scandir(path, &entries, NULL, alphasort);

	if (count == -1)
		err(1, "%s", path);
	for (i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path,
			    entries[i]->d_name);
			replay_file(file);
		}
		free(entries[i]);
	}
	free(entries);
}

int
main(int argc, char **argv)
{
	struct stat st;
	int i;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == -1)
			err(1, "%s", argv[i]);
		if (S_ISDIR(st.st_mode))
			replay_directory(argv[i]);
		else
			replay_file(argv[i]);
	}
	if (replayed == 0)
		errx(1, "no input to replay");
	printf("%lu inputs replayed\n", replayed);
	return 0;
}
