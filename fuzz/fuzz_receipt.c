/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts from hostile text: nothing crashes, the only receipts that hold are those of the corpus, and what
 * is said about the others is one printable sentence. The image id of any bytes can be computed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <berth/receipt.h>

#include "base/error.h"
#include "base/text.h"
#include "receipt/receipt.h"

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_printable(const char *text)
{
    must(text_is_utf8(text, strlen(text)));
    for (const char *c = text; *c; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

struct seen {
    size_t checks, differ;
};

static void note(void *payload, const char *field, bool ok, const char *expected, const char *found)
{
    struct seen *seen = payload;
    seen->checks++;
    seen->differ += !ok;
    check_printable(field);
    check_printable(expected);
    check_printable(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const arguments[] = {"CRITICAL", "--last", NULL};
    const struct berth_receipt_expectation expectation = {
        .size = sizeof expectation,
        .principal = "alice",
        .module = "",
        .output = "",
        .arguments = arguments,
    };
    struct seen seen = {0};
    uint8_t id[RECEIPT_HASH_BYTES];
    cleanup_error berth_error *error = NULL;
    berth_status status = berth_receipt_verify((const char *)data, size, &expectation, note, &seen, &error);
    /* No receipt is about an empty module. */
    must(status == BERTH_REFUSED || status == BERTH_INVALID);
    must((status == BERTH_INVALID) == (seen.checks == 0));
    must((status == BERTH_REFUSED) == (seen.differ > 0));
    must(*berth_error_message(error) != '\0' && strlen(berth_error_message(error)) < 2048);
    check_printable(berth_error_message(error));
    receipt_v1_image_id(data, size, id);
    return 0;
}
