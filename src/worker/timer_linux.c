/*
 * A timerfd.  It goes by absolute time, so it is not late because it was set
 * late, and it is set only where the time is another one.
 */
#include "config.h"

#include <sys/timerfd.h>
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/timer.h"

void
timer_open(struct timer *tm)
{
	tm->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (tm->fd == -1)
		fatal("timerfd_create");
	tm->at = MONO_NEVER;
}

void
timer_set(struct timer *tm, mono_t at)
{
	struct itimerspec its = { 0 };

	if (at == tm->at)
		return;
	tm->at = at;
	if (at != MONO_NEVER) {
		if (at < 1)
			at = 1;
		its.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
		its.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	}
	if (timerfd_settime(tm->fd, TFD_TIMER_ABSTIME, &its, NULL) == -1)
		fatal("timerfd_settime");
}

void
timer_expired(struct timer *tm)
{
	uint64_t expired;

	if (read(tm->fd, &expired, sizeof(expired)) == -1 && errno != EAGAIN)
		fatal("timerfd");
	tm->at = MONO_NEVER;
}
