/* SPDX-License-Identifier: Apache-2.0 */
/* COUNT reads of 64 bytes each from FILE, from its start again at its end. Prints the sum of their first
 * bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned char bytes[64];
    unsigned long sum = 0;
    int descriptor = argc == 3 ? open(argv[2], O_RDONLY) : -1;
    if (descriptor < 0) {
        fprintf(stderr, "usage: small_reads COUNT FILE\n");
        return 2;
    }
    for (long count = atol(argv[1]); count > 0; count--) {
        if (read(descriptor, bytes, sizeof(bytes)) == sizeof(bytes))
            sum += bytes[0];
        else if (lseek(descriptor, 0, SEEK_SET) != 0)
            return 2;
    }
    printf("%lu\n", sum);
    return 0;
}
