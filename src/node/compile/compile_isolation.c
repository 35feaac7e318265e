/* SPDX-License-Identifier: Apache-2.0 */
/* See compile_isolation.h. Landlock: Documentation/userspace-api/landlock.rst of Linux. */
#include "node/compile/compile_isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Of ABI 3, younger than the headers of Debian 12. */
#define ACCESS_TRUNCATE (UINT64_C(1) << 14)

#define ACCESS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* What applies to a file; the rest is about directories. */
#define ACCESS_OF_FILES                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
     ACCESS_TRUNCATE)

int compile_isolation_harden(void)
{
    const struct rlimit none = {0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    return 0;
}

/* ---- Places ------------------------------------------------------------------------------------- */

/* What is not there needs no rule. */
static int allow(int rules, const char *path, uint64_t access)
{
    struct stat status;
    cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (fstat(fd, &status) < 0)
        return -errno;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(status.st_mode) ? access : access & ACCESS_OF_FILES, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return 0;
}

/* Where the library looks for the compiler, seen from this program. */
static int allow_compiler(int rules)
{
    static const char *const places[] = {"", "/../libexec/berth", "/../../libexec/berth"};
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length < 0)
        return -errno;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        cleanup_text struct text path = {0};
        text_append_format(&path, "%s%s", program, places[i]);
        int r = path.failed ? -ENOMEM : allow(rules, path.data, ACCESS_READ);
        if (r < 0)
            return r;
    }
    return 0;
}

static int allow_all(int rules, const char *cache_directory, uint64_t handled)
{
    static const char *const libraries[] = {
        "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload", "/nix/store"};
    int r = allow(rules, cache_directory, handled & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
    for (size_t i = 0; r == 0 && i < sizeof(libraries) / sizeof(libraries[0]); i++)
        r = allow(rules, libraries[i], ACCESS_READ);
    return r < 0 ? r : allow_compiler(rules);
}

/* Like mkdir -p; what is made is for this user alone. What cannot be made shows when it is used. */
static int make_directories(const char *path)
{
    cleanup_free char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0700);
        *slash = '/';
    }
    mkdir(copy, 0700);
    return 0;
}

/* ---- Landlock ----------------------------------------------------------------------------------- */

/* Every access that this kernel knows. */
static uint64_t all_access(long version)
{
    uint64_t access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (version >= 2)
        access |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        access |= ACCESS_TRUNCATE;
    return access;
}

int compile_isolation_confine(const char *cache_directory, bool *ret_confined)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int r = make_directories(cache_directory);
    *ret_confined = false;
    if (r < 0 || version < 1)
        return r;
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = all_access(version)};
    cleanup_close int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (rules < 0)
        return -errno;
    r = allow_all(rules, cache_directory, attributes.handled_access_fs);
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = -errno;
    *ret_confined = r == 0;
    return r;
}
