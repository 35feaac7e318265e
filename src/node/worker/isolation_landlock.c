/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock (Documentation/userspace-api/landlock.rst): a second check of what is opened, by the kernel's own
 * idea of where a file is, so that no link and no mistake in a path leads out of the directories.
 *
 * The rights of newer kernels are written down here, since the headers of the system may be older than the
 * kernel it runs on. What a kernel does not know is taken out by its ABI version.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/worker/isolation_layers.h"

/* Rights on files by the ABI that brought them. */
enum {
    RIGHTS_ABI_1 = (1 << 13) - 1,
    RIGHT_REFER = 1 << 13,    /* ABI 2 */
    RIGHT_TRUNCATE = 1 << 14, /* ABI 3 */
    RIGHT_DEVICE = 1 << 15,   /* ABI 5: ioctl of devices */
};

enum {
    RIGHTS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    RIGHTS_WRITE = RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | RIGHT_REFER | RIGHT_TRUNCATE,
    NETWORK_TCP = 3, /* ABI 4: bind, connect */
    SCOPES = 3,      /* ABI 6: abstract sockets, signals */
};

/* struct landlock_ruleset_attr as of ABI 6. */
struct ruleset {
    uint64_t files, network, scopes;
};

static long abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t rights_known(long version)
{
    return RIGHTS_ABI_1 | (version >= 2 ? RIGHT_REFER : 0) | (version >= 3 ? RIGHT_TRUNCATE : 0) |
           (version >= 5 ? RIGHT_DEVICE : 0);
}

static int allow(int ruleset, int directory, uint64_t rights)
{
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = directory};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

/* Hidden names are told from visible ones by what this directory says of open files. */
static int allow_own_descriptors(int ruleset)
{
    cleanup_close int directory = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? 0 : allow(ruleset, directory, LANDLOCK_ACCESS_FS_READ_DIR);
}

static int add_rules(const struct isolation *isolation, int ruleset, uint64_t known)
{
    int r = allow_own_descriptors(ruleset);
    for (size_t i = 0; i < isolation->n_directories && r == 0; i++) {
        const struct isolation_directory *directory = &isolation->directories[i];
        r = allow(ruleset, directory->descriptor, (directory->writable ? RIGHTS_WRITE : RIGHTS_READ) & known);
    }
    return r;
}

int isolation_confine_files(const struct isolation *isolation, unsigned *layers)
{
    long version = abi();
    /* Without ABI 3 a file that may only be read could be truncated by its path. */
    if (version < 3)
        return 0;
    const struct ruleset attributes = {
        .files = rights_known(version),
        .network = version >= 4 ? NETWORK_TCP : 0,
        .scopes = version >= 6 ? SCOPES : 0,
    };
    size_t size = version >= 6 ? sizeof(attributes) : version >= 4 ? 16 : 8;
    cleanup_close int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (ruleset < 0)
        return -errno;
    int r = add_rules(isolation, ruleset, attributes.files);
    if (r < 0)
        return r;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return -errno;
    *layers |= ISOLATION_FILES | (version >= 6 ? ISOLATION_NETWORK : 0);
    return 0;
}
