/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See reflection.h. Each question is answered as it comes; nothing is kept of it. A caller that does not read
 * its answers is not listened to any more.
 */
#include "node/front/reflection.h"

#include <string.h>

#include "node/front/front.h"
#include "wire/descriptors.h"
#include "wire/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
typedef Grpc__Reflection__V1__ServiceResponse service_response;

enum { QUESTION_MAX_BYTES = 4096, QUEUED_MAX_BYTES = 1 << 20, SERVICES_MAX = 16 };

static const struct descriptor_file *file_of_symbol(const char *name)
{
    for (const struct descriptor_symbol *symbol = descriptor_symbols; symbol->name; symbol++)
        if (strcmp(symbol->name, name) == 0)
            return symbol->file;
    return NULL;
}

static const struct descriptor_file *file_of_name(const char *name)
{
    for (const struct descriptor_file *file = descriptor_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

static char *borrowed(const char *string)
{
    return (char *)(uintptr_t)string;
}

/* Sends an answer whose parts lie on the caller's stack, and forgets them. */
static int send_answer(struct grpc_call *call, response *answer)
{
    int r = caller_send(call, answer);
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE__NOT_SET;
    answer->error_response = NULL; /* of a union: all of them */
    return r;
}

static int answer_error(struct grpc_call *call, response *answer, enum grpc_status status,
                        const char *sentence)
{
    Grpc__Reflection__V1__ErrorResponse error;
    grpc__reflection__v1__error_response__init(&error);
    error.error_code = (int32_t)status;
    error.error_message = borrowed(sentence);
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    answer->error_response = &error;
    return send_answer(call, answer);
}

static int answer_file(struct grpc_call *call, response *answer, const struct descriptor_file *file)
{
    Grpc__Reflection__V1__FileDescriptorResponse files;
    if (!file)
        return answer_error(call, answer, GRPC_NOT_FOUND, "this node has nothing of that name");
    ProtobufCBinaryData bytes = {.len = file->size_bytes, .data = (uint8_t *)(uintptr_t)file->bytes};
    grpc__reflection__v1__file_descriptor_response__init(&files);
    files.n_file_descriptor_proto = 1;
    files.file_descriptor_proto = &bytes;
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    answer->file_descriptor_response = &files;
    return send_answer(call, answer);
}

static int answer_services(struct grpc_call *call, response *answer)
{
    Grpc__Reflection__V1__ListServiceResponse list;
    service_response services[SERVICES_MAX], *pointers[SERVICES_MAX];
    grpc__reflection__v1__list_service_response__init(&list);
    for (const struct descriptor_symbol *symbol = descriptor_symbols; symbol->name; symbol++) {
        if (!symbol->is_service || list.n_service == SERVICES_MAX)
            continue;
        grpc__reflection__v1__service_response__init(&services[list.n_service]);
        services[list.n_service].name = borrowed(symbol->name);
        pointers[list.n_service] = &services[list.n_service];
        list.n_service++;
    }
    list.service = pointers;
    answer->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    answer->list_services_response = &list;
    return send_answer(call, answer);
}

static int answer_question(struct grpc_call *call, request *question)
{
    response answer;
    grpc__reflection__v1__server_reflection_response__init(&answer);
    answer.valid_host = question->host;
    answer.original_request = question;
    switch (question->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        return answer_file(call, &answer, file_of_name(question->file_by_filename));
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        return answer_file(call, &answer, file_of_symbol(question->file_containing_symbol));
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return answer_services(call, &answer);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        return answer_error(call, &answer, GRPC_NOT_FOUND, "this node has no extensions");
    default:
        return answer_error(call, &answer, GRPC_INVALID_ARGUMENT, "nothing was asked for");
    }
}

static void on_start(struct grpc_call *call)
{
    (void)call;
}

static void on_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    request *question =
        caller_message(call, &grpc__reflection__v1__server_reflection_request__descriptor, bytes, size_bytes);
    if (!question)
        return;
    if (grpc_call_queued_bytes(call) > QUEUED_MAX_BYTES)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "more is asked than answers are read");
    else if (answer_question(call, question) < 0)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    grpc__reflection__v1__server_reflection_request__free_unpacked(question, NULL);
}

static void on_half_closed(struct grpc_call *call)
{
    grpc_call_finish(call, GRPC_OK, NULL);
}

const struct grpc_method reflection_methods[] = {
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
     .max_message_bytes = QUESTION_MAX_BYTES,
     .start = on_start,
     .message = on_message,
     .half_closed = on_half_closed},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .max_message_bytes = QUESTION_MAX_BYTES,
     .start = on_start,
     .message = on_message,
     .half_closed = on_half_closed},
    {0},
};
