/*
 * The tunnel device as a file descriptor.  It lives as long as the descriptor
 * does, so the device is gone as soon as the worker is.
 */
#ifndef MLVPN_PRIV_TUN_H
#define MLVPN_PRIV_TUN_H

#include "conf/conf.h"

/* Creates the device (10-byte virtio header on each packet, no offloads); -1
 * after logging why. */
int tun_open(const char *name, enum conf_tuntap type);

#endif
