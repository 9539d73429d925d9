/*
 * The keyword table, and what can be asked of it.  Whoever adds a row adds its
 * entry to the manual and the example, and one accepting and one rejecting
 * value to tests/unit/test_conf_keys.c.
 */
#include "config.h"

#include <sys/socket.h>

#include <string.h>
#include <syslog.h>

#include "conf/conf.h"
#include "conf/conf_keys.h"

#define MIB (UINT64_C(1) << 20)

static const struct conf_word mode_words[] = {
	{ "client", MODE_CLIENT },
	{ "server", MODE_SERVER },
	{ NULL, 0 },
};

static const struct conf_word tuntap_words[] = {
	{ "tun", TUNTAP_TUN },
	{ "tap", TUNTAP_TAP },
	{ NULL, 0 },
};

static const struct conf_word cipher_words[] = {
	{ "auto", CIPHER_AUTO },
	{ "aes-256-gcm", CIPHER_AES_256_GCM },
	{ "chacha20-poly1305", CIPHER_CHACHA20_POLY1305 },
	{ "none", CIPHER_NONE },
	{ NULL, 0 },
};

static const struct conf_word loglevel_words[] = {
	{ "error", LOG_ERR },
	{ "warning", LOG_WARNING },
	{ "info", LOG_INFO },
	{ "debug", LOG_DEBUG },
	{ NULL, 0 },
};

static const struct conf_word yes_no_words[] = {
	{ "no", false },
	{ "yes", true },
	{ NULL, 0 },
};

/* clang-format off */
#define GENERAL(f) .section = IN_GENERAL, .offset = offsetof(struct conf, f), \
	.size = sizeof(((struct conf *)0)->f)
#define LINK(f) .section = IN_LINK, .offset = offsetof(struct conf_link, f), \
	.size = sizeof(((struct conf_link *)0)->f)

static const struct conf_key keys[] = {
	{ "mode", GENERAL(mode), .set = conf_set_word, .words = mode_words,
	    .required = true, .effect = EFFECT_RESTART,
	    .expected = "client or server" },
	{ "interface_name", GENERAL(interface_name), .set = conf_set_ifname,
	    .fallback = "mlvpn0", .effect = EFFECT_RESTART,
	    .expected = "a device name of at most 15 characters, "
		"without blanks, / : or %" },
	{ "tuntap", GENERAL(tuntap), .set = conf_set_word, .words = tuntap_words,
	    .fallback = "tun", .effect = EFFECT_RESTART,
	    .expected = "tun or tap" },
	{ "password", GENERAL(password), .set = conf_set_text, .secret = true,
	    .required = true, .effect = EFFECT_PASSWORD,
	    .expected = "1 to 255 characters; mlvpn --genconf proposes some" },
	{ "cipher", GENERAL(cipher), .set = conf_set_word, .words = cipher_words,
	    .fallback = "auto", .effect = EFFECT_CIPHER,
	    .expected = "auto, aes-256-gcm, chacha20-poly1305 or none" },
	{ "timeout", GENERAL(timeout_ms), .set = conf_set_duration,
	    .min = 1000, .max = 300000, .fallback = "10",
	    .effect = EFFECT_OTHER,
	    .expected = "1 to 300 seconds, such as 10 or 2500ms" },
	{ "mtu", GENERAL(mtu_bytes), .set = conf_set_mtu, .min = 576, .max = 9000,
	    .fallback = "auto", .effect = EFFECT_ADDRESSES,
	    .expected = "auto or 576 to 9000 bytes" },
	{ "ip4", GENERAL(ip4), .set = conf_set_address, .family = AF_INET,
	    .effect = EFFECT_ADDRESSES,
	    .expected = "an address with its prefix such as 10.42.42.1/30" },
	{ "ip6", GENERAL(ip6), .set = conf_set_address, .family = AF_INET6,
	    .effect = EFFECT_ADDRESSES,
	    .expected = "an address with its prefix such as fd42::1/64" },
	{ "ip4_gateway", GENERAL(ip4_gateway), .set = conf_set_gateway,
	    .family = AF_INET, .effect = EFFECT_ADDRESSES,
	    .expected = "an address such as 10.42.42.2" },
	{ "ip6_gateway", GENERAL(ip6_gateway), .set = conf_set_gateway,
	    .family = AF_INET6, .effect = EFFECT_ADDRESSES,
	    .expected = "an address such as fd42::2" },
	{ "ip4_routes", GENERAL(routes), .set = conf_set_routes,
	    .family = AF_INET, .effect = EFFECT_ADDRESSES,
	    .expected = "up to 64 networks such as 10.0.0.0/8, each once, "
		"or default" },
	{ "ip6_routes", GENERAL(routes), .set = conf_set_routes,
	    .family = AF_INET6, .effect = EFFECT_ADDRESSES,
	    .expected = "up to 64 networks such as fd00::/8, each once, "
		"or default" },
	{ "statuscommand", GENERAL(statuscommand), .set = conf_set_path,
	    .effect = EFFECT_OTHER,
	    .expected = "an absolute path without arguments" },
	{ "loglevel", GENERAL(loglevel), .set = conf_set_word,
	    .words = loglevel_words, .fallback = "info",
	    .effect = EFFECT_OTHER,
	    .expected = "error, warning, info or debug" },
	{ "control_socket", GENERAL(control_socket), .set = conf_set_socket,
	    .effect = EFFECT_RESTART,
	    .expected = "none or an absolute path of at most 107 characters" },
	{ "memory", GENERAL(memory_bytes), .set = conf_set_memory,
	    .min = 4 * MIB, .max = 1024 * MIB, .fallback = "64",
	    .effect = EFFECT_RESTART,
	    .expected = "4 to 1024 MiB, such as 64 or 128m" },
	{ "mark", GENERAL(mark), .set = conf_set_hex_number,
	    .min = 1, .max = UINT32_MAX, .fallback = "0x6d6c",
	    .effect = EFFECT_RESTART,
	    .expected = "1 to 4294967295, or hexadecimal such as 0x6d6c" },
	{ "table", GENERAL(table), .set = conf_set_table,
	    .min = 1, .max = UINT32_MAX, .fallback = "27756",
	    .effect = EFFECT_RESTART,
	    .expected = "1 to 4294967295, but not 253, 254 or 255" },

	{ "bindhost", LINK(bindhost), .set = conf_set_numeric_host,
	    .effect = EFFECT_MOVES,
	    .expected = "an address of this host such as 192.0.2.1" },
	{ "bindport", LINK(bindport), .set = conf_set_number,
	    .min = 1, .max = 65535, .effect = EFFECT_MOVES,
	    .expected = "1 to 65535" },
	{ "remotehost", LINK(remotehost), .set = conf_set_host,
	    .effect = EFFECT_MOVES,
	    .expected = "a host name or an address such as 192.0.2.1" },
	{ "remoteport", LINK(remoteport), .set = conf_set_number,
	    .min = 1, .max = 65535, .effect = EFFECT_MOVES,
	    .expected = "1 to 65535" },
	{ "interface", LINK(interface), .set = conf_set_ifname,
	    .effect = EFFECT_MOVES,
	    .expected = "a device name of at most 15 characters, "
		"without blanks, / : or %" },
	{ "bandwidth_upload", LINK(upload_Bps), .set = conf_set_rate,
	    .min = 1000, .max = UINT64_C(12500000000), .fallback = "0",
	    .effect = EFFECT_TUNES,
	    .expected = "a rate such as 5mbit, 600kbit or bytes per second, "
		"8kbit to 100gbit, or 0" },
	{ "bandwidth_download", LINK(download_Bps), .set = conf_set_rate,
	    .min = 1000, .max = UINT64_C(12500000000), .fallback = "0",
	    .effect = EFFECT_TUNES,
	    .expected = "a rate such as 5mbit, 600kbit or bytes per second, "
		"8kbit to 100gbit, or 0" },
	{ "timeout", LINK(timeout_ms), .set = conf_set_duration,
	    .min = 1000, .max = 300000, .effect = EFFECT_TUNES,
	    .expected = "1 to 300 seconds, such as 10 or 2500ms" },
	{ "fallback_only", LINK(fallback_only), .set = conf_set_word,
	    .words = yes_no_words, .fallback = "no", .effect = EFFECT_TUNES,
	    .expected = "yes or no" },
	{ "parity", LINK(parity), .set = conf_set_word,
	    .words = yes_no_words, .fallback = "yes", .effect = EFFECT_TUNES,
	    .expected = "yes or no" },
	{ "overhead", LINK(overhead_bytes), .set = conf_set_number,
	    .min = 0, .max = 64, .fallback = "0", .effect = EFFECT_TUNES,
	    .expected = "0 to 64 bytes" },
};
/* clang-format on */

