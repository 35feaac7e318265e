# SPDX-License-Identifier: Apache-2.0
"""Wall time, CPU share, fuel, and being stopped from outside. That a limit holds is asserted by what the usage report
says, never by how long something took; how exact each one is stands in bench/."""
import os
import signal
import subprocess
import time

import pytest

from visits import EXIT_LIMIT, EXIT_TRAP, EXIT_WALL, SOON_S

NS_PER_S = 1_000_000_000

# Guests that never end by themselves, each stuck in another way.
ENDLESS = {
    "computing": ("loops_forever", []),
    "filling memory": ("fills_memory_in_a_loop", []),
    "sleeping": ("sleeps_forever", []),
    "reading stdin": ("reads_stdin_forever", []),
    "writing to a reader that does not read": ("floods_stdout", ["--output-mb", "0"]),
    "calling the host": ("floods_host_calls", []),
    "waiting for its next call": ("floods_host_calls", ["--host-calls-per-second", "1"]),
    "over its CPU share": ("loops_forever", ["--cpu-percent", "1"]),
    "asking for random bytes": ("asks_for_random_bytes_forever", []),
    "yielding": ("yields_forever", []),
}


@pytest.fixture(params=ENDLESS.values(), ids=ENDLESS.keys())
def endless(request, guest):
    name, options = request.param
    return guest(name), options


def test_the_wall_limit_ends_whatever_a_guest_does(start, endless):
    """Rows 14, 16, 29, 30, 51, 52 and 53."""
    module, options = endless
    # Stdin stays open and silent, and nobody reads stdout.
    reader, writer = os.pipe()
    visitor = start(module, options=[*options, "--wall-seconds", "0.3"], stdin=subprocess.PIPE, stdout=writer)
    os.close(writer)
    visitor.process.wait(SOON_S)
    done = visitor.end()
    os.close(reader)
    assert done.status == EXIT_WALL, (done.status, done.messages)
    assert done.outcome["limit"] == "wall" and "wall_seconds" in done.messages
    assert done.usage["wall_ns"] >= 0.3 * NS_PER_S


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_whatever_a_guest_does(start, endless, number, status):
    """Row 28: wherever the run is, it ends once, with a report, and without a limit to help. A signal that comes
    before
    the guest has begun ends berth with the same status, but there is nothing to report; then a later one is tried."""
    module, options = endless
    for delay_s in (0.05, 0.2, 1, 5):
        reader, writer = os.pipe()
        visitor = start(module, options=[*options, "--wall-seconds", "0"], stdin=subprocess.PIPE, stdout=writer)
        os.close(writer)
        visitor.until(lambda: int(visitor.status_of_process("SigCgt"), 16) & 1 << (number - 1))
        time.sleep(delay_s)
        visitor.process.send_signal(number)
        visitor.process.wait(SOON_S)
        done = visitor.end()
        os.close(reader)
        assert done.status == status, (done.status, done.messages)
        if done.report:
            break
    assert done.outcome["kind"] == "cancelled"


def test_a_signal_at_any_time_leaves_nothing_behind(start, guest, tmp_path):
    """Rows 28 and 70: while the module is read, compiled, instantiated, run and torn down. No process outlives berth,
    and what it leaves in the cache does not disturb the next run."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for step in range(40):
        visitor = start(guest("sums_with_pauses"), env=env, options=["--fuel", 10**9 + step] if step % 4 else [])
        try:
            visitor.process.wait(0.001 * step)
        except subprocess.TimeoutExpired:
            visitor.process.send_signal(signal.SIGTERM)
        visitor.process.wait(SOON_S)
        assert visitor.end().status in (-signal.SIGTERM, 143, 0)
    last = start(guest("sums_with_pauses"), env=env).end()
    assert (last.status, last.out) == (0, b"20000100000\n")
    assert not compilers_of(tmp_path)
    leftovers = [path.name for path in (tmp_path / "cache").rglob("*") if "tmp" in path.name or "lock" in path.name]
    assert len(leftovers) <= 40, leftovers


def compilers_of(directory):
    """Processes whose environment names the directory, that is, children of our visits."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/environ", "rb") as environ, open(f"/proc/{process}/comm") as comm:
                if os.fsencode(directory) in environ.read() and "berth" in comm.read():
                    found.append(process)
        except OSError:
            continue
    return found


def test_a_run_below_its_wall_limit_is_unhurt(visit, guest):
    """Row 14, the neighbour."""
    done = visit(guest("sums_with_pauses"), options=["--wall-seconds", "30"])
    assert (done.status, done.out) == (0, b"20000100000\n")


