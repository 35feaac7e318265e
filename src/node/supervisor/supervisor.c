/* SPDX-License-Identifier: Apache-2.0 */
/* See supervisor.h. One thread: signals come by a signalfd, everything else by the control sockets. */
#include "node/supervisor/supervisor.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "node/supervisor/ready.h"
#include "node/supervisor/systemd.h"

enum {
    START_PATIENCE_S = 60, /* for all children together */
    END_PATIENCE_S = 5,    /* between SIGTERM and SIGKILL */
    ISOLATION_NAMES_MAX = 32,
};

static uint64_t in_seconds(uint64_t seconds)
{
    return saturating_add_u64(clock_monotonic_ns(), saturating_mul_u64(seconds, NS_PER_S));
}

/* ---- Phases
 * --------------------------------------------------------------------------------------------------- */

static void signal_all(const struct supervisor *supervisor, int signal_number)
{
    for (size_t i = 0; i < supervisor->children.count; i++)
        child_signal(&supervisor->children.all[i], signal_number);
}

static void begin_ending(struct supervisor *supervisor, int signal_number)
{
    supervisor->phase = ENDING;
    supervisor->deadline_ns = in_seconds(END_PATIENCE_S);
    signal_all(supervisor, signal_number);
}

/* The front stops listening; whoever still connects shall hear a refusal, and not wait at a socket of ours.
 */
static void begin_draining(struct supervisor *supervisor)
{
    const struct child *front = &supervisor->children.all[CHILD_FRONT];
    systemd_notify("STOPPING=1");
    log_event(&supervisor->log, LOG_LEVEL_INFO, "draining",
              log_integer("at_most_seconds", (int64_t)supervisor->settings->node_drain_seconds));
    listening_close(&supervisor->listening);
    supervisor->phase = DRAINING;
    supervisor->deadline_ns = in_seconds(supervisor->settings->node_drain_seconds);
    if (!front->ready || supervisor->settings->node_drain_seconds == 0 ||
        control_send(front->control, CONTROL_DRAIN, 0, NULL, -1) < 0)
        begin_ending(supervisor, SIGTERM);
}

/* The whole start fails with this sentence. The first one counts. */
static void fail_start(struct supervisor *supervisor, const char *sentence, int status)
{
    if (supervisor->phase != STARTING)
        return;
    supervisor->status = supervisor_fail(sentence, status);
    begin_ending(supervisor, SIGTERM);
}

/* ---- Ready
 * ---------------------------------------------------------------------------------------------------- */

/* Names that are in `said` and not yet in ours. Whatever a worker says, it is bounded. */
static void note_isolation(struct supervisor *supervisor, const char *text)
{
    cleanup_json json_t *said = NULL;
    cleanup_free char *problem = NULL;
    size_t i, j;
    json_t *name, *known;
    if (json_read(text, strlen(text), &said, &problem) < 0)
        return;
    json_array_foreach(json_object_get(said, "missing"), i, name)
    {
        bool found = !json_text(name);
        json_array_foreach(supervisor->isolation, j, known) found |= json_equal(name, known);
        if (!found && json_array_size(supervisor->isolation) < ISOLATION_NAMES_MAX)
            json_array_append(supervisor->isolation, name);
    }
}

/* As workers said it: whoever prints it makes it safe. */
static void append_isolation(const struct supervisor *supervisor, struct text *text)
{
    size_t i;
    json_t *name;
    json_array_foreach(supervisor->isolation, i, name)
        text_append_format(text, "%s%s", i ? ", " : "", json_string_value(name));
}

/* False: the node must not go on like this. */
static bool report_isolation(struct supervisor *supervisor)
{
    cleanup_text struct text names = {0};
    cleanup_free char *array = json_write(supervisor->isolation, 0);
    const struct child *front = &supervisor->children.all[CHILD_FRONT];
    size_t missing = json_array_size(supervisor->isolation);
    append_isolation(supervisor, &names);
    if (missing > 0 && supervisor->settings->node_require_isolation) {
        cleanup_text struct text sentence = {0};
        text_append_format(&sentence,
                           "this kernel lacks layers of isolation (%s), and node.require_isolation is on",
                           names.data ? names.data : "");
        fail_start(supervisor, sentence.data ? sentence.data : "memory is short", NODE_FAILURE);
        return false;
    }
    if (missing > 0 && supervisor->phase == STARTING)
        log_event(&supervisor->log, LOG_LEVEL_WARNING, "isolation_incomplete",
                  log_text("missing", names.data));
    if (array && strlen(array) < CONTROL_TEXT_BYTES)
        (void)control_send(front->control, CONTROL_ISOLATION, (uint32_t)missing, array, -1);
    return true;
}

