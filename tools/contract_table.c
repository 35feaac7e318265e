/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys in docs/contract.md, made from src/contract/keys.def so that the two cannot drift apart.
 *
 *   contract-table                the table
 *   contract-table --check FILE   exit status 1 if the part of FILE between the two marks is not the table
 *   contract-table --write FILE   puts it there
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "contract/keys.h"

static const char first_mark[] =
    "<!-- table: made by tools/contract_table.c from src/contract/keys.def -->\n";
static const char last_mark[] = "<!-- end of table -->\n";

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

static char *read_file(const char *path)
{
    struct text contents = {0};
    char block[4096];
    size_t length;
    cleanup_fclose FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    while ((length = fread(block, 1, sizeof(block), file)) > 0)
        text_append_bytes(&contents, block, length);
    return text_take(&contents);
}

static int write_file(const char *path, const char *before, size_t n_before, const char *table,
                      const char *after)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return -errno;
    fwrite(before, 1, n_before, file);
    fputs(table, file);
    fputs(after, file);
    return fclose(file) == 0 ? 0 : -errno;
}

static int check_or_write(const char *mode, const char *path, const char *table)
{
    cleanup_free char *page = read_file(path);
    char *start = page ? strstr(page, first_mark) : NULL;
    const char *end = start ? strstr(start, last_mark) : NULL;
    if (!end) {
        fprintf(stderr, "%s: no place for the table: it needs the lines\n%s%s", path, first_mark, last_mark);
        return 1;
    }
    start += strlen(first_mark);
    size_t length = (size_t)(end - start);
    if (strcmp(mode, "--write") == 0)
        return write_file(path, page, (size_t)(start - page), table, end) == 0 ? 0 : 1;
    if (length == strlen(table) && memcmp(start, table, length) == 0)
        return 0;
    fprintf(stderr, "%s: the table is not the one of keys.def; write it with: contract-table --write %s\n",
            path, path);
    return 1;
}

int main(int argc, char **argv)
{
    cleanup_free char *table = make_table();
    if (!table)
        return 2;
    if (argc == 1)
        return fputs(table, stdout) < 0;
    if (argc == 3 && (strcmp(argv[1], "--check") == 0 || strcmp(argv[1], "--write") == 0))
        return check_or_write(argv[1], argv[2], table);
    fputs("usage: contract-table [--check FILE | --write FILE]\n", stderr);
    return 2;
}
