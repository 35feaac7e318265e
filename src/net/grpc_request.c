/* SPDX-License-Identifier: Apache-2.0 */
/* A call from the caller's side: headers that are checked, messages that are put together. */
#include "net/grpc_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked_math.h"

enum {
    HEADERS_FIRST_BYTES = 512,
    HEADERS_UNPACKED_MAX_BYTES = 256 << 10,
    FIELD_OVERHEAD_BYTES = 32, /* RFC 9113, section 6.5.2 */
    /* A message is allocated as its bytes come, so that a length costs the caller what it costs us. */
    MESSAGE_FIRST_BYTES = 64 << 10,
    MESSAGE_GROWTH = 4,
    REFUSED_BODY_BYTES = 64 << 10, /* of a request that is no gRPC; then it is answered before its end */
};

/* ---- Headers ---------------------------------------------------------------------------------------------
 */

bool grpc_call_add_header(struct grpc_call *call, const uint8_t *name, size_t name_bytes,
                          const uint8_t *value, size_t value_bytes)
{
    size_t wanted = call->header_bytes + name_bytes + value_bytes + 2;
    call->header_list_bytes += name_bytes + value_bytes + FIELD_OVERHEAD_BYTES;
    if (call->header_list_bytes > HTTP2_HEADERS_MAX_BYTES && !call->refusal)
        call->refusal = "the headers are over 64 KiB";
    if (call->refusal) /* a block that unpacks to much more is not listened to */
        return call->header_list_bytes <= HEADERS_UNPACKED_MAX_BYTES;
    if (wanted > call->header_capacity) {
        size_t capacity = call->header_capacity ? call->header_capacity : HEADERS_FIRST_BYTES;
        while (capacity < wanted)
            capacity *= 2;
        if (!grpc_server_charge(call->connection->server, call, capacity - call->header_capacity)) {
            call->refusal = "the server holds as many requests as it can";
            return true;
        }
        char *grown = realloc(call->headers, capacity);
        if (!grown)
            return false;
        call->headers = grown;
        call->header_capacity = capacity;
    }
    char *end = call->headers + call->header_bytes;
    memcpy(end, name, name_bytes);
    end[name_bytes] = '\0';
    memcpy(end + name_bytes + 1, value, value_bytes);
    end[name_bytes + 1 + value_bytes] = '\0';
    call->header_bytes = wanted;
    return true;
}

/* nghttp2 lets no NUL through, so that every text ends where it should. */
const char *grpc_call_header(const struct grpc_call *call, const char *name)
{
    const char *end = call->headers + call->header_bytes;
    for (const char *each = call->headers; each < end;) {
        const char *value = each + strlen(each) + 1;
        if (strcmp(each, name) == 0)
            return value;
        each = value + strlen(value) + 1;
    }
    return NULL;
}

static bool is_grpc(const char *content_type)
{
    static const char expected[] = "application/grpc";
    if (!content_type || strncmp(content_type, expected, sizeof expected - 1) != 0)
        return false;
    char next = content_type[sizeof expected - 1];
    return next == '\0' || next == '+' || next == ';';
}

static const struct grpc_method *find_method(const struct grpc_server *server, const char *path)
{
    for (const struct grpc_method *each = server->options.methods; each->path; each++)
        if (strcmp(each->path, path) == 0)
            return each;
    return NULL;
}

static void refuse_path(struct grpc_call *call, const char *path)
{
    cleanup_text struct text sentence = {0};
    text_append(&sentence, "there is no method ");
    text_append_escaped(&sentence, path, strlen(path), 256);
    grpc_call_finish(call, GRPC_UNIMPLEMENTED, sentence.data);
}

void grpc_call_begin(struct grpc_call *call)
{
    const char *method = grpc_call_header(call, ":method"), *path = grpc_call_header(call, ":path");
    const char *timeout = grpc_call_header(call, "grpc-timeout");
    uint64_t timeout_ns;
    call->progress_ns = clock_monotonic_ns();
    if (call->refusal) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, call->refusal);
    } else if (!method || strcmp(method, "POST") != 0) {
        call->http_refusal = 405;
    } else if (!is_grpc(grpc_call_header(call, "content-type"))) {
        call->http_refusal = 415;
    } else if (timeout && grpc_timeout_read(timeout, &timeout_ns) < 0) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "grpc-timeout is not a time");
    } else {
        if (timeout)
            call->due_ns = saturating_add_u64(call->progress_ns, timeout_ns);
        grpc_call_set_deadline(call);
        call->method = find_method(call->connection->server, path ? path : "");
        if (call->method)
            call->method->start(call);
        else
            refuse_path(call, path ? path : "");
        return;
    }
    if (!call->finished)
        grpc_call_set_deadline(call);
}

/* ---- Messages --------------------------------------------------------------------------------------------
 */

static void set_receiving(struct grpc_call *call, bool receiving)
{
    struct call_list *list = &call->connection->server->receiving;
    if (call->receiving)
        TAILQ_REMOVE(list, call, in_receiving);
    call->receiving = receiving;
    if (receiving)
        TAILQ_INSERT_TAIL(list, call, in_receiving);
}

