/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See channel.h. What a message looks like is a row of `forms`: who sends it, how long its fixed part is,
 * whether bytes follow, and a function for what else must hold.
 */
#include "node/worker/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/text.h"

/* Nothing travels that was not written: the structures have no gaps. */
_Static_assert(sizeof(struct channel_start) == 8 + 16 + 16 + 8 + 16 + 40, "a gap in channel_start");
_Static_assert(sizeof(struct channel_alive) == 8 + 8 + 40, "a gap in channel_alive");
_Static_assert(sizeof(struct channel_ended) == 8 + 32 + sizeof(struct berth_usage), "a gap in channel_ended");
_Static_assert(sizeof(struct channel_message) < 4096, "fixed parts fit in front of the payload");

static bool is_run_id(const char *text)
{
    for (int i = 0; i < CHANNEL_RUN_ID_BYTES - 1; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return text[CHANNEL_RUN_ID_BYTES - 1] == '\0';
}

/* `size` bytes with their only NUL at the end, UTF-8 without control characters. */
static bool is_sentence(const uint8_t *bytes, size_t size)
{
    if (size == 0 || size > CHANNEL_SENTENCE_BYTES || bytes[size - 1] != '\0')
        return false;
    for (size_t i = 0; i + 1 < size; i++)
        if (bytes[i] < 0x20 || bytes[i] == 0x7f || (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0))
            return false;
    return text_is_utf8((const char *)bytes, size - 1);
}

/* ---- What must hold of each ------------------------------------------------------------------------- */

static const char *check_module(const struct channel_message *message)
{
    if (message->of.module.place >= CHANNEL_MODULES)
        return "no such place for a module";
    if (message->size_bytes == 0 || message->size_bytes > CHANNEL_NAME_BYTES ||
        memchr(message->bytes, '\0', message->size_bytes) != message->bytes + message->size_bytes - 1)
        return "a module's name is no string";
    return NULL;
}

static const char *check_contract(const struct channel_message *message)
{
    const struct channel_contract *contract = &message->of.contract;
    bool in_file = contract->flags & CHANNEL_TEXT_IN_FILE;
    if (contract->place >= CHANNEL_CONTRACTS)
        return "no such place for a contract";
    if (message->size_bytes != (in_file ? 0 : contract->text_bytes))
        return "a contract's length is wrong";
    return NULL;
}

static const char *check_start(const struct channel_message *message)
{
    const struct channel_start *start = &message->of.start;
    uint64_t total;
    if (start->module >= CHANNEL_MODULES || start->contract >= CHANNEL_CONTRACTS ||
        start->header.run >= CHANNEL_RUNS_MAX)
        return "no such place for a run";
    if (!is_run_id(start->run_id))
        return "a run id is none";
    if (start->strings_bytes > CHANNEL_STRINGS_BYTES_MAX || start->n_arguments > CHANNEL_STRINGS_MAX ||
        start->n_environment > CHANNEL_STRINGS_MAX)
        return "too many strings";
    if (!checked_add_u64(start->strings_bytes, start->input_bytes, &total) ||
        message->size_bytes != (start->flags & CHANNEL_DATA_IN_FILE ? 0 : total))
        return "a run's data has a wrong length";
    return NULL;
}

static const char *check_credit(const struct channel_message *message)
{
    uint32_t stream = message->of.credit.stream;
    return stream == 1 || stream == 2 ? NULL : "no such stream";
}

static const char *check_adopt(const struct channel_message *message)
{
    if (message->of.header.run >= CHANNEL_RUNS_MAX)
        return "no such place for a run";
    return message->of.adopt.keep <= 1 ? NULL : "neither kept nor dropped";
}

static const char *check_hello(const struct channel_message *message)
{
    if (message->of.hello.version != CHANNEL_VERSION)
        return "another version";
    return message->of.hello.n_alive <= CHANNEL_RUNS_MAX ? NULL : "more runs than there can be";
}

static const char *check_alive(const struct channel_message *message)
{
    return is_run_id(message->of.alive.run_id) ? NULL : "a run id is none";
}

static const char *check_output(const struct channel_message *message)
{
    uint32_t stream = message->of.output.stream;
    if (stream != 1 && stream != 2)
        return "no such stream";
    return message->size_bytes > 0 ? NULL : "output of no bytes";
}

static const char *check_event(const struct channel_message *message)
{
    return text_is_utf8((const char *)message->bytes, message->size_bytes) ? NULL : "an event is not UTF-8";
}

static const char *check_denial(const struct channel_message *message)
{
    return is_sentence(message->bytes, message->size_bytes) ? NULL : "a denial is no sentence";
}

static const char *check_ended(const struct channel_message *message)
{
    const struct channel_ended *ended = &message->of.ended;
    uint64_t texts_bytes = (uint64_t)ended->cause_bytes + ended->remedy_bytes;
    if (ended->outcome < BERTH_OUTCOME_EXITED || ended->outcome > BERTH_OUTCOME_HOST_ERROR)
        return "no such outcome";
    if (ended->limit > BERTH_LIMIT_OUTPUT ||
        (ended->limit != BERTH_LIMIT_NONE) != (ended->outcome == BERTH_OUTCOME_LIMIT))
        return "no such limit";
    if (message->size_bytes != texts_bytes + ended->output_bytes + ended->errors_bytes)
        return "an ending has a wrong length";
    if (!is_sentence(message->bytes, ended->cause_bytes) ||
        !is_sentence(message->bytes + ended->cause_bytes, ended->remedy_bytes))
        return "an ending's cause is no sentence";
    return NULL;
}

/* ---- Decoding --------------------------------------------------------------------------------------- */

static const struct form {
    uint32_t kind;
    enum channel_side side;
    size_t fixed_bytes;
    bool has_bytes;
    const char *(*check)(const struct channel_message *message); /* NULL: nothing */
} forms[] = {
    {CHANNEL_MODULE, CHANNEL_FROM_FRONT, sizeof(struct channel_module), true, check_module},
    {CHANNEL_CONTRACT, CHANNEL_FROM_FRONT, sizeof(struct channel_contract), true, check_contract},
    {CHANNEL_START, CHANNEL_FROM_FRONT, sizeof(struct channel_start), true, check_start},
    {CHANNEL_CREDIT, CHANNEL_FROM_FRONT, sizeof(struct channel_credit), false, check_credit},
    {CHANNEL_CANCEL, CHANNEL_FROM_FRONT, sizeof(struct channel_plain), false, NULL},
    {CHANNEL_ADOPT, CHANNEL_FROM_FRONT, sizeof(struct channel_adopt), false, check_adopt},
    {CHANNEL_HELLO, CHANNEL_FROM_WORKER, sizeof(struct channel_hello), false, check_hello},
    {CHANNEL_ALIVE, CHANNEL_FROM_WORKER, sizeof(struct channel_alive), false, check_alive},
    {CHANNEL_OUTPUT, CHANNEL_FROM_WORKER, sizeof(struct channel_output), true, check_output},
    {CHANNEL_EVENT, CHANNEL_FROM_WORKER, sizeof(struct channel_plain), true, check_event},
    {CHANNEL_DENIAL, CHANNEL_FROM_WORKER, sizeof(struct channel_plain), true, check_denial},
    {CHANNEL_ENDED, CHANNEL_FROM_WORKER, sizeof(struct channel_ended), true, check_ended},
};

static const struct form *find_form(enum channel_side side, uint32_t kind)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (forms[i].kind == kind && forms[i].side == side)
            return &forms[i];
    return NULL;
}

