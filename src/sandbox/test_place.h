/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that load modules: a directory of their own for a cache and a file, engines that use it. */
#ifndef BERTH_SANDBOX_TEST_PLACE_H
#define BERTH_SANDBOX_TEST_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/wait.h>

#include <berth/berth.h>

#include "base/error.h"
#include "sandbox/module.h"
#include "sandbox/test_wasm.h"

DEFINE_CLEANUP(berth_engine *, berth_engine_unref)
DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_engine   cleanup(berth_engine_unref_cleanup)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

struct place {
    char root[48], cache[64], file[64];
};

static inline int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    snprintf(place->root, sizeof(place->root), "/tmp/berth-module-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->cache, sizeof(place->cache), "%s/cache", place->root);
    snprintf(place->file, sizeof(place->file), "%s/filter.wasm", place->root);
    *state = place;
    return 0;
}

static inline void remove_all(const char *path)
{
    DIR *stream = opendir(path);
    for (const struct dirent *item; stream && (item = readdir(stream));)
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            unlinkat(dirfd(stream), item->d_name, 0);
    if (stream)
        closedir(stream);
    rmdir(path);
}

static inline int remove_place(void **state)
{
    struct place *place = *state;
    remove_all(place->cache);
    remove_all(place->root);
    free(place);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return 0;
}

static inline struct berth_engine_options options_for(const struct place *place)
{
    struct berth_engine_options options;
    berth_engine_options_init(&options);
    options.max_instances = 4;
    options.cache_directory = place->cache;
    options.compiler = getenv("BERTH_COMPILER");
    assert_non_null(options.compiler);
    return options;
}

static inline berth_engine *start_with(const struct berth_engine_options *options)
{
    cleanup_error berth_error *error = NULL;
    berth_engine *engine = NULL;
    if (berth_engine_new(options, &engine, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return engine;
}

static inline berth_engine *start(const struct place *place)
{
    const struct berth_engine_options options = options_for(place);
    return start_with(&options);
}

static inline berth_module *load(berth_engine *engine, struct wasm wasm)
{
    cleanup_error berth_error *error = NULL;
    berth_module *module = NULL;
    if (berth_module_load(engine, wasm.bytes, wasm.size_bytes, "filter.wasm", &module, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    wasm_done(&wasm);
    return module;
}

#endif
