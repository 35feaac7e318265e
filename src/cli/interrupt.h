/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C and SIGTERM end the guest, not berth: the run is cancelled, its usage can still be reported and the
 * exit status says which signal it was. A second Ctrl-C ends berth at once.
 *
 * Signals that were ignored when berth started (nohup, a shell's background job) stay ignored.
 */
#ifndef BERTH_CLI_INTERRUPT_H
#define BERTH_CLI_INTERRUPT_H

#include <berth/client.h>
#include <berth/run.h>

#include "base/text.h"

/* There is no guest yet: from now on a signal ends berth at once, with the right exit status and after
 * writing `last_words` to stderr. They must live until interrupt_forget(). */
void interrupt_prepare(const struct text *last_words);

/* From now on signals cancel this run, which must live until interrupt_forget(). If one has come already, the
 * run is cancelled now. Afterwards signals are only remembered. */
void interrupt_watch(berth_run *run);
/* The same for what this client does: its call is cancelled, and with it the run on the node. */
void interrupt_watch_client(berth_client *client);
void interrupt_forget(void);

/* The first signal that came, or 0. */
int interrupt_signal(void);

#endif
