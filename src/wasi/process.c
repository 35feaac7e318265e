/* SPDX-License-Identifier: Apache-2.0 */
/* proc_exit, proc_raise, sched_yield, and the sockets that no guest has. */
#include "wasi/context.h"

int call_proc_exit(struct call *call)
{
    call->exit_code = call_u32(call, 0);
    return CALL_EXIT;
}

/* A signal that a guest sends itself ends it, as it would by default anywhere. */
int call_proc_raise(struct call *call)
{
    return call_fault(call, "the guest raised signal %u", call_u32(call, 0));
}

/* The repeated call is the one after the others had their turn. */
int call_sched_yield(struct call *call)
{
    return call->context->pending.active ? 0 : CALL_YIELD;
}

static int no_socket(struct call *call)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    return r ? r : ERRNO_NOTSOCK;
}

int call_sock_accept(struct call *call)
{
    return no_socket(call);
}

int call_sock_recv(struct call *call)
{
    return no_socket(call);
}

int call_sock_send(struct call *call)
{
    return no_socket(call);
}

int call_sock_shutdown(struct call *call)
{
    return no_socket(call);
}
