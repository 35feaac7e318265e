/* SPDX-License-Identifier: Apache-2.0 */
/* Prints each argument and each environment variable on a line of its own, and says a word on stderr. */
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("argument %s\n", argv[i]);
    for (char **variable = environ; *variable; variable++)
        printf("variable %s\n", *variable);
    fprintf(stderr, "said on stderr\n");
    return 0;
}
