/* SPDX-License-Identifier: Apache-2.0 */
/* See front_start.h. */
#include "node/front/front_start.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

enum { SETTINGS_MAX_BYTES = 16 << 20 };

berth_status front_settings_read(int descriptor, struct settings **ret, berth_error **reterr)
{
    cleanup_close int fd = descriptor;
    cleanup_settings struct settings *settings = NULL;
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size <= 0 || status.st_size > SETTINGS_MAX_BYTES)
        return error_set(reterr, BERTH_INTERNAL, "the supervisor sent no settings");
    size_t size_bytes = (size_t)status.st_size;
    cleanup_free char *text = malloc(size_bytes);
    if (!text || settings_new(&settings) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for the settings");
    for (size_t done = 0; done < size_bytes;) {
        ssize_t n = pread(fd, text + done, size_bytes - done, (off_t)done);
        if (n <= 0)
            return error_set(reterr, BERTH_INTERNAL, "the settings cannot be read");
        done += (size_t)n;
    }
    berth_status result = settings_read(settings, text, size_bytes, "the supervisor", reterr);
    if (result == BERTH_OK)
        result = settings_complete(settings, reterr);
    if (result == BERTH_OK)
        *ret = take_ptr(settings);
    return result;
}

/* Puts a descriptor into its place, once. */
static int place(int *places, size_t n_places, uint32_t index, int *descriptor)
{
    if (index >= n_places || *descriptor < 0 || places[index] >= 0)
        return -EBADMSG;
    places[index] = take_fd(descriptor);
    return 0;
}

static int take_message(struct front_start *start, const struct control_message *message, int *descriptor,
                        berth_error **reterr)
{
    switch (message->kind) {
    case CONTROL_SETTINGS:
        return front_settings_read(take_fd(descriptor), &start->settings, reterr) == BERTH_OK ? 0 : -EINVAL;
    case CONTROL_STATE:
        memcpy(start->state_directory, message->text, sizeof(start->state_directory));
        return 0;
    case CONTROL_INPUTS:
        return place(&start->inputs_directory, 1, 0, descriptor);
    case CONTROL_COMPILER:
        return place(&start->compiler, 1, 0, descriptor);
    case CONTROL_LISTENER:
        return place(start->listeners, FRONT_LISTENERS_MAX, message->index, descriptor);
    case CONTROL_CHANNEL:
        if (message->index >= start->n_channels)
            start->n_channels = (size_t)message->index + 1;
        return place(start->channels, FRONT_WORKERS_MAX, message->index, descriptor);
    default:
        return -EBADMSG;
    }
}

berth_status front_start_receive(struct front_start *ret, berth_error **reterr)
{
    struct control_message message;
    ret->settings = NULL;
    ret->inputs_directory = ret->compiler = -1;
    ret->n_channels = 0;
    memset(ret->channels, -1, sizeof(ret->channels));
    memset(ret->listeners, -1, sizeof(ret->listeners));
    for (;;) {
        cleanup_close int descriptor = -1;
        int r = control_receive(CONTROL_FD, &message, &descriptor);
        if (r == 1)
            return error_set(reterr, BERTH_ENDED, "the supervisor is gone");
        if (r == -EINTR)
            continue;
        if (r == 0 && message.kind == CONTROL_GO)
            break;
        if (r == 0)
            r = take_message(ret, &message, &descriptor, reterr);
        if (r == -EINVAL)
            return BERTH_INVALID;
        if (r < 0)
            return error_set_errno(reterr, r, "the supervisor's message %u cannot be taken", message.kind);
    }
    if (!ret->settings || ret->inputs_directory < 0 || ret->compiler < 0)
        return error_set(reterr, BERTH_INTERNAL, "the supervisor did not send everything");
    return BERTH_OK;
}

void front_start_done(struct front_start *start)
{
    settings_free(start->settings);
    close_keeping_errno(start->inputs_directory);
    close_keeping_errno(start->compiler);
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        close_keeping_errno(start->channels[i]);
    for (size_t i = 0; i < FRONT_LISTENERS_MAX; i++)
        close_keeping_errno(start->listeners[i]);
}
