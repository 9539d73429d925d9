/*
 * The configuration: text in, an immutable struct conf out, or every error of
 * the file at once with its line.  Parent and worker parse the same bytes with
 * the same functions, so that they agree on the slot of each link.
 */
#ifndef MLVPN_CONF_CONF_H
#define MLVPN_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define CONF_TEXT_MAX (64 * 1024) /* a file of more bytes is refused */
#define CONF_NAME_MAX 17 /* link name with its NUL: it travels in the hello */
#define CONF_IFNAME_MAX 16
#define CONF_HOST_MAX 256
#define CONF_PATH_MAX 1024
#define CONF_PASSWORD_MAX 256
#define CONF_ROUTES_MAX 64
#define CONF_ERRORS_MAX 20

enum conf_mode { MODE_CLIENT, MODE_SERVER };
enum conf_tuntap { TUNTAP_TUN, TUNTAP_TAP };
enum conf_cipher {
	CIPHER_AUTO,
	CIPHER_AES_256_GCM,
	CIPHER_CHACHA20_POLY1305,
	CIPHER_NONE
};

struct conf_prefix {
	int family; /* AF_INET, AF_INET6; AF_UNSPEC: not set */
	uint8_t addr[16]; /* network order; the first 4 for AF_INET */
	uint8_t len; /* bits */
};

struct conf_link {
	bool used; /* this slot holds a link */
	char name[CONF_NAME_MAX];
	unsigned line; /* of its [section], for messages */
	char bindhost[CONF_HOST_MAX]; /* numeric; empty: wildcard */
	uint16_t bindport; /* 0: any */
	char remotehost[CONF_HOST_MAX]; /* name or address; empty on a server */
	uint16_t remoteport;
	char interface[CONF_IFNAME_MAX]; /* bind to device; empty: none */
	uint64_t upload_Bps; /* client to server; 0: not limited */
	uint64_t download_Bps; /* server to client; 0: not limited */
	uint32_t timeout_ms;
	bool fallback_only;
	uint32_t overhead_bytes; /* counted on top of each outer packet */
};

struct conf {
	enum conf_mode mode;
	char interface_name[CONF_IFNAME_MAX];
	enum conf_tuntap tuntap;
	char password[CONF_PASSWORD_MAX];
	enum conf_cipher cipher;
	uint32_t timeout_ms;
	uint32_t mtu_bytes; /* 0: auto */
	struct conf_prefix ip4, ip6;
	struct conf_prefix ip4_gateway, ip6_gateway; /* len 32, 128 */
	struct conf_prefix routes[CONF_ROUTES_MAX]; /* both families */
	size_t nroutes;
	char statuscommand[CONF_PATH_MAX]; /* absolute; empty: none */
	int loglevel; /* syslog priority */
	char control_socket[CONF_PATH_MAX]; /* empty: none */
	uint64_t memory_bytes; /* of the packet pool */
	uint32_t mark; /* fwmark of the link sockets */
	uint32_t table; /* routing table of our routes */
	struct conf_link links[LINKS_MAX]; /* by slot; see conf_assign_slots */
	size_t nlinks;
};

struct conf_error {
	unsigned line; /* 0: the file as a whole */
	char text[160]; /* what was found and what was expected */
};

struct conf_errors {
	struct conf_error list[CONF_ERRORS_MAX];
	size_t count; /* kept in list */
	size_t total; /* found */
};

/* What SIGHUP has to do about a link. */
enum conf_link_change {
	LINK_SAME,
	LINK_ADDED,
	LINK_REMOVED,
	LINK_TUNED, /* rate, time-out, fallback, overhead: nothing is lost */
	LINK_MOVED /* address, port or interface: a new socket */
};

struct conf_diff {
	enum conf_link_change links[LINKS_MAX];
	bool password;
	bool cipher; /* new handshakes */
	bool addresses; /* address, MTU or routes of the tunnel device */
	bool restart; /* a key that SIGHUP can't apply; named in restart_key */
	const char *restart_key;
	bool other; /* statuscommand, loglevel, ... */
};

/*
 * Reads a file of at most CONF_TEXT_MAX bytes into a new buffer (*textp, to be
 * freed, NUL added).  Returns 0, or -1 with errno (EFBIG: too large; EPERM:
 * others than its owner may read or write it, as it holds a password).
 */
int conf_load(const char *path, char **textp, size_t *lenp);
/* Returns a new checked configuration, links in file order from slot 0 on, or
 * NULL with at least one error. */
struct conf *conf_parse(const char *text, size_t len, struct conf_errors *errs);
/* Moves next's links to the slots which links of the same name have in old
 * (NULL: none); new names take the lowest free slots. */
void conf_assign_slots(const struct conf *old, struct conf *next);
void conf_diff(
    const struct conf *old, const struct conf *next, struct conf_diff *diff);
/* Wipes the password; NULL is fine. */
void conf_free(struct conf *conf);
const char *conf_cipher_name(enum conf_cipher cipher);
/* A commented starting configuration with the given password, for --genconf. */
int conf_generate(char *buf, size_t size, const char *password);

#endif
