/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time it is for a guest.
 *
 * Realtime is the host's; monotonic starts at one second with the guest's first reading, so that it tells
 * nothing about the host. Both are rounded down to a millisecond in coarse mode. In deterministic mode both
 * are virtual: they begin at a fixed date and advance by a microsecond per reading and by each sleep.
 */
#ifndef BERTH_WASI_GUEST_CLOCK_H
#define BERTH_WASI_GUEST_CLOCK_H

#include "wasi/call.h"

/* 0, ERRNO_INVAL (no such clock), ERRNO_NOTSUP (processor time, or the contract grants no clock). */
int guest_clock_check(const struct wasi_context *context, uint32_t clock_id);

/* The grain of what a guest may know about time: no clock, timer or timestamp of a file tells more. */
uint64_t guest_clock_grain_ns(const struct wasi_context *context);

/* The time, without rounding and without advancing a virtual clock; for deadlines. */
uint64_t guest_clock_exact_ns(struct wasi_context *context, uint32_t clock_id);

#endif
