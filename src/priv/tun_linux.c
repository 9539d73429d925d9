/*
 * /dev/net/tun.  IFF_TUN_EXCL: two daemons with one name must clash here, with
 * a clear word, and not share a device.
 */
#include "config.h"

#include <sys/ioctl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "priv/tun.h"

#include "base/log.h"

#define DEVICE "/dev/net/tun"
#define VNET_HEADER_BYTES 10

static void
explain(const char *name)
{
	switch (errno) {
	case EBUSY:
		log_errx("%s: an interface of this name exists already: another"
			 " mlvpn is running, or interface_name has to be"
			 " changed",
		    name);
		break;
	case EINVAL:
		log_errx("%s: the kernel refuses this interface name", name);
		break;
	default:
		log_errx("%s: can't create the interface: %s", name,
		    strerror(errno));
		break;
	}
}

int
tun_open(const char *name, enum conf_tuntap type)
{
	int fd, header = VNET_HEADER_BYTES;
	struct ifreq ifr;

	fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1) {
		log_errx("%s: %s; is the kernel module tun there?", DEVICE,
		    strerror(errno));
		return -1;
	}
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = (short)(IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL |
				(type == TUNTAP_TAP ? IFF_TAP : IFF_TUN));
	strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	if (ioctl(fd, TUNSETIFF, &ifr) == -1) {
		explain(name);
		close(fd);
		return -1;
	}
	if (strcmp(ifr.ifr_name, name) != 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &header) == -1 ||
	    ioctl(fd, TUNSETOFFLOAD, 0UL) == -1) {
		log_errx("%s: can't set up the interface: %s", name,
		    strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}
