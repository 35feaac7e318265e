/* SPDX-License-Identifier: Apache-2.0 */
/* Writes as many MiB to stdout as its argument says, 64 KiB at a time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char piece[64 << 10];
    unsigned long left = argc > 1 ? strtoul(argv[1], NULL, 10) * ((1 << 20) / sizeof(piece)) : 0;
    memset(piece, 'y', sizeof(piece));
    for (; left > 0; left--)
        if (write(STDOUT_FILENO, piece, sizeof(piece)) != (ssize_t)sizeof(piece))
            return 1;
    return 0;
}
