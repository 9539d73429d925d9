/*
 * One setter for each type of value.  A setter stores the value in its key's
 * field or says that it is none; the key's row says what was expected.
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "conf/conf.h"
#include "conf/conf_keys.h"

#define MIB (UINT64_C(1) << 20)
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define LABEL LETTERS "0123456789-_"

static void *
field(const struct conf_key *k, void *base)
{
	return (char *)base + k->offset;
}

static void
store_number(const struct conf_key *k, void *base, uint64_t n)
{
	uint8_t n8 = (uint8_t)n;
	uint16_t n16 = (uint16_t)n;
	uint32_t n32 = (uint32_t)n;

	switch (k->size) {
	case 1:
		memcpy(field(k, base), &n8, 1);
		break;
	case 2:
		memcpy(field(k, base), &n16, 2);
		break;
	case 4:
		memcpy(field(k, base), &n32, 4);
		break;
	default:
		memcpy(field(k, base), &n, 8);
	}
}

/* The rest of the field is cleared, so that equal texts are equal bytes. */
static int
store_text(const struct conf_key *k, void *base, const char *text)
{
	size_t len = strlen(text);

	if (len >= k->size)
		return -1;
	memset(field(k, base), 0, k->size);
	memcpy(field(k, base), text, len);
	return 0;
}

static int
store_in_range(const struct conf_key *k, void *base, uint64_t n)
{
	if (n < k->min || n > k->max)
		return -1;
	store_number(k, base, n);
	return 0;
}

int
conf_set_word(const struct conf_key *k, void *base, const char *value)
{
	const struct conf_word *w;

	for (w = k->words; w->name != NULL; w++)
		if (strcmp(value, w->name) == 0) {
			store_number(k, base, w->value);
			return 0;
		}
	return -1;
}

int
conf_set_number(const struct conf_key *k, void *base, const char *value)
{
	uint64_t n;

	if (units_number(value, k->max, &n) == -1)
		return -1;
	return store_in_range(k, base, n);
}

/* Decimal, or hexadecimal with 0x. */
int
conf_set_hex_number(const struct conf_key *k, void *base, const char *value)
{
	uint64_t n;
	size_t digits;

	if (value[0] != '0' || (value[1] != 'x' && value[1] != 'X'))
		return conf_set_number(k, base, value);
	digits = strspn(value + 2, "0123456789abcdefABCDEF");
	if (digits == 0 || digits > 8 || value[2 + digits] != '\0')
		return -1;
	n = strtoul(value + 2, NULL, 16);
	return store_in_range(k, base, n);
}

/* The tables default, main and local belong to others. */
int
conf_set_table(const struct conf_key *k, void *base, const char *value)
{
	uint64_t n;

	if (units_number(value, k->max, &n) == -1 || (n >= 253 && n <= 255))
		return -1;
	return store_in_range(k, base, n);
}

int
conf_set_mtu(const struct conf_key *k, void *base, const char *value)
{
	if (strcmp(value, "auto") != 0)
		return conf_set_number(k, base, value);
	store_number(k, base, 0);
	return 0;
}

int
conf_set_duration(const struct conf_key *k, void *base, const char *value)
{
	uint64_t ms;

	if (units_duration(value, &ms) == -1)
		return -1;
	return store_in_range(k, base, ms);
}

int
conf_set_rate(const struct conf_key *k, void *base, const char *value)
{
	uint64_t Bps;

	if (units_rate(value, &Bps) == -1)
		return -1;
	if (Bps == 0) {
		store_number(k, base, 0);
		return 0;
	}
	return store_in_range(k, base, Bps);
}

int
conf_set_memory(const struct conf_key *k, void *base, const char *value)
{
	uint64_t bytes;

	if (units_size(value, MIB, &bytes) == -1)
		return -1;
	return store_in_range(k, base, bytes);
}

int
conf_set_text(const struct conf_key *k, void *base, const char *value)
{
	if (*value == '\0')
		return -1;
	return store_text(k, base, value);
}

/* As the kernel names devices; % would make it choose a number. */
int
conf_set_ifname(const struct conf_key *k, void *base, const char *value)
{
	const char *p;

	if (*value == '\0' || strcmp(value, ".") == 0 ||
	    strcmp(value, "..") == 0)
		return -1;
	for (p = value; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("/:%", *p) != NULL)
			return -1;
	return store_text(k, base, value);
}

int
conf_set_path(const struct conf_key *k, void *base, const char *value)
{
	if (value[0] != '/')
		return -1;
	return store_text(k, base, value);
}

