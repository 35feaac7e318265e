# SPDX-License-Identifier: Apache-2.0
"""Help, manual pages and completion: all from one table, so all must know all of it."""
import re
import shutil
import subprocess

import pytest

COMMANDS = ["run", "serve", "send", "watch", "runs", "call", "inspect", "contract", "cache", "verify", "audit", "version",
            "help", "completion"]


def options_of(cli, command):
    return set(re.findall(r"^(?:  -\w, |      )--([a-z-]+)", cli("help", command).out, re.M))


def test_the_overview(cli):
    done = cli("--help")
    assert done.status == 0 and done.err == ""
    assert re.findall(r"^  (\w+)  +\w", done.out.split("Topics")[0], re.M) == COMMANDS
    assert cli("help").out == cli("-h").out == done.out
    assert cli().err == done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(cli, command):
    done = cli("help", command)
    assert done.status == 0 and done.out.startswith(f"Usage: berth {command} ")
    assert cli(command, "--help").out == cli(command, "-h").out == done.out
    assert all(len(line) <= 80 for line in done.out.splitlines()), "it fits a terminal"
    assert not re.search(r" $", done.out, re.M)
    assert "roff" not in done.out


def test_help_wins_over_missing_operands(cli):
    assert cli("run", "--memory-mb", "1", "--help").status == 0
    assert cli("cache", "--help").status == 0


def test_each_example_is_a_line_that_berth_reads(cli):
    """Every option that an example or a manual names exists."""
    for command in COMMANDS:
        for example in re.findall(r"^  (?:\S+ \| |source <\()?berth (\w+)(.*)$", cli("help", command).out, re.M):
            assert example[0] in COMMANDS
            assert set(re.findall(r"--([a-z-]+)", example[1])) <= options_of(cli, example[0])


def test_topics(cli):
    for topic in ("exit-status", "environment"):
        done = cli("help", topic)
        assert done.status == 0 and all(len(line) <= 80 for line in done.out.splitlines())


def test_version(cli):
    text, seen = cli("version").out, cli("version", "--json").json
    assert text == cli("--version").out == cli("-V").out
    assert text == f"berth {seen['version']} (Wasmtime {seen['engine']})\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", seen["version"])


# ---- manual pages ----


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_a_manual_page(cli, command):
    page = cli("help", "--roff", *([command] if command else [])).out
    assert page == cli("help", *([command] if command else []), "--roff").out
    assert page.startswith('.TH "BERTH')
    for section in ("NAME", "SYNOPSIS", "EXIT STATUS", "SEE ALSO"):
        assert f".SH {section}\n" in page
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    made = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"], input=page, capture_output=True, text=True,
                          check=True)
    assert made.stderr == ""
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", made.stdout)
    for option in options_of(cli, command) if command else ():
        assert f"--{option}" in shown


def test_each_command_has_a_page_in_the_build(cli, berth):
    pages = {path.name for path in berth.parent.glob("berth*.1")}
    if not pages:
        pytest.skip("the pages are not built here")
    assert pages == {"berth.1", *(f"berth-{command}.1" for command in COMMANDS)}
    assert (berth.parent / "berth-run.1").read_text() == cli("help", "--roff", "run").out


# ---- completion ----


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(cli, shell):
    script = cli("completion", shell).out
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", script)
        for option in options_of(cli, command):
            assert re.search(rf"(--|-l ){option}\b", script), option


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_its_shell_reads(cli, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=cli("completion", shell).out, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def complete_in_bash(cli, tmp_path, *words):
    script = tmp_path / "completion.bash"
    script.write_text(cli("completion", "bash").out)
    line = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(["bash", "-c", f'. "{script}"; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); '
                           '_berth; printf "%s\\n" "${COMPREPLY[@]}"'], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    return set(done.stdout.split("\n")) - {""}


def test_completion_in_bash(cli, tmp_path):
    (tmp_path / "my logs").mkdir()
    (tmp_path / "filter.wasm").touch()

    def complete(*words):
        return complete_in_bash(cli, tmp_path, "berth", *words)

    assert complete("") >= set(COMMANDS)
    assert complete("co") == {"contract", "completion"}
    assert complete("run", "--me") == {"--memory-mb"}
    assert complete("run", "--dir", "") == {"my logs"}
    assert complete("run", "--clock", "") == {"none", "coarse", "fine"}
    assert complete("run", "fil") == {"filter.wasm"}
    assert complete("cache", "") == {"list", "clear"}
    assert complete("help", "exi") == {"exit-status"}
    assert complete("run", "--memory-mb", "") == set()
