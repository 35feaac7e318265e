# SPDX-License-Identifier: Apache-2.0
"""A run of berth that is going on or has ended, and what the host may do meanwhile."""
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field

import pytest

import host_calls

# A kill may be late on a loaded machine, but not by this much. How late it is stands in bench/.
SOON_S = 10

EXIT_LIMIT = 123
EXIT_WALL = 124
EXIT_REFUSED = 126
EXIT_NOT_FOUND = 127
EXIT_TRAP = 134


@dataclass
class Visit:
    status: int
    out: bytes
    messages: str  # what berth and the guest wrote to stderr, without the report
    report: dict = field(repr=False)
    elapsed_s: float = 0

    @property
    def outcome(self):
        return self.report["outcome"]

    @property
    def usage(self):
        return self.report["usage"]


def read_report(stderr):
    """Divides stderr into messages and the JSON object that --usage=json puts at its end."""
    text = stderr.decode("utf-8", "surrogateescape")
    messages, found, report = text.rpartition('{"module": ')
    if not found or (messages and not messages.endswith("\n")):
        return text, {}
    return messages.removesuffix("\n\n") + "\n" * messages.endswith("\n\n"), json.loads(found + report)


class Visitor:
    """A visit that is going on."""

    def __init__(self, command, environment, **streams):
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, **streams)

    def end(self, stdin=None, within_s=60):
        try:
            out, err = self.process.communicate(stdin, timeout=within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            pytest.fail(f"still running after {within_s} s")
        messages, report = read_report(err or b"")
        return Visit(self.process.returncode, out or b"", messages, report, time.monotonic() - self.started_s)

    def until(self, condition, within_s=SOON_S):
        """Waits until condition() is true."""
        while not condition():
            assert time.monotonic() - self.started_s < within_s, "it did not come to that"
            assert self.process.poll() is None, "it ended before"
            time.sleep(0.005)

    def status_of_process(self, name):
        """A line of /proc/PID/status: "State", "VmRSS", "Threads"."""
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


class Conversation:
    """A guest that is told one thing at a time, so that the host can do something in between."""

    def __init__(self, visitor):
        self.visitor = visitor

    def tell(self, statement):
        self.visitor.process.stdin.write(statement.encode() + b"\n")
        self.visitor.process.stdin.flush()
        line = self.visitor.process.stdout.readline()
        assert line, self.visitor.end().messages
        return host_calls.read_answers(line)[0]

    def end(self):
        return self.visitor.end()


class Swapping:
    """A thread of the host that does something again and again while a guest is at work."""

    def __init__(self, turn):
        self.turn, self.over, self.turns = turn, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            self.turn()
            self.turns += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def snapshot(directory):
    """Everything there is below a directory: names, kinds, contents, sizes, times of change."""
    seen = {}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            content = None
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            seen[os.path.relpath(path, directory)] = (status.st_mode, status.st_nlink, status.st_mtime_ns, content)
    return seen
