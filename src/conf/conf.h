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
#define CONF_PREFIXTEXT_MAX 50 /* "v6/128" and NUL */
#define CONF_ERRORS_MAX 20
#define CONF_LINE_MAX 4096	/* bytes of a line with its NUL */
#define CONF_PASSWORD_STRONG 16 /* fewer characters draw a warning */

enum conf_mode { MODE_CLIENT, MODE_SERVER };
enum conf_tuntap { TUNTAP_TUN, TUNTAP_TAP };
enum conf_cipher {
	CIPHER_AUTO,
	CIPHER_AES_256_GCM,
	CIPHER_CHACHA20_POLY1305,
	CIPHER_NONE
};

struct conf_prefix {
	int family;	  /* AF_INET, AF_INET6; AF_UNSPEC: not set */
	uint8_t addr[16]; /* network order; the first 4 for AF_INET */
	uint8_t len;	  /* bits */
};

struct conf_link {
	bool used; /* this slot holds a link */
	char name[CONF_NAME_MAX];
	unsigned line;			/* of its [section], for messages */
	char bindhost[CONF_HOST_MAX];	/* numeric; empty: wildcard */
	uint16_t bindport;		/* 0: any */
	char remotehost[CONF_HOST_MAX]; /* name or address; empty on a server */
	uint16_t remoteport;
	char interface[CONF_IFNAME_MAX]; /* bind to device; empty: none */
	uint64_t upload_Bps;		 /* client to server; 0: not limited */
	uint64_t download_Bps;		 /* server to client; 0: not limited */
	uint32_t timeout_ms;
	bool fallback_only;
	bool parity;		 /* of packets that we send */
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
	struct conf_prefix routes[CONF_ROUTES_MAX];  /* both families */
	size_t nroutes;
	char statuscommand[CONF_PATH_MAX];  /* absolute; empty: none */
	int loglevel;			    /* syslog priority */
	char control_socket[CONF_PATH_MAX]; /* empty: none */
	uint64_t memory_bytes;		    /* of the packet pool */
	uint32_t mark;			    /* fwmark of the link sockets */
	uint32_t table;			    /* routing table of our routes */
	struct conf_link links[LINKS_MAX];  /* by slot; see conf_assign_slots */
	size_t nlinks;
};

struct conf_error {
	unsigned line;	/* 0: the file as a whole */
	char text[200]; /* what was found and what was expected */
};

struct conf_errors {
	struct conf_error list[CONF_ERRORS_MAX];
	size_t count; /* kept in list */
	size_t total; /* found */
};

/* What SIGHUP has to do about the link in a slot. */
enum conf_link_change {
	LINK_SAME, /* also: empty before and after */
	LINK_ADDED,
	LINK_REMOVED,
	LINK_REPLACED, /* removed, and another link was added in its slot */
	LINK_TUNED,    /* rate, time-out, fallback, overhead: nothing is lost */
	LINK_MOVED     /* address, port or interface: a new socket */
};

struct conf_diff {
	enum conf_link_change links[LINKS_MAX];
	bool password;
	bool cipher;	/* new handshakes */
	bool addresses; /* address, MTU or routes of the tunnel device */
	bool restart; /* a key that SIGHUP can't apply; named in restart_key */
	const char *restart_key;
	bool other; /* statuscommand, loglevel, ... */
};

/*
 * Reads a file of at most CONF_TEXT_MAX bytes into a new buffer (*textp, to be
 * wiped and freed, NUL added).  Returns 0, or -1 with errno (EFBIG: too large;
 * EINVAL: no regular file; EPERM: others may read it, or group or others may
 * write it, although it holds a password).
 */
int conf_load(const char *path, char **textp, size_t *lenp);
/* What conf_load's errno asks of the administrator; for the log. */
const char *conf_load_error(int error);
/*
 * Returns a new checked configuration, links in file order from slot 0 on, or
 * NULL with at least one error in *errs, sorted by line.
 */
struct conf *conf_parse(const char *text, size_t len, struct conf_errors *errs);
/*
 * Moves next's links to the slots which links of the same name have in old
 * (NULL: none); new names take the lowest slot that is free in both, or where
 * there is none the lowest that is free in next.
 */
void conf_assign_slots(const struct conf *old, struct conf *next);
/* Compares after conf_assign_slots. */
void conf_diff(
    const struct conf *old, const struct conf *next, struct conf_diff *diff);
/* Wipes the password; NULL is fine. */
void conf_free(struct conf *conf);
/* Short enough to be guessed: warn at every start. */
bool conf_password_weak(const struct conf *conf);
const char *conf_cipher_name(enum conf_cipher cipher);
const char *conf_mode_name(enum conf_mode mode);
/* "10.0.0.0/8"; returns buf. */
const char *conf_prefix_text(
    const struct conf_prefix *p, char buf[CONF_PREFIXTEXT_MAX]);
/*
 * A commented starting configuration with the given password (printable, no
 * double quote), for --genconf.  0, or -1 when it does not fit.
 */
int conf_generate(char *buf, size_t size, const char *password);

#endif
