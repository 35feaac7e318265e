/* SPDX-License-Identifier: Apache-2.0 */
/* See isolation.h: the layers in order, and the small ones themselves. */
#include "node/worker/isolation.h"

#include <errno.h>
#include <jansson.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "node/worker/isolation_layers.h"

static const struct {
    unsigned layer;
    const char *name;
} layer_names[] = {
    {ISOLATION_NO_NEW_PRIVILEGES, "no_new_privileges"},
    {ISOLATION_NO_DUMP, "no_dump"},
    {ISOLATION_LIMITS, "limits"},
    {ISOLATION_FILES, "files"},
    {ISOLATION_NETWORK, "network"},
    {ISOLATION_SYSTEM_CALLS, "system_calls"},
};

char *isolation_report(unsigned layers)
{
    cleanup_json json_t *report = json_pack("{s:[], s:[]}", "isolation", "missing");
    if (!report)
        return NULL;
    for (size_t i = 0; i < sizeof(layer_names) / sizeof(layer_names[0]); i++) {
        const char *list = layers & layer_names[i].layer ? "isolation" : "missing";
        if (json_array_append_new(json_object_get(report, list), json_string(layer_names[i].name)) < 0)
            return NULL;
    }
    return json_write(report, 0);
}

static int compare(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

static int close_between(unsigned first, unsigned last)
{
    return first > last || syscall(SYS_close_range, first, last, 0) == 0 ? 0 : -errno;
}

int isolation_close_others(const int *kept, size_t n_kept)
{
    int *sorted = calloc(n_kept + 1, sizeof(*sorted));
    unsigned next = STDERR_FILENO + 1;
    int r = sorted ? 0 : -ENOMEM;
    if (r == 0 && n_kept > 0)
        memcpy(sorted, kept, n_kept * sizeof(*sorted));
    if (r == 0)
        qsort(sorted, n_kept, sizeof(*sorted), compare);
    for (size_t i = 0; i < n_kept && r == 0; i++) {
        if (sorted[i] < (int)next)
            continue;
        r = close_between(next, (unsigned)sorted[i] - 1);
        next = (unsigned)sorted[i] + 1;
    }
    if (r == 0)
        r = close_between(next, ~0U);
    free(sorted);
    return r;
}

/* A guest's own limit of open files is the contract's; the process may have as many as it was started with.
 */
static int limit_resources(void)
{
    static const int none[] = {RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE};
    const struct rlimit zero = {0, 0};
    struct rlimit files;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (setrlimit((__rlimit_resource_t)none[i], &zero) < 0)
            return -errno;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

int isolation_begin(const struct isolation *isolation, unsigned *layers)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        *layers |= ISOLATION_NO_NEW_PRIVILEGES;
    return isolation_confine_files(isolation, layers);
}

int isolation_finish(const struct isolation *isolation, unsigned *layers)
{
    /* No thread is made any more: RLIMIT_NPROC counts them. */
    int r = limit_resources();
    if (r < 0)
        return r;
    *layers |= ISOLATION_LIMITS;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
        *layers |= ISOLATION_NO_DUMP;
    return isolation_filter_calls(isolation, layers);
}
