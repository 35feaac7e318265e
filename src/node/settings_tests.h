/* SPDX-License-Identifier: Apache-2.0 */
/* Each scalar setting and the test that fails if it is not enforced; tests/documents compares it with the tests. */
#ifndef BERTH_NODE_SETTINGS_TESTS_H
#define BERTH_NODE_SETTINGS_TESTS_H

/* clang-format off */
#define SETTINGS_TESTS {                                                                                                  \
    {"node.state_directory", "tests/node/test_settings_node.py::identity_and_audit_are_in_the_state_directory"},          \
    {"node.require_isolation", "tests/node/test_settings_node.py::a_missing_layer_of_isolation_stops_the_start"},         \
    {"node.workers", "tests/node/test_settings_node.py::there_are_as_many_workers_as_asked_for"},                         \
    {"node.drain_seconds", "tests/node/test_settings_node.py::a_drain_ends_after_its_time"},                              \
    {"node.health_listen", "tests/node/test_settings_node.py::health_is_told_where_asked_for"},                           \
    {"limits.max_request_mb", "tests/node/test_settings_limits.py::a_larger_request_is_refused"},                         \
    {"limits.max_inputs_mb", "tests/node/test_settings_limits.py::larger_inputs_are_refused"},                            \
    {"limits.max_inputs", "tests/node/test_settings_limits.py::more_inputs_are_refused"},                                 \
    {"limits.sealed_result_mb", "tests/node/test_settings_limits.py::a_larger_sealed_result_ends_the_run"},               \
    {"limits.max_runs", "src/node/test_access_budgets.c::runs_of_all_principals_have_a_limit"},                           \
    {"limits.concurrency", "src/node/test_access_budgets.c::runs_of_one_principal_have_a_limit"},                         \
    {"limits.runs_per_minute", "src/node/test_access_budgets.c::runs_a_minute_have_a_limit"},                             \
    {"limits.handshakes_per_minute", "src/node/test_access_budgets.c::handshakes_of_one_principal_have_a_limit"},         \
    {"limits.handshakes_per_address", "src/node/test_access_budgets.c::handshakes_from_one_address_have_a_limit"},        \
    {"limits.failures_per_address", "src/node/test_access_budgets.c::wrong_credentials_from_one_address_have_a_limit"},   \
    {"limits.max_connections", "tests/node/test_settings_limits.py::more_connections_wait_or_are_closed"},                \
    {"limits.max_connections_per_address", "tests/node/test_settings_limits.py::more_connections_from_one_address_are_closed"}, \
    {"sessions.seconds", "tests/node/test_settings_sessions.py::a_session_dies_after_its_seconds"},                       \
    {"sessions.max", "tests/node/test_settings_sessions.py::one_session_more_than_the_maximum_is_refused"},               \
    {"sessions.max_per_principal", "tests/node/test_settings_sessions.py::one_session_more_of_a_principal_is_refused"},   \
    {"events.max_per_run", "tests/node/test_settings_runs.py::the_oldest_events_go_first"},                               \
    {"events.max_mb_per_run", "tests/node/test_settings_runs.py::events_take_no_more_room_than_allowed"},                 \
    {"runs.keep_days", "tests/node/test_settings_runs.py::ended_runs_are_kept_for_their_days"},                           \
    {"audit.sync", "tests/node/test_settings_node.py::a_full_sync_reaches_the_disk"},                                     \
    {"cache.directory", "tests/node/test_settings_node.py::machine_code_is_kept_in_the_cache_directory"},                 \
    {"compile.wall_seconds", "tests/node/test_settings_compile.py::a_long_compilation_is_ended"},                         \
    {"compile.memory_mb", "tests/node/test_settings_compile.py::a_large_compilation_is_ended"},                           \
    {"compile.at_a_time", "tests/node/test_settings_compile.py::no_more_modules_are_compiled_at_a_time"},                 \
    {"compile.queue_per_principal", "tests/node/test_settings_compile.py::no_more_modules_wait"},                         \
    {"jwt.keys", "src/node/test_access_jwt.c::only_keys_of_the_set_count"},                                               \
    {"jwt.keys_ca", "tests/node/test_jwt_callers.py::only_authorities_of_keys_ca_are_trusted"},                           \
    {"jwt.revoked", "src/node/test_access_jwt.c::a_revoked_token_counts_no_more"},                                        \
    {"jwt.issuer", "src/node/test_access_jwt.c::another_issuer_is_refused"},                                              \
    {"jwt.audience", "src/node/test_access_jwt.c::another_audience_is_refused"},                                          \
    {"jwt.scope", "src/node/test_access_jwt.c::a_token_without_the_scope_is_refused"},                                    \
    {"jwt.leeway_seconds", "src/node/test_access_jwt.c::clocks_may_differ_by_the_leeway"},                                \
    {"jwt.refresh_seconds", "tests/node/test_jwt_callers.py::keys_are_fetched_again_after_their_time"},                  \
}
/* clang-format on */

#endif
