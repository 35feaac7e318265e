/* SPDX-License-Identifier: Apache-2.0 */
/* Tries to create the file that its first argument names, as many times as the second one says. */
#include <fcntl.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    for (int i = argc == 3 ? atoi(argv[2]) : 0; i > 0; i--)
        open(argv[1], O_WRONLY | O_CREAT, 0600);
    return 0;
}
