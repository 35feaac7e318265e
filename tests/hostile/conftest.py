# SPDX-License-Identifier: Apache-2.0
"""Visitors that mean harm, through the real binary. `visit` runs one and says how it went; `tell` makes single host
calls and gives back what each returned; `assemble` makes a module of a few lines of text."""
import hashlib
import json
import os
import signal
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
    peak_rss_kib: int = 0

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


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """A cache of our own, so that each guest is compiled once and the user's cache is left alone."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


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


@pytest.fixture
def start(berth, environment):
    """start(module, args..., options=[...]) starts `berth run` and returns the Visitor."""
    going_on = []

    def start_visit(module, *args, options=(), command="run", env=None, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE):
        line = [str(berth), command, "--usage=json", *map(str, options), str(module),
                *map(os.fsencode, map(str, args))]
        visitor = Visitor(line, {**environment, **(env or {})}, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        going_on.append(visitor)
        return visitor

    yield start_visit
    for visitor in going_on:
        if visitor.process.poll() is None:
            visitor.process.kill()
        visitor.process.communicate()


@pytest.fixture
def visit(start):
    """visit(module, args..., options=[...], stdin=b"") runs a guest to its end. berth must not die of a signal."""

    def run(module, *args, stdin=None, within_s=60, **rest):
        visitor = start(module, *args, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, **rest)
        done = visitor.end(stdin, within_s)
        assert done.status >= 0, f"berth died of {signal.Signals(-done.status).name}: {done.messages}"
        return done

    return run


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


@pytest.fixture
def assemble(tmp_path):
    """assemble("(module ...)") gives the path of the assembled module."""

    def from_text(text):
        path = tmp_path / (hashlib.sha256(text.encode()).hexdigest()[:16] + ".wat")
        path.write_text(text)
        subprocess.run(["wat2wasm", "--enable-all", str(path), "-o", str(path.with_suffix(".wasm"))], check=True)
        return path.with_suffix(".wasm")

    return from_text


@pytest.fixture
def write_module(tmp_path):
    """write_module(bytes) gives the path of a file with them."""

    def write(content, name="module.wasm"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def tell(visit, guest):
    """tell(statement..., options=[...]) has the calls made that host_calls.py words; returns an Answer for each."""

    def have_made(*statements, trap=None, **rest):
        done = visit(guest("does_as_told"), stdin="".join(s + "\n" for s in statements).encode(), **rest)
        answers = host_calls.read_answers(done.out)
        if trap is None:
            assert done.status == 0, f"{done.status} after {len(answers)} of {len(statements)}: {done.messages}"
        else:
            assert done.status == EXIT_TRAP and trap in done.messages, (done.status, done.messages)
        return answers

    return have_made


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


@pytest.fixture
def converse(start, guest):
    """converse(options=[...]) starts a guest; .tell(statement) gives the Answer."""
    return lambda **rest: Conversation(start(guest("does_as_told"), stdin=subprocess.PIPE, **rest))


@pytest.fixture
def tree(tmp_path):
    """A directory to mount, and beside it one that nobody granted: tree/ and outside/, with a secret in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the secret")
    root = tmp_path / "tree"
    (root / "inner").mkdir(parents=True)
    (root / "a.txt").write_text("hello")
    (root / "inner" / "b.txt").write_text("inner")
    return root


@pytest.fixture
def reads(tree):
    """Options that mount the tree for reading."""
    return ["--dir", f"{tree}::/"]


@pytest.fixture
def writes(tree):
    """Options that mount the tree for writing."""
    return ["--dir-write", f"{tree}::/"]


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


@pytest.fixture
def untouched():
    """`with untouched(directory):` fails if anything below it changed."""
    import contextlib

    @contextlib.contextmanager
    def watch(*directories):
        before = [snapshot(directory) for directory in directories]
        yield
        assert [snapshot(directory) for directory in directories] == before

    return watch
