# SPDX-License-Identifier: Apache-2.0
"""Memory, tables, stacks, and the faults of computing."""
import pytest

from visits import EXIT_LIMIT, EXIT_REFUSED, EXIT_TRAP, EXIT_WALL, SOON_S

MIB = 1 << 20
PAGE = 65536


@pytest.mark.parametrize("limit_mb", [1, 16, 64])
def test_memory_grows_to_the_limit_and_not_a_page_further(visit, guest, limit_mb):
    """Row 15."""
    done = visit(guest("grows_memory_until_refused"), options=["--memory-mb", limit_mb])
    assert done.status == 0, done.messages
    assert done.usage["memory_peak_bytes"] == limit_mb * MIB
    assert done.usage["denials"] >= 1 and "memory.grow" in done.messages


def test_asking_for_too_much_again_and_again_is_refused_each_time(visit, guest):
    """Row 15."""
    done = visit(guest("grows_memory_beyond_all_limits"), options=["--memory-mb", "1"])
    assert done.status == 0, done.messages
    assert done.usage["denials"] == 100000
    assert done.usage["memory_peak_bytes"] == 2 * PAGE
    assert done.messages.count("\n") < 100, "a denial a line is enough of them to fill a disk"


def test_a_guest_that_traps_without_the_memory_reached_its_limit(visit, guest):
    """Row 15."""
    done = visit(guest("needs_two_mebibytes"), options=["--memory-mb", "1"])
    assert done.status == EXIT_LIMIT and "memory_mb" in done.messages and done.outcome["limit"] == "memory"
    assert visit(guest("needs_two_mebibytes"), options=["--memory-mb", "2"]).status == 0


def module_with(memory):
    return f'(module (memory (export "memory") {memory}) (func (export "_start")))'


def test_declaring_more_than_the_limit_is_refused(visit, assemble):
    """Row 15."""
    done = visit(assemble(module_with(17)), options=["--memory-mb", "1"])
    assert done.status == EXIT_REFUSED and "memory_mb" in done.messages
    assert visit(assemble(module_with(16)), options=["--memory-mb", "1"]).status == 0


def test_declaring_a_high_maximum_costs_nothing(visit, assemble):
    """Row 15, the neighbour: most compilers declare 65536 pages."""
    done = visit(assemble(module_with("1 65536")), options=["--memory-mb", "1"])
    assert done.status == 0 and done.usage["memory_peak_bytes"] == PAGE


def test_memory_that_was_never_granted_is_never_resident(start, guest):
    """Row 15: the process as a whole stays near the limit of the guest."""
    visitor = start(guest("sleeps_forever"), options=["--memory-mb", "4096"])
    visitor.until(lambda: visitor.status_of_process("State").startswith("S"))
    assert int(visitor.status_of_process("VmRSS").split()[0]) < 128 * 1024


@pytest.mark.parametrize("name", ["fills_memory_in_a_loop", "copies_memory_in_a_loop"])
def test_bulk_operations_in_a_loop_end_soon_after_the_wall_limit(visit, guest, name):
    """Row 16: one operation cannot be interrupted, the loop around it can."""
    done = visit(guest(name), options=["--wall-seconds", "0.3"])
    assert done.status == EXIT_WALL and done.elapsed_s < SOON_S


def test_a_table_cannot_grow_without_bounds(visit, guest):
    """Row 17."""
    for entries in (10_000_000, 2**31 - 1, 2**32 - 2):
        done = visit(guest("grows_table"), "grow", entries, command="call", options=["--memory-mb", "1"])
        assert done.status == 0 and done.out == b"-1\n", (entries, done.out, done.messages)


def test_a_table_can_grow_a_little(visit, guest):
    """Row 17, the neighbour."""
    done = visit(guest("grows_table"), "grow", 1000, command="call", options=["--memory-mb", "1"])
    assert (done.status, done.out) == (0, b"1\n")
    assert done.usage["memory_peak_bytes"] > PAGE, "tables count as memory"


def test_a_table_declared_too_large_is_refused(visit, assemble):
    """Row 17."""
    text = '(module (memory (export "memory") 1) (table 10000000 funcref) (func (export "_start")))'
    assert visit(assemble(text), options=["--memory-mb", "1"]).status == EXIT_REFUSED


@pytest.mark.parametrize("how", ["direct", "mutual", "through_table"])
def test_endless_recursion_traps(visit, guest, how):
    """Row 18."""
    done = visit(guest("recurses_in_all_ways"), how, command="call")
    assert done.status == EXIT_TRAP and "stack" in done.messages, done.messages


def test_endless_recursion_with_wide_frames_traps(visit, guest):
    """Row 18."""
    done = visit(guest("recurses_in_all_ways"), "wide", *range(8), command="call")
    assert done.status == EXIT_TRAP and "stack" in done.messages


