# SPDX-License-Identifier: Apache-2.0
"""What a module asks for and offers when an instance is made of it."""
import pytest

from visits import EXIT_REFUSED, EXIT_TRAP, EXIT_WALL, SOON_S


def refused(done, *words):
    assert done.status == EXIT_REFUSED, (done.status, done.messages)
    assert done.messages.count("\n") == 1
    for word in words:
        assert word in done.messages, done.messages


START = '(func (export "_start"))'


@pytest.mark.parametrize("imported, words", [
    ('(import "env" "system" (func (param i32)))', ["env", "system"]),
    ('(import "wasi_snapshot_preview1" "fd_destroy" (func (param i32)))', ["fd_destroy"]),
    ('(import "wasi_snapshot_preview2" "fd_read" (func (param i32 i32 i32 i32) (result i32)))',
     ["wasi_snapshot_preview2"]),
    ('(import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32)))', ["fd_close"]),
    ('(import "wasi_snapshot_preview1" "fd_close" (func (param i32)))', ["fd_close"]),
    ('(import "wasi_snapshot_preview1" "fd_close" (global i32))', ["fd_close"]),
    ('(import "liop" "pull_event" (func (param i32 i32)))', ["liop.pull_event", "the nearest is push_event"]),
    ('(import "nmp" "push_event" (func (param i32 i32) (result i32)))', ["nmp.push_event", "(i32,i32)->()"]),
    ('(import "berth" "wait_for_change" (func (param i32 i32) (result i32)))', ["wait_for_change", "(i32,i64)->(i32)"]),
    ('(import "wasi_snapshot_preview1" "push_event" (func (param i32 i32)))', ["push_event"]),
    ('(import "env" "memory" (memory 1))', ["memory"]),
    ('(import "env" "table" (table 1 funcref))', ["table"]),
    ('(import "env" "stack_pointer" (global (mut i32)))', ["stack_pointer"]),
], ids=["another module", "an unknown function", "another version", "a wrong parameter", "a missing result",
        "a global for a function", "an unknown function of liop", "a result too many", "a short parameter",
        "a function of another module", "a memory", "a table", "a global"])
def test_an_import_that_berth_does_not_offer_is_refused_by_name(visit, assemble, imported, words):
    """Row 12: when the module is loaded, not when the call is made."""
    refused(visit(assemble(f"(module {imported} (memory (export \"memory\") 1) {START})")), *words)


@pytest.mark.parametrize("imported", [
    '(import "liop" "push_event" (func (param i32 i32)))',
    '(import "nmp" "push_event" (func (param i32 i32)))',
    '(import "berth" "wait_for_change" (func (param i32 i64) (result i32)))',
], ids=["events", "events by their former name", "changes"])
def test_what_berth_offers_beside_wasi_is_let_in(visit, assemble, imported):
    """Row 12, the neighbour: what a contract does not grant is refused when it is called."""
    assert visit(assemble(f"(module {imported} (memory (export \"memory\") 1) {START})")).status == 0


def test_one_function_imported_twice_is_fine(visit, assemble):
    """Row 12, the neighbour: some linkers do that."""
    twice = '(import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))' * 2
    assert visit(assemble(f"(module {twice} (memory (export \"memory\") 1) {START})")).status == 0


@pytest.mark.parametrize("offered", [
    "",
    '(func (export "_start") (param i32))',
    '(func (export "_start") (result i32) (i32.const 0))',
    '(global (export "_start") i32 (i32.const 0))',
    '(table (export "_start") 1 funcref)',
], ids=["none", "with a parameter", "with a result", "a global", "a table"])
def test_a_program_needs_a_start_that_can_be_called(visit, assemble, offered):
    """Row 13."""
    refused(visit(assemble(f'(module (memory (export "memory") 1) {offered})')), "_start")


CLOSE = '(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))'
WRITE = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
WRITES = '(func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))'


@pytest.mark.parametrize("memory", [
    "",
    "(memory 1)",
    '(global (export "memory") i32 (i32.const 0))',
    '(func (export "memory"))',
    '(memory (export "memory") 0)',
], ids=["none", "not exported", "a global", "a function", "of no pages"])
def test_a_call_without_memory_ends_the_guest(visit, assemble, memory):
    """Row 13: a pointer into a memory that berth cannot find is the guest's fault, whatever stands in its place."""
    done = visit(assemble(f"(module {WRITE} {memory} {WRITES})"))
    assert done.status in (EXIT_TRAP, EXIT_REFUSED), (done.status, done.messages)
    assert done.out == b"" and "memory" in done.messages


@pytest.mark.parametrize("memory", ["", '(memory (export "memory") 0)'], ids=["none", "of no pages"])
def test_a_program_that_needs_no_memory_runs_without(visit, assemble, memory):
    """Row 13, the neighbour."""
    assert visit(assemble(f"(module {memory} {START})")).status == 0


def test_memory_exported_under_two_names_is_one_memory(visit, assemble):
    """Row 13."""
    done = visit(assemble(f'(module {WRITE} (memory (export "memory") (export "other") 1)'
                          f' (data (i32.const 0) "\\10\\00\\00\\00\\02\\00\\00\\00")'
                          f' (data (i32.const 16) "hi") {WRITES})'))
    assert (done.status, done.out) == (0, b"hi")


@pytest.mark.parametrize("name, command, arguments", [
    ("loops_forever", "run", []),
    ("loops_in_start_section", "run", []),
    ("loops_in_start_section", "call", ["_start"]),
    ("loops_in_initialize", "call", ["answer"]),
])
def test_an_endless_loop_ends_at_the_wall_limit_wherever_it_is(visit, guest, name, command, arguments):
    """Row 14: limits are armed before any code of the guest runs."""
    done = visit(guest(name), *arguments, command=command, options=["--wall-seconds", "0.3"])
    assert done.status == EXIT_WALL and "wall" in done.messages, (done.status, done.messages)
    assert done.elapsed_s < SOON_S
    assert done.outcome["limit"] == "wall"


def test_host_calls_from_the_start_section_work(visit, guest):
    """Row 14, the neighbour: memory is found although no export has been looked up yet."""
    done = visit(guest("calls_the_host_from_its_start_section"))
    assert (done.status, done.out) == (0, b"early\nlate\n"), done.messages


def test_exit_from_initialize_is_an_exit(visit, assemble):
    """Row 14."""
    done = visit(assemble('(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
                          ' (memory (export "memory") 1) (func (export "_initialize") (call $exit (i32.const 9)))'
                          ' (func (export "f") unreachable))'), "f", command="call")
    assert done.status == 9, done.messages


@pytest.mark.parametrize("code, status", [(0, 0), (1, 1), (125, 125), (126, 126), (255, 255), (256, 0), (-1, 255)])
def test_exit_codes_are_the_guest_s_own(visit, guest, code, status):
    """Row 13: berth adds nothing of its own to them; the report has all 32 bits."""
    done = visit(guest("ends_with_a_code"), "exit", code, command="call")
    assert done.status == status
    assert done.outcome["kind"] == "exited" and done.outcome["exit_code"] == code % 2**32
