/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a hostile guest: a sequence of WASI calls with chosen arguments, on a small memory and a small
 * tree.
 *
 * The first byte chooses the grants. Then a byte per call names the function, and a byte per argument how it
 * is made: an address, a path from a dictionary, a path from the bytes, a number that breaks things, or raw.
 * Beside what the sanitizers see: a file above the granted directory must stay as it is, only documented
 * results may come back, and no descriptor may be left open.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wasi/preview1.h"
#include "wasi/wasi.h"

static void ignore_change(void *payload)
{
    (void)payload;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_SIZE = 1 << 16, AT_PATHS = 1 << 12, CALLS_MAX = 64, PATH_BYTES_MAX = 64 };

struct input {
    const uint8_t *bytes;
    size_t size;
};

static uint8_t take(struct input *input)
{
    if (!input->size)
        return 0;
    input->size--;
    return *input->bytes++;
}

static uint64_t take_raw(struct input *input, int n_bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < n_bytes; i++)
        value |= (uint64_t)take(input) << (8 * i);
    return value;
}

/* ---- What the guest is given ---- */

static int stream_read(void *stream, const struct iovec *vector, int n_vector, size_t *ret_size)
{
    unsigned *turn = stream;
    *ret_size = 0;
    if (n_vector < 1 || n_vector > WASI_STREAM_VECTOR_MAX)
        abort();
    if (++*turn % 3 == 0)
        return WASI_STREAM_BLOCKED;
    if (*turn % 5 != 0) {
        *ret_size = vector[0].iov_len < 7 ? vector[0].iov_len : 7;
        memset(vector[0].iov_base, 'i', *ret_size);
    }
    return *turn % 7 == 0 ? -EIO : 0;
}

static int stream_write(void *stream, const struct iovec *vector, int n_vector)
{
    static const int results[] = {0, 0, 0, WASI_STREAM_BLOCKED, WASI_STREAM_LIMIT, -EPIPE};
    unsigned *turn = stream;
    volatile uint8_t sum = 0; /* every byte must be there to be read */
    if (n_vector < 1 || n_vector > WASI_STREAM_VECTOR_MAX)
        abort();
    for (int i = 0; i < n_vector; i++)
        for (size_t k = 0; k < vector[i].iov_len; k++)
            sum = (uint8_t)(sum + ((const uint8_t *)vector[i].iov_base)[k]);
    return results[++*turn % 6];
}

static bool stream_ready(void *stream, uint64_t *ret_bytes, bool *ret_hangup)
{
    unsigned *turn = stream;
    *ret_bytes = *turn;
    *ret_hangup = *turn % 5 == 0;
    return ++*turn % 2;
}

static const struct wasi_stream_operations stream_operations = {stream_read, stream_write, stream_ready};

static void write_file(int directory, const char *name, const char *contents)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, contents, strlen(contents)) < 0)
        abort();
    close(fd);
}

static void make_tree(char *above, char *root, size_t size)
{
    /* In memory where the host has a place for that: a tree is made for each input. */
    snprintf(above, size, "%s/berth-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(above))
        abort();
    snprintf(root, size, "%.60s/root", above);
    if (mkdir(root, 0755))
        abort();
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || mkdirat(fd, "d", 0755) || mkdirat(fd, "d/e", 0755) || mkdirat(fd, "private", 0755) ||
        symlinkat("../secret", fd, "out") || symlinkat("d/e", fd, "in") || symlinkat("loop", fd, "loop") ||
        symlinkat("../..", fd, "d/up") || mkfifoat(fd, "fifo", 0644))
        abort();
    write_file(fd, "../secret", "secret");
    write_file(fd, "f", "contents");
    write_file(fd, "x.key", "hidden");
    write_file(fd, "private/p", "hidden");
    close(fd);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    return remove(path);
}

/* ---- Arguments ---- */

static const char *const dictionary[] = {
    "f",  "d",       "d/e",       "in",     "out",        "loop",        "fifo", "x.key",      "private",
    ".",  "..",      "../f",      "d/../f", "d/up",       "d/up/secret", "new",  "d/e/new",    "in/new/",
    "f/", "d//e/./", "private/p", "",       "new/deeper", "a",           "b",    "private/..", "in/../x.key",
};

static const uint64_t breaking[] = {
    MEMORY_SIZE - 1,   MEMORY_SIZE, MEMORY_SIZE + 1,   INT32_MAX,  UINT64_C(1) << 31, UINT32_MAX,
    UINT64_C(1) << 62, INT64_MAX,   UINT64_C(1) << 63, UINT64_MAX, RIGHTS_OF_FILE,    RIGHTS_OF_DIRECTORY,
};

