/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are too easy to get wrong; using one is a compile error. Forced into every file by the
 * build. */
#ifndef BERTH_BASE_BANNED_H
#define BERTH_BASE_BANNED_H

/* The C library must declare them before they are poisoned. */
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No bound on what is written. */
#pragma GCC poison strcpy strcat sprintf vsprintf stpcpy
/* Hidden state between calls. */
#pragma GCC poison strtok
/* No way to see that the text was not a number. */
#pragma GCC poison atoi atol atoll
/* The stack of a fiber is small, and its size must not depend on a guest. */
#undef alloca
#pragma GCC poison alloca

#endif