def test_sleeping_holds_no_thread_and_takes_no_cpu(start, guest):
    """Row 52: as many threads as before, and the process sleeps."""
    visitor = start(guest("sleeps_forever"), options=["--wall-seconds", "1"])
    threads = []
    while visitor.process.poll() is None:
        try:
            threads.append(int(visitor.status_of_process("Threads")))
        except (OSError, StopIteration):
            break
        time.sleep(0.01)
    done = visitor.end(within_s=SOON_S)
    assert done.status == EXIT_WALL and threads[-1] <= 3
    assert done.usage["cpu_ns"] < done.usage["wall_ns"] // 2 < done.usage["parked_ns"]


# ---- CPU share -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["loops_forever", "computes_and_sleeps", "floods_host_calls",
                                  "fills_memory_in_a_loop"])
def test_nobody_gets_more_than_its_cpu_share(visit, guest, name):
    """Rows 24 and 25: by the CPU time that was used, whether in long slices, in slices below any tick, in host calls
    or
    in bulk operations. A bucket of one period's share is full at the start; one slice may overdraw it."""
    done = visit(guest(name), options=["--cpu-percent", "10", "--wall-seconds", "2"])
    assert done.status == EXIT_WALL
    share_ns, burst_ns, overdraft_ns = done.usage["wall_ns"] // 10, NS_PER_S // 100, NS_PER_S // 20
    assert done.usage["cpu_ns"] <= share_ns + burst_ns + overdraft_ns, done.usage
    assert done.usage["parked_ns"] > 0


def test_a_full_share_is_never_parked(visit, guest):
    """Row 24, the neighbour."""
    done = visit(guest("loops_forever"), options=["--wall-seconds", "0.3"])
    assert done.usage["parked_ns"] == 0 and done.usage["cpu_ns"] > 0


# ---- Fuel ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fuel_of(visit, guest):
    def measure(export, n):
        done = visit(guest("counts_to"), export, n, command="call", options=["--fuel", 10**12])
        assert (done.status, done.out) == (0, b"%d\n" % n)
        return done.usage["fuel"]

    return measure


def test_fuel_is_what_was_executed(fuel_of):
    """Row 23: the same each time, and in proportion to the work."""
    assert len({fuel_of("count", 1000) for _ in range(5)}) == 1
    one, two, three = (fuel_of("count", 1000 * n) for n in (1, 2, 3))
    assert three - two == two - one > 0


def test_fuel_is_not_spent_while_the_host_works(fuel_of):
    """Row 23: a sleep costs the call, not the time."""
    assert fuel_of("wait_and_count", 20) == fuel_of("wait_and_count", 20)
    assert fuel_of("wait_and_count", 20) < fuel_of("count", 100000)


@pytest.mark.parametrize("export, n", [("count", 1), ("count", 100000), ("wait_and_count", 10)])
def test_fuel_ends_where_it_ends_each_time(visit, guest, fuel_of, export, n):
    """Row 23: there is one number that is enough, and one less is not. It may be a little below what is used, since
    the
    engine looks at loops and at entries of functions: the last straight piece of code is not stopped in its middle."""
    def run(fuel):
        return visit(guest("counts_to"), export, n, command="call", options=["--fuel", fuel])

    used = fuel_of(export, n)
    enough = next(fuel for fuel in range(used, 0, -1) if run(fuel - 1).status != 0)
    assert 0 <= used - enough < 20
    for _ in range(3):
        assert run(enough).out == b"%d\n" % n
        done = run(enough - 1)
        assert (done.status, done.out) == (EXIT_LIMIT, b""), done.messages
        assert done.outcome["limit"] == "fuel" and "fuel" in done.messages


@pytest.mark.parametrize("fuel, status", [("1", EXIT_LIMIT), ("0", 0), (2**63 - 1, 0), (2**63, 64), (2**64 - 1, 64),
                                          ("-1", 64), ("1e30", 64), ("nan", 64)])
def test_fuel_at_the_ends_of_its_range(visit, guest, fuel, status):
    """Row 23."""
    done = visit(guest("counts_to"), "count", 1000, command="call", options=[f"--fuel={fuel}"])
    assert done.status == status, done.messages


def test_a_loop_without_end_uses_all_its_fuel(visit, guest):
    """Row 23."""
    done = visit(guest("loops_forever"), options=["--fuel", "1000000"])
    assert done.status == EXIT_LIMIT and done.usage["fuel"] <= 1_000_000


def test_a_trap_far_down_the_stack_is_told_in_a_few_lines(visit, guest):
    """Row 26: whatever the depth, and although the names in it are the guest's."""
    done = visit(guest("recurses_in_all_ways"), "direct", command="call")
    assert done.status == EXIT_TRAP and len(done.messages) < 3000 and done.messages.count("\n") < 30
