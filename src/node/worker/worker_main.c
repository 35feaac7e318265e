/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main program of a worker: hears what the supervisor gives it, proves the walls, confines itself, makes
 * the engine in between, and serves until the supervisor has gone.
 *
 * The walls of files stand before the engine, so that the engine's thread is inside of them; the filter of
 * system calls comes last, since it allows no new threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "node/engine_options.h"
#include "node/process.h"
#include "node/settings/settings.h"
#include "node/worker/isolation.h"
#include "node/worker/worker.h"

enum { EXIT_FAILED = 1, SETTINGS_BYTES_MAX = 64 << 20 };

/* What the supervisor gave. */
struct equipment {
    struct settings *settings;
    int *mounts; /* by index of settings->mounts; -1: none */
    int inputs, channel, root;
};

static void equipment_done(struct equipment *equipment)
{
    size_t n_mounts = equipment->settings ? equipment->settings->n_mounts : 0;
    for (size_t i = 0; equipment->mounts && i < n_mounts; i++)
        close_keeping_errno(equipment->mounts[i]);
    free(equipment->mounts);
    close_keeping_errno(equipment->inputs);
    close_keeping_errno(equipment->channel);
    close_keeping_errno(equipment->root);
    settings_free(equipment->settings);
}

/* ---- What the supervisor says ----------------------------------------------------------------------- */

static berth_status read_settings(int file, struct equipment *equipment, berth_error **reterr)
{
    struct stat status;
    if (file < 0 || fstat(file, &status) < 0 || status.st_size > SETTINGS_BYTES_MAX)
        return error_set(reterr, BERTH_IO, "the worker was given no settings");
    cleanup_free char *text = malloc((size_t)status.st_size + 1);
    if (!text || pread(file, text, (size_t)status.st_size, 0) != status.st_size ||
        settings_new(&equipment->settings) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    berth_status read = settings_read(equipment->settings, text, (size_t)status.st_size, "the node", reterr);
    if (read != BERTH_OK)
        return read;
    size_t n_mounts = equipment->settings->n_mounts;
    equipment->mounts = calloc(n_mounts + 1, sizeof(int));
    if (!equipment->mounts)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n_mounts; i++)
        equipment->mounts[i] = -1;
    return BERTH_OK;
}

static void replace_descriptor(int *place, int *descriptor)
{
    close_keeping_errno(*place);
    *place = take_fd(descriptor);
}

static berth_status take(const struct control_message *message, int *descriptor, struct equipment *equipment,
                         berth_error **reterr)
{
    size_t n_mounts = equipment->settings ? equipment->settings->n_mounts : 0;
    switch ((enum control_kind)message->kind) {
    case CONTROL_SETTINGS:
        return equipment->settings ? error_set(reterr, BERTH_INVALID, "the worker was given settings twice")
                                   : read_settings(*descriptor, equipment, reterr);
    case CONTROL_MOUNT:
        if (message->index >= n_mounts)
            return error_set(reterr, BERTH_INVALID, "the worker was given a mount that it has no name for");
        replace_descriptor(&equipment->mounts[message->index], descriptor);
        return BERTH_OK;
    case CONTROL_INPUTS:
        replace_descriptor(&equipment->inputs, descriptor);
        return BERTH_OK;
    case CONTROL_CHANNEL:
        replace_descriptor(&equipment->channel, descriptor);
        return BERTH_OK;
    default:
        return BERTH_OK;
    }
}

static berth_status hear(struct equipment *equipment, berth_error **reterr)
{
    for (;;) {
        struct control_message message;
        cleanup_close int descriptor = -1;
        int r = control_receive(CONTROL_FD, &message, &descriptor);
        if (r != 0)
            return error_set(reterr, BERTH_ENDED, "the supervisor has gone");
        if (message.kind == CONTROL_GO)
            return equipment->settings ? BERTH_OK
                                       : error_set(reterr, BERTH_IO, "the worker was given no settings");
        berth_status status = take(&message, &descriptor, equipment, reterr);
        if (status != BERTH_OK)
            return status;
    }
}

/* ---- Walls ------------------------------------------------------------------------------------------ */

static berth_status walls_of(const struct equipment *equipment, struct isolation *isolation,
                             struct isolation_directory **ret_directories, berth_error **reterr)
{
    const struct settings *settings = equipment->settings;
    struct isolation_directory *directories = calloc(settings->n_mounts + 1, sizeof(*directories));
    if (!directories)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < settings->n_mounts; i++)
        if (equipment->mounts[i] >= 0)
            directories[n++] =
                (struct isolation_directory){equipment->mounts[i], settings->mounts[i].writable};
    if (equipment->inputs >= 0)
        directories[n++] = (struct isolation_directory){equipment->inputs, false};
    *isolation = (struct isolation){
        .directories = directories, .n_directories = n, .control = CONTROL_FD, .channel = CHANNEL_FD};
    for (size_t i = 0; i < settings->n_capabilities; i++)
        isolation->watch |= settings->capabilities[i].watch;
    *ret_directories = directories;
    return BERTH_OK;
}

static berth_status judge(int r, const char *act, berth_error **reterr)
{
    if (r == 0)
        return BERTH_OK;
    if (r > 0)
        return error_set(reterr, BERTH_INTERNAL, "the worker is not isolated: %s was possible", act);
    return error_set_errno(reterr, r, "the worker cannot be isolated");
}

