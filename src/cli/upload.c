/* SPDX-License-Identifier: Apache-2.0 */
/* See upload.h. */
#include "cli/upload.h"

#include <unistd.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/units.h"

#define PATIENCE_NS (500 * NS_PER_MS)
#define PACE_NS     (100 * NS_PER_MS)

enum { BAR_COLUMNS = 24 };

void upload_begin(struct upload *upload, const char *name, bool wanted)
{
    *upload = (struct upload){
        .name = name, .wanted = wanted && isatty(STDERR_FILENO), .begun_ns = clock_monotonic_ns()};
}

static void append_bar(struct text *line, uint64_t sent_bytes, uint64_t total_bytes)
{
    int filled = total_bytes ? (int)((double)sent_bytes / (double)total_bytes * BAR_COLUMNS) : BAR_COLUMNS;
    text_append(line, "[");
    for (int i = 0; i < BAR_COLUMNS; i++)
        text_append(line, i < filled ? "#" : " ");
    text_append(line, "]");
}

void upload_show(struct upload *upload, uint64_t sent_bytes, uint64_t total_bytes)
{
    struct text line = {0};
    uint64_t now = clock_monotonic_ns();
    if (!upload->wanted)
        return;
    if (sent_bytes == total_bytes) {
        upload_end(upload);
        return;
    }
    if (now - upload->begun_ns < PATIENCE_NS || now - upload->drawn_ns < PACE_NS)
        return;
    upload->drawn_ns = now;
    upload->drawn = true;
    text_append_format(&line, "\r\033[Ksending %s ", upload->name);
    append_bar(&line, sent_bytes, total_bytes);
    text_append(&line, " ");
    append_bytes(&line, sent_bytes);
    text_append(&line, " of ");
    append_bytes(&line, total_bytes);
    message_print(&line);
}

void upload_end(struct upload *upload)
{
    if (upload->drawn)
        write_in_time(STDERR_FILENO, "\r\033[K", 4);
    upload->drawn = false;
    upload->wanted = false;
}
