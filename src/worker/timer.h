/*
 * The one timer of the loop: a descriptor that is readable when its time has
 * come, on the clock of mono_now().
 */
#ifndef MLVPN_WORKER_TIMER_H
#define MLVPN_WORKER_TIMER_H

#include "base/util.h"

struct timer {
	int fd;
	mono_t at; /* what it is set to; MONO_NEVER: nothing */
};

/* All end the process where the system refuses. */
void timer_open(struct timer *tm);
void timer_set(struct timer *tm, mono_t at);
/* The descriptor was readable. */
void timer_expired(struct timer *tm);

#endif
