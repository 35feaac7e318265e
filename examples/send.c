/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends a module to a node and prints what it prints.
 *
 *    cc send.c -o send -lberth-client -lberth
 *    BERTH_TOKEN=… ./send 127.0.0.1:50051 filter.wasm CRITICAL
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/berth.h>
#include <berth/client.h>

static int fail(berth_error *error)
{
    fprintf(stderr, "send: %s\n", berth_error_message(error));
    berth_error_free(error);
    return 125;
}

static void *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    void *bytes = NULL;
    long size;
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
        rewind(file);
        bytes = malloc((size_t)size + 1);
        *ret_size = bytes ? fread(bytes, 1, (size_t)size, file) : 0;
    }
    if (file)
        fclose(file);
    return bytes;
}

/* While this blocks, the program on the node waits. */
static bool print(void *payload, const void *bytes, size_t size_bytes)
{
    return fwrite(bytes, 1, size_bytes, payload) == size_bytes;
}

static int send_module(berth_client *client, char **words)
{
    const struct berth_visit_end *end;
    berth_error *error = NULL;
    size_t size_bytes = 0;
    void *module = read_file(words[0], &size_bytes);
    const struct berth_visit visit = {
        .size = sizeof(visit),
        .module = module,
        .module_bytes = size_bytes,
        .name = "example.wasm",
        .arguments = (const char *const *)words + 1,
        .output = print,
        .payload = stdout,
    };
    if (!module) {
        perror(words[0]);
        return 127;
    }
    /* BERTH_OK: the receipt was verified, and holds for what was printed. */
    berth_status status = berth_client_visit(client, &visit, &end, &error);
    free(module);
    if (status != BERTH_OK)
        return fail(error);
    if (end->outcome.kind == BERTH_OUTCOME_EXITED)
        return (int)(end->outcome.exit_code & 0xff);
    fprintf(stderr, "send: %s: %s\n", berth_outcome_name(end->outcome.kind), end->outcome.cause);
    return 123;
}

int main(int argc, char **argv)
{
    struct berth_client_options options;
    berth_client *client;
    berth_error *error = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: send HOST[:PORT] MODULE [ARGUMENTS...]\n");
        return 64;
    }
    berth_client_options_init(&options);
    options.address = argv[1];
    options.token = getenv("BERTH_TOKEN");
    if (berth_client_new(&options, &client, &error) != BERTH_OK)
        return fail(error);
    int status = send_module(client, argv + 2);
    berth_client_free(client);
    return status;
}
