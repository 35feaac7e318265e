/* SPDX-License-Identifier: Apache-2.0 */
/* Ends with the exit code that its argument names, or by abort(). */
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "abort") == 0)
        abort();
    exit((int)strtoul(argv[1], NULL, 0));
}
