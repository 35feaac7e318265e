/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A visit: all that `run` and `call` share. One module under one contract in one instance, whose stdin,
 * stdout and stderr are berth's own; then one or more runs, driven to their end with Ctrl-C in mind; then the
 * sentence and the usage report that say how the last one ended.
 */
#ifndef BERTH_CLI_VISIT_H
#define BERTH_CLI_VISIT_H

#include <stdint.h>

#include "cli/api.h"
#include "cli/command.h"
#include "cli/contract_options.h"
#include "cli/usage_report.h"

struct visit_settings {
    struct contract_options contract;
    enum usage_form usage;
    bool no_cache;
    bool quiet;
    uint64_t seed;
};

struct visit {
    const struct visit_settings *settings;
    char *name; /* of the module, safe to print */
    berth_contract *contract;
    berth_engine *engine;
    berth_module *module;
    berth_mounts *mounts;
    berth_schedule *schedule;
    berth_instance *instance;
    uint64_t denials, denials_shown; /* of all runs */
    struct text last_words;          /* for a signal that comes before the first run */
};

extern const struct option_group visit_option_group;

/* As option_take_fn, for the options above and those of the contract. */
int visit_settings_take(struct visit_settings *settings, const struct command *command,
                        const struct option *option, const char *value);
void visit_settings_done(struct visit_settings *settings);

#define cleanup_visit_settings cleanup(visit_settings_done)

/* `args` ends with NULL, as does the argv that it comes from; args[0] is the path of the module and becomes
 * its name. Both are borrowed. Returns STATUS_OK, or an exit status after a message. */
int visit_open(struct visit *visit, const struct visit_settings *settings, const struct command *command,
               char **args);

/* Until the run has ended and its output has left, or a signal has ended it. */
void visit_drive(struct visit *visit, berth_run *run);

/* Says how the run ended and what it took, as far as it was asked for. Returns the exit status. */
int visit_conclude(struct visit *visit, const berth_run *run);

void visit_close(struct visit *visit);

#define cleanup_visit cleanup(visit_close)

#endif
