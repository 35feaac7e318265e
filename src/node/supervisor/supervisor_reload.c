/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: everything is read again, and the front decides. Until it has said yes, the old settings are those
 * that a replaced child would get. What belongs to the processes themselves (mounts, listeners, their number,
 * the state directory) changes with the next start only.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "node/supervisor/supervisor.h"
#include "node/supervisor/systemd.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_mounts(const struct settings *a, const struct settings *b)
{
    if (a->n_mounts != b->n_mounts)
        return false;
    for (size_t i = 0; i < a->n_mounts; i++) {
        const struct settings_mount *left = &a->mounts[i], *right = &b->mounts[i];
        if (!same_text(left->name, right->name) || !same_text(left->host, right->host))
            return false;
    }
    return true;
}

static bool same_listeners(const struct settings *a, const struct settings *b)
{
    if (a->n_listeners != b->n_listeners)
        return false;
    for (size_t i = 0; i < a->n_listeners; i++)
        if (!same_text(a->listeners[i].host, b->listeners[i].host) ||
            a->listeners[i].port != b->listeners[i].port ||
            !a->listeners[i].certificate != !b->listeners[i].certificate)
            return false;
    return true;
}

/* NULL, or what of the new settings needs a restart. */
static const char *needs_restart(const struct settings *old, const struct settings *new)
{
    if (!same_mounts(old, new))
        return "the mounts have changed";
    if (!same_listeners(old, new))
        return "the listeners have changed (their addresses, or whether they have TLS)";
    if (old->node_workers != new->node_workers)
        return "the number of workers has changed";
    if (!same_text(old->node_state_directory, new->node_state_directory))
        return "the state directory has changed";
    if (!same_text(old->cache_directory, new->cache_directory))
        return "the cache directory has changed";
    return NULL;
}

static void refuse(struct supervisor *supervisor, const char *why)
{
    log_event(&supervisor->log, LOG_LEVEL_ERROR, "reload_refused", log_text("reason", why),
              log_text("settings", "the old ones stay"));
}

static void forget(struct supervisor *supervisor)
{
    settings_free(supervisor->reloaded);
    supervisor->reloaded = NULL;
    supervisor->reloaded_file = close_keeping_errno(supervisor->reloaded_file);
    systemd_notify("READY=1");
}

/* BERTH_OK: the front has been asked. */
static berth_status ask(struct supervisor *supervisor, berth_error **reterr)
{
    const struct node_arguments *arguments = supervisor->arguments;
    const struct child *front = &supervisor->children.all[CHILD_FRONT];
    if (!arguments->reload)
        return error_set(reterr, BERTH_UNSUPPORTED, "there is nothing to read again");
    berth_status status = arguments->reload(arguments->payload, &supervisor->reloaded, reterr);
    if (status == BERTH_OK && supervisor->reloaded->n_principals == 0 && !*supervisor->token)
        return error_set(reterr, BERTH_INVALID,
                         "no principal is left; a token for the owner is made at a start only");
    if (status == BERTH_OK)
        status = supervisor_adapt(supervisor, supervisor->reloaded, reterr);
    const char *change =
        status == BERTH_OK ? needs_restart(supervisor->settings, supervisor->reloaded) : NULL;
    if (change)
        return error_set(reterr, BERTH_INVALID, "%s, which needs a restart of the node", change);
    if (status == BERTH_OK)
        status = supervisor_share(supervisor->reloaded, &supervisor->reloaded_file, reterr);
    if (status != BERTH_OK)
        return status;
    int r = front->ready ? control_send(front->control, CONTROL_RELOAD, 0, NULL, supervisor->reloaded_file)
                         : -EAGAIN;
    return r < 0 ? error_set_errno(reterr, r, "the front cannot be asked") : BERTH_OK;
}

void supervisor_reload(struct supervisor *supervisor)
{
    cleanup_error berth_error *error = NULL;
    if (supervisor->phase != SERVING)
        return;
    if (supervisor->reloaded) {
        supervisor->reload_again = true;
        return;
    }
    systemd_notify_reloading();
    if (ask(supervisor, &error) == BERTH_OK)
        return;
    refuse(supervisor, berth_error_message(error));
    forget(supervisor);
}

void supervisor_reloaded(struct supervisor *supervisor, const char *answer)
{
    if (!supervisor->reloaded)
        return;
    if (!answer || *answer) {
        refuse(supervisor, answer ? answer : "the front ended");
    } else {
        settings_free(supervisor->settings);
        supervisor->settings = take_ptr(supervisor->reloaded);
        close_keeping_errno(supervisor->children.settings);
        supervisor->children.settings = take_fd(&supervisor->reloaded_file);
        log_event(&supervisor->log, LOG_LEVEL_INFO, "reloaded");
    }
    forget(supervisor);
    if (supervisor->reload_again) {
        supervisor->reload_again = false;
        supervisor_reload(supervisor);
    }
}
