/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc.h. */
#include "wire/grpc.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"

enum { TIMEOUT_DIGITS_MAX = 8 };

static const char *const status_names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

/* Finest first. */
static const struct {
    char unit;
    uint64_t ns;
} timeout_units[] = {
    {'n', 1},        {'u', NS_PER_US},     {'m', NS_PER_MS},
    {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};

enum { N_UNITS = sizeof timeout_units / sizeof *timeout_units };

const char *grpc_status_name(enum grpc_status status)
{
    size_t number = (size_t)status;
    return number < sizeof status_names / sizeof *status_names ? status_names[number] : "UNKNOWN";
}

void grpc_prefix_write(uint8_t prefix[static GRPC_PREFIX_BYTES], uint32_t message_bytes)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(message_bytes >> 24);
    prefix[2] = (uint8_t)(message_bytes >> 16);
    prefix[3] = (uint8_t)(message_bytes >> 8);
    prefix[4] = (uint8_t)message_bytes;
}

int grpc_prefix_read(const uint8_t prefix[static GRPC_PREFIX_BYTES], int *ret_compressed, uint32_t *ret_bytes)
{
    if (prefix[0] > 1)
        return -EINVAL;
    *ret_compressed = prefix[0];
    *ret_bytes = (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
    return 0;
}

int grpc_timeout_read(const char *text, uint64_t *ret_ns)
{
    uint64_t number = 0;
    int n_digits = 0;
    for (; text[n_digits] >= '0' && text[n_digits] <= '9'; n_digits++) {
        if (n_digits == TIMEOUT_DIGITS_MAX)
            return -EINVAL;
        number = number * 10 + (uint64_t)(text[n_digits] - '0');
    }
    if (n_digits == 0 || text[n_digits] == '\0' || text[n_digits + 1] != '\0')
        return -EINVAL;
    for (int i = 0; i < N_UNITS; i++)
        if (timeout_units[i].unit == text[n_digits]) {
            *ret_ns = saturating_mul_u64(number, timeout_units[i].ns);
            return 0;
        }
    return -EINVAL;
}

void grpc_timeout_write(uint64_t timeout_ns, char ret[static 16])
{
    static const uint64_t largest = 99999999;
    for (int i = 0; i < N_UNITS; i++) {
        uint64_t number = timeout_ns / timeout_units[i].ns + (timeout_ns % timeout_units[i].ns != 0);
        /* A coarser unit is shorter only if nothing is lost. */
        bool exact_above = i + 1 < N_UNITS && timeout_ns != 0 && timeout_ns % timeout_units[i + 1].ns == 0;
        if (number <= largest && !exact_above) {
            (void)snprintf(ret, 16, "%" PRIu64 "%c", number, timeout_units[i].unit);
            return;
        }
    }
    (void)snprintf(ret, 16, "%" PRIu64 "H", largest);
}

/* "gRPC over HTTP2", Status-Message: space to '~' without '%' stand for themselves. */
void grpc_message_encode(struct text *into, const char *message)
{
    for (const char *from = message; *from;) {
        size_t plain = 0;
        while (from[plain] >= ' ' && from[plain] <= '~' && from[plain] != '%')
            plain++;
        text_append_bytes(into, from, plain);
        from += plain;
        if (*from)
            text_append_format(into, "%%%02X", (unsigned char)*from++);
    }
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    int lower = tolower((unsigned char)character);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void grpc_message_decode(struct text *into, const char *encoded)
{
    for (const char *from = encoded; *from;) {
        size_t plain = strcspn(from, "%");
        text_append_bytes(into, from, plain);
        from += plain;
        if (*from == '\0')
            break;
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        char byte = (char)(low < 0 ? '%' : high << 4 | low);
        /* What is no escape stands for itself, as the protocol asks; NUL would end the text. */
        if (low >= 0 && byte != '\0')
            from += 3;
        else
            byte = *from++;
        text_append_bytes(into, &byte, 1);
    }
}
