/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server answers to one call, read piece by piece: header fields and the bytes of DATA frames go in,
 * messages and at last a status come out. No HTTP/2 and no sockets here.
 *
 * An answer is over exactly once: the first reason counts, later ones are ignored.
 */
#ifndef BERTH_NET_GRPC_ANSWER_H
#define BERTH_NET_GRPC_ANSWER_H

#include "net/grpc_client.h"

enum { GRPC_HEADER_LIST_MAX_BYTES = 64 << 10 }; /* of all header lists of a call together */

struct answer {
    const struct grpc_request *request;
    struct text *words; /* why it ended, escaped; borrowed */
    size_t header_bytes;
    int http_status; /* 0: not seen yet */
    bool is_grpc;    /* by content-type */
    int grpc_status; /* -1: not seen yet */
    uint8_t prefix[GRPC_PREFIX_BYTES];
    size_t prefix_bytes;  /* of it that are here */
    uint8_t *message;     /* being put together, NULL between messages */
    size_t message_bytes; /* whole */
    size_t filled_bytes;
    size_t capacity_bytes;
    uint32_t n_messages;
    bool is_over;
    enum grpc_end end;
    enum grpc_status status;
};

void answer_init(struct answer *answer, const struct grpc_request *request, struct text *words);
void answer_done(struct answer *answer);

/* One field of a header list, names in lower case. False: the answer is over. */
bool answer_field(struct answer *answer, const char *name, size_t name_bytes, const char *value,
                  size_t value_bytes);
/* Bytes of messages; the request's callback hears of whole ones. False: the answer is over. */
bool answer_bytes(struct answer *answer, const uint8_t *bytes, size_t size_bytes);
/* The server has said all. */
void answer_complete(struct answer *answer);
/* The server gave the stream up with an HTTP/2 error code (RFC 9113, 7). */
void answer_reset(struct answer *answer, uint32_t error_code);
/* It is over for another reason; `words` may be NULL. */
void answer_end(struct answer *answer, enum grpc_end end, enum grpc_status status, const char *words);

#endif
