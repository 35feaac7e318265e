# SPDX-License-Identifier: Apache-2.0
"""The example for embedders: public headers only, fewer than 100 lines, and it works."""
import os
import subprocess
from pathlib import Path

import pytest

import logs

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "examples" / "run_one_module.c"


@pytest.fixture(scope="module")
def run_one_module(berth, tmp_path_factory):
    program = tmp_path_factory.mktemp("embedder") / "run_one_module"
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-Wall", "-Wextra", "-pedantic", "-Werror",
                    f"-I{ROOT / 'include'}", SOURCE, "-o", program, f"-L{berth.parent}", "-lberth",
                    f"-Wl,-rpath,{berth.parent}"], check=True)

    def run(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, timeout=60, check=False)

    return run


def test_is_short_and_uses_public_headers_only():
    lines = SOURCE.read_text().splitlines()
    assert len(lines) < 100
    assert [line for line in lines if line.startswith("#include") and "berth" in line] == ["#include <berth/berth.h>"]


def test_prints_what_the_module_prints(run_one_module, example, tmp_path):
    (tmp_path / "system.log").write_bytes(b"INFO a\nCRITICAL b\nINFO c\n")
    result = run_one_module(tmp_path, example("log_filter.c"), "CRITICAL")
    assert (result.stdout, result.returncode) == (b"CRITICAL b\n", 0)
    assert b" bytes read" in result.stderr


def test_ends_with_the_exit_code_of_the_module(run_one_module, example, tmp_path):
    assert run_one_module(tmp_path, example("log_filter.c"), "CRITICAL").returncode == 1


def test_says_why_a_module_is_refused(run_one_module, tmp_path):
    (tmp_path / "text.wasm").write_text("this is no module\n")
    result = run_one_module(tmp_path, tmp_path / "text.wasm", "CRITICAL")
    assert result.returncode == 125
    assert b"text.wasm" in result.stderr


def test_says_that_a_directory_is_not_there(run_one_module, example, tmp_path):
    result = run_one_module(tmp_path / "absent", example("log_filter.c"), "CRITICAL")
    assert result.returncode == 125
    assert b"absent" in result.stderr


def test_holds_the_output_limit(run_one_module, example, tmp_path):
    (tmp_path / "system.log").write_bytes(b"CRITICAL\n" * 2 * logs.MIB)
    result = run_one_module(tmp_path, example("log_filter.c"), "CRITICAL")
    assert result.returncode == 125
    assert len(result.stdout) <= 16 * logs.MIB
    assert b"output" in result.stderr