static berth_status keep_only(const struct equipment *equipment, berth_error **reterr)
{
    size_t n = 0;
    cleanup_free int *kept = calloc(equipment->settings->n_mounts + 5, sizeof(*kept));
    if (!kept)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < equipment->settings->n_mounts; i++)
        if (equipment->mounts[i] >= 0)
            kept[n++] = equipment->mounts[i];
    const int others[] = {CONTROL_FD, CHANNEL_FD, equipment->inputs, equipment->channel, equipment->root};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i] >= 0)
            kept[n++] = others[i];
    int r = isolation_close_others(kept, n);
    return r < 0 ? error_set_errno(reterr, r, "descriptors cannot be closed") : BERTH_OK;
}

static berth_status make_engine(const struct settings *settings, berth_engine **ret, berth_error **reterr)
{
    struct berth_engine_options options;
    node_engine_options(settings, &options);
    options.cache = false;
    return berth_engine_new(&options, ret, reterr);
}

/* Engine and walls, in that order which isolation.h asks for. */
static berth_status confine(struct equipment *equipment, berth_engine **ret_engine, char **ret_report,
                            berth_error **reterr)
{
    cleanup_free struct isolation_directory *directories = NULL;
    struct isolation isolation;
    unsigned layers = 0;
    const char *act = "";
    berth_status status = walls_of(equipment, &isolation, &directories, reterr);
    if (status == BERTH_OK)
        status = judge(isolation_probe(&isolation, equipment->root, &act), act, reterr);
    if (status == BERTH_OK)
        status = judge(isolation_begin(&isolation, &layers), act, reterr);
    if (status == BERTH_OK)
        status = make_engine(equipment->settings, ret_engine, reterr);
    if (status == BERTH_OK)
        status = judge(isolation_finish(&isolation, &layers), act, reterr);
    if (status == BERTH_OK)
        status = judge(isolation_verify(&isolation, equipment->root, layers, &act), act, reterr);
    if (status == BERTH_OK && !(*ret_report = isolation_report(layers)))
        status = error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    equipment->root = close_keeping_errno(equipment->root);
    equipment->inputs = close_keeping_errno(equipment->inputs);
    return status;
}

/* ---- Serving ---------------------------------------------------------------------------------------- */

static int name_mounts(struct equipment *equipment, struct worker_mount **ret, size_t *ret_count)
{
    const struct settings *settings = equipment->settings;
    struct worker_mount *mounts = calloc(settings->n_mounts + 1, sizeof(*mounts));
    size_t n = 0;
    if (!mounts)
        return -ENOMEM;
    for (size_t i = 0; i < settings->n_mounts; i++) {
        if (equipment->mounts[i] < 0)
            continue;
        mounts[n].host = strdup(settings->mounts[i].host);
        mounts[n++].descriptor = take_fd(&equipment->mounts[i]);
    }
    *ret = mounts;
    *ret_count = n;
    return 0;
}

static berth_status serve(struct equipment *equipment, berth_engine *engine, const char *report,
                          berth_error **reterr)
{
    struct worker_mount *mounts = NULL;
    struct worker *worker = NULL;
    size_t n_mounts = 0;
    int r = name_mounts(equipment, &mounts, &n_mounts);
    if (r == 0)
        r = worker_new(engine, mounts, n_mounts, CONTROL_FD, &worker);
    if (r == 0 && equipment->channel >= 0)
        r = worker_connect(worker, take_fd(&equipment->channel));
    if (r == 0)
        r = control_send(CONTROL_FD, CONTROL_READY, 0, report, -1);
    /* The settings name hosts and principals that a guest has no business with. */
    settings_free(take_ptr(equipment->settings));
    if (r == 0)
        r = worker_serve(worker);
    worker_free(worker);
    return r < 0 ? error_set_errno(reterr, r, "the worker cannot go on") : BERTH_OK;
}

static berth_status prepare(struct equipment *equipment, berth_error **reterr)
{
    /* Before anything else takes the number. */
    if (dup3(STDIN_FILENO, CHANNEL_FD, O_CLOEXEC) < 0)
        return error_set_errno(reterr, -errno, "the worker has no standard input");
    berth_status status = hear(equipment, reterr);
    if (status != BERTH_OK)
        return status;
    equipment->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return keep_only(equipment, reterr);
}

int worker_main(unsigned number)
{
    cleanup(equipment_done) struct equipment equipment = {.inputs = -1, .channel = -1, .root = -1};
    cleanup_error berth_error *error = NULL;
    cleanup_free char *report = NULL;
    berth_engine *engine = NULL;
    berth_status status = prepare(&equipment, &error);
    if (status == BERTH_OK)
        status = confine(&equipment, &engine, &report, &error);
    if (status == BERTH_OK)
        status = serve(&equipment, engine, report, &error);
    if (status != BERTH_OK)
        control_send(CONTROL_FD, CONTROL_FAILED, EXIT_FAILED, berth_error_message(error), -1);
    berth_engine_unref(engine);
    (void)number;
    return status == BERTH_OK ? 0 : EXIT_FAILED;
}
