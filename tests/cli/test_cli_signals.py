# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM: the guest is stopped wherever it is, the report is printed, the status says why."""
import json
import os
import signal
import subprocess

import pytest

from berth_process import INTERRUPTED, TERMINATED, children, finish, is_catching, wait_until

KINDS = [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]


def guest_runs(process):
    """The guest has said something."""
    return os.read(process.stdout.fileno(), 1)


@pytest.fixture
def busy(module):
    """Says a word and then computes for ever, with no call to the host."""
    return module("""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00.")
      (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (loop $again (br $again))))""")


@pytest.fixture
def asleep(module):
    """Says a word and then sleeps for an hour."""
    return module("""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00.")
      (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (i64.const 3600000000000))
        (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 200)))))""")


@pytest.mark.parametrize("number, status", KINDS)
@pytest.mark.parametrize("kind", ["busy", "asleep"])
def test_the_guest_is_stopped_and_the_report_printed(start, request, kind, number, status):
    process = start("run", "--usage=json", request.getfixturevalue(kind))
    guest_runs(process)
    process.send_signal(number)
    done = finish(process)
    assert done.status == status
    assert done.report["outcome"]["kind"] == "cancelled"
    assert done.messages == ["module.wasm was stopped by " + ("Ctrl-C" if number == signal.SIGINT else "SIGTERM")]


@pytest.mark.parametrize("number, status", KINDS)
def test_a_guest_that_waits_for_stdin(start, guest, number, status):
    process = start("run", guest("echoes_stdin"), stdin=subprocess.PIPE)
    process.stdin.write(b".")
    process.stdin.flush()
    guest_runs(process)
    process.send_signal(number)
    process.wait(60)  # stdin stays open
    assert finish(process).status == status


@pytest.mark.parametrize("number, status", KINDS)
def test_a_guest_that_waits_for_its_reader(start, guest, number, status):
    process = start("run", "--output-mb", "0", guest("floods_stdout"))
    guest_runs(process)
    process.send_signal(number)
    assert process.wait(60) == status  # although nobody reads


def test_a_call(start, guest):
    process = start("call", "--repeat", "1000000000", guest("gives_numbers_back"), "i32", "7")
    guest_runs(process)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.status == INTERRUPTED and set(done.out.split()) <= {"7"}


def test_a_terminal(berth, environment, busy):
    """Ctrl-C as a key: the terminal sends the signal to all of the foreground."""
    script = 'import os,pty,sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'
    process = subprocess.Popen(["python3", "-c", script, berth, "run", "--usage=json", busy], env=environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    guest_runs(process)
    process.stdin.write(b"\x03")
    process.stdin.flush()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert json.loads(out.splitlines()[-1])["outcome"]["kind"] == "cancelled"


def test_a_signal_that_was_ignored_stays_ignored(berth, environment, busy):
    process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", berth, "run", busy], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    guest_runs(process)
    assert not is_catching(process.pid, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.terminate()
    assert finish(process).status == TERMINATED


def big_module():
    """Takes some seconds to compile: many functions with much to think about."""
    def leb(number):
        out = b""
        while number >= 128:
            out += bytes([number & 127 | 128])
            number >>= 7
        return out + bytes([number])

    def section(number, content):
        return bytes([number]) + leb(len(content)) + content

    body = b"\0" + b"\x20\0\x41\x07\x6c\x20\0\x73\x21\0" * 1500 + b"\x20\0\x0b"
    count = 800
    return b"\0asm\x01\0\0\0" + section(1, b"\x01\x60\x01\x7f\x01\x7f") + section(3, leb(count) + b"\0" * count) + \
        section(10, leb(count) + (leb(len(body)) + body) * count)


def signal_while_compiling(process, number):
    wait_until(lambda: children(process.pid), process)
    compiler = children(process.pid)[0]
    process.send_signal(number)
    done = finish(process)
    wait_until(lambda: not os.path.exists(f"/proc/{compiler}"))
    return done


@pytest.mark.parametrize("number, status", KINDS)
def test_while_compiling(start, module, number, status):
    done = signal_while_compiling(start("run", "--usage=json", module(big_module())), number)
    assert done.status == status and done.messages == ["module.wasm was stopped before it began"]
    assert done.report["outcome"]["kind"] == "cancelled" and done.report["usage"]["wall_ns"] == 0


def test_killed_while_compiling(start, module):
    assert signal_while_compiling(start("run", module(big_module())), signal.SIGKILL).status == -signal.SIGKILL
