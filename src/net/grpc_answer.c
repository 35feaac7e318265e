/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_answer.h. */
#include "net/grpc_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
    FIELD_OVERHEAD_BYTES = 32, /* RFC 9113, 6.5.2 */
    WORDS_MAX_BYTES = 1024,
    FIRST_CAPACITY = 64 << 10, /* memory for a message is there as its bytes are, not as it says */
};

void answer_init(struct answer *answer, const struct grpc_request *request, struct text *words)
{
    *answer = (struct answer){.request = request, .words = words, .grpc_status = -1};
}

void answer_done(struct answer *answer)
{
    free(answer->message);
    answer->message = NULL;
}

void answer_end(struct answer *answer, enum grpc_end end, enum grpc_status status, const char *words)
{
    if (answer->is_over)
        return;
    answer->is_over = true;
    answer->end = end;
    answer->status = status;
    if (words) {
        text_done(answer->words);
        text_append(answer->words, words);
    }
}

static bool broken(struct answer *answer, const char *words)
{
    answer_end(answer, GRPC_END_BROKEN, GRPC_INTERNAL, words);
    return false;
}

/* ---- Header fields ------------------------------------------------------------------------------------- */

static bool is(const char *name, size_t name_bytes, const char *wanted)
{
    return strlen(wanted) == name_bytes && memcmp(name, wanted, name_bytes) == 0;
}

/* Decimal digits, at most three: of an HTTP status or a gRPC one. -1 for anything else. */
static int small_number(const char *value, size_t value_bytes)
{
    int number = 0;
    if (value_bytes == 0 || value_bytes > 3)
        return -1;
    for (size_t i = 0; i < value_bytes; i++) {
        if (value[i] < '0' || value[i] > '9')
            return -1;
        number = number * 10 + (value[i] - '0');
    }
    return number;
}

static bool is_grpc_type(const char *value, size_t value_bytes)
{
    static const char type[] = "application/grpc";
    size_t length = sizeof(type) - 1;
    return value_bytes >= length && memcmp(value, type, length) == 0 &&
           (value_bytes == length || value[length] == '+' || value[length] == ';');
}

static void take_words(struct answer *answer, const char *value, size_t value_bytes)
{
    cleanup_free char *encoded = strndup(value, value_bytes);
    cleanup_text struct text decoded = {0};
    if (encoded)
        grpc_message_decode(&decoded, encoded);
    text_done(answer->words);
    if (decoded.length > 0)
        text_append_escaped_once(answer->words, decoded.data, decoded.length, WORDS_MAX_BYTES);
}

bool answer_field(struct answer *answer, const char *name, size_t name_bytes, const char *value,
                  size_t value_bytes)
{
    if (answer->is_over)
        return false;
    answer->header_bytes += name_bytes + value_bytes + FIELD_OVERHEAD_BYTES;
    if (answer->header_bytes > GRPC_HEADER_LIST_MAX_BYTES)
        return broken(answer, "its headers are longer than 64 KiB");
    if (is(name, name_bytes, ":status"))
        answer->http_status = small_number(value, value_bytes);
    else if (is(name, name_bytes, "content-type"))
        answer->is_grpc = is_grpc_type(value, value_bytes);
    else if (is(name, name_bytes, "grpc-status"))
        answer->grpc_status = small_number(value, value_bytes);
    else if (is(name, name_bytes, "grpc-message"))
        take_words(answer, value, value_bytes);
    else if (is(name, name_bytes, "grpc-encoding") && !is(value, value_bytes, "identity"))
        return broken(answer, "its messages are compressed, which nobody asked for");
    return true;
}

/* ---- Messages ------------------------------------------------------------------------------------------ */

static bool begin_message(struct answer *answer)
{
    int compressed;
    uint32_t size_bytes;
    if (grpc_prefix_read(answer->prefix, &compressed, &size_bytes) < 0 || compressed)
        return broken(answer, "a message of it is compressed or begins with no length");
    if (size_bytes > answer->request->max_message_bytes)
        return broken(answer, "a message of it is longer than agreed");
    if (answer->request->max_messages && answer->n_messages >= answer->request->max_messages)
        return broken(answer, "it has more messages than agreed");
    answer->message_bytes = size_bytes;
    answer->filled_bytes = 0;
    answer->capacity_bytes = size_bytes < FIRST_CAPACITY ? size_bytes : FIRST_CAPACITY;
    answer->message = malloc(answer->capacity_bytes ? answer->capacity_bytes : 1);
    if (!answer->message)
        return broken(answer, "there is no memory for its message");
    return true;
}

