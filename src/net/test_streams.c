/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over loopback, plain and with TLS: what arrives, what holds back, what is refused and how that is
 * said. */
#include "net/test_loop.h"

#include <stdio.h>
#include <sys/stat.h>

#include "net/byte_queue.h"
#include "net/test_certificates.h"

struct fixture {
    uv_loop_t loop;
    uv_tcp_t listener;
    uint16_t port;
    struct tls_identity *server_tls, *client_tls;
    const char *server_alpn, *client_alpn, *name;
    struct test_end server, client;
    char directory[64];
};

/* ---- Fixture ---------------------------------------------------------------------------------------------
 */

static void incoming(uv_stream_t *listener, int status)
{
    struct fixture *fixture = listener->data;
    const struct tcp_options options = {.tls = fixture->server_tls,
                                        .alpn = fixture->server_alpn,
                                        .events = &test_end_events,
                                        .owner = &fixture->server};
    if (status == 0 && !fixture->server.stream)
        (void)tcp_accept(listener, &options, &fixture->server.stream);
    if (fixture->server.stream)
        fixture->server.opened = stream_is_open(fixture->server.stream);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct sockaddr_in address;
    int size = sizeof address;
    *state = fixture;
    uv_loop_init(&fixture->loop);
    uv_tcp_init(&fixture->loop, &fixture->listener);
    fixture->listener.data = fixture;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&fixture->listener, (struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&fixture->listener, 8, incoming);
    uv_tcp_getsockname(&fixture->listener, (struct sockaddr *)&address, &size);
    fixture->port = ntohs(address.sin_port);
    fixture->server.keeps = fixture->client.keeps = true;
    strncpy(fixture->directory, "/tmp/berth-test-XXXXXX", sizeof fixture->directory - 1);
    return mkdtemp(fixture->directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"ca", "other-ca", "server", "expired", "client", "stranger"};
    struct fixture *fixture = *state;
    char path[128];
    test_end_done(&fixture->client);
    test_end_done(&fixture->server);
    if (!uv_is_closing((uv_handle_t *)&fixture->listener))
        uv_close((uv_handle_t *)&fixture->listener, NULL);
    tls_identity_unref(fixture->client_tls);
    tls_identity_unref(fixture->server_tls);
    test_loop_done(&fixture->loop);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s.pem", fixture->directory, names[i]);
        remove(path);
        snprintf(path, sizeof path, "%s/%s.key", fixture->directory, names[i]);
        remove(path);
    }
    remove(fixture->directory);
    free(fixture);
    return 0;
}

/* A name in the fixture's directory, or NULL; freed by the caller. */
static char *file(struct fixture *fixture, const char *name)
{
    struct text path = {0};
    if (!name)
        return NULL;
    text_append_format(&path, "%s/%s", fixture->directory, name);
    return text_take(&path);
}

static void use_server_tls(struct fixture *fixture, const char *certificate, const char *client_ca,
                           bool required)
{
    cleanup_text struct text pem = {0}, key = {0};
    text_append_format(&pem, "%s.pem", certificate);
    text_append_format(&key, "%s.key", certificate);
    cleanup_free char *pem_file = file(fixture, pem.data);
    cleanup_free char *key_file = file(fixture, key.data);
    cleanup_free char *ca_file = file(fixture, client_ca);
    const struct tls_server_options options = {
        .certificate = pem_file, .key = key_file, .client_ca = ca_file, .client_required = required};
    assert_int_equal(tls_identity_new_server(&options, &fixture->server_tls, NULL), BERTH_OK);
}

