# SPDX-License-Identifier: Apache-2.0
"""Each way to end has its number, and a sentence."""
import re

import pytest

from berth_process import FAILURE, LIMIT, NOT_FOUND, REFUSED, TRAPPED, USAGE, WALL


def test_a_program_that_returns(cli, guest):
    done = cli("run", guest("says_hello"))
    assert (done.status, done.out, done.err) == (0, "hello\n", "")


@pytest.mark.parametrize("code", [0, 1, 2, 63, 64, 124, 127, 255])
def test_the_exit_code_of_the_guest(cli, guest, code):
    done = cli("run", guest("exits_with"), code)
    assert (done.status, done.err) == (code, "")


@pytest.mark.parametrize("code", [256, 257, 0xFFFFFFFF])
def test_an_exit_code_that_a_status_cannot_hold(cli, guest, code):
    done = cli("run", "--usage=json", guest("exits_with"), code)
    assert done.status == code % 256
    assert done.report["outcome"]["exit_code"] == code
    assert str(code) in done.messages[0] and f" {code % 256}" in done.messages[0]


@pytest.mark.parametrize("status, limit, options, name, words", [
    (WALL, "wall", ["--wall-seconds", "0.05"], "loops_forever", "--wall-seconds 0.1"),
    (WALL, "wall", ["--wall-seconds", "0.05"], "sleeps_forever", "--wall-seconds 0.1"),
    (LIMIT, "fuel", ["--fuel", "5000"], "loops_forever", "--fuel 10000"),
    (LIMIT, "memory", ["--memory-mb", "1"], "needs_two_mebibytes", "--memory-mb 2"),
    (LIMIT, "output", ["--output-mb", "0.1"], "floods_stdout", "--output-mb 0.2"),
])
def test_a_limit_and_the_flag_that_allows_more(cli, guest, status, limit, options, name, words):
    done = cli("run", "--usage=json", *options, guest(name))
    assert done.status == status
    assert done.report["outcome"]["kind"] == "limit" and done.report["outcome"]["limit"] == limit
    assert words in done.messages[-1] and done.report["outcome"]["remedy"] in done.messages[-1]


@pytest.mark.parametrize("name", ["reaches_past_memory", "recurses_forever", "exits_with"])
def test_a_trap(cli, guest, name):
    done = cli("run", "--usage=json", guest(name))
    assert done.status == TRAPPED
    assert done.messages == [f"{name}.wasm trapped: {done.report['outcome']['cause']}"]


def test_a_module_that_is_not_there(cli):
    done = cli("run", "nowhere/filter.wasm")
    assert (done.status, done.messages) == (NOT_FOUND, ["there is no module 'nowhere/filter.wasm'"])


def test_a_module_that_is_refused(cli, guest):
    done = cli("run", guest("uses_vectors"))
    assert done.status == REFUSED and len(done.messages) == 1
    assert cli("run", "--simd", guest("uses_vectors")).status == 0


def test_no_command(cli):
    done = cli()
    assert done.status == USAGE and done.out == ""
    assert "Usage: berth COMMAND" in done.err


def test_a_cache_that_cannot_be_used_is_not_the_end(cli, guest):
    """The cache makes things faster; without it they still work."""
    assert cli("run", guest("says_hello"), env={"XDG_CACHE_HOME": "/proc/nowhere"}).out == "hello\n"


def test_a_cache_that_cannot_be_cleared(cli, tmp_path):
    (tmp_path / "berth").write_text("a file where the directory should be")
    done = cli("cache", "clear", env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.status == FAILURE and len(done.messages) == 1


def test_the_table_has_every_status(cli):
    done = cli("help", "exit-status")
    assert done.status == 0
    numbers = re.findall(r"^  (\S+) ", done.out, re.M)
    assert numbers == ["0-255", "64", "123", "124", "125", "126", "127", "130", "134", "141", "143"]


def test_quiet_leaves_the_status(cli, guest):
    done = cli("run", "--quiet", "--memory-mb", "1", guest("needs_two_mebibytes"))
    assert (done.status, done.err) == (LIMIT, "")