int
conf_set_socket(const struct conf_key *k, void *base, const char *value)
{
	if (strcmp(value, "none") == 0)
		return store_text(k, base, "");
	if (strlen(value) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -1;
	return conf_set_path(k, base, value);
}

int
conf_host_family(const char *host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	const char *percent = strchr(host, '%');
	size_t len = percent != NULL ? (size_t)(percent - host) : strlen(host);

	if (len >= sizeof(text))
		return AF_UNSPEC;
	memcpy(text, host, len);
	text[len] = '\0';
	if (inet_pton(AF_INET6, text, &addr) == 1)
		return percent != NULL && percent[1] == '\0' ? AF_UNSPEC
							     : AF_INET6;
	if (percent == NULL && inet_pton(AF_INET, text, &addr) == 1)
		return AF_INET;
	return AF_UNSPEC;
}

int
conf_set_numeric_host(const struct conf_key *k, void *base, const char *value)
{
	if (conf_host_family(value) == AF_UNSPEC)
		return -1;
	return store_text(k, base, value);
}

/* Labels with a letter somewhere: 300.1.1.1 is no name, but a slip. */
static bool
is_hostname(const char *name)
{
	bool letter = false;
	size_t len;

	if (strlen(name) > 253)
		return false;
	for (; *name != '\0'; name += len + (name[len] == '.')) {
		len = strcspn(name, ".");
		if (len == 0 || len > 63 || name[0] == '-' ||
		    name[len - 1] == '-' || strspn(name, LABEL) < len)
			return false;
		if (strcspn(name, LETTERS) < len)
			letter = true;
	}
	return letter;
}

int
conf_set_host(const struct conf_key *k, void *base, const char *value)
{
	if (conf_host_family(value) == AF_UNSPEC && !is_hostname(value))
		return -1;
	return store_text(k, base, value);
}

/* Are all bits of the address after the prefix 0? */
static bool
is_network(const struct conf_prefix *p)
{
	size_t bit, bits = p->family == AF_INET ? 32 : 128;

	for (bit = p->len; bit < bits; bit++)
		if (p->addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

/* An address with its prefix; without one it is a host's (*bare). */
static int
parse_prefix(struct conf_prefix *p, int family, const char *text, bool *bare)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	uint64_t bits = family == AF_INET ? 32 : 128;

	*bare = slash == NULL;
	if (len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	memset(p, 0, sizeof(*p));
	if (inet_pton(family, host, p->addr) != 1)
		return -1;
	if (slash != NULL && units_number(slash + 1, bits, &bits) == -1)
		return -1;
	p->family = family;
	p->len = (uint8_t)bits;
	return 0;
}

static bool
is_unicast(const struct conf_prefix *p)
{
	static const uint8_t zero[16];

	if (memcmp(p->addr, zero, sizeof(zero)) == 0)
		return false;
	return p->family == AF_INET ? p->addr[0] < 224 : p->addr[0] != 0xff;
}

int
conf_set_address(const struct conf_key *k, void *base, const char *value)
{
	struct conf_prefix p;
	bool bare;

	if (parse_prefix(&p, k->family, value, &bare) == -1 || bare ||
	    p.len == 0 || !is_unicast(&p))
		return -1;
	memcpy(field(k, base), &p, sizeof(p));
	return 0;
}

int
conf_set_gateway(const struct conf_key *k, void *base, const char *value)
{
	struct conf_prefix p;
	bool bare;

	if (parse_prefix(&p, k->family, value, &bare) == -1 || !bare ||
	    !is_unicast(&p))
		return -1;
	memcpy(field(k, base), &p, sizeof(p));
	return 0;
}

/* Keeps them sorted, so that their order in the file is no difference. */
static int
add_route(const struct conf_key *k, struct conf *conf, const char *text)
{
	struct conf_prefix p;
	bool bare;
	size_t i;
	int order;

	memset(&p, 0, sizeof(p));
	if (strcmp(text, "default") == 0)
		p.family = k->family;
	else if (parse_prefix(&p, k->family, text, &bare) == -1 ||
		 !is_network(&p))
		return -1;
	if (conf->nroutes == CONF_ROUTES_MAX)
		return -1;
	for (i = 0; i < conf->nroutes; i++) {
		order = memcmp(&conf->routes[i], &p, sizeof(p));
		if (order == 0)
			return -1;
		if (order > 0)
			break;
	}
	memmove(&conf->routes[i + 1], &conf->routes[i],
	    (conf->nroutes - i) * sizeof(p));
	memcpy(&conf->routes[i], &p, sizeof(p));
	conf->nroutes++;
	return 0;
}

int
conf_set_routes(const struct conf_key *k, void *base, const char *value)
{
	static const char separators[] = " \t,";
	char word[64];
	size_t count = 0, len;

	for (; *(value += strspn(value, separators)) != '\0'; value += len) {
		len = strcspn(value, separators);
		if (len >= sizeof(word))
			return -1;
		memcpy(word, value, len);
		word[len] = '\0';
		if (add_route(k, base, word) == -1)
			return -1;
		count++;
	}
	return count > 0 ? 0 : -1;
}
