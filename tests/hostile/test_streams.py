# SPDX-License-Identifier: Apache-2.0
"""stdin, stdout, stderr and poll_oneoff: floods, readers that are slow or gone, bytes that are no text."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

import host_calls as h
from visits import EXIT_LIMIT, EXIT_TRAP, EXIT_WALL, SOON_S

MIB = 1 << 20
LETTERS = bytes(range(97, 123)) * (1_000_000 // 26 + 1)


# ---- poll_oneoff ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, out", [
    ((0, 1024, 0), b"28\n"),                  # nothing to wait for
    ((0, 65536, 1), b"0\n"),
    ((0, 0, 1), b"0\n"),                      # events over their own subscriptions
    ((0, 8, 100), b"0\n"),
], ids=["none", "one", "onto itself", "a hundred, shifted"])
def test_poll_of_a_few(visit, guest, arguments, out):
    """Row 51."""
    done = visit(guest("polls_in_bad_ways"), "poll", *arguments, command="call", options=["--wall-seconds", "20"])
    assert (done.status, done.out) == (0, out), done.messages


@pytest.mark.parametrize("arguments", [(0, 0, 2**32 - 1), (0, 0, 1_000_000), (262100, 0, 1), (0, 262136, 1),
                                       (4, 1024, 1), (2**32 - 8, 0, 1), (0, 2**32 - 8, 1), (0, 0, 89478486)])
def test_poll_beyond_memory_is_a_fault(visit, guest, arguments):
    """Row 51: 89478486 subscriptions of 48 bytes are 32 bytes in 32 bits."""
    done = visit(guest("polls_in_bad_ways"), "poll", *arguments, command="call")
    assert done.status == EXIT_TRAP and "poll_oneoff" in done.messages, done.messages


@pytest.mark.parametrize("tag, fd, error", [(3, 0, 28), (255, 0, 28)])
def test_poll_with_an_unknown_tag_is_an_errno(visit, guest, tag, fd, error):
    """Row 51."""
    assert visit(guest("polls_in_bad_ways"), "tagged", tag, fd, command="call").out == b"%d\n" % error


def test_poll_of_a_descriptor_that_is_not_open_returns_at_once(visit, guest):
    """Row 51."""
    for tag in (1, 2):
        done = visit(guest("polls_in_bad_ways"), "tagged", tag, 99, command="call", options=["--wall-seconds", "20"])
        assert (done.status, done.out) == (0, b"0\n")


ABSOLUTE = 1


@pytest.mark.parametrize("clock, flags, timeout, error", [
    (1, 0, 0, 0), (0, 0, 0, 0), (1, ABSOLUTE, 0, 0), (0, ABSOLUTE, 1, 0),   # now, or long ago
    (9, 0, 0, 28), (1, 2, 0, 28), (2, 0, 0, 58), (3, ABSOLUTE, 0, 58),      # no such clock or flag; not granted
], ids=["relative", "relative realtime", "absolute", "absolute realtime", "unknown clock", "unknown flag",
        "CPU time", "absolute CPU time"])
def test_a_time_that_has_come_is_reported_at_once(visit, guest, clock, flags, timeout, error):
    """Row 51."""
    done = visit(guest("polls_in_bad_ways"), "clocked", clock, flags, timeout, command="call",
                 options=["--wall-seconds", "20"])
    assert (done.status, done.out) == (0, b"%d\n" % error), done.messages


@pytest.mark.parametrize("flags", [0, ABSOLUTE])
@pytest.mark.parametrize("clock", [0, 1])
def test_a_time_that_never_comes_ends_at_the_wall_limit(visit, guest, clock, flags):
    """Row 51: 2^64-1 nanoseconds from now do not wrap around into the past."""
    done = visit(guest("polls_in_bad_ways"), "clocked", clock, flags, 2**64 - 1, command="call",
                 options=["--wall-seconds", "0.2"])
    assert done.status == EXIT_WALL and done.elapsed_s < SOON_S


# ---- Floods --------------------------------------------------------------------------------------------------------


def test_a_flood_that_nobody_reads_takes_no_memory(start, guest):
    """Row 53: the guest is parked, berth keeps a ring of it, and the wall limit ends it."""
    reader, writer = os.pipe()
    visitor = start(guest("floods_stdout"), options=["--output-mb", "0", "--wall-seconds", "1"], stdout=writer)
    os.close(writer)
    resident = []
    while visitor.process.poll() is None:
        try:
            resident.append(int(visitor.status_of_process("VmRSS").split()[0]))
        except (OSError, StopIteration):
            break
        time.sleep(0.02)
    done = visitor.end()
    os.close(reader)
    assert done.status == EXIT_WALL
    assert max(resident) < 128 * 1024
    assert done.usage["output_bytes"] <= 65536 + 2 * 65536, "a pipe and a ring, and what was refused"
    assert done.usage["parked_ns"] > done.usage["wall_ns"] // 2


def test_output_ends_at_its_limit_to_the_byte(visit, guest):
    """Row 53."""
    for limit_mb in (1, 5):
        done = visit(guest("floods_stdout"), options=["--output-mb", limit_mb])
        assert done.status == EXIT_LIMIT and done.outcome["limit"] == "output" and "output_mb" in done.messages
        assert len(done.out) == done.usage["output_bytes"] == limit_mb * MIB
        assert set(done.out) == {ord("x")}


def test_output_just_below_its_limit_is_whole(visit, guest):
    """Row 53, the neighbour: a million bytes are less than a MiB."""
    done = visit(guest("writes_bytes_one_by_one"), options=["--output-mb", "1"])
    assert done.status == 0 and len(done.out) == 1_000_000


def test_a_million_writes_of_one_byte_arrive_in_order(visit, guest):
    """Row 55."""
    done = visit(guest("writes_bytes_one_by_one"))
    assert done.status == 0 and done.out == LETTERS[:1_000_000]
    assert done.usage["host_calls"] >= 1_000_000 and done.usage["output_bytes"] == 1_000_000


def test_one_huge_write_arrives_whole(visit, guest):
    """Row 55."""
    done = visit(guest("writes_much_at_once"), options=["--output-mb", "128"])
    assert done.status == 0 and len(done.out) == 128 * MIB and set(done.out) == {ord("y")}


def test_one_huge_write_ends_at_the_limit(visit, guest):
    """Row 55."""
    done = visit(guest("writes_much_at_once"), options=["--output-mb", "100"])
    assert done.status == EXIT_LIMIT and len(done.out) == 100 * MIB


def test_a_slow_reader_loses_nothing_and_gets_nothing_twice(start, guest):
    """Row 54: the guest stops and goes on many times. The reader sleeps a little each time, so that the ring is full
    when it comes back."""
    visitor = start(guest("writes_bytes_one_by_one"))
    received = bytearray()
    while True:
        piece = os.read(visitor.process.stdout.fileno(), 40000)
        if not piece:
            break
        received += piece
        time.sleep(0.001)
    assert visitor.end().status == 0
    assert received == LETTERS[:1_000_000]


def test_a_reader_that_leaves_ends_the_run(start, guest):
    """Row 54: before the first byte, and in the middle."""
    for amount in (0, 1, 100_000):
        visitor = start(guest("floods_stdout"), options=["--output-mb", "0"])
        left = amount
        while left > 0:
            left -= len(os.read(visitor.process.stdout.fileno(), left))
        visitor.process.stdout.close()
        visitor.process.stdout = None
        visitor.process.wait(SOON_S)
        done = visitor.end()
        assert done.status == 141, (done.status, done.messages)


def test_a_reader_that_leaves_while_the_guest_sleeps_is_no_reason_to_wake_it(start, guest):
    """Row 54: only a write that finds nobody ends the run."""
    visitor = start(guest("sleeps_forever"), options=["--wall-seconds", "0.3"])
    visitor.process.stdout.close()
    visitor.process.stdout = None
    assert visitor.end(within_s=SOON_S).status == EXIT_WALL


def test_a_full_device_is_said(start, guest):
    """Row 46: an output that cannot be written is no fault of the guest."""
    with open("/dev/full", "wb") as full:
        visitor = start(guest("floods_stdout"), stdout=full)
    done = visitor.end(within_s=SOON_S)
    assert done.status == 125 and "No space left" in done.messages and done.outcome["kind"] == "host error"


def test_closed_standard_streams_do_no_harm(guest, berth, environment):
    """Rows 48 and 53: berth started without any of them; a file that it opens must not take their place."""
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["/bin/sh", "-c", f'exec "$0" run "$1" {closed}', berth, guest("writes_in_turn")],
                              env=environment, capture_output=True, timeout=SOON_S)
        assert done.returncode in (0, 125, 141), (closed, done)


def numbers(data):
    return [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]


def test_each_stream_keeps_its_order(start, guest):
    """Row 55: even numbers to stdout, odd ones to stderr."""
    visitor = start(guest("writes_in_turn"))
    out, err = visitor.process.communicate(timeout=60)
    assert numbers(out) == list(range(0, 1000, 2))
    assert numbers(err[:2000]) == list(range(1, 1000, 2))


def test_two_streams_to_one_place_keep_their_order(guest, berth, environment):
    """Row 55: as it is on a terminal, or with 2>&1."""
    done = subprocess.run([berth, "run", guest("writes_in_turn")], env=environment, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert numbers(done.stdout) == list(range(1000))


def test_stdin_of_many_bytes_comes_out_again(visit, guest):
    """Row 54."""
    sent = os.urandom(3 * MIB)
    done = visit(guest("echoes_stdin"), stdin=sent)
    assert done.status == 0 and done.out == sent and done.usage["input_bytes"] == len(sent)


def test_stdin_that_comes_byte_by_byte_is_waited_for(start, guest):
    """Row 54."""
    visitor = start(guest("echoes_stdin"), stdin=subprocess.PIPE)
    for byte in b"slowly":
        visitor.process.stdin.write(bytes([byte]))
        visitor.process.stdin.flush()
        assert os.read(visitor.process.stdout.fileno(), 10) == bytes([byte])
    assert visitor.end().status == 0


def test_a_stopped_process_goes_on_where_it_was(start, guest):
    """Row 54: SIGSTOP and SIGCONT, as a shell sends them."""
    visitor = start(guest("writes_bytes_one_by_one"))
    time.sleep(0.02)
    visitor.process.send_signal(signal.SIGSTOP)
    time.sleep(0.02)
    visitor.process.send_signal(signal.SIGCONT)
    done = visitor.end()
    assert done.status == 0 and done.out == LETTERS[:1_000_000]


# ---- Bytes that are no text ----------------------------------------------------------------------------------------


def test_all_bytes_pass_through_stdout_as_they_are(visit, guest):
    """Row 56: what a guest writes is data, for whoever reads it to judge."""
    every = bytes(range(256))
    done = visit(guest("echoes_stdin"), stdin=every * 10)
    assert done.out == every * 10


FORGED = "\x1b[2J\x1b]0;title\x07\nberth: all is well\n{\"outcome\":{}}\r\x00\x9b31m"


@pytest.mark.parametrize("statement", [h.open_file("../" + FORGED), h.mkdir(FORGED),
                                       h.symlink("../../" + FORGED, "link"),
                                       h.open_file("/" + FORGED)],
                         ids=["path", "name", "link", "absolute"])
def test_what_berth_says_of_a_guest_is_escaped(visit, guest, tree, statement):
    """Row 56: a path in a denial is the guest's own words."""
    done = visit(guest("does_as_told"), statement.replace("%00", ""), options=["--dir", f"{tree}::/"])
    assert done.status == 0
    for line in done.messages.splitlines():
        assert line.startswith("berth: ") and line.isprintable(), line


