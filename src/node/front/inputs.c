/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a run: JSON values with names, shown to the guest as one object on stdin and as files. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/text.h"
#include "node/front/visit.h"

static int refuse(struct refusal *refusal, enum grpc_status status, const char *reason, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
static int refuse(struct refusal *refusal, enum grpc_status status, const char *reason, const char *format,
                  ...)
{
    va_list arguments;
    va_start(arguments, format);
    refusal->status = status;
    snprintf(refusal->reason, sizeof(refusal->reason), "%s", reason);
    vsnprintf(refusal->sentence, sizeof(refusal->sentence), format, arguments);
    va_end(arguments);
    return 1;
}

/* A name is a file's name, too. */
static bool name_is_good(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX && text_is_utf8(name, length) && !strchr(name, '/') &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int append_member(struct text *object, const struct visit_input *input, struct refusal *refusal)
{
    if (!json_is_valid(input->json, input->json_bytes)) {
        cleanup_text struct text name = {0};
        text_append_escaped(&name, input->name, strlen(input->name), 40);
        return refuse(refusal, GRPC_INVALID_ARGUMENT, "input", "the input %s is no JSON",
                      name.data ? name.data : "");
    }
    cleanup_json json_t *key = json_string(input->name);
    cleanup_free char *quoted = key ? json_dumps(key, JSON_ENCODE_ANY) : NULL;
    if (!quoted)
        return -ENOMEM;
    text_append(object, object->length > 1 ? "," : "");
    text_append(object, quoted);
    text_append(object, ":");
    text_append_bytes(object, input->json, input->json_bytes);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 0; 1: one is there twice; -ENOMEM. */
static int names_differ(const struct visit_input *inputs, size_t n_inputs)
{
    cleanup_free const char **names = calloc(n_inputs, sizeof(*names));
    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < n_inputs; i++)
        names[i] = inputs[i].name;
    qsort(names, n_inputs, sizeof(*names), compare_names);
    for (size_t i = 1; i < n_inputs; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return 1;
    return 0;
}

int inputs_object(const struct visit_input *inputs, size_t n_inputs, const struct settings *settings,
                  char **ret, size_t *ret_bytes, struct refusal *ret_refusal)
{
    cleanup_text struct text object = {0};
    uint64_t total = 0;
    *ret = NULL;
    *ret_bytes = 0;
    if (n_inputs == 0)
        return 0;
    if (n_inputs > settings->limits_max_inputs)
        return refuse(ret_refusal, GRPC_RESOURCE_EXHAUSTED, "inputs",
                      "%zu inputs are too many; at most %" PRIu64 " are allowed (limits.max_inputs)",
                      n_inputs, settings->limits_max_inputs);
    for (size_t i = 0; i < n_inputs; i++)
        total += inputs[i].json_bytes;
    if (total > settings->limits_max_inputs_mb << 20)
        return refuse(ret_refusal, GRPC_RESOURCE_EXHAUSTED, "inputs",
                      "the inputs are larger than %" PRIu64 " MiB (limits.max_inputs_mb)",
                      settings->limits_max_inputs_mb);
    int r = names_differ(inputs, n_inputs);
    if (r != 0)
        return r < 0 ? r : refuse(ret_refusal, GRPC_INVALID_ARGUMENT, "input", "an input is there twice");
    text_append(&object, "{");
    for (size_t i = 0; i < n_inputs; i++) {
        if (!name_is_good(inputs[i].name))
            return refuse(ret_refusal, GRPC_INVALID_ARGUMENT, "input",
                          "an input's name must be a file's name: 1 to 255 bytes of UTF-8 without '/'");
        r = append_member(&object, &inputs[i], ret_refusal);
        if (r != 0)
            return r;
    }
    text_append(&object, "}\n");
    *ret_bytes = object.length;
    *ret = text_take(&object);
    return *ret ? 0 : -ENOMEM;
}

static int write_file(int directory, const struct visit_input *input)
{
    cleanup_close int fd =
        openat(directory, input->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < input->json_bytes;) {
        ssize_t n = write(fd, input->json + done, input->json_bytes - done);
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

int inputs_directory_make(int parent, const char *run_id, const struct visit_input *inputs, size_t n_inputs)
{
    if (mkdirat(parent, run_id, 0700) < 0)
        return -errno;
    cleanup_close int directory = openat(parent, run_id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = directory < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < n_inputs; i++)
        r = write_file(directory, &inputs[i]);
    if (r == 0)
        return take_fd(&directory);
    inputs_directory_remove(parent, run_id);
    return r;
}

void inputs_directory_remove(int parent, const char *run_id)
{
    int fd = openat(parent, run_id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (!entries) {
        close_keeping_errno(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));)
        unlinkat(fd, entry->d_name, 0);
    closedir(entries);
    unlinkat(parent, run_id, AT_REMOVEDIR);
}
