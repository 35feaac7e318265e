/* SPDX-License-Identifier: Apache-2.0 */
/* See engine_options.h. */
#include "node/engine_options.h"

void node_engine_options(const struct settings *settings, struct berth_engine_options *ret)
{
    berth_engine_options_init(ret);
    ret->max_instances = (uint32_t)settings->limits_max_runs;
    ret->max_module_size_bytes = settings->limits_max_request_mb << 20;
    ret->cache_directory = settings->cache_directory;
    ret->compile = BERTH_COMPILE_IN_CHILD;
    ret->compile_memory_mb = (uint32_t)settings->compile_memory_mb;
    ret->compile_wall_seconds = (uint32_t)settings->compile_wall_seconds;
    /* One thread compiles: its processor time is never more than the time on the wall. */
    ret->compile_cpu_seconds = (uint32_t)settings->compile_wall_seconds;
    ret->compile_at_a_time = (uint32_t)settings->compile_at_a_time;
    ret->max_memory_bytes = 0;
    berth_engine_options_admit(ret, settings->contract);
    for (size_t i = 0; i < settings->n_principals; i++)
        if (settings->principals[i].contract)
            berth_engine_options_admit(ret, settings->principals[i].contract);
}
