/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that makes the host calls it is told, with exactly the arguments it is told, and says what came
 * back. A test of a host call is then a few words in the test instead of a guest of its own.
 *
 * Each argument is a statement; with "-" as the only one, each line of stdin. "path_open 3 1 'a.txt 0 -1 -1 0
 * @4" is a function of wasi_snapshot_preview1 and its arguments, words separated by one space:
 *
 *   17 -1 0x10     a number
 *   $0             what statement 0 got: the first four bytes of its first result; -1 if it failed
 *   'text          address and length of the text; %00 stands for a byte
 *   ~5000          address and length of 5000 times the letter x
 *   @8             address of 8 zeroed bytes, a result
 *   <text <~5000   address of one iovec and the number 1: bytes to write
 *   >8             the same: room for 8 bytes, a result
 *   s+16 e-4       addresses: 16 bytes into a scratch area of 64 KiB; 4 bytes before the end of memory
 *
 * "*2000 " before a statement repeats it until it fails. Beside the host's functions there are "poke ADDRESS
 * 'text", "peek ADDRESS NUMBER", "grow PAGES", and "report FD", the descriptor that answers go to (1).
 *
 * An answer is a line: the errno, how often the statement succeeded, and each result in hexadecimal.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* FUNCTION(name, n, types), the types as in "i I i" */
#define i uint32_t
#define I uint64_t
#define FUNCTIONS                                    \
    F2(args_get, i, i)                               \
    F2(args_sizes_get, i, i)                         \
    F2(environ_get, i, i)                            \
    F2(environ_sizes_get, i, i)                      \
    F2(clock_res_get, i, i)                          \
    F3(clock_time_get, i, I, i)                      \
    F4(fd_advise, i, I, I, i)                        \
    F3(fd_allocate, i, I, I)                         \
    F1(fd_close, i)                                  \
    F1(fd_datasync, i)                               \
    F2(fd_fdstat_get, i, i)                          \
    F2(fd_fdstat_set_flags, i, i)                    \
    F3(fd_fdstat_set_rights, i, I, I)                \
    F2(fd_filestat_get, i, i)                        \
    F2(fd_filestat_set_size, i, I)                   \
    F4(fd_filestat_set_times, i, I, I, i)            \
    F5(fd_pread, i, i, i, I, i)                      \
    F2(fd_prestat_get, i, i)                         \
    F3(fd_prestat_dir_name, i, i, i)                 \
    F5(fd_pwrite, i, i, i, I, i)                     \
    F4(fd_read, i, i, i, i)                          \
    F5(fd_readdir, i, i, i, I, i)                    \
    F2(fd_renumber, i, i)                            \
    F4(fd_seek, i, I, i, i)                          \
    F1(fd_sync, i)                                   \
    F2(fd_tell, i, i)                                \
    F4(fd_write, i, i, i, i)                         \
    F3(path_create_directory, i, i, i)               \
    F5(path_filestat_get, i, i, i, i, i)             \
    F7(path_filestat_set_times, i, i, i, i, I, I, i) \
    F7(path_link, i, i, i, i, i, i, i)               \
    F9(path_open, i, i, i, i, i, I, I, i, i)         \
    F6(path_readlink, i, i, i, i, i, i)              \
    F3(path_remove_directory, i, i, i)               \
    F6(path_rename, i, i, i, i, i, i)                \
    F5(path_symlink, i, i, i, i, i)                  \
    F3(path_unlink_file, i, i, i)                    \
    F4(poll_oneoff, i, i, i, i)                      \
    F1(proc_raise, i)                                \
    F0(sched_yield)                                  \
    F2(random_get, i, i)                             \
    F3(sock_accept, i, i, i)                         \
    F6(sock_recv, i, i, i, i, i, i)                  \
    F5(sock_send, i, i, i, i, i)                     \
    F2(sock_shutdown, i, i)

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
#define HOST(name, parameters, ...)                \
    IMPORT(name) uint32_t host_##name parameters;  \
    static uint32_t call_##name(const uint64_t *a) \
    {                                              \
        (void)a;                                   \
        return host_##name(__VA_ARGS__);           \
    }
#define F0(n)                HOST(n, (void))
#define F1(n, p)             HOST(n, (p), (p)a[0])
#define F2(n, p, q)          HOST(n, (p, q), (p)a[0], (q)a[1])
#define F3(n, p, q, r)       HOST(n, (p, q, r), (p)a[0], (q)a[1], (r)a[2])
#define F4(n, p, q, r, s)    HOST(n, (p, q, r, s), (p)a[0], (q)a[1], (r)a[2], (s)a[3])
#define F5(n, p, q, r, s, t) HOST(n, (p, q, r, s, t), (p)a[0], (q)a[1], (r)a[2], (s)a[3], (t)a[4])
#define F6(n, p, q, r, s, t, u) \
    HOST(n, (p, q, r, s, t, u), (p)a[0], (q)a[1], (r)a[2], (s)a[3], (t)a[4], (u)a[5])