/* Puts a path into memory; its length becomes the next argument where the function takes one. */
static uint64_t put_path(struct input *input, uint8_t *memory, uint64_t *ret_length)
{
    char text[PATH_BYTES_MAX + 1];
    uint8_t choice = take(input);
    size_t length = 0;
    if (choice < 200) {
        const char *path = dictionary[choice % (sizeof dictionary / sizeof dictionary[0])];
        length = strlen(path);
        memcpy(text, path, length + 1);
    } else {
        for (size_t n = choice % PATH_BYTES_MAX; length < n; length++)
            text[length] = (char)take(input);
    }
    size_t at = AT_PATHS + (choice % 8) * 256U;
    memcpy(memory + at, text, length);
    *ret_length = length;
    return at;
}

static void make_arguments(struct input *input, const char *parameters, uint8_t *memory, uint64_t *arguments)
{
    for (size_t i = 0; parameters[i]; i++) {
        uint8_t kind = take(input);
        uint64_t length = 0;
        bool wide = parameters[i] == 'I';
        switch (kind % 6) {
        case 0:
            arguments[i] = kind / 6 % 8; /* a descriptor, a flag, a count */
            break;
        case 1:
            arguments[i] = (uint64_t)(kind / 6) * 64; /* an aligned address */
            break;
        case 2:
            arguments[i] = put_path(input, memory, &length);
            if (parameters[i + 1] == 'i')
                arguments[++i] = length;
            break;
        case 3:
            arguments[i] = breaking[kind / 6 % (sizeof breaking / sizeof breaking[0])];
            break;
        case 4:
            arguments[i] = take_raw(input, 1);
            break;
        default:
            arguments[i] = take_raw(input, wide ? 8 : 4);
            break;
        }
        if (!wide)
            arguments[i] = (uint32_t)arguments[i];
    }
}

static void make_calls(struct input *input, struct wasi_context *context, uint8_t *memory)
{
    for (int calls = 0; calls < CALLS_MAX && input->size; calls++) {
        enum wasi_function function = (enum wasi_function)(take(input) % WASI_N_FUNCTIONS);
        uint64_t arguments[WASI_MAX_ARGUMENTS + 1] = {0};
        uint32_t error = 0;
        make_arguments(input, wasi_functions[function].parameters, memory, arguments);
        enum wasi_result result = WASI_YIELD;
        for (int turn = 0; turn < 4 && (result == WASI_WAIT || result == WASI_YIELD); turn++)
            result =
                wasi_call(context, function, (struct wasi_memory){memory, MEMORY_SIZE}, arguments, &error);
        if (result == WASI_WAIT || result == WASI_YIELD)
            wasi_context_abandon_call(context);
        if (result == WASI_DONE && error > ERRNO_NOTCAPABLE)
            abort();
        if (result == WASI_FAULT && !*wasi_context_fault(context))
            abort();
    }
}

static void check_outside(const char *above)
{
    char path[96], contents[16] = "";
    struct stat status;
    snprintf(path, sizeof path, "%.60s/secret", above);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, contents, sizeof contents) != 6 || memcmp(contents, "secret", 6) != 0)
        abort();
    if (fstat(fd, &status) || status.st_nlink != 1)
        abort();
    close(fd);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const none[] = {NULL};
    static const char *const patterns[] = {"*.key", "private/", "/d/e/n*"};
    struct input input = {data, size};
    struct wasi_mounts *mounts;
    struct wasi_context *context;
    unsigned turns[3] = {0};
    char above[96], root[96];
    size_t failed;
    int before = lowest_free_descriptor();
    uint8_t grants = take(&input);
    make_tree(above, root, sizeof root);
    struct wasi_mount_options mount = {.guest = "/",
                                       .host = root,
                                       .descriptor = -1,
                                       .writable = grants & 1,
                                       .hide = patterns,
                                       .n_hide = grants & 2 ? 3 : 0,
                                       .quota_bytes = grants & 4 ? 65536 : 0};
    struct wasi_options options = {.args = none,
                                   .env = none,
                                   .clock = WASI_CLOCK_FINE,
                                   .random = WASI_RANDOM_SEEDED,
                                   .max_open_files = 8,
                                   .deterministic = grants & 8,
                                   .events = grants & 32,
                                   .watch = grants & 64};
    for (int i = 0; i < 3; i++)
        options.streams[i] = (struct wasi_stream){&stream_operations, &turns[i], grants & 16};
    if (wasi_mounts_new(&mount, 1, -1, &mounts, &failed))
        abort();
    options.mounts = mounts;
    if (options.watch && wasi_watches_new(ignore_change, &options.watches) < 0)
        abort();
    /* Of exactly this size, so that the sanitizer sees a step over its end. */
    uint8_t *memory = calloc(1, MEMORY_SIZE);
    if (!memory || wasi_context_new(&options, &context))
        abort();
    make_calls(&input, context, memory);
    wasi_context_free(context);
    wasi_watches_free(options.watches);
    wasi_mounts_unref(mounts);
    free(memory);
    check_outside(above);
    nftw(above, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (lowest_free_descriptor() != before)
        abort();
    return 0;
}
