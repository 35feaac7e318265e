/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager says in the environment, and what it wants to hear: sockets that it has bound
 * (sd_listen_fds(3)), readiness and the watchdog (sd_notify(3)). Without one, nothing happens.
 */
#ifndef BERTH_NODE_SYSTEMD_H
#define BERTH_NODE_SYSTEMD_H

#include <stdint.h>

enum { SYSTEMD_FIRST_FD = 3 };

/* How many bound sockets stand from descriptor SYSTEMD_FIRST_FD on; they are marked close-on-exec. 0: none.
 */
unsigned systemd_listeners(void);

/* "READY=1", "STOPPING=1", "WATCHDOG=1\nSTATUS=…". A manager that does not listen is no error. */
void systemd_notify(const char *state);
/* "RELOADING=1" with the time, as Type=notify-reload wants it; "READY=1" ends it. */
void systemd_notify_reloading(void);

/* How often it wants to hear WATCHDOG=1, in nanoseconds: half of its patience; UINT64_MAX: never. */
uint64_t systemd_watchdog_ns(void);

#endif