static void use_client_tls(struct fixture *fixture, const char *ca, const char *certificate)
{
    cleanup_text struct text pem = {0}, key = {0};
    text_append_format(&pem, "%s.pem", certificate ? certificate : "");
    text_append_format(&key, "%s.key", certificate ? certificate : "");
    cleanup_free char *pem_file = file(fixture, pem.data);
    cleanup_free char *key_file = file(fixture, key.data);
    cleanup_free char *ca_file = file(fixture, ca);
    const struct tls_client_options options = {
        .ca = ca_file, .certificate = certificate ? pem_file : NULL, .key = certificate ? key_file : NULL};
    assert_int_equal(tls_identity_new_client(&options, &fixture->client_tls, NULL), BERTH_OK);
}

static void use_tls(struct fixture *fixture)
{
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "server", NULL, false);
    use_client_tls(fixture, "ca.pem", NULL);
}

static void connect_to(struct fixture *fixture, const char *host, uint32_t timeout_ms)
{
    const struct tcp_target target = {
        .host = host, .port = fixture->port, .certificate_name = fixture->name, .timeout_ms = timeout_ms};
    const struct tcp_options options = {.tls = fixture->client_tls,
                                        .alpn = fixture->client_alpn,
                                        .events = &test_end_events,
                                        .owner = &fixture->client};
    assert_int_equal(tcp_connect(&fixture->loop, &target, &options, &fixture->client.stream), 0);
}

static bool both_open(void *payload)
{
    const struct fixture *fixture = payload;
    return fixture->server.opened && fixture->client.opened;
}

static void connect_both(struct fixture *fixture)
{
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, both_open, fixture));
}

static bool client_closed(void *payload)
{
    return ((struct fixture *)payload)->client.closed;
}

static bool both_closed(void *payload)
{
    const struct fixture *fixture = payload;
    return fixture->server.closed && fixture->client.closed;
}

/* ---- Bytes -----------------------------------------------------------------------------------------------
 */

static bool greeted(void *payload)
{
    const struct fixture *fixture = payload;
    return fixture->server.received_bytes == 5 && fixture->client.received_bytes == 3;
}

static void talk(struct fixture *fixture)
{
    connect_both(fixture);
    stream_cork(fixture->client.stream);
    stream_write(fixture->client.stream, "he", 2);
    stream_write(fixture->client.stream, "llo", 3);
    assert_int_equal(stream_queued_bytes(fixture->client.stream), 5);
    stream_uncork(fixture->client.stream);
    stream_write(fixture->server.stream, "you", 3);
    assert_true(test_run_until(&fixture->loop, greeted, fixture));
    assert_string_equal(fixture->server.received.data, "hello");
    assert_string_equal(fixture->client.received.data, "you");
    assert_string_equal(stream_address(fixture->server.stream), "127.0.0.1");
}

static void plain_bytes_go_both_ways(void **state)
{
    struct fixture *fixture = *state;
    talk(fixture);
    assert_false(stream_has_tls(fixture->server.stream));
    assert_null(stream_certificate_sha256(fixture->server.stream));
}

static void encrypted_bytes_go_both_ways(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    talk(fixture);
    assert_true(stream_has_tls(fixture->server.stream));
    assert_null(stream_certificate_sha256(fixture->server.stream));
    assert_non_null(stream_certificate_sha256(fixture->client.stream));
}

static void what_is_written_before_the_connection_waits(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    connect_to(fixture, "127.0.0.1", 0);
    assert_false(stream_is_open(fixture->client.stream));
    stream_write(fixture->client.stream, "early", 5);
    assert_true(test_run_until(&fixture->loop, both_open, fixture));
    stream_write(fixture->server.stream, "you", 3);
    assert_true(test_run_until(&fixture->loop, greeted, fixture));
    assert_string_equal(fixture->server.received.data, "early");
}

enum { MUCH_BYTES = 8 << 20 };

static bool much_came(void *payload)
{
    return ((struct fixture *)payload)->server.received_bytes == MUCH_BYTES;
}