def test_a_forged_report_does_not_come_last(start, guest):
    """Row 56: the report is the last line of stderr, whatever the guest wrote there."""
    forged = '{"module": {}, "outcome": {"kind": "exited"}}'
    for end in ("%0a", ""):
        visitor = start(guest("does_as_told"), "fd_write 2 <" + h.text(forged)[1:] + end + " @4", "proc_exit 3")
        _, err = visitor.process.communicate(timeout=60)
        assert json.loads(err.splitlines()[-1])["outcome"]["exit_code"] == 3, err


def test_denials_do_not_flood_stderr(tell, tree):
    """Row 26: the same refusal a hundred thousand times is told a few times and counted."""
    done = tell(h.stubbornly(100_000, h.open_file("../x")), options=["--dir", f"{tree}::/"])
    assert done[0].times == 0


def test_many_visits_at_once_do_not_hurt_one_another(start, guest):
    """Row 53: floods that nobody reads, sleepers and loops beside one that works. As processes; on one schedule it is
    a
    test of tests/embedding."""
    reader, writer = os.pipe()
    others = [start(guest(name), options=["--wall-seconds", "3", "--output-mb", "0"], stdout=writer)
              for name in ("floods_stdout", "sleeps_forever", "loops_forever", "floods_host_calls") for _ in range(3)]
    os.close(writer)
    done = start(guest("sums_with_pauses")).end()
    assert (done.status, done.out) == (0, b"20000100000\n")
    ends = [threading.Thread(target=other.process.wait) for other in others]
    for end in ends:
        end.start()
    for end in ends:
        end.join()
    os.close(reader)
    assert {other.process.returncode for other in others} == {EXIT_WALL}
