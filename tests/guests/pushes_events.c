/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes "event 1", "event 2", … : as many as the first argument says (0: without end), with a pause of as many
 * milliseconds as the second one says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((import_module("liop"), import_name("push_event"))) void push_event(const char *text, size_t length);

int main(int argc, char **argv)
{
    char text[32];
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    unsigned long pause_ms = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    const struct timespec pause = {.tv_sec = (time_t)(pause_ms / 1000), .tv_nsec = (long)(pause_ms % 1000) * 1000000};
    for (unsigned long i = 1; count == 0 || i <= count; i++) {
        snprintf(text, sizeof(text), "event %lu", i);
        push_event(text, strlen(text));
        if (pause_ms > 0)
            nanosleep(&pause, NULL);
    }
    return 0;
}
