/* SPDX-License-Identifier: Apache-2.0 */
/* See supervisor.h. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/error.h"
#include "base/text.h"
#include "node/supervisor/supervisor.h"
#include "node/supervisor/systemd.h"

int supervisor_fail(const char *sentence, int status)
{
    cleanup_text struct text line = {0};
    text_append(&line, "berth: ");
    text_append_escaped(&line, sentence, strlen(sentence), CONTROL_TEXT_BYTES);
    text_append(&line, "\n");
    if (!line.failed)
        (void)!write(STDERR_FILENO, line.data, line.length);
    return status;
}

/* A front with thousands of connections needs more than the usual 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int open_signals(int *ret)
{
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &taken, NULL) < 0)
        return -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    *ret = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret < 0 ? -errno : 0;
}

/* ---- Settings
 * ------------------------------------------------------------------------------------------------- */

static const char *absolute_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value == '/' ? value : NULL;
}

static char *default_cache(const char *state)
{
    struct text path = {0};
    const char *base;
    if ((base = absolute_variable("CACHE_DIRECTORY"))) /* of systemd: CacheDirectory=; the first of a list */
        text_append_bytes(&path, base, strcspn(base, ":"));
    else if ((base = absolute_variable("XDG_CACHE_HOME")))
        text_append_format(&path, "%s/berth", base);
    else if ((base = absolute_variable("HOME")))
        text_append_format(&path, "%s/.cache/berth", base);
    else
        text_append_format(&path, "%s/cache", state);
    text_append(&path, "/modules");
    return text_take(&path);
}

berth_status supervisor_adapt(const struct supervisor *supervisor, struct settings *settings,
                              berth_error **reterr)
{
    if (!settings->cache_directory || !*settings->cache_directory) {
        free(settings->cache_directory);
        settings->cache_directory = default_cache(supervisor->state.path);
        if (!settings->cache_directory)
            return error_set_errno(reterr, -ENOMEM, "the settings cannot be completed");
    }
    if (settings->n_principals > 0)
        return BERTH_OK;
    return owner_add(settings, supervisor->token, reterr);
}

static int write_all(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

berth_status supervisor_share(const struct settings *settings, int *ret_file, berth_error **reterr)
{
    cleanup_free char *text = NULL;
    berth_status status = settings_write(settings, BERTH_FORMAT_JSON, &text, reterr);
    if (status != BERTH_OK)
        return status;
    cleanup_close int file = memfd_create("settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = file < 0 ? -errno : write_all(file, text, strlen(text));
    if (r == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        r = -errno;
    if (r < 0)
        return error_set_errno(reterr, r, "the settings cannot be handed to the processes of the node");
    *ret_file = take_fd(&file);
    return BERTH_OK;
}

/* ---- What children are given
 * ---------------------------------------------------------------------------------- */

static berth_status open_mounts(struct supervisor *supervisor, berth_error **reterr)
{
    const struct settings *settings = supervisor->settings;
    supervisor->mounts = calloc(settings->n_mounts + 1, sizeof(*supervisor->mounts));
    if (!supervisor->mounts)
        return error_set_errno(reterr, -ENOMEM, "the mounts cannot be opened");
    for (size_t i = 0; i < settings->n_mounts; i++) {
        const struct settings_mount *mount = &settings->mounts[i];
        int opened = open(mount->host, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (opened < 0 && (errno == ENOENT || errno == ENOTDIR))
            return error_set(reterr, BERTH_NOT_FOUND, "mount '%s': there is no directory %s", mount->name,
                             mount->host);
        if (opened < 0)
            return error_set_errno(reterr, -errno, "mount '%s': %s cannot be opened", mount->name,
                                   mount->host);
        supervisor->mounts[supervisor->n_mounts++] = opened;
    }
    return BERTH_OK;
}

static size_t worker_count(const struct settings *settings)
{
    cpu_set_t cores;
    if (settings->node_workers > 0)
        return (size_t)settings->node_workers;
    int count = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count < 256 ? (size_t)count : 256;
}

static berth_status prepare_children(struct supervisor *supervisor, berth_error **reterr)
{
    struct children *children = &supervisor->children;
    if (children_init(children, worker_count(supervisor->settings)) < 0)
        return error_set_errno(reterr, -ENOMEM, "the node cannot be started");
    children->state = supervisor->state.path;
    children->inputs = supervisor->state.inputs;
    children->mounts = supervisor->mounts;
    children->n_mounts = supervisor->n_mounts;
    children->listening = &supervisor->listening;
    return supervisor_share(supervisor->settings, &children->settings, reterr);
}

/* The directory first: who finds another node there has changed nothing. */
static berth_status prepare(struct supervisor *supervisor, berth_error **reterr)
{
    berth_status status = state_open(supervisor->settings->node_state_directory, &supervisor->state, reterr);
    if (status != BERTH_OK)
        return status;
    if (supervisor->settings->n_principals == 0 && owner_token_new(supervisor->token) < 0)
        return error_set(reterr, BERTH_IO, "this machine has no random numbers to make a token of");
    status = supervisor_adapt(supervisor, supervisor->settings, reterr);
    if (status == BERTH_OK)
        status = open_mounts(supervisor, reterr);
    if (status == BERTH_OK)
        status = listening_open(supervisor->settings, SYSTEMD_FIRST_FD, systemd_listeners(),
                                &supervisor->listening, reterr);
    return status == BERTH_OK ? prepare_children(supervisor, reterr) : status;
}

int supervisor_prepare(struct supervisor *supervisor, const struct node_arguments *arguments)
{
    cleanup_error berth_error *error = NULL;
    *supervisor = (struct supervisor){
        .arguments = arguments,
        .settings = arguments->settings,
        .state = {.lock = -1, .inputs = -1},
        .children = {.settings = -1},
        .isolation = json_array(),
        .signals = -1,
        .reloaded_file = -1,
        .watchdog_ns = systemd_watchdog_ns(),
        .next_watchdog_ns = UINT64_MAX,
    };
    log_init(&supervisor->log, STDERR_FILENO, LOG_FORMAT_AUTOMATIC,
             arguments->quiet ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "supervisor");
    raise_descriptor_limit();
    if (!supervisor->isolation)
        return supervisor_fail("memory is short", NODE_FAILURE);
    berth_status status = prepare(supervisor, &error);
    if (status != BERTH_OK)
        return supervisor_fail(berth_error_message(error), node_status_of_error(status));
    if (open_signals(&supervisor->signals) < 0)
        return supervisor_fail("this kernel lacks signal descriptors", NODE_FAILURE);
    return NODE_ENDED;
}

void supervisor_done(struct supervisor *supervisor)
{
    close_keeping_errno(supervisor->children.settings);
    children_done(&supervisor->children);
    listening_close(&supervisor->listening);
    for (size_t i = 0; i < supervisor->n_mounts; i++)
        close_keeping_errno(supervisor->mounts[i]);
    free(supervisor->mounts);
    state_close(&supervisor->state);
    settings_free(supervisor->reloaded);
    close_keeping_errno(supervisor->reloaded_file);
    settings_free(supervisor->settings);
    json_decref(supervisor->isolation);
    close_keeping_errno(supervisor->signals);
    explicit_bzero(supervisor->token, sizeof(supervisor->token));
    log_done(&supervisor->log);
}