#define F7(n, p, q, r, s, t, u, v) \
    HOST(n, (p, q, r, s, t, u, v), (p)a[0], (q)a[1], (r)a[2], (s)a[3], (t)a[4], (u)a[5], (v)a[6])
#define F9(n, p, q, r, s, t, u, v, w, x)                                                                \
    HOST(n, (p, q, r, s, t, u, v, w, x), (p)a[0], (q)a[1], (r)a[2], (s)a[3], (t)a[4], (u)a[5], (v)a[6], \
         (w)a[7], (x)a[8])
FUNCTIONS
IMPORT(proc_exit) _Noreturn void host_proc_exit(uint32_t status);

enum {
    SCRATCH_BYTES = 64 << 10,
    ARENA_BYTES = 512 << 10,
    SCRIPT_BYTES = 8 << 20,
    STATEMENTS_MAX = 100000,
    ARGUMENTS_MAX = 12,
};

static uint8_t scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
static uint8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static char script[SCRIPT_BYTES];
static char line[4 * ARENA_BYTES];
static uint32_t answers[STATEMENTS_MAX];
static uint32_t report_fd = 1;

struct result {
    uint8_t *bytes;
    uint32_t size;
};

struct statement {
    uint64_t arguments[ARGUMENTS_MAX];
    unsigned n_arguments;
    struct result results[ARGUMENTS_MAX];
    unsigned n_results;
    uint32_t arena_used;
};

static uint32_t address(const void *pointer)
{
    return (uint32_t)(uintptr_t)pointer;
}

/* A statement that makes no sense is a mistake of the test. */
static _Noreturn void mistake(void)
{
    __builtin_trap();
}

static uint8_t *take(struct statement *statement, uint32_t size)
{
    uint32_t rounded = (size + 15) & ~15u;
    if (rounded > ARENA_BYTES - statement->arena_used)
        mistake();
    uint8_t *taken = arena + statement->arena_used;
    statement->arena_used += rounded;
    return memset(taken, 0, rounded);
}

static uint64_t number(const char *word)
{
    uint64_t value = 0;
    unsigned base = 10;
    int negative = *word == '-';
    word += negative;
    if (word[0] == '0' && word[1] == 'x') {
        base = 16;
        word += 2;
    }
    if (!*word)
        mistake();
    for (; *word; word++) {
        unsigned digit = *word <= '9' ? (unsigned)(*word - '0') : (unsigned)(*word - 'a' + 10);
        if (digit >= base)
            mistake();
        value = value * base + digit;
    }
    return negative ? 0 - value : value;
}

static void push(struct statement *statement, uint64_t value)
{
    if (statement->n_arguments == ARGUMENTS_MAX)
        mistake();
    statement->arguments[statement->n_arguments++] = value;
}

static uint8_t *push_result(struct statement *statement, uint32_t size)
{
    uint8_t *bytes = take(statement, size);
    statement->results[statement->n_results++] = (struct result){bytes, size};
    return bytes;
}

