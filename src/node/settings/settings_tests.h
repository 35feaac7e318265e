/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each scalar setting and the test that fails if it is not enforced; tests/documents/test_settings_tests.py
 * sees to it that the tests exist.
 */
#ifndef BERTH_NODE_SETTINGS_TESTS_H
#define BERTH_NODE_SETTINGS_TESTS_H

/* clang-format off */
#define SETTINGS_TESTS {                                                                                                \
    {"node.state_directory", "tests/node/test_settings_limits.py::test_everything_is_in_the_state_directory"},               \
    {"node.require_isolation", "src/node/supervisor/test_supervisor.c::missing_isolation_ends_a_start_that_requires_it"},               \
    {"node.workers", "tests/node/test_settings_limits.py::test_as_many_workers_as_asked_for"},                               \
    {"node.drain_seconds", "tests/node/test_serve_life.py::test_a_front_that_does_not_drain_is_ended_in_time"},              \
    {"node.health_listen", "tests/node/test_serve_life.py::test_the_health_endpoint"},                                       \
    {"limits.max_request_mb", "tests/node/test_settings_limits.py::test_a_larger_request_is_refused"},                       \
    {"limits.max_inputs_mb", "tests/node/test_settings_limits.py::test_larger_inputs_are_refused"},                          \
    {"limits.max_inputs", "tests/node/test_settings_limits.py::test_more_inputs_are_refused"},                               \
    {"limits.sealed_result_mb", "tests/node/test_settings_limits.py::test_a_larger_sealed_result_ends_the_run"},             \
    {"limits.max_runs", "src/node/access/test_access_budgets.c::runs_of_all_principals_have_a_limit"},                              \
    {"limits.concurrency", "src/node/access/test_access_budgets.c::runs_of_one_principal_have_a_limit"},                            \
    {"limits.runs_per_minute", "src/node/access/test_access_budgets.c::runs_a_minute_have_a_limit"},                                \
    {"limits.handshakes_per_minute", "src/node/access/test_access_budgets.c::handshakes_of_one_principal_have_a_limit"},            \
    {"limits.handshakes_per_address", "src/node/access/test_access_budgets.c::handshakes_from_one_address_have_a_limit"},           \
    {"limits.failures_per_address", "src/node/access/test_access_budgets.c::wrong_credentials_from_one_address_have_a_limit"},      \
    {"limits.max_connections", "tests/node/test_settings_limits.py::test_the_oldest_idle_connection_makes_room"},            \
    {"limits.max_connections_per_address", "tests/node/test_settings_limits.py::test_more_connections_from_one_address_are_closed"}, \
    {"sessions.seconds", "tests/node/test_settings_sessions.py::test_a_session_dies_after_its_seconds"},                     \
    {"sessions.max", "tests/node/test_settings_sessions.py::test_one_session_more_than_the_maximum_is_refused"},             \
    {"sessions.max_per_principal", "tests/node/test_settings_sessions.py::test_one_session_more_of_a_principal_is_refused"}, \
    {"events.max_per_run", "tests/node/test_node_watch.py::test_old_events_go_first_and_the_watch_says_so"},                 \
    {"events.max_mb_per_run", "src/node/front/test_run_store.c::events_are_bounded_in_bytes"},                                     \
    {"runs.keep_days", "tests/node/test_settings_limits.py::test_ended_runs_of_no_days_are_forgotten"},                      \
    {"audit.sync", "tests/node/test_settings_limits.py::test_a_full_sync_waits_for_the_disk"},                               \
    {"cache.directory", "tests/node/test_settings_limits.py::test_machine_code_is_kept_in_the_cache_directory"},             \
    {"compile.wall_seconds", "tests/node/test_settings_limits.py::test_a_long_compilation_is_ended"},                        \
    {"compile.memory_mb", "tests/node/test_settings_limits.py::test_a_large_compilation_is_ended"},                          \
    {"compile.at_a_time", "src/node/compile/test_compile_queue.c::test_a_thousand_bombs_delay_another_by_one_compilation"},          \
    {"compile.queue_per_principal", "src/node/compile/test_compile_queue.c::test_a_thousand_bombs_delay_another_by_one_compilation"}, \
    {"jwt.keys", "src/node/access/test_access_jwt.c::only_keys_of_the_set_count"},                                                  \
    {"jwt.keys_ca", "tests/node/test_jwt_callers.py::test_only_authorities_of_keys_ca_are_trusted"},                              \
    {"jwt.revoked", "src/node/access/test_access_jwt.c::a_revoked_token_counts_no_more"},                                           \
    {"jwt.issuer", "src/node/access/test_access_jwt.c::another_issuer_is_refused"},                                                 \
    {"jwt.audience", "src/node/access/test_access_jwt.c::another_audience_is_refused"},                                             \
    {"jwt.scope", "src/node/access/test_access_jwt.c::a_token_without_the_scope_is_refused"},                                       \
    {"jwt.leeway_seconds", "src/node/access/test_access_jwt.c::clocks_may_differ_by_the_leeway"},                                   \
    {"jwt.refresh_seconds", "tests/node/test_jwt_callers.py::test_keys_are_fetched_again_after_their_time"},                 \
}
/* clang-format on */

#endif