static void begin_serving(struct supervisor *supervisor)
{
    const struct node_arguments *arguments = supervisor->arguments;
    const char *token = *supervisor->token ? supervisor->token : NULL;
    if (!report_isolation(supervisor))
        return;
    int r = 0;
    if (arguments->json || !arguments->quiet)
        r = ready_print(supervisor->front_ready, token, supervisor->settings, arguments->json);
    if (r < 0) {
        fail_start(supervisor, r == -EINVAL ? "the front's address is not known" : "stdout cannot be written",
                   NODE_FAILURE);
        return;
    }
    supervisor->phase = SERVING;
    supervisor->deadline_ns = UINT64_MAX;
    if (supervisor->watchdog_ns != UINT64_MAX)
        supervisor->next_watchdog_ns = clock_monotonic_ns();
    systemd_notify("READY=1");
}

/* ---- What children say
 * ---------------------------------------------------------------------------------------- */

static void child_is_ready(struct supervisor *supervisor, struct child *child,
                           const struct control_message *message)
{
    char name[CHILD_NAME_BYTES];
    bool is_front = child == &supervisor->children.all[CHILD_FRONT];
    child->ready = true;
    if (is_front)
        memcpy(supervisor->front_ready, message->text, sizeof(message->text));
    else
        note_isolation(supervisor, message->text);
    if (supervisor->phase == SERVING) {
        child_name(child, name);
        log_event(&supervisor->log, LOG_LEVEL_INFO, "child_ready", log_text("child", name));
        if (is_front)
            report_isolation(supervisor);
    } else if (supervisor->phase == STARTING && children_are_ready(&supervisor->children)) {
        begin_serving(supervisor);
    }
}

static void child_has_failed(struct supervisor *supervisor, struct child *child,
                             const struct control_message *message)
{
    char name[CHILD_NAME_BYTES];
    bool known = message->index == NODE_USAGE || message->index == NODE_REFUSED;
    child->failed = true;
    child_name(child, name);
    if (supervisor->phase == STARTING)
        fail_start(supervisor, message->text, known ? (int)message->index : NODE_FAILURE);
    else
        log_event(&supervisor->log, LOG_LEVEL_ERROR, "child_failed", log_text("child", name),
                  log_text("reason", message->text));
}

static void end_worker(const struct supervisor *supervisor, uint32_t number)
{
    if (number < supervisor->children.count - CHILD_WORKERS)
        child_signal(&supervisor->children.all[CHILD_WORKERS + number], SIGKILL);
}

/* False: this child may not say that. */
static bool take_message(struct supervisor *supervisor, struct child *child,
                         const struct control_message *message)
{
    bool is_front = child == &supervisor->children.all[CHILD_FRONT];
    if (message->kind == CONTROL_READY && !child->ready)
        child_is_ready(supervisor, child, message);
    else if (message->kind == CONTROL_FAILED && !child->failed)
        child_has_failed(supervisor, child, message);
    else if (!is_front)
        return false;
    else if (message->kind == CONTROL_END_WORKER)
        end_worker(supervisor, message->index);
    else if (message->kind == CONTROL_RELOADED)
        supervisor_reloaded(supervisor, message->text);
    else if (message->kind == CONTROL_DRAINED && supervisor->phase == DRAINING)
        begin_ending(supervisor, SIGTERM);
    else
        return message->kind == CONTROL_DRAINED;
    return true;
}

/* One message, which is there. False: no more will come. */
static bool receive(struct supervisor *supervisor, struct child *child)
{
    struct control_message message;
    cleanup_close int descriptor = -1;
    int r = control_receive(child->control, &message, &descriptor);
    if (r == 0 && take_message(supervisor, child, &message))
        return true;
    child->control = close_keeping_errno(child->control);
    child_signal(child, SIGKILL);
    return false;
}

static bool has_message(const struct child *child)
{
    struct pollfd control = {.fd = child->control, .events = POLLIN};
    return child->control >= 0 && poll(&control, 1, 0) > 0;
}

/* ---- Children that ended
 * -------------------------------------------------------------------------------------- */

static void describe_end(const struct child *child, int wait_status, char *ret, size_t size)
{
    char name[CHILD_NAME_BYTES];
    child_name(child, name);
    if (WIFSIGNALED(wait_status))
        snprintf(ret, size, "%s was ended by signal %d (%s)", name, WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(ret, size, "%s ended with status %d", name, WEXITSTATUS(wait_status));
}

static void child_ended(struct supervisor *supervisor, struct child *child, int wait_status)
{
    char sentence[256];
    while (has_message(child) && receive(supervisor, child))
        continue;
    uint64_t now_ns = clock_monotonic_ns();
    describe_end(child, wait_status, sentence, sizeof(sentence));
    child_retire(child, now_ns);
    bool is_front = child == &supervisor->children.all[CHILD_FRONT];
    if (supervisor->phase == STARTING)
        fail_start(supervisor, sentence, NODE_FAILURE);
    else if (supervisor->phase == SERVING)
        log_event(&supervisor->log, LOG_LEVEL_ERROR, "child_ended", log_text("cause", sentence),
                  log_duration("next_start_in", child->start_at_ns - now_ns));
    else if (supervisor->phase == DRAINING && is_front)
        begin_ending(supervisor, SIGTERM);
    if (is_front)
        supervisor_reloaded(supervisor, NULL);
}

/* Also processes that nobody waits for, which are ours in a container whose first process we are. */
static void reap(struct supervisor *supervisor)
{
    int wait_status;
    for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;) {
        struct child *child = children_find(&supervisor->children, pid);
        if (child)
            child_ended(supervisor, child, wait_status);
    }
}

