/*
 * Reading the file, the generated configuration, and mlvpn.conf.example, which
 * must work, name every key and tell the truth about it.
 */
#include "config.h"

#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "conf/conf.h"
#include "conf/conf_keys.h"

Suite *conf_text_suite(void);

static char path[] = "/tmp/mlvpn-test-XXXXXX";

static void
setup(void)
{
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	close(fd);
}

static void
teardown(void)
{
	unlink(path);
}

static void
fill(size_t len)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	while (len-- > 0)
		putc('#', f);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(a_file_is_read_whole)
{
	char *text;
	size_t len;

	ck_assert_int_eq(conf_load(path, &text, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(text, "");
	free(text);
	fill(CONF_TEXT_MAX);
	ck_assert_int_eq(conf_load(path, &text, &len), 0);
	ck_assert_uint_eq(len, CONF_TEXT_MAX);
	ck_assert_uint_eq(strlen(text), CONF_TEXT_MAX);
	free(text);
}
END_TEST

START_TEST(a_large_file_is_refused)
{
	char *text;
	size_t len;

	fill(CONF_TEXT_MAX + 1);
	ck_assert_int_eq(conf_load(path, &text, &len), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_ptr_nonnull(strstr(conf_load_error(EFBIG), "64 KiB"));
}
END_TEST

START_TEST(a_file_open_to_others_is_refused)
{
	static const mode_t good[] = { 0600, 0400, 0640, 0440, 0700 };
	static const mode_t bad[] = { 0660, 0620, 0644, 0604, 0602, 0666 };
	char *text;
	size_t i, len;

	for (i = 0; i < nitems_of(good); i++) {
		ck_assert_int_eq(chmod(path, good[i]), 0);
		ck_assert_int_eq(conf_load(path, &text, &len), 0);
		free(text);
	}
	for (i = 0; i < nitems_of(bad); i++) {
		ck_assert_int_eq(chmod(path, bad[i]), 0);
		ck_assert_int_eq(conf_load(path, &text, &len), -1);
		ck_assert_int_eq(errno, EPERM);
	}
	ck_assert_ptr_nonnull(strstr(conf_load_error(EPERM), "chmod 600"));
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
	char *text;
	size_t len;

	ck_assert_int_eq(conf_load("/dev/null", &text, &len), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(conf_load("/", &text, &len), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(conf_load(path, &text, &len), -1);
	ck_assert_int_eq(errno, ENOENT);
	/* a FIFO must not make us wait for a writer */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(conf_load(path, &text, &len), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(generated_configuration_works)
{
	static const char password[] = "kM3+9s/qZ0c5XbW7yR2hTg==";
	struct conf_errors errs;
	struct conf *conf;
	char buf[4096];

	ck_assert_int_eq(conf_generate(buf, sizeof(buf), password), 0);
	conf = conf_parse(buf, strlen(buf), &errs);
	ck_assert_msg(
	    conf != NULL, "line %u: %s", errs.list[0].line, errs.list[0].text);
	ck_assert_str_eq(conf->password, password);
	ck_assert_uint_eq(conf->nlinks, 2);
	ck_assert_int_eq(conf->ip4.family, AF_INET);
	conf_free(conf);
	ck_assert_int_eq(conf_generate(buf, 100, password), -1);
	ck_assert_int_eq(conf_generate(buf, sizeof(buf), "a\"b"), -1);
}
END_TEST

/* The example's text; to be freed. make check sets srcdir. */
static char *
load_example(void)
{
	const char *dir = getenv("srcdir");
	char name[1024], *text = calloc(1, CONF_TEXT_MAX);
	FILE *f;

	ck_assert_ptr_nonnull(text);
	snprintf(name, sizeof(name), "%s/mlvpn.conf.example",
	    dir != NULL ? dir : ".");
	f = fopen(name, "r");
	ck_assert_msg(f != NULL, "%s", name);
	ck_assert_uint_gt(fread(text, 1, CONF_TEXT_MAX - 1, f), 0);
	fclose(f);
	return text;
}

/* Puts a password between the empty quotes. */
static char *
fill_in(const char *text)
{
	static const char empty[] = "\npassword = \"";
	const char *p = strstr(text, empty);
	char *filled = calloc(1, CONF_TEXT_MAX);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(filled);
	p += strlen(empty);
	ck_assert_int_eq(*p, '"');
	snprintf(filled, CONF_TEXT_MAX, "%.*s0123456789abcdef%s",
	    (int)(p - text), text, p);
	return filled;
}

START_TEST(example_works_once_filled_in)
{
	char *text = load_example(), *filled = fill_in(text);
	struct conf_errors errs;
	struct conf *conf;

	ck_assert_ptr_null(conf_parse(text, strlen(text), &errs));
	ck_assert_uint_eq(errs.total, 1); /* the password, nothing else */
	conf = conf_parse(filled, strlen(filled), &errs);
	ck_assert_msg(
	    conf != NULL, "line %u: %s", errs.list[0].line, errs.list[0].text);
	ck_assert_uint_eq(conf->nlinks, 2);
	conf_free(conf);
	free(text);
	free(filled);
}
END_TEST

START_TEST(example_works_with_every_key_uncommented)
{
	char *text = load_example(), *filled = fill_in(text), *p, *out;
	struct conf_errors errs;
	struct conf *conf;

	/* "#key = ..." loses its #; comments proper have a blank or tab. */
	for (p = out = filled; *p != '\0'; p++)
		if (*p != '#' || (p > filled && p[-1] != '\n') || p[1] < 'a' ||
		    p[1] > 'z')
			*out++ = *p;
	*out = '\0';
	conf = conf_parse(filled, strlen(filled), &errs);
	/* the sample bindhost is IPv4, as is the sample remotehost */
	ck_assert_msg(
	    conf != NULL, "line %u: %s", errs.list[0].line, errs.list[0].text);
	ck_assert_uint_eq(conf->nroutes, 3);
	ck_assert_str_eq(conf->links[0].interface, "eth1");
	conf_free(conf);
	free(text);
	free(filled);
}
END_TEST

/* The start of the paragraph in text that holds p. */
static const char *
paragraph(const char *text, const char *p)
{
	while (p > text && strncmp(p, "\n\n", 2) != 0)
		p--;
	return p;
}

static void
explains_key(const char *text, const struct conf_key *key)
{
	char line[64], wanted[64], part[2000];
	const char *p, *start;

	snprintf(line, sizeof(line), "\n#%s = ", key->name);
	p = strstr(text, line);
	if (p == NULL) {
		snprintf(line, sizeof(line), "\n%s = ", key->name);
		p = strstr(text, line);
	}
	ck_assert_msg(p != NULL, "%s is missing", key->name);
	start = paragraph(text, p);
	snprintf(part, sizeof(part), "%.*s", (int)(p - start), start);
	if (key->fallback != NULL) {
		snprintf(wanted, sizeof(wanted), "Default: %s.", key->fallback);
		ck_assert_msg(
		    strstr(part, wanted) != NULL, "%s: %s", key->name, wanted);
	}
	ck_assert_msg(
	    strstr(part, "Default: ") != NULL, "%s: default", key->name);
	snprintf(wanted, sizeof(wanted), "SIGHUP: %s",
	    key->effect == EFFECT_RESTART ? "restart" : "applied");
	ck_assert_msg(
	    strstr(part, wanted) != NULL, "%s: %s", key->name, wanted);
}

START_TEST(example_explains_every_key)
{
	char *text = load_example();
	const char *links = strstr(text, "\n[adsl1]");
	const struct conf_key *keys;
	size_t i, count;

	ck_assert_ptr_nonnull(links);
	keys = conf_keys(&count);
	for (i = 0; i < count; i++)
		explains_key(
		    keys[i].section == IN_LINK ? links : text, &keys[i]);
	free(text);
}
END_TEST

Suite *
conf_text_suite(void)
{
	Suite *s = suite_create("conf_text");
	TCase *tc = tcase_create("file");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_file_is_read_whole);
	tcase_add_test(tc, a_large_file_is_refused);
	tcase_add_test(tc, a_file_open_to_others_is_refused);
	tcase_add_test(tc, what_is_no_regular_file_is_refused);
	suite_add_tcase(s, tc);
	tc = tcase_create("example");
	tcase_add_test(tc, generated_configuration_works);
	tcase_add_test(tc, example_works_once_filled_in);
	tcase_add_test(tc, example_works_with_every_key_uncommented);
	tcase_add_test(tc, example_explains_every_key);
	suite_add_tcase(s, tc);
	return s;
}
