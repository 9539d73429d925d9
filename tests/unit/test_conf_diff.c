/*
 * Slots, and what SIGHUP has to do about each key.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "conf/conf.h"
#include "conf/conf_keys.h"

Suite *conf_diff_suite(void);

/* A client with these lines in [general] and these links, "a b c". */
static struct conf *
make(const char *general, const char *names, const char *link)
{
	char text[4000];
	size_t n;
	struct conf_errors errs;
	struct conf *conf;

	n = (size_t)snprintf(text, sizeof(text),
	    "[general]\nmode=client\npassword=x\n%s\n", general);
	for (; *names != '\0'; names++)
		if (*names != ' ')
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    "[%c]\nremotehost=h\nremoteport=1\n%s\n", *names,
			    link);
	conf = conf_parse(text, strlen(text), &errs);
	ck_assert_msg(
	    conf != NULL, "line %u: %s", errs.list[0].line, errs.list[0].text);
	return conf;
}

/* Slots as text: the name or a dot each, trailing dots cut. */
static const char *
slots(const struct conf *conf)
{
	static char buf[LINKS_MAX + 1];
	size_t i, len = 0, used = 0;

	for (i = 0; i < LINKS_MAX; i++) {
		buf[i] = conf->links[i].used ? *conf->links[i].name : '.';
		if (conf->links[i].used) {
			len = i + 1;
			used++;
		}
	}
	buf[len] = '\0';
	ck_assert_uint_eq(used, conf->nlinks);
	return buf;
}

START_TEST(slots_stay_over_reloads)
{
	static const struct {
		const char *names, *slots;
	} steps[] = {
		{ "abc", "abc" },
		{ "cba", "abc" },
		{ "ca", "a.c" },
		{ "dca", "adc" },
		{ "c", "..c" },
		{ "bxc", "bxc" },
		/* the newcomers leave the slots of the removed alone */
		{ "yzc", "..cyz" },
		{ "abcdefghijklmnop", "abcdefghijklmnop" },
		{ "qrstuvwxyzABCDEF", "qrstuvwxyzABCDEF" },
		{ "F", "...............F" },
		{ "aF", "a..............F" },
	};
	struct conf *old = NULL, *next;
	size_t i;

	for (i = 0; i < nitems_of(steps); i++) {
		next = make("", steps[i].names, "");
		conf_assign_slots(old, next);
		if (i != 7)
			ck_assert_str_eq(slots(next), steps[i].slots);
		ck_assert_uint_eq(strlen(slots(next)), strlen(steps[i].slots));
		conf_free(old);
		old = next;
	}
	conf_free(old);
}
END_TEST

START_TEST(parent_and_worker_agree)
{
	static const char *const files[] = { "abc", "bd", "dabce", "e",
		"fghe" };
	struct conf *a = NULL, *b = NULL, *next;
	size_t i;

	for (i = 0; i < nitems_of(files); i++) {
		next = make("", files[i], "");
		conf_assign_slots(a, next);
		conf_free(a);
		a = next;
		next = make("", files[i], "");
		conf_assign_slots(b, next);
		conf_free(b);
		b = next;
		ck_assert_mem_eq(a, b, sizeof(*a));
	}
	conf_free(a);
	conf_free(b);
}
END_TEST

START_TEST(links_are_told_apart)
{
	struct conf *old = make("", "abc", ""), *next = make("", "dac", "");
	struct conf_diff diff;

	conf_assign_slots(NULL, old);
	conf_assign_slots(old, next);
	conf_diff(old, next, &diff);
	ck_assert_int_eq(diff.links[0], LINK_SAME);
	ck_assert_int_eq(diff.links[1], LINK_REMOVED);
	ck_assert_int_eq(diff.links[2], LINK_SAME);
	ck_assert_int_eq(diff.links[3], LINK_ADDED);
	ck_assert_int_eq(diff.links[4], LINK_SAME);
	conf_free(old);
	conf_free(next);

	old = make("", "abcdefghijklmnop", "");
	next = make("", "Abcdefghijklmnop", "");
	conf_assign_slots(old, next);
	conf_diff(old, next, &diff);
	ck_assert_int_eq(diff.links[0], LINK_REPLACED);
	ck_assert_int_eq(diff.links[1], LINK_SAME);
	conf_free(old);
	conf_free(next);
}
END_TEST

START_TEST(same_text_makes_no_difference)
{
	static const struct conf_diff none;
	struct conf *a = make("ip4_routes=10.0.0.0/8 1.2.3.4", "ab", "");
	struct conf *b =
	    make("#\ncipher=auto\nip4_routes=1.2.3.4/32,10.0.0.0/8\n#", "ba",
		"timeout=10s\noverhead=0");
	struct conf_diff diff;

	conf_assign_slots(a, b);
	conf_diff(a, b, &diff);
	ck_assert_mem_eq(diff.links, none.links, sizeof(diff.links));
	ck_assert(!diff.password && !diff.cipher && !diff.addresses);
	ck_assert(!diff.restart && !diff.other);
	ck_assert_ptr_null(diff.restart_key);
	conf_free(a);
	conf_free(b);
}
END_TEST

