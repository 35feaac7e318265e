/* SPDX-License-Identifier: Apache-2.0 */
/* The roles of the program in a node, and how they end. */
#include "node/node.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "node/process.h"

enum { WORKER_NUMBER_MAX = 255 };

/* A child never outlives its supervisor. The control socket shows one that was gone before this was said. */
static bool bind_to_supervisor(void)
{
    struct pollfd control = {.fd = CONTROL_FD};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return false;
    return poll(&control, 1, 0) == 0;
}

static bool read_number(const char *text, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno || end == text || *end || number > WORKER_NUMBER_MAX)
        return false;
    *ret = (unsigned)number;
    return true;
}

int node_role_main(int argc, char **argv)
{
    unsigned number = 0;
    if (argc < 2 || argc > 3)
        return -1;
    bool front = strcmp(argv[1], ROLE_FRONT) == 0, worker = strcmp(argv[1], ROLE_WORKER) == 0,
         compiler = strcmp(argv[1], ROLE_COMPILER) == 0;
    if (!front && !worker && !compiler)
        return -1;
    if ((argc == 3) != worker || (worker && !read_number(argv[2], &number)) || !bind_to_supervisor()) {
        static const char sentence[] = "berth: this is a part of 'berth serve', which starts it\n";
        (void)!write(STDERR_FILENO, sentence, sizeof(sentence) - 1);
        return NODE_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (front)
        return front_main();
    return worker ? worker_main(number) : compiler_service_main();
}

int node_status_of_error(berth_status status)
{
    if (status == BERTH_OK)
        return NODE_ENDED;
    if (status == BERTH_INVALID || status == BERTH_NOT_FOUND)
        return NODE_USAGE;
    return status == BERTH_REFUSED ? NODE_REFUSED : NODE_FAILURE;
}