static uint8_t hex(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* Text with %00 for a byte. */
static struct result decoded(struct statement *statement, const char *word)
{
    struct result text = {take(statement, (uint32_t)strlen(word) + 1), 0};
    for (; *word; word++) {
        if (word[0] == '%' && word[1] && word[2]) {
            text.bytes[text.size++] = (uint8_t)(hex(word[1]) << 4 | hex(word[2]));
            word += 2;
        } else {
            text.bytes[text.size++] = (uint8_t)*word;
        }
    }
    return text;
}

static struct result repeated(struct statement *statement, const char *count)
{
    struct result text = {.size = (uint32_t)number(count)};
    text.bytes = memset(take(statement, text.size), 'x', text.size);
    return text;
}

static void push_vector(struct statement *statement, const uint8_t *bytes, uint32_t size)
{
    uint32_t vector[2] = {address(bytes), size};
    push(statement, address(memcpy(take(statement, sizeof(vector)), vector, sizeof(vector))));
    push(statement, 1);
}

static void read_argument(struct statement *statement, const char *word)
{
    struct result text;
    switch (word[0]) {
    case '$':
        push(statement, answers[number(word + 1) % STATEMENTS_MAX]);
        return;
    case '@':
        push(statement, address(push_result(statement, (uint32_t)number(word + 1))));
        return;
    case '\'':
        text = decoded(statement, word + 1);
        push(statement, address(text.bytes));
        push(statement, text.size);
        return;
    case '~':
        text = repeated(statement, word + 1);
        push(statement, address(text.bytes));
        push(statement, text.size);
        return;
    case '<':
        text = word[1] == '~' ? repeated(statement, word + 2) : decoded(statement, word + 1);
        push_vector(statement, text.bytes, text.size);
        return;
    case '>':
        text.size = (uint32_t)number(word + 1);
        push_vector(statement, push_result(statement, text.size), text.size);
        return;
    case 's':
        push(statement, address(scratch) + (uint32_t)number(word + 2));
        return;
    case 'e':
        push(statement, (uint64_t)__builtin_wasm_memory_size(0) * 65536 - number(word + 2));
        return;
    default:
        push(statement, number(word));
    }
}

static const struct function {
    const char *name;
    unsigned n_arguments;
    uint32_t (*call)(const uint64_t *arguments);
} functions[] = {
#undef HOST
#define ROW(name, count) {#name, count, call_##name},
#undef F0
#undef F1
#undef F2
#undef F3
#undef F4
#undef F5
#undef F6
#undef F7
#undef F9
#define F0(n)      ROW(n, 0)
#define F1(n, ...) ROW(n, 1)
#define F2(n, ...) ROW(n, 2)
#define F3(n, ...) ROW(n, 3)
#define F4(n, ...) ROW(n, 4)
#define F5(n, ...) ROW(n, 5)
#define F6(n, ...) ROW(n, 6)
#define F7(n, ...) ROW(n, 7)
#define F9(n, ...) ROW(n, 9)
    FUNCTIONS};

static uint32_t call_host(const char *name, const struct statement *statement)
{
    for (unsigned row = 0; row < sizeof(functions) / sizeof(functions[0]); row++) {
        if (strcmp(functions[row].name, name) != 0)
            continue;
        if (functions[row].n_arguments != statement->n_arguments)
            mistake();
        return functions[row].call(statement->arguments);
    }
    mistake();
}

static uint32_t perform(const char *name, struct statement *statement)
{
    const uint64_t *a = statement->arguments;
    if (strcmp(name, "poke") == 0) {
        memcpy((void *)(uintptr_t)a[0], (const void *)(uintptr_t)a[1], (size_t)a[2]);
    } else if (strcmp(name, "peek") == 0) {
        statement->results[0] = (struct result){(uint8_t *)(uintptr_t)a[0], (uint32_t)a[1]};
        statement->n_results = 1;
    } else if (strcmp(name, "grow") == 0) {
        uint32_t before = (uint32_t)__builtin_wasm_memory_grow(0, (uint32_t)a[0]);
        memcpy(push_result(statement, sizeof(before)), &before, sizeof(before));
    } else if (strcmp(name, "report") == 0) {
        report_fd = (uint32_t)a[0];
    } else if (strcmp(name, "proc_exit") == 0) {
        host_proc_exit((uint32_t)a[0]);
    } else {
        return call_host(name, statement);
    }
    return 0;
}

static char *append_number(char *at, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        *at++ = digits[--count];
    return at;
}

static void say(uint32_t errno_value, uint64_t times, const struct statement *statement)
{
    static const char digits[] = "0123456789abcdef";
    char *at = append_number(line, errno_value);
    *at++ = ' ';
    at = append_number(at, times);
    for (unsigned n = 0; n < statement->n_results; n++) {
        *at++ = ' ';
        for (uint32_t byte = 0; byte < statement->results[n].size; byte++) {
            *at++ = digits[statement->results[n].bytes[byte] >> 4];
            *at++ = digits[statement->results[n].bytes[byte] & 15];
        }
    }
    *at++ = '\n';
    for (uint32_t sent = 0, left = (uint32_t)(at - line); left; left -= sent) {
        uint32_t vector[2] = {address(at - left), left};
        if (host_fd_write(report_fd, address(vector), 1, address(&sent)))
            return;
    }
}

/* Cuts the text at its first space; returns what follows, or NULL. */
static char *cut(char *text)
{
    char *space = strchr(text, ' ');
    if (!space)
        return NULL;
    *space = '\0';
    return space + 1;
}

static void tell(char *text, unsigned index)
{
    struct statement statement = {0};
    uint64_t repeat = 1, times = 0;
    uint32_t errno_value = 0;
    bool stubborn = text[0] == '!';
    char *name = text, *next = cut(text);
    if (stubborn || name[0] == '*') {
        repeat = number(name + 1);
        name = next;
        next = cut(name);
    }
    for (char *word = next; word; word = next) {
        next = cut(word);
        read_argument(&statement, word);
    }
    for (uint64_t n = 0; n < repeat && (stubborn || !errno_value); n++) {
        errno_value = perform(name, &statement);
        times += !errno_value;
    }
    uint32_t *answer = &answers[index % STATEMENTS_MAX];
    *answer = UINT32_MAX;
    if (!errno_value && statement.n_results && statement.results[0].size >= sizeof(*answer))
        memcpy(answer, statement.results[0].bytes, sizeof(*answer));
    say(errno_value, times, &statement);
}

static void tell_lines(void)
{
    uint32_t used = 0, got = 0;
    unsigned index = 0;
    for (;;) {
        uint32_t vector[2] = {address(script + used), SCRIPT_BYTES - 1 - used};
        if (host_fd_read(0, address(vector), 1, address(&got)))
            mistake();
        if (!got)
            return;
        used += got;
        script[used] = '\0';
        char *at = script;
        for (char *end; (end = strchr(at, '\n')); at = end + 1) {
            *end = '\0';
            tell(at, index++);
        }
        used -= (uint32_t)(at - script);
        memmove(script, at, used);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        tell_lines();
    for (int n = 1; n < argc; n++)
        tell(argv[n], (unsigned)(n - 1));
    return 0;
}
