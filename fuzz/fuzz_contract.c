/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contracts from hostile text: nothing crashes, a refusal is one printable sentence, and what was read can be
 * explained, written as a file that gives the same contract again, and narrowed without getting wider.
 *
 * The input is a contract file. Each of its lines is also tried as "key=value" of a single setting.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "contract/contract.h"

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_sentence(const berth_error *error)
{
    const char *sentence = berth_error_message(error);
    must(*sentence != '\0' && strlen(sentence) < 1024);
    must(text_is_utf8(sentence, strlen(sentence)));
    for (const char *c = sentence; *c; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static berth_contract *parse(const char *text, size_t length)
{
    berth_contract *contract = NULL;
    cleanup_error berth_error *error = NULL;
    berth_status status = berth_contract_parse(text, length, "input", &contract, &error);
    must(status == BERTH_OK || status == BERTH_INVALID);
    must((status == BERTH_OK) == (contract != NULL));
    if (status)
        check_sentence(error);
    return contract;
}

static char *explain(const berth_contract *contract, berth_format format)
{
    char *text = NULL;
    must(berth_contract_explain(contract, format, &text, NULL) == BERTH_OK);
    must(text_is_utf8(text, strlen(text)));
    return text;
}

/* Long lists can grow past what a file may hold, through escapes; such a file is refused, not misread. */
static void check_round_trip(const berth_contract *contract)
{
    enum { FILE_MAX_BYTES = 1 << 20 };
    cleanup_free char *first = explain(contract, BERTH_FORMAT_TOML);
    if (strlen(first) > FILE_MAX_BYTES)
        return;
    cleanup_contract berth_contract *again = parse(first, strlen(first));
    must(again != NULL);
    cleanup_free char *second = explain(again, BERTH_FORMAT_TOML);
    must(strcmp(first, second) == 0);
}

static void check_narrowing(const berth_contract *contract)
{
    cleanup_contract berth_contract *policy = NULL, *result = NULL;
    must(berth_contract_new(&policy, NULL) == BERTH_OK);
    must(berth_contract_narrow(contract, policy, &result, NULL) == BERTH_OK);
    must(berth_contract_limits(result)->memory_bytes <= berth_contract_limits(contract)->memory_bytes);
    must(berth_contract_limits(result)->memory_bytes <= berth_contract_limits(policy)->memory_bytes);
    must(berth_contract_grants(result)->n_mounts == 0);
    berth_contract_unref(take_ptr(result));
    must(berth_contract_narrow(contract, contract, &result, NULL) == BERTH_OK);
    must(berth_contract_grants(result)->n_mounts == berth_contract_grants(contract)->n_mounts);
}

static void try_settings(char *lines)
{
    cleanup_contract berth_contract *contract = NULL;
    must(berth_contract_new(&contract, NULL) == BERTH_OK);
    for (char *line = lines, *next; line; line = next) {
        cleanup_error berth_error *error = NULL;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        if (berth_contract_set(contract, line, value, "flag", &error))
            check_sentence(error);
    }
    check_round_trip(contract);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *lines = strndup((const char *)data, size);
    cleanup_contract berth_contract *contract = parse((const char *)data, size);
    if (contract) {
        cleanup_free char *text = explain(contract, BERTH_FORMAT_TEXT);
        cleanup_free char *json = explain(contract, BERTH_FORMAT_JSON);
        check_round_trip(contract);
        check_narrowing(contract);
    }
    try_settings(lines);
    return 0;
}