def test_recursion_a_thousand_deep_is_fine(visit, guest):
    """Row 18, the neighbour."""
    done = visit(guest("recurses_in_all_ways"), "sink", 1000, command="call")
    assert (done.status, done.out) == (0, b"1000\n")


def test_host_calls_at_every_depth_of_the_stack_do_not_abort(visit, guest, tree):
    """Row 19: whatever little the guest leaves, a host function has its own part of the stack."""
    for hide in ("", 'hide = ["private/", "*.key"]'):
        contract = tree.parent / "contract.toml"
        contract.write_text(f'[[grants.mount]]\nguest = "/"\nhost = "{tree}"\nmode = "write"\n{hide}\n')
        done = visit(guest("recurses_then_calls_host"), options=["--contract", contract])
        assert done.status == EXIT_TRAP and "stack" in done.messages, (done.status, done.messages)


def test_a_fault_far_down_the_stack_is_a_trap(visit, guest):
    """Row 20: the handler of the fault has a stack of its own. As deep as it goes, found by halving."""
    module, deep, too_deep = guest("recurses_in_all_ways"), 1, 1 << 20
    while too_deep - deep > 1:
        middle = (deep + too_deep) // 2
        done = visit(module, "fault_below", middle, command="call")
        assert done.status == EXIT_TRAP
        if "stack" in done.messages.replace("backtrace", ""):
            too_deep = middle
        else:
            assert "memory" in done.messages, done.messages
            deep = middle
    assert deep > 1000


@pytest.mark.parametrize("export, argument", [
    ("load", PAGE - 3), ("load", PAGE), ("load", 2**31), ("load", 2**32 - 1), ("load_far", 0), ("load_far", 2**32 - 1),
    ("store", PAGE - 7), ("store", 2**32 - 1), ("store_far", 1), ("store_far", 2**32 - 1),
])
def test_access_out_of_memory_traps(visit, guest, export, argument):
    """Row 21."""
    done = visit(guest("traps_as_asked"), export, argument, command="call")
    assert done.status == EXIT_TRAP and done.out == b"" and "memory" in done.messages, done.messages


@pytest.mark.parametrize("export, arguments", [("fill", (PAGE, 1)), ("fill", (1, 2**32 - 1)),
                                               ("fill", (2**32 - 1, 2))])
def test_bulk_access_out_of_memory_traps(visit, guest, export, arguments):
    """Row 21."""
    assert visit(guest("traps_as_asked"), export, *arguments, command="call").status == EXIT_TRAP


@pytest.mark.parametrize("export, arguments", [("load", [PAGE - 4]), ("store", [PAGE - 8]), ("store", [3]),
                                               ("fill", [0, PAGE]), ("fill", [PAGE, 0])])
def test_access_to_the_last_byte_is_fine(visit, guest, export, arguments):
    """Row 21, the neighbour."""
    assert visit(guest("traps_as_asked"), export, *arguments, command="call").status == 0


@pytest.mark.parametrize("export, arguments", [
    ("divide", (1, 0)), ("divide", (-2**31, -1)), ("divide_long", (1, 0)), ("divide_long", (-2**63, -1)),
    ("remainder", (1, 0)), ("truncate", ("nan",)), ("truncate", ("inf",)), ("truncate", (2147483648,)),
    ("call_entry", (1,)), ("call_entry", (2,)), ("call_entry", (2**32 - 1,)), ("reach", (0,)),
])
def test_what_cannot_be_computed_traps(visit, guest, export, arguments):
    """Row 22: a trap, and not a signal that ends berth."""
    done = visit(guest("traps_as_asked"), export, *arguments, command="call")
    assert done.status == EXIT_TRAP and done.out == b"", (done.status, done.messages)
    assert done.outcome["kind"] == "trapped" and done.messages.startswith("berth: ")


@pytest.mark.parametrize("export, arguments, result", [
    ("divide", (-2**31, 1), -2**31), ("divide_long", (-2**63, 1), -2**63), ("remainder", (-2**31, -1), 0),
    ("truncate", (2147483647.5,), 2147483647), ("call_entry", (0,), 7),
])
def test_what_can_just_be_computed_is_right(visit, guest, export, arguments, result):
    """Row 22, the neighbour."""
    done = visit(guest("traps_as_asked"), export, *arguments, command="call")
    assert (done.status, done.out) == (0, b"%d\n" % result), done.messages


def test_no_canary_of_an_earlier_call_is_left_after_a_trap(visit, guest):
    """Row 27: from one process to the next. Within one process, from slot to slot of the pool, it is a test of
    tests/embedding."""
    for _ in range(3):
        assert visit(guest("looks_for_a_canary")).status == 0