int channel_decode(enum channel_side side, const void *packet, size_t size_bytes, struct channel_message *ret,
                   const char **ret_fault)
{
    struct channel_header header;
    *ret_fault = "a packet that is too short";
    if (size_bytes < sizeof(header))
        return 1;
    memcpy(&header, packet, sizeof(header));
    const struct form *form = find_form(side, header.kind);
    if (!form) {
        *ret_fault = "no such kind of message";
        return 1;
    }
    if (size_bytes < form->fixed_bytes)
        return 1;
    memcpy(&ret->of, packet, form->fixed_bytes);
    ret->bytes = (const uint8_t *)packet + form->fixed_bytes;
    ret->size_bytes = size_bytes - form->fixed_bytes;
    *ret_fault = "a packet that is too long";
    if (ret->size_bytes > (form->has_bytes ? (size_t)CHANNEL_PAYLOAD_BYTES : 0))
        return 1;
    *ret_fault = form->check ? form->check(ret) : NULL;
    return *ret_fault ? 1 : 0;
}

void channel_ending(const struct channel_message *message, struct channel_ending *ret)
{
    const struct channel_ended *ended = &message->of.ended;
    const uint8_t *bytes = message->bytes;
    ret->cause = (const char *)bytes;
    ret->remedy = (const char *)bytes + ended->cause_bytes;
    ret->output = bytes + ended->cause_bytes + ended->remedy_bytes;
    ret->errors = ret->output + ended->output_bytes;
}

