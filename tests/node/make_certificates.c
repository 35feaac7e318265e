/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the certificates that tests of TLS need: make_certificates DIRECTORY. */
#include "net/test_certificates.h"

int main(int argc, char **argv)
{
    if (argc != 2)
        return 64;
    test_certificates_write(argv[1]);
    return 0;
}
