/* SPDX-License-Identifier: Apache-2.0 */
/* See listening.h. */
#include "node/supervisor/listening.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"

/* 0 or a negative errno. */
static int bind_one(const struct addrinfo *address, int *ret)
{
    const int on = 1;
    cleanup_close int opened = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0 || setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(opened, address->ai_addr, address->ai_addrlen) < 0 || listen(opened, SOMAXCONN) < 0)
        return -errno;
    *ret = take_fd(&opened);
    return 0;
}

static berth_status explain(int failure, const struct settings_listener *listener, berth_error **reterr)
{
    if (failure == -EADDRINUSE)
        return error_set(reterr, BERTH_BUSY,
                         "port %u of %s is in use by another program; choose one with --listen %s:PORT",
                         listener->port, listener->host, listener->host);
    if (failure == -EACCES)
        return error_set(reterr, BERTH_IO,
                         "port %u of %s may not be used without more rights; choose one above 1023",
                         listener->port, listener->host);
    if (failure == -EADDRNOTAVAIL)
        return error_set(reterr, BERTH_INVALID, "this machine does not have the address %s", listener->host);
    return error_set_errno(reterr, failure, "port %u of %s cannot be listened on", listener->port,
                           listener->host);
}

static berth_status open_one(const struct settings_listener *listener, int *ret, berth_error **reterr)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", listener->port);
    int problem = getaddrinfo(listener->host, port, &hints, &found);
    if (problem != 0)
        return error_set(reterr, BERTH_INVALID, "there is no address %s to listen on: %s", listener->host,
                         gai_strerror(problem));
    int r = bind_one(found, ret);
    freeaddrinfo(found);
    return r < 0 ? explain(r, listener, reterr) : BERTH_OK;
}

berth_status listening_open(const struct settings *settings, int first_given, size_t n_given,
                            struct listening *ret, berth_error **reterr)
{
    berth_status status = BERTH_OK;
    *ret = (struct listening){.sockets = calloc(settings->n_listeners, sizeof(int))};
    if (!ret->sockets)
        return error_set_errno(reterr, -ENOMEM, "no socket can be opened");
    if (n_given > settings->n_listeners)
        status = error_set(reterr, BERTH_INVALID,
                           "the service manager gave %zu sockets, but the settings have %zu listeners",
                           n_given, settings->n_listeners);
    for (size_t i = 0; status == BERTH_OK && i < settings->n_listeners; i++) {
        if (i < n_given)
            ret->sockets[i] = first_given + (int)i;
        else
            status = open_one(&settings->listeners[i], &ret->sockets[i], reterr);
        ret->count += status == BERTH_OK;
    }
    if (status != BERTH_OK)
        listening_close(ret);
    return status;
}

void listening_close(struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++)
        close_keeping_errno(listening->sockets[i]);
    free(listening->sockets);
    *listening = (struct listening){0};
}
