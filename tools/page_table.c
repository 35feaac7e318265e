/* SPDX-License-Identifier: Apache-2.0 */
/* See page_table.h. */
#include "page_table.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

static const char last_mark[] = "<!-- end of table -->\n";

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

static int check_or_write(const struct page_table *table, const char *mode, const char *path,
                          const char *text)
{
    cleanup_free char *page = read_file(path);
    char *start = page ? strstr(page, table->first_mark) : NULL;
    const char *end = start ? strstr(start, last_mark) : NULL;
    if (!end) {
        fprintf(stderr, "%s: no place for the table: it needs the lines\n%s%s", path, table->first_mark,
                last_mark);
        return 1;
    }
    start += strlen(table->first_mark);
    size_t length = (size_t)(end - start);
    if (strcmp(mode, "--write") == 0)
        return write_file(path, page, (size_t)(start - page), text, end) == 0 ? 0 : 1;
    if (length == strlen(text) && memcmp(start, text, length) == 0)
        return 0;
    fprintf(stderr, "%s: the table is not the one of %s; write it with: %s --write %s\n", path, table->source,
            table->program, path);
    return 1;
}

int page_table_main(const struct page_table *table, const char *text, int argc, char **argv)
{
    if (!text)
        return 2;
    if (argc == 1)
        return fputs(text, stdout) < 0;
    if (argc == 3 && (strcmp(argv[1], "--check") == 0 || strcmp(argv[1], "--write") == 0))
        return check_or_write(table, argv[1], argv[2], text);
    fprintf(stderr, "usage: %s [--check FILE | --write FILE]\n", table->program);
    return 2;
}
