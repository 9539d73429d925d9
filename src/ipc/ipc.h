/*
 * The boundary between the root parent and the worker: typed messages over a
 * SOCK_SEQPACKET socketpair, with at most one file descriptor each.  The worker
 * sends only enums, link slots and log lines; the parent sends the file, keys,
 * sockets and addresses.  Both ends check type and exact length before use.
 */
#ifndef MLVPN_IPC_IPC_H
#define MLVPN_IPC_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "conf/conf.h"

enum ipc_type {
	/* worker to parent */
	IPC_READY = 1, /* sandboxed and listening; once */
	IPC_OPEN_LINK, /* struct ipc_slot: wants a (new) socket */
	IPC_RESOLVE,   /* struct ipc_slot: wants addresses of remotehost */
	IPC_HOOK,      /* struct ipc_hook */
	IPC_RELOAD, /* no payload: as SIGHUP, asked for at the control socket */
	IPC_LOG,    /* struct ipc_log, exact length 8 + text */
	/* parent to worker */
	IPC_CONF = 64, /* uint32 generation, then the bytes of the file */
	IPC_PSK,       /* struct ipc_psk */
	IPC_TUN,       /* fd of the tun/tap device; struct ipc_tun */
	IPC_CONTROL,   /* fd of the listening control socket */
	IPC_SOCKET,    /* struct ipc_socket, fd unless error is set */
	IPC_RESOLVED,  /* struct ipc_resolved */
	IPC_RELOADED,  /* struct ipc_reloaded: answer to IPC_RELOAD */
	IPC_STOP       /* no payload: say goodbye to the peers and exit 0 */
};

enum ipc_hook_event {
	HOOK_TUNTAP_UP,
	HOOK_TUNTAP_DOWN,
	HOOK_LINK_UP,
	HOOK_LINK_DOWN,
	HOOK_EVENTS
};

struct ipc_slot {
	uint32_t generation; /* of the configuration it speaks of */
	uint32_t slot;
};

struct ipc_hook {
	uint32_t generation;
	uint32_t slot; /* LINKS_MAX for the tuntap events */
	uint32_t event;
};

struct ipc_log {
	uint32_t priority;
	uint32_t len;
	char text[512];
};

struct ipc_psk {
	uint32_t generation;
	uint8_t key[32];
};

struct ipc_tun {
	uint32_t
	    mtu_bytes; /* as set on the device; sent anew when it changes */
	uint8_t with_fd;
	char name[CONF_IFNAME_MAX];
};

struct ipc_socket {
	uint32_t generation;
	uint32_t slot;
	int32_t error;	/* errno of the failed step; 0: fd is attached */
	int32_t family; /* AF_INET or AF_INET6 (dual stack unless bound) */
};

#define IPC_ADDRS_MAX 8

struct ipc_resolved {
	uint32_t generation;
	uint32_t slot;
	uint32_t count; /* 0: no answer */
	union addr addrs[IPC_ADDRS_MAX];
};

enum ipc_reload_error {
	RELOAD_OK,
	RELOAD_UNREADABLE, /* the file can't be read */
	RELOAD_INVALID,	   /* errors in the file, all of them in the log */
	RELOAD_RESTART,	   /* a changed key needs a restart */
	RELOAD_BUSY	   /* asked for too soon after the last one */
};

struct ipc_reloaded {
	uint32_t ok;	/* 1: applied */
	uint32_t line;	/* of the first error; 0: the file as a whole */
	uint32_t error; /* enum ipc_reload_error */
};

#define IPC_PAYLOAD_MAX (4 + CONF_TEXT_MAX)
#define IPC_LOG_HEADER 8 /* bytes of struct ipc_log before its text */

/* A socketpair of the right kind, buffers sized for one whole file; both ends
 * close-on-exec and non-blocking.  -1 with errno. */
int ipc_pair(int fds[2]);
/* Sends one message; fd may be -1.  0, or -1 with errno (EAGAIN: full). */
int ipc_send(
    int sock, enum ipc_type type, const void *payload, size_t len, int fd);
/*
 * Receives one message into payload.  Returns 1 with *type, *len, *fd (-1 if
 * none came) set; 0 when nothing is waiting; -1 when the other end is gone
 * (errno 0) or what came is no message (EBADMSG: too short, too long, more than
 * one descriptor, or one although fd is NULL; those that came are closed).
 */
int ipc_recv(
    int sock, uint32_t *type, void *payload, size_t size, size_t *len, int *fd);

#endif
