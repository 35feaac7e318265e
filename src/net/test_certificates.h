/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made on the spot: nothing that expires lies in the tree. */
#ifndef BERTH_NET_TEST_CERTIFICATES_H
#define BERTH_NET_TEST_CERTIFICATES_H

/*
 * Writes into an existing directory, all PEM:
 *    ca.pem, other-ca.pem               two authorities that know nothing of each other
 *    server.pem, server.key             of ca.pem, for "localhost", 127.0.0.1 and ::1
 *    expired.pem, expired.key           the same, but its time is over
 *    client.pem, client.key             of ca.pem, for a client
 *    stranger.pem, stranger.key         of other-ca.pem, for a client
 * Ends the program if that fails.
 */
void test_certificates_write(const char *directory);

#endif
