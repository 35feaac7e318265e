# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, twice included, in C17 and C++, without a word from the compiler."""
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEADERS = sorted((ROOT / "include" / "berth").glob("*.h"))
COMPILERS = [["gcc", "-std=c17", "-x", "c"], ["g++", "-std=c++11", "-x", "c++"], ["g++", "-std=c++20", "-x", "c++"],
             ["clang-19", "-std=c17", "-x", "c"], ["clang-19", "-std=c++17", "-x", "c++"]]
WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror", "-fsyntax-only"]


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_compiles_alone(header, compiler):
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is not installed")
    text = f"#include <berth/{header.name}>\n" * 2 + "extern int something;\n"
    result = subprocess.run([*compiler, *WARNINGS, f"-I{ROOT / 'include'}", "-"], input=text, capture_output=True, text=True,
                            check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_names_nothing_outside_berth(header):
    """An embedder's own names stay free: what is declared begins with berth_ or BERTH_."""
    words = set()
    result = subprocess.run(["gcc", "-std=c17", "-x", "c", "-fsyntax-only", "-dM", "-E", f"-I{ROOT / 'include'}", header],
                            capture_output=True, text=True, check=True)
    plain = subprocess.run(["gcc", "-std=c17", "-x", "c", "-dM", "-E", "-include", "stdbool.h", "-include", "stddef.h",
                            "-include", "stdint.h", "-"], input="", capture_output=True, text=True, check=True)
    for line in set(result.stdout.splitlines()) - set(plain.stdout.splitlines()):
        words.add(line.split()[1])
    assert [word for word in sorted(words) if not word.startswith("BERTH_")] == []