void grpc_call_drop_message(struct grpc_call *call)
{
    set_receiving(call, false);
    grpc_server_discharge(call, call->message_capacity);
    free(call->message);
    call->message = NULL;
    call->message_capacity = 0;
    call->in_message = false;
}

static bool grow_message(struct grpc_call *call, size_t wanted)
{
    size_t capacity = call->message_capacity * MESSAGE_GROWTH;
    if (wanted <= call->message_capacity && call->message)
        return true;
    if (capacity < MESSAGE_FIRST_BYTES)
        capacity = MESSAGE_FIRST_BYTES;
    if (capacity < wanted)
        capacity = wanted;
    if (capacity > call->message_bytes)
        capacity = call->message_bytes;
    if (!grpc_server_charge(call->connection->server, call, capacity - call->message_capacity)) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the server holds as many requests as it can");
        return false;
    }
    uint8_t *grown = realloc(call->message, capacity ? capacity : 1);
    if (!grown) {
        grpc_server_discharge(call, capacity - call->message_capacity);
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "no memory for the message");
        return false;
    }
    call->message = grown;
    call->message_capacity = capacity;
    return true;
}

static bool refuse_compressed(struct grpc_call *call)
{
    const char *encoding = grpc_call_header(call, "grpc-encoding");
    if (encoding && strcmp(encoding, "identity") != 0) {
        call->refuses_encoding = true;
        grpc_call_finish(call, GRPC_UNIMPLEMENTED, "messages must not be compressed");
    } else {
        grpc_call_finish(call, GRPC_INTERNAL, "a message is marked as compressed, but no encoding was named");
    }
    return false;
}

/* The prefix is complete. */
static bool start_message(struct grpc_call *call)
{
    size_t maximum = call->method->max_message_bytes ? call->method->max_message_bytes
                                                     : call->connection->server->options.max_message_bytes;
    int compressed;
    uint32_t size;
    if (grpc_prefix_read(call->prefix, &compressed, &size) < 0) {
        grpc_call_finish(call, GRPC_INTERNAL, "a message does not begin as gRPC messages do");
        return false;
    }
    if (compressed)
        return refuse_compressed(call);
    if (size > maximum) {
        char sentence[96];
        (void)snprintf(sentence, sizeof sentence, "a message of %u bytes is over the limit of %zu", size,
                       maximum);
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, sentence);
        return false;
    }
    call->prefix_bytes = 0;
    call->in_message = true;
    call->message_bytes = size;
    call->message_received = 0;
    return grow_message(call, 0);
}

static void deliver(struct grpc_call *call)
{
    call->any_message = true;
    call->in_message = false;
    call->delivering = true;
    grpc_server_discharge(call, call->message_capacity);
    call->message_capacity = 0;
    call->method->message(call, call->message, call->message_bytes);
    call->delivering = false;
    grpc_call_drop_message(call);
}

uint8_t *grpc_call_take_message(struct grpc_call *call)
{
    uint8_t *message = call->delivering ? call->message : NULL;
    if (message)
        call->message = NULL;
    return message;
}

static size_t take_prefix(struct grpc_call *call, const uint8_t *bytes, size_t size_bytes)
{
    size_t missing = GRPC_PREFIX_BYTES - call->prefix_bytes;
    size_t size = size_bytes < missing ? size_bytes : missing;
    memcpy(call->prefix + call->prefix_bytes, bytes, size);
    call->prefix_bytes = (uint8_t)(call->prefix_bytes + size);
    if (call->prefix_bytes == GRPC_PREFIX_BYTES && start_message(call) && call->message_bytes == 0)
        deliver(call);
    return size;
}

static size_t take_message_bytes(struct grpc_call *call, const uint8_t *bytes, size_t size_bytes)
{
    size_t missing = call->message_bytes - call->message_received;
    size_t size = size_bytes < missing ? size_bytes : missing;
    if (!grow_message(call, call->message_received + size))
        return size_bytes;
    memcpy(call->message + call->message_received, bytes, size);
    call->message_received += size;
    if (call->message_received == call->message_bytes)
        deliver(call);
    return size;
}

void grpc_call_receive(struct grpc_call *call, const uint8_t *bytes, size_t size_bytes)
{
    call->progress_ns = clock_monotonic_ns();
    if (call->http_refusal) {
        call->message_received += size_bytes;
        if (call->message_received > REFUSED_BODY_BYTES && !call->finished)
            grpc_call_refuse_http(call);
        return;
    }
    while (size_bytes > 0 && !call->finished && !call->over) {
        size_t taken = call->in_message ? take_message_bytes(call, bytes, size_bytes)
                                        : take_prefix(call, bytes, size_bytes);
        bytes += taken;
        size_bytes -= taken;
    }
    if (call->in_message != call->receiving || call->receiving)
        set_receiving(call, call->in_message);
}

void grpc_call_receive_end(struct grpc_call *call)
{
    call->half_closed = true;
    if (call->finished || call->over)
        return;
    grpc_call_set_deadline(call);
    if (call->http_refusal)
        grpc_call_refuse_http(call);
    else if (call->in_message || call->prefix_bytes > 0)
        grpc_call_finish(call, GRPC_INTERNAL, "the request ended within a message");
    else if (call->method->half_closed)
        call->method->half_closed(call);
}