/* One changed line for each key, with the effect that SIGHUP should have. */
static const struct {
	const char *name, *value;
	enum conf_section section;
	enum conf_effect effect;
} changes[] = {
	{ "interface_name", "x", IN_GENERAL, EFFECT_RESTART },
	{ "tuntap", "tap", IN_GENERAL, EFFECT_RESTART },
	{ "cipher", "none", IN_GENERAL, EFFECT_CIPHER },
	{ "timeout", "11", IN_GENERAL, EFFECT_OTHER },
	{ "mtu", "1400", IN_GENERAL, EFFECT_ADDRESSES },
	{ "ip4", "10.0.0.1/30", IN_GENERAL, EFFECT_ADDRESSES },
	{ "ip6", "fd00::1/64", IN_GENERAL, EFFECT_ADDRESSES },
	{ "ip4_gateway", "10.0.0.2\nip4=10.0.0.1/30", IN_GENERAL,
	    EFFECT_ADDRESSES },
	{ "ip6_gateway", "fd00::2\nip6=fd00::1/64", IN_GENERAL,
	    EFFECT_ADDRESSES },
	{ "ip4_routes", "default", IN_GENERAL, EFFECT_ADDRESSES },
	{ "ip6_routes", "default", IN_GENERAL, EFFECT_ADDRESSES },
	{ "statuscommand", "/x", IN_GENERAL, EFFECT_OTHER },
	{ "loglevel", "debug", IN_GENERAL, EFFECT_OTHER },
	{ "control_socket", "none", IN_GENERAL, EFFECT_RESTART },
	{ "memory", "65", IN_GENERAL, EFFECT_RESTART },
	{ "mark", "7", IN_GENERAL, EFFECT_RESTART },
	{ "table", "7", IN_GENERAL, EFFECT_RESTART },
	{ "bindhost", "192.0.2.1", IN_LINK, EFFECT_MOVES },
	{ "bindport", "7", IN_LINK, EFFECT_MOVES },
	{ "interface", "eth0", IN_LINK, EFFECT_MOVES },
	{ "bandwidth_upload", "1mbit", IN_LINK, EFFECT_TUNES },
	{ "bandwidth_download", "1mbit", IN_LINK, EFFECT_TUNES },
	{ "timeout", "11", IN_LINK, EFFECT_TUNES },
	{ "fallback_only", "yes", IN_LINK, EFFECT_TUNES },
	{ "parity", "no", IN_LINK, EFFECT_TUNES },
	{ "overhead", "1", IN_LINK, EFFECT_TUNES },
};

START_TEST(each_key_has_its_effect)
{
	enum conf_effect effect = changes[_i].effect;
	bool general = changes[_i].section == IN_GENERAL;
	struct conf *old = make("", "a", ""), *next;
	enum conf_link_change link = LINK_SAME;
	struct conf_diff diff;
	char line[100];

	snprintf(
	    line, sizeof(line), "%s=%s", changes[_i].name, changes[_i].value);
	next = general ? make(line, "a", "") : make("", "a", line);
	conf_assign_slots(old, next);
	conf_diff(old, next, &diff);
	if (effect == EFFECT_MOVES)
		link = LINK_MOVED;
	else if (strcmp(changes[_i].name, "timeout") == 0 ||
		 effect == EFFECT_TUNES)
		link = LINK_TUNED;
	ck_assert_int_eq(diff.links[0], link);
	ck_assert(!diff.password);
	ck_assert_int_eq(diff.restart, effect == EFFECT_RESTART);
	ck_assert_int_eq(diff.cipher, effect == EFFECT_CIPHER);
	ck_assert_int_eq(diff.addresses, effect == EFFECT_ADDRESSES);
	ck_assert_int_eq(diff.other, effect == EFFECT_OTHER);
	if (effect == EFFECT_RESTART)
		ck_assert_str_eq(diff.restart_key, changes[_i].name);
	conf_free(old);
	conf_free(next);
}
END_TEST

/* The keys which make() itself sets. */
START_TEST(password_peer_and_mode_have_their_effects)
{
	static const char a[] = "[general]\nmode=client\npassword=x\n"
				"[a]\nremotehost=h\nremoteport=1\n";
	static const char b[] = "[general]\nmode=client\npassword=xy\n"
				"[a]\nremotehost=h\nremoteport=2\n"
				"overhead=1\n";
	static const char c[] = "[general]\nmode=server\npassword=x\n"
				"table=9\n[a]\nbindport=1\n";
	struct conf_errors errs;
	struct conf *ca = conf_parse(a, strlen(a), &errs);
	struct conf *cb = conf_parse(b, strlen(b), &errs);
	struct conf *cc = conf_parse(c, strlen(c), &errs);
	struct conf_diff diff;

	conf_diff(ca, cb, &diff);
	ck_assert(diff.password && !diff.restart && !diff.other);
	ck_assert_int_eq(diff.links[0], LINK_MOVED);
	conf_diff(ca, cc, &diff);
	ck_assert(!diff.password && diff.restart);
	ck_assert_str_eq(diff.restart_key, "mode");
	conf_free(ca);
	conf_free(cb);
	conf_free(cc);
}
END_TEST

Suite *
conf_diff_suite(void)
{
	Suite *s = suite_create("conf_diff");
	TCase *tc = tcase_create("diff");

	tcase_add_test(tc, slots_stay_over_reloads);
	tcase_add_test(tc, parent_and_worker_agree);
	tcase_add_test(tc, links_are_told_apart);
	tcase_add_test(tc, same_text_makes_no_difference);
	tcase_add_loop_test(
	    tc, each_key_has_its_effect, 0, (int)nitems_of(changes));
	tcase_add_test(tc, password_peer_and_mode_have_their_effects);
	suite_add_tcase(s, tc);
	return s;
}