static void push_much(struct fixture *fixture)
{
    uint8_t *bytes = malloc(MUCH_BYTES);
    for (size_t i = 0; i < MUCH_BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761U >> 13);
    connect_both(fixture);
    stream_stop_reading(fixture->server.stream);
    stream_write(fixture->client.stream, bytes, MUCH_BYTES / 2);
    for (size_t at = MUCH_BYTES / 2; at < MUCH_BYTES; at += MUCH_BYTES / 64)
        stream_write(fixture->client.stream, bytes + at, MUCH_BYTES / 64);
    /* Turns enough to read all of it, if anybody did. */
    for (int i = 0; i < 200; i++)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_true(fixture->server.received_bytes <= 128 << 10);
    assert_true(stream_queued_bytes(fixture->client.stream) > 0);
    assert_int_equal(fixture->client.n_writable, 0);
    stream_start_reading(fixture->server.stream);
    assert_true(test_run_until(&fixture->loop, much_came, fixture));
    assert_memory_equal(fixture->server.received.data, bytes, MUCH_BYTES);
    assert_true(fixture->client.n_writable > 0);
    assert_int_equal(stream_queued_bytes(fixture->client.stream), 0);
    free(bytes);
}

static void slow_reader_holds_back_a_plain_writer(void **state)
{
    push_much(*state);
}

static void slow_reader_holds_back_an_encrypted_writer(void **state)
{
    use_tls(*state);
    push_much(*state);
}

/* ---- Ends ------------------------------------------------------------------------------------------------
 */

static bool server_closed(void *payload)
{
    return ((struct fixture *)payload)->server.closed;
}

static void finish_delivers_what_is_queued(struct fixture *fixture)
{
    uint8_t *zeros = calloc(1, MUCH_BYTES);
    connect_both(fixture);
    stream_write(fixture->client.stream, zeros, MUCH_BYTES);
    stream_finish(fixture->client.stream);
    fixture->client.stream = NULL;
    assert_true(test_run_until(&fixture->loop, server_closed, fixture));
    assert_int_equal(fixture->server.received_bytes, MUCH_BYTES);
    assert_null(fixture->server.error);
    free(zeros);
}

static void finish_delivers_what_is_queued_plain(void **state)
{
    finish_delivers_what_is_queued(*state);
}

static void finish_delivers_what_is_queued_encrypted(void **state)
{
    use_tls(*state);
    finish_delivers_what_is_queued(*state);
}

static void tls_that_is_cut_off_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    connect_both(fixture);
    stream_close(fixture->client.stream);
    fixture->client.stream = NULL;
    assert_true(test_run_until(&fixture->loop, server_closed, fixture));
    assert_non_null(fixture->server.error);
}

static void closed_is_the_last_event(void **state)
{
    struct fixture *fixture = *state;
    connect_both(fixture);
    stream_close(fixture->server.stream);
    fixture->server.stream = NULL;
    stream_write(fixture->client.stream, "x", 1);
    assert_true(test_run_until(&fixture->loop, client_closed, fixture));
    assert_false(fixture->server.closed); /* who closes is not told */
}

/* ---- Connections that do not come about ------------------------------------------------------------------
 */

static void nobody_listens(void **state)
{
    struct fixture *fixture = *state;
    uv_close((uv_handle_t *)&fixture->listener, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, client_closed, fixture));
    assert_non_null(strstr(fixture->client.error, "cannot connect to 127.0.0.1 port"));
    assert_non_null(strstr(fixture->client.error, "refused"));
    assert_false(fixture->client.opened);
}

static void name_that_does_not_exist(void **state)
{
    struct fixture *fixture = *state;
    connect_to(fixture, "no\nsuch.invalid", 0);
    assert_true(test_run_until(&fixture->loop, client_closed, fixture));
    assert_non_null(strstr(fixture->client.error, "cannot find no\\nsuch.invalid port"));
}

