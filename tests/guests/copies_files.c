/* SPDX-License-Identifier: Apache-2.0 */
/* copies_files FROM prints a file; copies_files FROM TO writes a copy. Says what failed and ends with 1. */
#include <stdio.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    char buffer[4096];
    FILE *from = fopen(argv[1], "r");
    if (!from)
        return fail(argv[1]);
    FILE *to = argc > 2 ? fopen(argv[2], "w") : stdout;
    if (!to)
        return fail(argv[2]);
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), from)) > 0;)
        if (fwrite(buffer, 1, n, to) != n)
            return fail("write");
    return fclose(to) == 0 ? 0 : fail("close");
}
