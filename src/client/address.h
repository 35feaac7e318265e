/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node is: what somebody wrote as "HOST[:PORT]" or "[IPv6][:PORT]", taken apart and put together
 * again in the one form under which the node is known. Nothing is looked up. */
#ifndef BERTH_CLIENT_ADDRESS_H
#define BERTH_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ADDRESS_DEFAULT_PORT = 50051,
    ADDRESS_HOST_CHARACTERS = 254, /* a host name has at most 253 (RFC 1035, 2.3.4), and the NUL */
    ADDRESS_TEXT_CHARACTERS = ADDRESS_HOST_CHARACTERS + 9, /* "[]:65535" */
};

struct address {
    char host[ADDRESS_HOST_CHARACTERS]; /* lower case, without brackets */
    uint16_t port;
    char text[ADDRESS_TEXT_CHARACTERS]; /* "host:port", "[ipv6]:port": printable ASCII without spaces */
};

/* 0, or -EINVAL for what is no address. */
int address_read(const char *text, struct address *ret);

/* Whether it is this machine by its form: 127.0.0.0/8, ::1 or localhost. */
bool address_is_loopback(const struct address *address);

#endif
