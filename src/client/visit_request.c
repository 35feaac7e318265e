/* SPDX-License-Identifier: Apache-2.0 */
/* See visit_request.h. The module is copied once, into the message, and sealed there. */
#include "client/visit_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "client/sole_field.h"
#include "wire/berth.pb-c.h"
#include "wire/liop.pb-c.h"

enum { SEALED_REQUEST_FIELD = 16, NAME_MAX_BYTES = 255 };

/* ---- What can be said ---------------------------------------------------------------------------------- */

static berth_status check_string(const char *what, const char *string, berth_error **reterr)
{
    if (!string || text_is_utf8(string, strlen(string)))
        return BERTH_OK;
    cleanup_free char *shown = client_safe_text(string);
    return error_set(reterr, BERTH_INVALID, "%s is not UTF-8, and cannot be sent: %s", what,
                     shown ? shown : "");
}

static berth_status check_strings(const char *what, const char *const *strings, berth_error **reterr)
{
    berth_status status = BERTH_OK;
    for (size_t i = 0; strings && strings[i] && status == BERTH_OK; i++)
        status = check_string(what, strings[i], reterr);
    return status;
}

static berth_status check_input(const struct berth_visit *visit, size_t i, berth_error **reterr)
{
    const struct berth_client_input *input = &visit->inputs[i];
    cleanup_free char *name = client_safe_text(input->name);
    cleanup_free char *why = NULL;
    cleanup_json json_t *value = NULL;
    berth_status status = check_string("the name of an input", input->name, reterr);
    if (status != BERTH_OK)
        return status;
    for (size_t j = 0; j < i; j++)
        if (strcmp(visit->inputs[j].name, input->name) == 0)
            return error_set(reterr, BERTH_INVALID, "input %s is given twice", name ? name : "");
    size_t length = strlen(input->json);
    /* A longer one is for the node to read. */
    int r = length <= JSON_TEXT_MAX_BYTES ? json_read(input->json, length, &value, &why) : 0;
    if (r == -ENOMEM)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (r < 0)
        return error_set(reterr, BERTH_INVALID, "input %s is no JSON: %s", name ? name : "", why ? why : "");
    return BERTH_OK;
}

berth_status visit_check(const struct berth_visit *visit, berth_error **reterr)
{
    berth_status status = check_string("the module's name", visit->name, reterr);
    if (visit->name && strlen(visit->name) > NAME_MAX_BYTES)
        return error_set(reterr, BERTH_INVALID, "the module's name is longer than %d bytes", NAME_MAX_BYTES);
    if (status == BERTH_OK)
        status = check_strings("an argument", visit->arguments, reterr);
    if (status == BERTH_OK)
        status = check_strings("a variable of the environment", visit->environment, reterr);
    if (status == BERTH_OK)
        status = check_string("the capability", visit->capability, reterr);
    if (status == BERTH_OK)
        status = check_string("the contract", visit->contract, reterr);
    for (size_t i = 0; i < visit->n_inputs && status == BERTH_OK; i++)
        status = check_input(visit, i, reterr);
    return status;
}

/* ---- The message --------------------------------------------------------------------------------------- */

static size_t count(const char *const *strings)
{
    size_t n = 0;
    while (strings && strings[n])
        n++;
    return n;
}

static char *said(const char *string)
{
    return (char *)(uintptr_t)(string ? string : "");
}

typedef Berth__V1__RunRequest__InputsEntry input_entry;

/* The entries and the list of pointers to them, in one allocation. */
static input_entry **inputs_new(const struct berth_visit *visit)
{
    input_entry **list = calloc(visit->n_inputs + 1, sizeof(*list) + sizeof(**list));
    input_entry *entries = list ? (input_entry *)(list + visit->n_inputs + 1) : NULL;
    for (size_t i = 0; list && i < visit->n_inputs; i++) {
        berth__v1__run_request__inputs_entry__init(&entries[i]);
        entries[i].key = said(visit->inputs[i].name);
        entries[i].value.data = (uint8_t *)said(visit->inputs[i].json);
        entries[i].value.len = strlen(visit->inputs[i].json);
        list[i] = &entries[i];
    }
    return list;
}

/* The packed request with room for the seal's tag behind it. */
static uint8_t *pack(const struct berth_visit *visit, const uint8_t *module_sha256, bool with_module,
                     size_t *ret_size_bytes)
{
    Berth__V1__RunRequest request;
    berth__v1__run_request__init(&request);
    cleanup_free input_entry **inputs = inputs_new(visit);
    if (!inputs)
        return NULL;
    if (with_module) {
        request.module.data = (uint8_t *)(uintptr_t)visit->module;
        request.module.len = visit->module_bytes;
    }
    request.module_sha256.data = (uint8_t *)(uintptr_t)module_sha256;
    request.module_sha256.len = HASH_BYTES;
    request.name = said(visit->name);
    request.arguments = (char **)(uintptr_t)visit->arguments;
    request.n_arguments = count(visit->arguments);
    request.inputs = inputs;
    request.n_inputs = visit->n_inputs;
    request.environment = (char **)(uintptr_t)visit->environment;
    request.n_environment = count(visit->environment);
    request.contract = said(visit->contract);
    request.deadline_ms = visit->deadline_ms;
    request.events = visit->events;
    request.detach = visit->detach;
    request.survive_restart = visit->survive_restart;
    size_t size_bytes = protobuf_c_message_get_packed_size(&request.base);
    uint8_t *bytes = malloc(size_bytes + SEAL_TAG_BYTES);
    if (bytes)
        *ret_size_bytes = protobuf_c_message_pack(&request.base, bytes);
    return bytes;
}

/* The fields of the LogicRequest that stand before the sealed bytes. */
static int write_head(struct client_session *session, size_t sealed_bytes, struct visit_request *ret)
{
    Liop__V1__LogicRequest request;
    liop__v1__logic_request__init(&request);
    request.session_token = session->token;
    request.pqc_ciphertext.data = session->ciphertext;
    request.pqc_ciphertext.len = sizeof(session->ciphertext);
    size_t size_bytes = protobuf_c_message_get_packed_size(&request.base);
    ret->head = malloc(size_bytes + SOLE_FIELD_HEAD_BYTES);
    if (!ret->head)
        return -ENOMEM;
    protobuf_c_message_pack(&request.base, ret->head);
    size_bytes += sole_field_write(SEALED_REQUEST_FIELD, sealed_bytes, ret->head + size_bytes);
    ret->pieces[0] = (struct iovec){ret->head, size_bytes};
    ret->pieces[1] = (struct iovec){ret->sealed, sealed_bytes};
    return 0;
}

berth_status visit_request_seal(const struct berth_visit *visit, const uint8_t *module_sha256,
                                bool with_module, struct client_session *session, struct visit_request *ret,
                                berth_error **reterr)
{
    size_t size_bytes;
    *ret = (struct visit_request){.sealed = pack(visit, module_sha256, with_module, &size_bytes)};
    if (!ret->sealed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (seal_close(session->to_node, ret->sealed, size_bytes, ret->sealed) != 0 ||
        write_head(session, size_bytes + SEAL_TAG_BYTES, ret) < 0) {
        visit_request_done(ret);
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    }
    return BERTH_OK;
}

void visit_request_done(struct visit_request *request)
{
    free(request->head);
    free(request->sealed);
    *request = (struct visit_request){0};
}
