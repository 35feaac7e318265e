# SPDX-License-Identifier: Apache-2.0
"""Where berth's own words go: closed and full outputs, terminals and colour."""
import os
import pty
import signal
import subprocess

import pytest

from berth_process import CLOSED, FAILURE, PATIENCE_S, WALL, Ended, finish

COMMANDS = ["version", "help", "help run", "contract explain", "cache list", "completion bash", "help exit-status"]


@pytest.fixture
def shell(berth, environment):
    """shell("run x >&-") runs berth with the redirections of a shell."""

    def run(line):
        done = subprocess.run(["bash", "-c", f'"{berth}" {line}'], env=environment, capture_output=True, timeout=PATIENCE_S)
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_a_reader_that_goes_away(start, guest):
    process = start("run", guest("floods_stdout"))
    os.read(process.stdout.fileno(), 1)
    process.stdout.close()
    process.stdout = None
    done = finish(process)
    assert done.status == CLOSED and len(done.messages) == 1 and "stdout" in done.messages[0]


def test_a_reader_that_goes_away_from_a_call(start, guest):
    process = start("call", "--repeat", "1000000000", guest("gives_numbers_back"), "i32", "7")
    os.read(process.stdout.fileno(), 1)
    process.stdout.close()
    process.stdout = None
    assert finish(process).status == CLOSED


def test_a_closed_stdout(shell, guest):
    done = shell(f'run "{guest("says_hello")}" >&-')
    assert done.status == CLOSED and "stdout" in done.messages[0]
    done = shell(f'call "{guest("gives_numbers_back")}" i32 1 >&-')
    assert done.status == CLOSED and "stdout" in done.messages[0]


def test_a_closed_stdout_is_not_taken_by_a_file(shell, guest, tmp_path):
    """The first descriptor that is opened would otherwise become the guest's stdout."""
    module = tmp_path / "module.wasm"
    module.write_bytes(guest("says_hello").read_bytes())
    before = module.read_bytes()
    shell(f'run --dir-write "{tmp_path}::/x" "{module}" >&- 2>&- <&-')
    assert module.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["module.wasm"]


def test_a_full_disk(shell, guest):
    done = shell(f'run "{guest("says_hello")}" >/dev/full')
    assert done.status == FAILURE and "No space left on device" in done.messages[0]


@pytest.mark.parametrize("line", COMMANDS)
def test_results_that_cannot_be_written(shell, line):
    full = shell(f"{line} >/dev/full")
    assert full.status == FAILURE and full.messages == ["stdout cannot be written: No space left on device"]
    closed = shell(f"{line} >&-")
    assert closed.status == CLOSED and closed.messages == ["stdout cannot be written: Bad file descriptor"]


def test_results_that_nobody_reads(berth, environment):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen([berth, "help"], env=environment, stdout=write_end, restore_signals=True)
    os.close(write_end)
    assert process.wait(PATIENCE_S) == -signal.SIGPIPE  # 141 for a shell


def test_a_stuck_reader_of_stderr_does_not_hold_up_the_end(berth, environment, guest):
    """Nobody reads, the pipe is full, and the wall limit still holds."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    process = subprocess.Popen([berth, "run", "--usage", "--wall-seconds", "0.05", guest("loops_forever")],
                               env=environment, stderr=write_end)
    os.close(write_end)
    assert process.wait(PATIENCE_S) == WALL
    os.close(read_end)


# ---- terminals ----


def on_terminal(berth, environment, *arguments, **variables):
    """What berth writes when stdout and stderr are a terminal."""
    main, terminal = pty.openpty()
    process = subprocess.Popen([berth, *arguments], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
                               env={**environment, "TERM": "xterm", **variables})
    os.close(terminal)
    seen = b""
    while True:
        try:
            more = os.read(main, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not more:
            break
        seen += more
    os.close(main)
    process.wait(PATIENCE_S)
    return seen


LINES = [["help"], ["help", "run"], ["nonsense"], ["run", "nowhere.wasm"], ["help", "exit-status"]]


@pytest.mark.parametrize("line", LINES)
def test_colour_on_a_terminal(berth, environment, line):
    assert b"\033[" in on_terminal(berth, environment, *line)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_no_colour_where_it_is_not_wanted(berth, environment, line, variables):
    assert b"\033" not in on_terminal(berth, environment, *line, **variables)


def test_an_empty_no_color_is_none(berth, environment):
    assert b"\033[" in on_terminal(berth, environment, "help", NO_COLOR="")


@pytest.mark.parametrize("line", LINES)
def test_no_colour_in_a_pipe(cli, line):
    done = cli(*line, env={"TERM": "xterm"})
    assert "\033" not in done.out + done.err


def test_the_report_on_a_terminal(berth, environment, guest):
    seen = on_terminal(berth, environment, "run", "--usage", guest("says_hello"))
    assert seen.startswith(b"hello\r\n") and b"memory" in seen
    assert b"\033" not in on_terminal(berth, environment, "run", "--usage", guest("says_hello"), NO_COLOR="1")

