/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients of LIOP version 1 check; see receipt.h. They compute the image id in JavaScript, so white
 * space is what String.prototype.trim takes away (ECMA-262, 12.2 and 12.3), and bytes that are not UTF-8 have
 * become U+FFFD, one for each maximal subpart (WHATWG Encoding, "UTF-8 decoder").
 */
#include "receipt/receipt.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/text.h"

struct range {
    const uint8_t *start, *end;
};

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000 || c == 0xfeff;
}

/* Bytes of the white space character that begins at `at`, 0 if none does. */
static size_t space_at(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    if (left >= 1 && at[0] < 0x80)
        return is_space(at[0]) ? 1 : 0;
    if (left >= 2 && at[0] == 0xc2)
        return is_space(at[1]) && at[1] >= 0x80 ? 2 : 0;
    if (left < 3 || (at[0] & 0xf0) != 0xe0 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
        return 0;
    uint32_t c = (uint32_t)(at[0] & 15) << 12 | (uint32_t)(at[1] & 63) << 6 | (at[2] & 63);
    return c >= 0x800 && is_space(c) ? 3 : 0; /* below it is no UTF-8 */
}

static struct range trim(struct range text)
{
    size_t size;
    while ((size = space_at(text.start, text.end)) > 0)
        text.start += size;
    for (size = 1; size <= 3 && size <= (size_t)(text.end - text.start);)
        if (space_at(text.end - size, text.end) == size) {
            text.end -= size;
            size = 1;
        } else
            size++;
    return text;
}

/* /^\s*@LIOP\{[^}]+\}\n?([\s\S]*?)\n?@END\s*$/ on the trimmed text: group 1, or all of it. */
static struct range without_envelope(struct range text)
{
    static const char open[] = "@LIOP{", close[] = "@END";
    const size_t open_bytes = sizeof open - 1, close_bytes = sizeof close - 1;
    if ((size_t)(text.end - text.start) < open_bytes + close_bytes ||
        memcmp(text.start, open, open_bytes) != 0 || memcmp(text.end - close_bytes, close, close_bytes) != 0)
        return text;
    const uint8_t *label = text.start + open_bytes;
    struct range inside = {.end = text.end - close_bytes};
    const uint8_t *brace = memchr(label, '}', (size_t)(inside.end - label));
    if (!brace || brace == label)
        return text;
    inside.start = brace + 1;
    if (inside.start < inside.end && *inside.start == '\n')
        inside.start++;
    if (inside.start < inside.end && inside.end[-1] == '\n')
        inside.end--;
    return inside;
}

/* Length of the well-formed character at `at`; or 0 and in *ret_bad how many bytes one U+FFFD stands for. */
static size_t character_at(const uint8_t *at, const uint8_t *end, size_t *ret_bad)
{
    uint8_t first = at[0];
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t size = first < 0x80                     ? 1
                  : first >= 0xc2 && first <= 0xdf ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    *ret_bad = 1;
    for (size_t i = 1; i < size; i++) {
        if (at + i == end || at[i] < low || at[i] > high)
            return 0;
        *ret_bad = i + 1;
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

static void hash_as_utf8(struct range text, uint8_t ret[static RECEIPT_HASH_BYTES])
{
    static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
    SHA256_CTX hash;
    SHA256_Init(&hash);
    const uint8_t *pending = text.start;
    for (const uint8_t *at = text.start; at < text.end;) {
        size_t bad;
        size_t size = character_at(at, text.end, &bad);
        if (size > 0) {
            at += size;
            continue;
        }
        SHA256_Update(&hash, pending, (size_t)(at - pending));
        SHA256_Update(&hash, replacement, sizeof replacement);
        at += bad;
        pending = at;
    }
    SHA256_Update(&hash, pending, (size_t)(text.end - pending));
    SHA256_Final(ret, &hash);
}

void receipt_v1_image_id(const uint8_t *payload, size_t size_bytes, uint8_t ret[static RECEIPT_HASH_BYTES])
{
    if (size_bytes >= 2 && payload[0] == 0x00 && payload[1] == 0x61) {
        SHA256(payload, size_bytes, ret);
        return;
    }
    static const uint8_t nothing[1];
    struct range text = {.start = size_bytes ? payload : nothing};
    text.end = text.start + size_bytes;
    hash_as_utf8(trim(without_envelope(trim(text))), ret);
}

int receipt_v1_new(const uint8_t secret[static 32], const uint8_t image_id[static RECEIPT_HASH_BYTES],
                   const uint8_t output_sha256[static RECEIPT_HASH_BYTES], uint64_t fuel, int64_t time_ms,
                   uint8_t **ret, size_t *ret_size_bytes)
{
    enum {
        HEAD_BYTES = 3,
        SEAL_BYTES = SHA256_DIGEST_LENGTH,
    };
    static const uint64_t exact_max = (UINT64_C(1) << 53) - 1;
    char image_digits[2 * RECEIPT_HASH_BYTES + 1], output_digits[2 * RECEIPT_HASH_BYTES + 1];
    char journal[320];
    hex_write(image_id, RECEIPT_HASH_BYTES, image_digits);
    hex_write(output_sha256, RECEIPT_HASH_BYTES, output_digits);
    size_t length = (size_t)snprintf(
        journal, sizeof journal,
        "{\"image_id\":\"%s\",\"output_hash\":\"%s\",\"fuel\":%" PRIu64 ",\"ts\":%" PRId64 "}", image_digits,
        output_digits, fuel < exact_max ? fuel : exact_max, time_ms);
    uint8_t *receipt = malloc(HEAD_BYTES + length + SEAL_BYTES);
    if (!receipt)
        return -ENOMEM;
    receipt[0] = 1;
    receipt[1] = (uint8_t)(length >> 8);
    receipt[2] = (uint8_t)length;
    memcpy(receipt + HEAD_BYTES, journal, length);
    if (!HMAC(EVP_sha256(), secret, 32, (const uint8_t *)journal, length, receipt + HEAD_BYTES + length,
              NULL)) {
        free(receipt);
        return -ENOMEM;
    }
    *ret = receipt;
    *ret_size_bytes = HEAD_BYTES + length + SEAL_BYTES;
    return 0;
}
