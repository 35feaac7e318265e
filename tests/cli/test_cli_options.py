# SPDX-License-Identifier: Apache-2.0
"""How the command line is read: what is berth's, what is the guest's, and what is a mistake."""
import json

import pytest

from berth_process import REFUSED, USAGE

LIMITS = {"memory-mb": ("memory_bytes", "8", 8 << 20), "wall-seconds": ("wall_ms", "7.5", 7500),
          "cpu-percent": ("cpu_percent", "50", 50), "fuel": ("fuel", "1000000", 1000000),
          "output-mb": ("output_bytes", "2", 2 << 20), "open-files": ("open_files", "9", 9),
          "host-calls-per-second": ("host_calls_per_second", "1000", 1000)}


def arguments(done):
    return [line.removeprefix("argument ") for line in done.out.splitlines() if line.startswith("argument ")]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("form", ["--{0}={1}", "--{0} {1}"])
def test_each_limit_has_a_flag_that_reaches_the_run(cli, guest, name, form):
    member, text, value = LIMITS[name]
    done = cli("run", "--usage=json", *form.format(name, text).split(" "), guest("says_hello"))
    assert done.status == 0
    assert done.report["limits"][member] == value


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", ["-1", "many", "", "1e30", "0x10", "99999999999999999999", "nan"])
def test_a_limit_that_is_no_number_of_its_range(cli, guest, name, value):
    done = cli("run", f"--{name}={value}", guest("says_hello"))
    assert done.status == USAGE and done.out == ""
    assert f"--{name}" in done.messages[0]
    assert done.err.endswith("see 'berth help run'\n")


def test_what_follows_the_module_belongs_to_the_guest(cli, guest):
    given = ["--help", "--memory-mb", "-1", "--", "-q", "--usage=json", ""]
    assert arguments(cli("run", guest("shows_its_world"), *given)) == ["shows_its_world.wasm", *given]


def test_two_dashes_end_the_options(cli, guest, tmp_path):
    (tmp_path / "-module").write_bytes(guest("shows_its_world").read_bytes())
    done = cli("run", "--quiet", "--", "-module", "--", "x", cwd=tmp_path)
    assert arguments(done) == ["-module", "--", "x"]


def test_options_stand_anywhere_where_no_guest_follows(cli, guest):
    assert cli("inspect", guest("says_hello"), "--json").json["kind"] == "command"
    assert cli("contract", "--json", "explain").json


@pytest.mark.parametrize("line, nearest", [
    ("rnu", "run"), ("inspekt x", "inspect"), ("run --memry-mb 3 x", "--memory-mb"), ("run --dirwrite . x", "--dir-write"),
    ("run --wall-second=3 x", "--wall-seconds"), ("call --jsn x", "--json"), ("cache lsit", "list"),
    ("contract explian", "explain"), ("completion bsh", "bash"), ("help exit-statsu", "exit-status"), ("help rn", "run"),
    ("run --clock=coarce x", "coarse"), ("run --usage=jsno x", "json"), ("--halp", None), ("run --xyzzy x", None),
])
def test_the_nearest_word_is_suggested(cli, line, nearest):
    done = cli(*line.split(" "))
    assert done.status == USAGE
    assert ("did you mean" in done.err) == (nearest is not None)
    if nearest:
        assert f"'{nearest}'" in done.messages[0]


@pytest.mark.parametrize("line", [
    "run", "run --memory-mb", "run --dir", "run --quiet=yes x", "run -z x", "run -qq x", "run --usage=xml x", "run --seed x y",
    "run --seed -1 y", "run --seed 18446744073709551616 y", "run --env =x y", "run --dir ::/x y", "run --dir x:: y",
    "run --clock sundial y", "call", "call x", "call --repeat 0 x y", "call --repeat 1e3 x y", "inspect", "inspect a b", "cache",
    "cache list x", "contract", "contract explain a b", "contract explain --contract a b", "run --contract a --contract b c",
    "version now", "completion", "completion bash zsh", "help a b", "help --roff nothing", "run --help=now x",
])
def test_a_mistake_is_one_line_and_a_hint(cli, line):
    done = cli(*line.split(" "))
    assert done.status == USAGE and done.out == ""
    message, hint = done.err.splitlines()
    assert message.startswith("berth: ") and hint.startswith("see 'berth help")


def test_a_module_in_place_of_a_command(cli):
    assert "berth run './filter.wasm'" in cli("./filter.wasm").messages[0]


def test_what_was_typed_is_made_safe_to_print(cli):
    for done in (cli("\033[2J\n"), cli("run", "--\033[2J"), cli("run", "\033[2J"), cli("run", "--dir", "\033[2J::/x", "m"),
                 cli("cache", "\033[2J"), cli("help", "\033[2J"), cli("run", "--contract", "\033[2J", "m")):
        assert done.status != 0 and "\033" not in done.err and len(done.err.splitlines()) <= 2


def test_a_flag_goes_over_the_file_wherever_it_stands(cli, guest, contract):
    path = contract("[limits]\nmemory_mb = 4\nopen_files = 5\n")
    for options in (["--memory-mb", "6", "--contract", path], ["--contract", path, "--memory-mb", "6"]):
        limits = cli("run", "--usage=json", *options, guest("says_hello")).report["limits"]
        assert limits["memory_bytes"] == 6 << 20 and limits["open_files"] == 5


def test_a_contract_limits_a_run(cli, guest, contract):
    path = contract(json.dumps({"limits": {"fuel": 1000}}), "contract.json")
    done = cli("run", "--contract", path, guest("loops_forever"))
    assert done.status == 123 and "1000 instructions" in done.messages[0]


def test_no_cache_keeps_nothing(cli, guest, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    assert cli("run", "--no-cache", guest("says_hello"), env=env).out == "hello\n"
    assert list(tmp_path.iterdir()) == []


def test_a_module_through_a_pipe(cli, guest):
    assert cli("run", "/dev/stdin", stdin=guest("says_hello").read_bytes()).out == "hello\n"


def test_random_numbers_of_a_seed(cli, guest):
    def draw(*options):
        return cli("run", *options, guest("shows_random_bytes")).out

    assert draw("--random=seeded", "--seed=7") == draw("--random=seeded", "--seed=7")
    assert draw("--random=seeded", "--seed=7") != draw("--random=seeded", "--seed=8")
    assert draw("--deterministic", "--seed=7") == draw("--deterministic", "--seed", "0x7")
    assert draw() != draw()


def test_a_clock_that_is_not_granted(cli, guest):
    assert cli("run", "--clock", "fine", guest("tells_the_time")).status == 0
    assert cli("run", "--clock", "none", guest("tells_the_time")).status == 1


def test_simd_is_a_grant(cli, guest):
    assert cli("run", guest("uses_vectors")).status == REFUSED
    assert cli("run", "--simd", guest("uses_vectors")).status == 0
