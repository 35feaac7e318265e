# SPDX-License-Identifier: Apache-2.0
"""What all whole-process tests share: the binary (BERTH in the environment, or build/berth) and guests, built once from
tests/guests/NAME.{wat,c,rs} into build/tests/guests and named for what they do."""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BERTH = Path(os.environ.get("BERTH", ROOT / "build" / "berth")).resolve()
GUESTS = BERTH.parent / "tests" / "guests"
FILTERS = ROOT / "examples" / "filters"

# A shell starts what stands before an & with SIGINT ignored, and that would be passed on to each berth.
signal.signal(signal.SIGINT, signal.default_int_handler)

COMPILERS = {
    ".wat": ["wat2wasm", "{source}", "-o", "{module}"],
    ".c": ["clang-19", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-Wall", "-Wextra", "-Werror",
           "-Wl,--strip-all", "{source}", "-o", "{module}"],
    ".rs": ["rustc", "--target=wasm32-wasi", "-O", "-C", "strip=symbols", "{source}", "-o", "{module}"],
}


def build_guest(source):
    """The path of the module made from the source, which is compiled if it is newer."""
    source = Path(source)
    module = GUESTS / (source.stem + ".wasm")
    if module.exists() and module.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return module
    compiler, *arguments = COMPILERS[source.suffix]
    # Debian's own rustc has the library for wasm32-wasi; another one earlier in PATH may not.
    if compiler == "rustc" and os.path.exists("/usr/bin/rustc"):
        compiler = "/usr/bin/rustc"
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    GUESTS.mkdir(parents=True, exist_ok=True)
    unfinished = GUESTS / f"{source.stem}.{os.getpid()}.tmp"
    subprocess.run([compiler, *(word.format(source=source, module=unfinished) for word in arguments)], check=True)
    unfinished.rename(module)
    return module


@pytest.fixture(scope="session")
def berth():
    """The path of the binary."""
    assert BERTH.exists(), f"{BERTH} is not built"
    return BERTH


@pytest.fixture(scope="session")
def guest():
    """guest("loops_forever") gives the path of the module."""

    def find(name):
        for suffix in COMPILERS:
            source = ROOT / "tests" / "guests" / (name + suffix)
            if source.exists():
                return build_guest(source)
        raise LookupError(f"there is no guest {name} in tests/guests")

    return find


def build_line(source):
    """The compiler's line in the comment at the top of a source."""
    for line in source.read_text().splitlines():
        found = re.match(r"^(?: \*|//) +(\S*(?:clang-19|rustc) .*)$", line)
        if found:
            return found.group(1).split()
    raise LookupError(f"{source} does not say how it is built")


@pytest.fixture(scope="session")
def example(berth):
    """example("log_filter.c") gives the path of the module; skips if its compiler is not installed."""
    directory = berth.parent / "tests" / "filters"
    directory.mkdir(parents=True, exist_ok=True)

    def build(name):
        source = FILTERS / name
        module = directory / (name.replace(".", "_") + ".wasm")
        newest = max(path.stat().st_mtime_ns for path in FILTERS.iterdir())
        if module.exists() and module.stat().st_mtime_ns > newest:
            return module
        line = build_line(source)
        if not shutil.which(line[0]):
            pytest.skip(f"{line[0]} is not installed")
        if line[0].endswith("rustc") and not any(Path("/usr/lib/rustlib").glob("wasm32-wasi/lib/libstd-*.rlib")):
            pytest.skip("libstd-rust-dev-wasm32 is not installed")
        unfinished = module.with_suffix(f".{os.getpid()}.tmp")
        line[line.index("-o") + 1] = str(unfinished)
        subprocess.run(line, cwd=FILTERS, check=True)
        unfinished.rename(module)
        return module

    return build
