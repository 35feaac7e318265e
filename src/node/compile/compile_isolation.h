/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler process gives away before it looks at a stranger's bytes. It has to start programs, so no
 * filter of system calls is possible that its child, which has one of its own, would not have to live with;
 * instead it cannot reach the files of the user it runs as: it can read and execute system libraries and the
 * compiler, and write the module cache. Nothing else has a name for it.
 */
#ifndef BERTH_NODE_COMPILE_ISOLATION_H
#define BERTH_NODE_COMPILE_ISOLATION_H

#include <stdbool.h>

/* No new privileges, no core dumps, no debugger. 0 or a negative errno. */
int compile_isolation_harden(void);

/* Makes the cache directory if there is none, and confines this thread and those that it starts later.
 * *ret_confined: false if this kernel has no Landlock. 0 or a negative errno. */
int compile_isolation_confine(const char *cache_directory, bool *ret_confined);

#endif
