/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a page of docs/ that is made from a table in the source, so that the two cannot drift apart. It
 * stands between two marks:
 *
 *   <!-- table: made by TOOL from SOURCE -->
 *   …
 *   <!-- end of table -->
 */
#ifndef BERTH_TOOLS_PAGE_TABLE_H
#define BERTH_TOOLS_PAGE_TABLE_H

struct page_table {
    const char *first_mark; /* the whole line */
    const char *program;    /* for messages */
    const char *source;
};

/* The main of such a tool, which made the text:
 *
 *   TOOL                the text
 *   TOOL --check FILE   exit status 1 if the part of FILE between the marks is another text
 *   TOOL --write FILE   puts it there
 */
int page_table_main(const struct page_table *table, const char *text, int argc, char **argv);

#endif
