/* SPDX-License-Identifier: Apache-2.0 */
/* A node for tests that runs nothing: it says the same few things to every visit, as a real one would, except
 * for the one fault that it was told to have. */
#ifndef FAKE_NODE_H
#define FAKE_NODE_H

#include <stdbool.h>
#include <stdint.h>

enum fault {
    FAULT_NONE,
    /* Who it is. */
    FAULT_NAME_OF_ANOTHER_KEY,
    FAULT_KEYS_THAT_ARE_NONE,
    FAULT_CHANGES_ITS_KEYS,
    /* The session. */
    FAULT_SESSION_KEY_UNSIGNED,
    FAULT_SESSION_KEY_SIGNED_BY_ANOTHER,
    FAULT_SESSION_KEY_SIGNED_FOR_ANOTHER_CAPABILITY,
    FAULT_SESSION_KEY_TOO_SHORT,
    FAULT_SESSION_NAME_ODD,
    FAULT_REFUSES,
    /* The messages. */
    FAULT_SEAL_BROKEN,
    FAULT_MESSAGE_TWICE,
    FAULT_MESSAGE_LEFT_OUT,
    FAULT_MESSAGES_SWAPPED,
    FAULT_MESSAGE_TOO_LARGE,
    FAULT_MESSAGE_GARBAGE,
    FAULT_MESSAGE_EMPTY,
    FAULT_OUTPUT_BEFORE_START,
    FAULT_STARTS_TWICE,
    FAULT_EVENTS_OUT_OF_ORDER,
    FAULT_MESSAGE_AFTER_END,
    FAULT_NO_END,
    FAULT_NO_END_AND_UNAVAILABLE,
    FAULT_SILENT_AFTER_START,
    /* The end. */
    FAULT_NO_RECEIPT,
    FAULT_RECEIPT_FOR_OTHER_OUTPUT,
    FAULT_RECEIPT_FOR_OTHER_ERRORS,
    FAULT_RECEIPT_FOR_OTHER_MODULE,
    FAULT_RECEIPT_FOR_OTHER_ARGUMENTS,
    FAULT_RECEIPT_FOR_OTHER_RUN,
    FAULT_RECEIPT_FOR_OTHER_OUTCOME,
    FAULT_RECEIPT_OF_ANOTHER_NODE,
    FAULT_RECEIPT_WITHOUT_POST_QUANTUM,
    FAULT_RECEIPT_CHANGED,
    /* No faults, but not the plain case either. */
    FORGETS_MODULES,
    ANSWERS_WITH_STATUS, /* of fake_node_set_status() */
    SENDS_MUCH,
};

struct fake_node;

/* Listens on 127.0.0.1; `secret_byte` makes its identity. Aborts if it cannot. */
struct fake_node *fake_node_new(uint8_t secret_byte);
void fake_node_free(struct fake_node *node);
/* "127.0.0.1:PORT", as long as the node. */
const char *fake_node_address(const struct fake_node *node);
const char *fake_node_peer_id(const struct fake_node *node);

/* Between visits. */
void fake_node_set_fault(struct fake_node *node, enum fault fault);
void fake_node_set_status(struct fake_node *node, int status, const char *message);

/* What it has seen: visits begun, with module bytes, and ended by the caller. */
struct fake_node_seen {
    unsigned visits, modules, left, described;
    bool token_in_describe; /* a bearer token came along before the caller knew who we are */
    char authorization[64]; /* of the last NegotiateIntent */
    char last_argument[64];
};
void fake_node_seen(struct fake_node *node, struct fake_node_seen *ret);

enum { FAKE_MUCH_BYTES = 24 << 20 };

#endif