static void peer_that_does_not_shake_hands(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    tls_identity_unref(fixture->server_tls);
    fixture->server_tls = NULL; /* takes the connection and says nothing */
    connect_to(fixture, "127.0.0.1", 200);
    assert_true(test_run_until(&fixture->loop, client_closed, fixture));
    assert_non_null(strstr(fixture->client.error, "no answer from 127.0.0.1 port"));
    assert_non_null(strstr(fixture->client.error, "within 0.2 s"));
}

static void connection_can_be_closed_at_any_point(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    for (int turns = 0; turns < 12; turns++) {
        connect_to(fixture, "127.0.0.1", 0);
        for (int i = 0; i < turns; i++)
            uv_run(&fixture->loop, UV_RUN_NOWAIT);
        test_end_done(&fixture->client);
        test_end_done(&fixture->server);
    }
}

/* ---- Certificates ----------------------------------------------------------------------------------------
 */

/* The client turns the server down with this sentence in it. */
static void expect_refusal(struct fixture *fixture, const char *sentence)
{
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, both_closed, fixture));
    assert_false(fixture->client.opened);
    assert_non_null(fixture->client.error);
    assert_non_null(strstr(fixture->client.error, sentence));
    assert_non_null(fixture->server.error);
}

static void certificate_for_another_name(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    fixture->name = "elsewhere.example";
    expect_refusal(fixture, "not accepted for elsewhere.example");
}

static void certificate_of_an_unknown_authority(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "server", NULL, false);
    use_client_tls(fixture, "other-ca.pem", NULL);
    expect_refusal(fixture, "issuer is unknown");
}

static void certificate_whose_time_is_over(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "expired", NULL, false);
    use_client_tls(fixture, "ca.pem", NULL);
    expect_refusal(fixture, "expired");
}

static void client_certificate_for_a_server(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "client", NULL, false);
    use_client_tls(fixture, "ca.pem", NULL);
    expect_refusal(fixture, "not accepted");
}

static void protocol_must_be_agreed_on(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    fixture->server_alpn = "h2";
    fixture->client_alpn = "http/1.1";
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, both_closed, fixture));
    assert_non_null(strstr(fixture->server.error, "ALPN"));
    test_end_done(&fixture->server);
    test_end_done(&fixture->client);
    fixture->client_alpn = NULL;
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, both_closed, fixture));
    assert_non_null(strstr(fixture->server.error, "ALPN"));
    test_end_done(&fixture->server);
    test_end_done(&fixture->client);
    fixture->client_alpn = "h2";
    connect_both(fixture);
}

static void client_certificate_is_told_by_its_digest(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "server", "ca.pem", true);
    use_client_tls(fixture, "ca.pem", "client");
    connect_both(fixture);
    assert_non_null(stream_certificate_sha256(fixture->server.stream));
}

static void client_certificate_may_be_missing_if_not_required(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "server", "ca.pem", false);
    use_client_tls(fixture, "ca.pem", NULL);
    connect_both(fixture);
    assert_null(stream_certificate_sha256(fixture->server.stream));
}

static void client_without_a_certificate_is_refused(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    use_server_tls(fixture, "server", "ca.pem", true);
    use_client_tls(fixture, "ca.pem", NULL);
    connect_to(fixture, "127.0.0.1", 0);
    assert_true(test_run_until(&fixture->loop, both_closed, fixture));
    assert_false(fixture->server.opened);
    assert_non_null(fixture->server.error);
    assert_non_null(fixture->client.error);
}

static void client_with_a_stranger_s_certificate_is_refused(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    for (int required = 0; required < 2; required++) {
        use_server_tls(fixture, "server", "ca.pem", required);
        use_client_tls(fixture, "ca.pem", "stranger");
        connect_to(fixture, "127.0.0.1", 0);
        assert_true(test_run_until(&fixture->loop, both_closed, fixture));
        assert_false(fixture->server.opened);
        assert_non_null(fixture->server.error);
        test_end_done(&fixture->server);
        test_end_done(&fixture->client);
        tls_identity_unref(fixture->server_tls);
        tls_identity_unref(fixture->client_tls);
        fixture->server_tls = fixture->client_tls = NULL;
    }
}

