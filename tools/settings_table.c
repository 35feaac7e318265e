/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of keys in docs/serve.md, made from src/node/settings/settings.def and
 * src/node/settings/settings_tables.def. */
#include "base/cleanup.h"
#include "base/text.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"
#include "page_table.h"

static const char head[] = "| key | value | default | meaning |\n|---|---|---|---|\n";

static void append_scalars(struct text *text)
{
    text_append_format(text, "### Single values\n\n%s", head);
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        text_append_format(text, "| `%s` | ", row->key);
        setting_row_append_requirement(row, text);
        text_append(text, " | `");
        setting_row_append_default(row, text);
        text_append_format(text, "` | %s |\n", row->doc);
    }
}

static void append_table(const struct settings_table *table, struct text *text)
{
    text_append_format(text, "\n### [[%s]]\n\nAt most %zu.\n\n%s", table->name, table->maximum, head);
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct settings_field *field = &table->fields[i];
        text_append_format(text, "| `%s` | ", field->name);
        settings_field_append_requirement(field, text);
        if (field->default_text)
            text_append_format(text, " | `%s` | %s |\n", field->default_text, field->doc);
        else
            text_append_format(text, " | must be given | %s |\n", field->doc);
    }
}

static char *make_tables(void)
{
    struct text text = {0};
    append_scalars(&text);
    for (size_t i = 0; i < SETTINGS_TABLES; i++)
        append_table(&settings_tables[i], &text);
    return text_take(&text);
}

int main(int argc, char **argv)
{
    static const struct page_table page = {
        .first_mark = "<!-- table: made by tools/settings_table.c from src/node/settings/settings.def and "
                      "src/node/settings/settings_tables.def -->\n",
        .program = "settings-table",
        .source = "settings.def and settings_tables.def",
    };
    cleanup_free char *tables = make_tables();
    return page_table_main(&page, tables, argc, argv);
}
