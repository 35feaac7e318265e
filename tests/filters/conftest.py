# SPDX-License-Identifier: Apache-2.0
"""The example filters as modules, built once with the very line that stands at the top of each."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FILTERS = ROOT / "examples" / "filters"


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


@pytest.fixture
def run_filter(berth, example):
    """run_filter("log_filter.c", directory, "WORD") runs it with the directory as /logs."""

    def run(name, directory, *arguments):
        return subprocess.run([berth, "run", "--dir", f"{directory}::/logs", "--output-mb", "0", example(name), *arguments],
                              capture_output=True, timeout=300, check=False)

    return run
