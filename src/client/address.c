/* SPDX-License-Identifier: Apache-2.0 */
/* See address.h. */
#include "client/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* 1 to 65535 and nothing else. */
static bool port_read(const char *text, uint16_t *ret)
{
    uint32_t port = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
        return false;
    for (size_t i = 0; i < length; i++)
        port = port * 10 + (uint32_t)(text[i] - '0');
    *ret = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

/* Letters of host names and of IPv6 addresses with a zone; anything else would be no name, and could forge a
 * line of the known-nodes file. */
static bool host_read(const char *text, size_t length, bool in_brackets, char *ret)
{
    if (length == 0 || length >= ADDRESS_HOST_CHARACTERS)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!name && !(in_brackets && (c == ':' || c == '%')))
            return false;
        ret[i] = c;
    }
    ret[length] = '\0';
    return true;
}

int address_read(const char *text, struct address *ret)
{
    *ret = (struct address){.port = ADDRESS_DEFAULT_PORT};
    const char *colon = strchr(text, ':');
    bool brackets = *text == '[';
    bool bare_ipv6 = !brackets && colon && strchr(colon + 1, ':');
    const char *host = brackets ? text + 1 : text;
    const char *end = brackets ? strchr(text, ']') : bare_ipv6 || !colon ? text + strlen(text) : colon;
    if (!end || !host_read(host, (size_t)(end - host), brackets || bare_ipv6, ret->host))
        return -EINVAL;
    const char *rest = brackets ? end + 1 : end;
    if (*rest && (*rest != ':' || !port_read(rest + 1, &ret->port)))
        return -EINVAL;
    bool ipv6 = strchr(ret->host, ':') != NULL;
    if (brackets && !ipv6)
        return -EINVAL;
    snprintf(ret->text, sizeof(ret->text), ipv6 ? "[%s]:%u" : "%s:%u", ret->host, ret->port);
    return 0;
}

bool address_is_loopback(const struct address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, address->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(address->host, "localhost") == 0;
}