_Static_assert(sizeof(keys) / sizeof(keys[0]) <= CONF_KEYS_MAX,
    "struct conf_draft has room for fewer keys");
_Static_assert(sizeof(bool) == 1, "store_number writes a bool as one byte");

const struct conf_key *
conf_keys(size_t *count)
{
	*count = sizeof(keys) / sizeof(keys[0]);
	return keys;
}

int
conf_key_find(enum conf_section section, const char *name)
{
	size_t i;

	for (i = 0; i < nitems_of(keys); i++)
		if (keys[i].section == section &&
		    strcmp(keys[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Levenshtein's distance of two short words; 99 when one is long. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[25], left, corner, cost;
	size_t i, j, alen = strlen(a), blen = strlen(b);

	if (alen >= nitems_of(row) || blen >= nitems_of(row))
		return 99;
	for (j = 0; j <= blen; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= alen; i++) {
		corner = row[0];
		row[0] = (unsigned)i;
		for (j = 1; j <= blen; j++) {
			left = row[j - 1];
			cost = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			if (left + 1 < cost)
				cost = left + 1;
			if (corner + 1 < cost)
				cost = corner + 1;
			row[j] = cost;
		}
	}
	return row[blen];
}

const char *
conf_key_guess(enum conf_section section, const char *name)
{
	const char *best = NULL;
	unsigned best_distance = 3, d;
	size_t i;

	for (i = 0; i < nitems_of(keys); i++) {
		d = distance(name, keys[i].name);
		if (keys[i].section == section && d < best_distance) {
			best_distance = d;
			best = keys[i].name;
		}
	}
	return best;
}

void
conf_key_defaults(enum conf_section section, void *base)
{
	size_t i;

	for (i = 0; i < nitems_of(keys); i++)
		if (keys[i].section == section && keys[i].fallback != NULL)
			keys[i].set(&keys[i], base, keys[i].fallback);
}

bool
conf_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < CONF_NAME_MAX &&
	       strspn(name,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789._-") == len;
}

static const char *
word_name(const struct conf_word *words, unsigned value)
{
	for (; words->name != NULL; words++)
		if (words->value == value)
			return words->name;
	return "unknown";
}

const char *
conf_cipher_name(enum conf_cipher cipher)
{
	return word_name(cipher_words, cipher);
}

const char *
conf_mode_name(enum conf_mode mode)
{
	return word_name(mode_words, mode);
}
