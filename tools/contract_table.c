/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys in docs/contract.md, made from src/contract/keys.def. */
#include "base/cleanup.h"
#include "base/text.h"
#include "contract/keys.h"
#include "page_table.h"

static void append_default(const struct contract_key *key, struct text *table)
{
    if (key->kind == KIND_TEXT)
        text_append(table, "must be given");
    else
        text_append_format(table, "`%s`", key->default_text);
}

static void append_row(const struct contract_key *key, struct text *table)
{
    text_append_format(table, "| `%s` | ", key->path);
    contract_key_append_requirement(key, table);
    text_append(table, " | ");
    append_default(key, table);
    text_append_format(table, " | %s |\n", key->doc);
}

static char *make_table(void)
{
    struct text table = {0};
    text_append(&table, "| key | value | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        append_row(&contract_keys[i], &table);
    return text_take(&table);
}

int main(int argc, char **argv)
{
    static const struct page_table page = {
        .first_mark = "<!-- table: made by tools/contract_table.c from src/contract/keys.def -->\n",
        .program = "contract-table",
        .source = "keys.def",
    };
    cleanup_free char *table = make_table();
    return page_table_main(&page, table, argc, argv);
}
