/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys for JWTs that come from a URL: fetched at the start, every jwt.refresh_seconds, and after each
 * reload; handed to the access of the moment. What cannot be fetched or read changes nothing: the keys that
 * are there stay, the log says why, and it is tried again soon. One fetch at a time.
 */
#ifndef BERTH_NODE_FRONT_KEYS_H
#define BERTH_NODE_FRONT_KEYS_H

#include "node/front/front.h"

struct front_keys;

/* Nothing is fetched before front_keys_fetch(). Lives as long as the front, whose loop it uses. 0 or -ENOMEM.
 */
int front_keys_new(struct front *front, struct front_keys **ret);

/* Fetches now, as the front's settings say now; what was under way is dropped. Does nothing without a URL. */
void front_keys_fetch(struct front_keys *keys);

#endif
