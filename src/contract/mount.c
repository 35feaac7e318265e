/* SPDX-License-Identifier: Apache-2.0 */
/* A mount: what a meant one looks like, and its copy. Nothing here looks at the file system. */
#include <string.h>

#include "base/checked_math.h"
#include "contract/contract.h"

/* Whether the relative path, which may be empty, has only names: no "", "." or "..". */
static bool has_only_names(const char *path, size_t length)
{
    for (size_t start = 0; start < length;) {
        const char *slash = memchr(path + start, '/', length - start);
        size_t end = slash ? (size_t)(slash - path) : length;
        size_t size = end - start;
        if (size == 0 || (size <= 2 && path[start] == '.' && path[end - 1] == '.'))
            return false;
        if (slash && end + 1 == length)
            return false;
        start = end + 1;
    }
    return true;
}

static bool is_printable_utf8(const char *string, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)string[i] < 0x20 || string[i] == 0x7f)
            return false;
    return text_is_utf8(string, length);
}

/* Without the slash that the path may end with. */
static size_t guest_length(const char *guest)
{
    size_t length = strlen(guest);
    return length > 1 && guest[length - 1] == '/' ? length - 1 : length;
}

static bool is_guest_path(const char *guest)
{
    size_t length = guest_length(guest);
    return guest[0] == '/' && !strstr(guest, "//") && length <= CONTRACT_PATH_MAX_BYTES &&
           is_printable_utf8(guest, length) && has_only_names(guest + 1, length - 1);
}

static bool is_host_path(const char *host)
{
    size_t length = strlen(host);
    return length > 0 && length <= CONTRACT_PATH_MAX_BYTES && text_is_utf8(host, length);
}

/* Whether every "[" is closed in its component and every "\\" has a character to take as it is. The first
 * character of a set is a member even if it is "]". */
static bool has_whole_sets(const char *pattern)
{
    for (const char *c = pattern; *c; c++) {
        if (*c == '\\') {
            c++;
            if (*c == '\0' || *c == '/')
                return false;
            continue;
        }
        if (*c != '[')
            continue;
        c += c[1] == '!' || c[1] == '^' ? 2 : 1;
        c += *c == ']';
        c += strcspn(c, "]/");
        if (*c != ']')
            return false;
    }
    return true;
}

/* The grammar of docs/contract.md, section "Hiding". */
static bool is_hide_pattern(const char *pattern)
{
    size_t length = strlen(pattern);
    if (length > CONTRACT_PATH_MAX_BYTES || pattern[0] == '!' || !text_is_utf8(pattern, length))
        return false;
    if (length > 1 && pattern[length - 1] == '/')
        length--;
    size_t start = length > 0 && pattern[0] == '/';
    return length > start && has_only_names(pattern + start, length - start) && has_whole_sets(pattern);
}

static int refuse(struct text *problem, const char *key, const char *found, const char *requirement)
{
    text_append_format(problem, "grants.mount.%s is ", key);
    if (found)
        contract_append_quoted(problem, found);
    else
        text_append(problem, "missing");
    text_append_format(problem, "; it must be %s", requirement);
    return CONTRACT_INVALID;
}

int contract_mount_check(const struct berth_mount *mount, struct text *problem)
{
    if (!mount->guest || !is_guest_path(mount->guest))
        return refuse(problem, "guest", mount->guest,
                      "an absolute path without \"//\", \".\" or \"..\", such as \"/logs\"");
    if (!mount->host || !is_host_path(mount->host))
        return refuse(problem, "host", mount->host, "the path of a directory on the host, in UTF-8");
    if (mount->n_hide > CONTRACT_HIDE_MAX) {
        text_append_format(problem, "grants.mount.hide has %zu patterns; it must have at most %d",
                           mount->n_hide, CONTRACT_HIDE_MAX);
        return CONTRACT_INVALID;
    }
    for (size_t i = 0; i < mount->n_hide; i++)
        if (!mount->hide || !mount->hide[i] || !is_hide_pattern(mount->hide[i]))
            return refuse(problem, "hide", mount->hide ? mount->hide[i] : NULL,
                          "a pattern such as \"*.key\", \"private/\" or \"/old/**/*.log\", without \".\", "
                          "\"..\", a leading \"!\" or an open \"[\"");
    if (mount->quota_bytes && !mount->writable) {
        const struct contract_key *quota = &contract_keys[KEY_MOUNT_quota_mb];
        text_append(problem, "grants.mount.quota_mb is ");
        contract_key_append_value(quota, contract_key_get(quota, mount), problem);
        text_append(problem, " for a mount with mode \"read\"; a quota needs mode = \"write\"");
        return CONTRACT_INVALID;
    }
    return 0;
}

static const char *copy_string(char **place, const char *string, size_t length)
{
    char *copy = *place;
    memcpy(copy, string, length);
    copy[length] = '\0';
    *place += length + 1;
    return copy;
}

int contract_mount_copy(const struct berth_mount *mount, struct berth_mount *ret, void **ret_strings)
{
    /* Bounded by the checks above: at most CONTRACT_HIDE_MAX + 2 strings of a path's length. */
    size_t size = mount->n_hide * sizeof(char *) + strlen(mount->guest) + strlen(mount->host) + 2;
    for (size_t i = 0; i < mount->n_hide; i++)
        size += strlen(mount->hide[i]) + 1;
    void *block = malloc(size);
    if (!block)
        return -ENOMEM;
    const char **hide = block;
    char *place = (char *)(hide + mount->n_hide);
    *ret = *mount;
    ret->guest = copy_string(&place, mount->guest, guest_length(mount->guest));
    ret->host = copy_string(&place, mount->host, strlen(mount->host));
    for (size_t i = 0; i < mount->n_hide; i++)
        hide[i] = copy_string(&place, mount->hide[i], strlen(mount->hide[i]));
    ret->hide = hide;
    *ret_strings = block;
    return 0;
}