static bool fill_message(struct answer *answer, const uint8_t *bytes, size_t size_bytes)
{
    size_t needed = answer->filled_bytes + size_bytes;
    if (needed > answer->capacity_bytes) {
        size_t capacity = answer->capacity_bytes * 2 > needed ? answer->capacity_bytes * 2 : needed;
        if (capacity > answer->message_bytes)
            capacity = answer->message_bytes;
        uint8_t *grown = realloc(answer->message, capacity);
        if (!grown)
            return broken(answer, "there is no memory for its message");
        answer->message = grown;
        answer->capacity_bytes = capacity;
    }
    memcpy(answer->message + answer->filled_bytes, bytes, size_bytes);
    answer->filled_bytes = needed;
    return true;
}

static bool end_message(struct answer *answer)
{
    cleanup_free uint8_t *message = take_ptr(answer->message);
    answer->prefix_bytes = 0;
    answer->n_messages++;
    if (!answer->request->message(answer->request->payload, message, answer->message_bytes))
        answer_end(answer, GRPC_END_CANCELLED, GRPC_CANCELLED, "it was cancelled");
    return !answer->is_over;
}

bool answer_bytes(struct answer *answer, const uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        if (answer->is_over)
            return false;
        bool in_prefix = answer->prefix_bytes < GRPC_PREFIX_BYTES;
        size_t wanted = in_prefix ? GRPC_PREFIX_BYTES - answer->prefix_bytes
                                  : answer->message_bytes - answer->filled_bytes;
        size_t size = size_bytes < wanted ? size_bytes : wanted;
        if (in_prefix) {
            memcpy(answer->prefix + answer->prefix_bytes, bytes, size);
            answer->prefix_bytes += size;
            if (answer->prefix_bytes == GRPC_PREFIX_BYTES && !begin_message(answer))
                return false;
        } else if (!answer->message || !fill_message(answer, bytes, size)) {
            return false;
        }
        if (answer->message && answer->filled_bytes == answer->message_bytes && !end_message(answer))
            return false;
        bytes += size;
        size_bytes -= size;
    }
    return !answer->is_over;
}

/* ---- The end ------------------------------------------------------------------------------------------- */

/* "HTTP to gRPC status code mapping" of the gRPC project. */
static enum grpc_status status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

void answer_complete(struct answer *answer)
{
    if (answer->is_over)
        return;
    if (answer->grpc_status < 0 && answer->http_status != 200) {
        char words[64];
        snprintf(words, sizeof(words), "HTTP status %d and no gRPC", answer->http_status);
        answer_end(answer, GRPC_END_STATUS, status_of_http(answer->http_status), words);
    } else if (!answer->is_grpc) {
        broken(answer, "it is no gRPC");
    } else if (answer->grpc_status < 0) {
        broken(answer, "it ended without a status");
    } else if (answer->prefix_bytes > 0 && answer->grpc_status == GRPC_OK) {
        broken(answer, "it ended inside a message");
    } else {
        answer_end(answer, GRPC_END_STATUS,
                   answer->grpc_status > GRPC_UNAUTHENTICATED ? GRPC_UNKNOWN
                                                              : (enum grpc_status)answer->grpc_status,
                   NULL);
    }
}

/* "Errors" in PROTOCOL-HTTP2.md of the gRPC project. */
void answer_reset(struct answer *answer, uint32_t error_code)
{
    enum { REFUSED_STREAM = 7, CANCEL = 8, ENHANCE_YOUR_CALM = 11, INADEQUATE_SECURITY = 12 };
    char words[64];
    enum grpc_status status = error_code == REFUSED_STREAM        ? GRPC_UNAVAILABLE
                              : error_code == CANCEL              ? GRPC_CANCELLED
                              : error_code == ENHANCE_YOUR_CALM   ? GRPC_RESOURCE_EXHAUSTED
                              : error_code == INADEQUATE_SECURITY ? GRPC_PERMISSION_DENIED
                                                                  : GRPC_INTERNAL;
    snprintf(words, sizeof(words), "it gave the call up with HTTP/2 error code %u", error_code);
    answer_end(answer, GRPC_END_STATUS, status, words);
}
