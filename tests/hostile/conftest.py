# SPDX-License-Identifier: Apache-2.0
"""Visitors that mean harm, through the real binary. `visit` runs one and says how it went; `tell` makes single host
calls and gives back what each returned; `assemble` makes a module of a few lines of text."""
import contextlib
import hashlib
import os
import signal
import subprocess

import pytest

import host_calls
from visits import EXIT_TRAP, Conversation, Visitor, snapshot


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """A cache of our own, so that each guest is compiled once and the user's cache is left alone."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


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


@pytest.fixture
def untouched():
    """`with untouched(directory):` fails if anything below it changed."""
    @contextlib.contextmanager
    def watch(*directories):
        before = [snapshot(directory) for directory in directories]
        yield
        assert [snapshot(directory) for directory in directories] == before

    return watch
