/* SPDX-License-Identifier: Apache-2.0 */
/* The filter as people first write it: getline and strstr. Prints the lines of FILE that contain WORD. */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: naive_filter WORD FILE\n");
        return 2;
    }
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0;)
        if (strstr(line, argv[1]))
            fwrite(line, 1, (size_t)length, stdout);
    free(line);
    return fclose(file) != 0 || fflush(stdout) != 0 ? 2 : 0;
}