/* ---- Loop
 * ----------------------------------------------------------------------------------------------------- */

static void take_signal(struct supervisor *supervisor, uint32_t number)
{
    if (number == SIGHUP)
        supervisor_reload(supervisor);
    else if (number == SIGCHLD)
        reap(supervisor);
    else if (supervisor->phase == STARTING)
        begin_ending(supervisor, SIGTERM);
    else if (supervisor->phase == SERVING)
        begin_draining(supervisor);
    else if (number == SIGINT)
        begin_ending(supervisor, SIGKILL);
}

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo information;
    while (read(supervisor->signals, &information, sizeof(information)) == (ssize_t)sizeof(information))
        take_signal(supervisor, information.ssi_signo);
}

static void pass_deadlines(struct supervisor *supervisor, uint64_t now_ns)
{
    if (supervisor->next_watchdog_ns <= now_ns) {
        systemd_notify("WATCHDOG=1");
        supervisor->next_watchdog_ns = saturating_add_u64(now_ns, supervisor->watchdog_ns);
    }
    if (supervisor->deadline_ns > now_ns)
        return;
    if (supervisor->phase == STARTING) {
        fail_start(supervisor, "the processes of the node were not ready in time", NODE_FAILURE);
    } else if (supervisor->phase == DRAINING) {
        log_event(&supervisor->log, LOG_LEVEL_WARNING, "drain_ended_early");
        begin_ending(supervisor, SIGTERM);
    } else if (supervisor->phase == ENDING) {
        begin_ending(supervisor, SIGKILL);
    }
}

static void start_due(struct supervisor *supervisor)
{
    if (supervisor->phase != STARTING && supervisor->phase != SERVING)
        return;
    int r = children_start_due(&supervisor->children, clock_monotonic_ns());
    if (r < 0 && supervisor->phase == STARTING)
        fail_start(supervisor, "the processes of the node cannot be started", NODE_FAILURE);
    else if (r < 0)
        log_event(&supervisor->log, LOG_LEVEL_ERROR, "start_failed", log_text("error", strerror(-r)));
}

static int timeout_ms(const struct supervisor *supervisor)
{
    uint64_t now_ns = clock_monotonic_ns(), next_ns = supervisor->deadline_ns;
    if (supervisor->next_watchdog_ns < next_ns)
        next_ns = supervisor->next_watchdog_ns;
    if (supervisor->phase == STARTING || supervisor->phase == SERVING) {
        uint64_t start_ns = children_next_start_ns(&supervisor->children);
        next_ns = start_ns < next_ns ? start_ns : next_ns;
    }
    if (next_ns == UINT64_MAX)
        return -1;
    uint64_t wait_ms = saturating_sub_u64(next_ns, now_ns) / NS_PER_MS + 1;
    return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

/* What children said is heard before their end. */
static void wait_and_hear(struct supervisor *supervisor, struct pollfd *polled)
{
    struct children *children = &supervisor->children;
    for (size_t i = 0; i < children->count; i++)
        polled[i] = (struct pollfd){.fd = children->all[i].control, .events = POLLIN};
    polled[children->count] = (struct pollfd){.fd = supervisor->signals, .events = POLLIN};
    if (poll(polled, children->count + 1, timeout_ms(supervisor)) < 0)
        return;
    for (size_t i = 0; i < children->count; i++)
        if (polled[i].revents && polled[i].fd == children->all[i].control)
            (void)receive(supervisor, &children->all[i]);
    if (polled[children->count].revents)
        read_signals(supervisor);
}

static void supervise(struct supervisor *supervisor)
{
    cleanup_free struct pollfd *polled = calloc(supervisor->children.count + 1, sizeof(*polled));
    if (!polled) {
        supervisor->status = supervisor_fail("memory is short", NODE_FAILURE);
        return;
    }
    supervisor->phase = STARTING;
    supervisor->deadline_ns = in_seconds(START_PATIENCE_S);
    start_due(supervisor);
    while (supervisor->phase != ENDING || children_standing(&supervisor->children) > 0) {
        wait_and_hear(supervisor, polled);
        pass_deadlines(supervisor, clock_monotonic_ns());
        start_due(supervisor);
    }
}

int node_serve(const struct node_arguments *arguments)
{
    struct supervisor supervisor;
    supervisor.status = supervisor_prepare(&supervisor, arguments);
    if (supervisor.status == NODE_ENDED)
        supervise(&supervisor);
    int status = supervisor.status;
    supervisor_done(&supervisor);
    return status;
}
