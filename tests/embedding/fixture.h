/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the public interface share: an engine with a schedule, guests by name, contracts from a
 * few words, and visitors whose output is collected. Only <berth/berth.h> is used, as by any embedder.
 */
#ifndef BERTH_TESTS_EMBEDDING_FIXTURE_H
#define BERTH_TESTS_EMBEDDING_FIXTURE_H

#include <berth/berth.h>

struct host {
    berth_engine *engine;
    berth_schedule *schedule;
};

/* Engine with that many slots; `fuel` counts instructions. Fails the test if it cannot be made. */
struct host host_open(uint32_t max_instances, bool fuel, bool deterministic);
void host_close(struct host *host);

/* The guest tests/guests/<name>.wat, compiled. */
berth_module *host_module(const struct host *host, const char *name);

/* The defaults with "key", "value" pairs set; ends with NULL. */
berth_contract *contract_with(const char *key, ...);

enum { OUTPUT_MAX = 4096 };

struct visitor {
    berth_instance *instance;
    berth_run *run;
    char output[OUTPUT_MAX + 1]; /* the first bytes of stdout */
    size_t output_length;        /* all of it, also what did not fit */
};

/* An instance with buffers for streams, arguments {name, argument} and its program started. */
void visitor_start(struct visitor *visitor, const struct host *host, berth_module *module,
                   berth_contract *contract, const char *argument);
/* Takes what is there of its output. */
void visitor_read(struct visitor *visitor);
bool visitor_is_running(const struct visitor *visitor);
/* Steps the schedule until none of them runs, reading all outputs. */
void visitors_finish(const struct host *host, struct visitor *visitors, size_t n_visitors);
void visitor_end(struct visitor *visitor);

/*
 * A test in the table of a group. Before each test cmocka takes over the signals that the engine makes traps
 * of; this hands them back, as an embedder with handlers of its own has to.
 */
typedef void embedding_test_fn(void **state);
void run_embedding_test(void **state);
#define embedding_test(test) {.name = #test, .test_func = run_embedding_test, .initial_state = (void *)(test)}

/* Open descriptors of this process. */
int count_descriptors(void);

#endif
