/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes as many events of 60,000 bytes as the first argument says. */
#include <stdlib.h>
#include <string.h>

__attribute__((import_module("liop"), import_name("push_event"))) void push_event(const char *text, size_t length);

int main(int argc, char **argv)
{
    static char text[60000];
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    memset(text, 'x', sizeof(text));
    for (unsigned long i = 0; i < count; i++)
        push_event(text, sizeof(text));
    return 0;
}