static void garbage_instead_of_tls_is_refused(void **state)
{
    struct fixture *fixture = *state;
    use_tls(fixture);
    tls_identity_unref(fixture->client_tls);
    fixture->client_tls = NULL;
    connect_to(fixture, "127.0.0.1", 0);
    stream_write(fixture->client.stream, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_true(test_run_until(&fixture->loop, both_closed, fixture));
    assert_non_null(fixture->server.error);
}

static void expect_identity_error(const struct tls_server_options *options, berth_status expected,
                                  const char *sentence)
{
    struct tls_identity *identity = NULL;
    berth_error *error = NULL;
    assert_int_equal(tls_identity_new_server(options, &identity, &error), expected);
    assert_null(identity);
    assert_non_null(strstr(berth_error_message(error), sentence));
    berth_error_free(error);
}

static void identity_that_cannot_be_is_explained(void **state)
{
    struct fixture *fixture = *state;
    test_certificates_write(fixture->directory);
    cleanup_free char *pem = file(fixture, "server.pem");
    cleanup_free char *key = file(fixture, "server.key");
    cleanup_free char *other = file(fixture, "client.key");
    cleanup_free char *missing = file(fixture, "missing.pem");
    expect_identity_error(&(struct tls_server_options){.certificate = missing, .key = key}, BERTH_NOT_FOUND,
                          "missing.pem");
    expect_identity_error(&(struct tls_server_options){.certificate = pem, .key = missing}, BERTH_NOT_FOUND,
                          "the key");
    expect_identity_error(&(struct tls_server_options){.certificate = pem, .key = other}, BERTH_INVALID,
                          "does not belong to");
    expect_identity_error(&(struct tls_server_options){.certificate = key, .key = key}, BERTH_INVALID,
                          "server.key");
    expect_identity_error(&(struct tls_server_options){.certificate = pem, .key = key, .client_ca = key},
                          BERTH_INVALID, "server.key");
    expect_identity_error(
        &(struct tls_server_options){.certificate = pem, .key = key, .client_required = true}, BERTH_INVALID,
        "no authority");
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(plain_bytes_go_both_ways),
        WITH_FIXTURE(encrypted_bytes_go_both_ways),
        WITH_FIXTURE(what_is_written_before_the_connection_waits),
        WITH_FIXTURE(slow_reader_holds_back_a_plain_writer),
        WITH_FIXTURE(slow_reader_holds_back_an_encrypted_writer),
        WITH_FIXTURE(finish_delivers_what_is_queued_plain),
        WITH_FIXTURE(finish_delivers_what_is_queued_encrypted),
        WITH_FIXTURE(tls_that_is_cut_off_is_an_error),
        WITH_FIXTURE(closed_is_the_last_event),
        WITH_FIXTURE(nobody_listens),
        WITH_FIXTURE(name_that_does_not_exist),
        WITH_FIXTURE(peer_that_does_not_shake_hands),
        WITH_FIXTURE(connection_can_be_closed_at_any_point),
        WITH_FIXTURE(certificate_for_another_name),
        WITH_FIXTURE(certificate_of_an_unknown_authority),
        WITH_FIXTURE(certificate_whose_time_is_over),
        WITH_FIXTURE(client_certificate_for_a_server),
        WITH_FIXTURE(protocol_must_be_agreed_on),
        WITH_FIXTURE(client_certificate_is_told_by_its_digest),
        WITH_FIXTURE(client_certificate_may_be_missing_if_not_required),
        WITH_FIXTURE(client_without_a_certificate_is_refused),
        WITH_FIXTURE(client_with_a_stranger_s_certificate_is_refused),
        WITH_FIXTURE(garbage_instead_of_tls_is_refused),
        WITH_FIXTURE(identity_that_cannot_be_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