size_t channel_sentence(const char *text, char ret[static CHANNEL_SENTENCE_BYTES])
{
    size_t length = strlen(text);
    if (length > CHANNEL_SENTENCE_BYTES - 1)
        length = CHANNEL_SENTENCE_BYTES - 1;
    /* A cut must not leave half a character. */
    while (length > 0 && text[length] != '\0' && ((uint8_t)text[length] & 0xc0) == 0x80)
        length--;
    memcpy(ret, text, length);
    ret[length] = '\0';
    if (is_sentence((const uint8_t *)ret, length + 1))
        return length + 1;
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)ret[i] < 0x20 || (uint8_t)ret[i] >= 0x7f)
            ret[i] = '?';
    return length + 1;
}

/* ---- Packets ---------------------------------------------------------------------------------------- */

enum { PIECES_MAX = 6 };

union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CHANNEL_DESCRIPTORS_MAX * sizeof(int))];
};

int channel_send(int socket, const void *fixed, size_t fixed_bytes, const struct iovec *pieces, int n_pieces,
                 const int *descriptors, size_t n_descriptors)
{
    struct iovec vector[PIECES_MAX] = {{(void *)(uintptr_t)fixed, fixed_bytes}};
    union ancillary ancillary = {0};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 1 + (size_t)n_pieces};
    if (n_pieces > PIECES_MAX - 1 || n_descriptors > CHANNEL_DESCRIPTORS_MAX)
        return -EINVAL;
    if (n_pieces > 0)
        memcpy(&vector[1], pieces, (size_t)n_pieces * sizeof(*pieces));
    if (n_descriptors > 0) {
        message.msg_control = ancillary.bytes;
        message.msg_controllen = CMSG_SPACE(n_descriptors * sizeof(int));
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(n_descriptors * sizeof(int));
        memcpy(CMSG_DATA(&ancillary.header), descriptors, n_descriptors * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    /* It passes, and what was not sent must not be taken for sent. */
    return errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
}

static void take_descriptors(struct msghdr *message, int *ret_descriptors)
{
    size_t taken = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (taken < CHANNEL_DESCRIPTORS_MAX)
                ret_descriptors[taken++] = descriptor;
            else
                close(descriptor);
        }
    }
}

int channel_receive(int socket, void *packet, size_t *ret_size_bytes, int *ret_descriptors)
{
    union ancillary ancillary;
    struct iovec piece = {packet, CHANNEL_PACKET_BYTES};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t received;
    if (ret_descriptors) {
        message.msg_control = ancillary.bytes;
        message.msg_controllen = sizeof(ancillary.bytes);
        for (int i = 0; i < CHANNEL_DESCRIPTORS_MAX; i++)
            ret_descriptors[i] = -1;
    }
    do
        received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (received < 0 && errno == EINTR);
    if (received == 0 || (received < 0 && (errno == ECONNRESET || errno == EPIPE)))
        return 1;
    if (received < 0)
        return -errno;
    if (ret_descriptors)
        take_descriptors(&message, ret_descriptors);
    /* Where none is taken, the kernel has closed them; they weighed on all senders of this user meanwhile. */
    if (message.msg_flags & MSG_TRUNC || (!ret_descriptors && message.msg_flags & MSG_CTRUNC))
        return -EBADMSG;
    *ret_size_bytes = (size_t)received;
    return 0;
}
