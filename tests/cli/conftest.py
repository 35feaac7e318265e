# SPDX-License-Identifier: Apache-2.0
"""berth as a person or a script uses it: `cli` runs it to its end, `start` leaves it running."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from berth_process import PATIENCE_S, Ended, wait_until


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(cache_home):
    """A cache of our own, and nothing of the machine that could change what berth says."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "XDG_CACHE_HOME": str(cache_home)}


@pytest.fixture
def cli(berth, environment):
    """cli("run", module, "--help", env={...}, stdin=b"...") runs berth to its end."""

    def run(*arguments, stdin=b"", env=None, cwd=None, stdout=subprocess.PIPE):
        done = subprocess.run([berth, *map(str, arguments)], input=stdin, stdout=stdout, stderr=subprocess.PIPE,
                              env={**environment, **(env or {})}, cwd=cwd, timeout=PATIENCE_S)
        return Ended(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    return run


@pytest.fixture
def start(berth, environment):
    """The same, but returns the process. Whatever still runs at the end of the test is killed."""
    started = []

    def popen(*arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen([berth, *map(str, arguments)], env={**environment, **options.pop("env", {})},
                                   **options)
        started.append(process)
        return process

    yield popen
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def module(tmp_path):
    """module("(module)") gives the path of the assembled module; module(bytes) that of a file with them."""

    def write(content, name="module.wasm"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = tmp_path / (name + ".wat")
            text.write_text(content)
            subprocess.run(["wat2wasm", "--enable-all", "--no-check", text, "-o", path], check=True)
        return path

    return write


@pytest.fixture
def contract(tmp_path):
    """contract("[limits]…") gives the path of the file."""

    def write(content, name="contract.toml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(autouse=True)
def nothing_left_behind(cache_home, berth):
    """After each test: no process of ours, and nothing in the cache but sealed entries and the key."""
    yield
    compiler = berth.parent / "berth-compiler"
    home = f"XDG_CACHE_HOME={cache_home}".encode()

    def is_ours(process):
        try:
            return (process / "exe").readlink() in (berth, compiler) and \
                home in (process / "environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def remaining():
        return [process.name for process in Path("/proc").iterdir() if process.name.isdigit() and is_ours(process)]

    # A compiler is killed by the kernel when its parent dies, which takes a moment.
    wait_until(lambda: not remaining())
    odd = [path for path in cache_home.rglob("*") if path.is_file() and not re.fullmatch(r"key|[0-9a-f]{64}", path.name)]
    assert odd == []
