/* SPDX-License-Identifier: Apache-2.0 */
/* See denial.h. */
#include "wasi/denial.h"

#include <string.h>

#include "base/text.h"
#include "wasi/context.h"

enum { SHOWN_PATH_BYTES = 256 };

static void append_target(struct text *text, const struct denial *denial)
{
    const char *guest = denial->mount ? denial->mount->guest : NULL;
    const struct guest_path *path = denial->path;
    if (path) {
        text_append(text, " \"");
        text_append_escaped(text, path->text, path->length, SHOWN_PATH_BYTES);
        text_append(text, "\"");
    }
    if (guest) {
        text_append(text, " in \"");
        text_append_escaped(text, guest, strlen(guest), SHOWN_PATH_BYTES);
        text_append(text, "\"");
    }
    if (denial->purpose) {
        text_append(text, " ");
        text_append(text, denial->purpose);
    }
}

void deny(struct call *call, const struct denial *denial)
{
    struct wasi_context *context = call->context;
    if (context->usage.denials++ >= DENIALS_TOLD || !context->on_denial)
        return;
    cleanup_text struct text tried = {0};
    text_append(&tried, call_name(call));
    append_target(&tried, denial);
    context->on_denial(context->payload, &(struct wasi_denial){
                                             .rule = denial->rule,
                                             .tried = tried.failed ? call_name(call) : tried.data,
                                             .observed = denial->observed,
                                             .allowed = denial->allowed,
                                             .remedy = denial->remedy,
                                         });
}

int deny_writing(struct call *call, const struct mount *mount, const struct guest_path *path)
{
    deny(call, &(struct denial){.mount = mount,
                                .path = path,
                                .rule = "grants.mount.mode",
                                .observed = "a write",
                                .allowed = "reading",
                                .remedy = "mode = \"write\""});
    return ERRNO_ROFS;
}

int deny_escape(struct call *call, const struct mount *mount, const struct guest_path *path)
{
    /* Every listing has this entry, and C libraries look at each: nobody tried to get out. */
    if (strcmp(path->text, "..") == 0)
        return ERRNO_NOTCAPABLE;
    deny(call, &(struct denial){.mount = mount,
                                .path = path,
                                .rule = "grants.mount",
                                .observed = "a path that leads out of its directory",
                                .allowed = "paths below a granted directory",
                                .remedy = "a [[grants.mount]] for where it leads"});
    return ERRNO_NOTCAPABLE;
}

int deny_hidden(struct call *call, const struct mount *mount, const struct guest_path *path)
{
    deny(call, &(struct denial){.mount = mount,
                                .path = path,
                                .rule = "grants.mount.hide",
                                .observed = "a new name that matches a hide pattern",
                                .allowed = "other names",
                                .remedy = "a shorter hide list"});
    return ERRNO_NOTCAPABLE;
}

int deny_quota(struct call *call, const struct mount *mount, const struct guest_path *path)
{
    char allowed[48], remedy[48];
    uint64_t limit = mount->quota->limit_bytes;
    snprintf(allowed, sizeof allowed, "growth by %llu bytes", (unsigned long long)limit);
    snprintf(remedy, sizeof remedy, "quota_mb = %llu", (unsigned long long)(limit >> 20) * 2 + 1);
    deny(call, &(struct denial){.mount = mount,
                                .path = path,
                                .rule = "grants.mount.quota_mb",
                                .observed = "growth beyond that",
                                .allowed = allowed,
                                .remedy = remedy});
    return ERRNO_DQUOT;
}
