# SPDX-License-Identifier: Apache-2.0
"""Directories, arguments, environment and streams: what was named, and nothing else."""
import os
import subprocess

import pytest

from berth_process import USAGE, finish


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text("a line\n")
    (tmp_path / "secret").write_text("not for you\n")
    return tmp_path / "logs"


@pytest.mark.parametrize("value, seen", [
    ("{logs}::/logs", "/logs/a.log"), ("{logs}", "{logs}/a.log"), ("logs", "/logs/a.log"), ("./logs/", "/logs/a.log"),
    ("logs::data", "/data/a.log"), ("logs::/", "/a.log"), ("logs::.", "a.log"), (".", "/logs/a.log"),
    (".::/x/y", "/x/y/logs/a.log"),
    ("logs//", "logs/a.log"), ("logs/.", "/logs/a.log"), ("odd::name", "/name/a.log"), ("odd::name::/x", "/x/a.log"),
])
def test_where_a_directory_is_seen(cli, guest, logs, value, seen):
    if value == "odd::name::/x":
        (logs.parent / "odd::name").symlink_to("logs")
    if value == "odd::name":
        (logs.parent / "odd").symlink_to("logs")
    done = cli("run", "--dir", value.format(logs=logs), guest("copies_files"), seen.format(logs=logs), cwd=logs.parent)
    assert (done.status, done.out) == (0, "a line\n"), done.err


def test_a_guest_path_that_would_be_unclear(cli, guest, logs):
    done = cli("run", "--dir", "../logs", guest("copies_files"), "a.log", cwd=logs)
    assert done.status == USAGE and "HOST::GUEST" in done.messages[0]
    assert cli("run", "--dir", "../logs::/logs", guest("copies_files"), "/logs/a.log", cwd=logs).out == "a line\n"


@pytest.mark.parametrize("value", ["nowhere", "secret", "nowhere::/x", "/proc/nowhere::/x"])
@pytest.mark.parametrize("option", ["--dir", "--dir-write"])
def test_a_directory_that_is_not_there(cli, guest, logs, option, value):
    done = cli("run", option, value, guest("says_hello"), cwd=logs.parent)
    assert done.status == USAGE and done.out == "" and value.split("::")[0] in done.messages[0]


def test_two_directories_at_one_place(cli, guest, logs):
    done = cli("run", "--dir", f"{logs}::/x", "--dir", "/::/x", guest("says_hello"))
    assert done.status == USAGE and "/x" in done.messages[0]


def test_nothing_else_is_seen(cli, guest, logs):
    for path in ("/secret", "/logs/../secret", "../secret", str(logs.parent / "secret"), "/etc/passwd", "/proc/self/environ"):
        done = cli("run", "--dir", f"{logs}::/logs", guest("copies_files"), path)
        assert done.status == 1 and done.out == ""


def test_reading_is_not_writing(cli, guest, logs):
    done = cli("run", "--dir", f"{logs}::/logs", guest("copies_files"), "/logs/a.log", "/logs/b.log")
    assert done.status == 1 and not (logs / "b.log").exists()
    assert '"b.log" in "/logs"' in done.messages[0] and 'mode = "write"' in done.messages[0]
    done = cli("run", "--dir-write", f"{logs}::/logs", guest("copies_files"), "/logs/a.log", "/logs/b.log")
    assert done.status == 0 and (logs / "b.log").read_text() == "a line\n"


def test_denials_are_said_up_to_a_bound(cli, guest, logs):
    done = cli("run", "--usage=json", "--dir", f"{logs}::/logs", guest("insists_on_writing"), "/logs/b.log", 500)
    assert done.status == 0 and done.report["usage"]["denials"] == 500
    assert 1 <= len(done.messages) <= 21
    assert f"{500 - (len(done.messages) - 1)} more" in done.messages[-1]
    quiet = cli("run", "--quiet", "--dir", f"{logs}::/logs", guest("insists_on_writing"), "/logs/b.log", 500)
    assert (quiet.status, quiet.err) == (0, "")


def test_the_environment_is_empty_unless_named(cli, guest):
    def variables(*options):
        done = cli("run", *options, guest("shows_its_world"), env={"SECRET": "s", "LANG": "C.UTF-8"})
        return [line.removeprefix("variable ") for line in done.out.splitlines() if line.startswith("variable ")]

    assert variables() == []
    assert variables("--env", "LANG") == ["LANG=C.UTF-8"]
    assert variables("--env", "LANG=de=at") == ["LANG=de=at"]
    assert variables("--env", "LANG=") == ["LANG="]
    assert variables("--env", "LANG=1", "--env", "LANG=2") == ["LANG=2"]
    assert variables("--env", "ABSENT") == []
    assert sorted(variables("--env", "NEW=1", "--env", "LANG")) == ["LANG=C.UTF-8", "NEW=1"]


def test_the_environment_that_a_contract_names(cli, guest, contract):
    path = contract('[grants]\nenv = ["LANG", "ABSENT"]\n')
    done = cli("run", "--contract", path, guest("shows_its_world"), env={"LANG": "C.UTF-8", "SECRET": "s"})
    assert "variable LANG=C.UTF-8\n" in done.out and done.out.count("variable") == 1


def test_arguments_that_a_contract_withholds(cli, guest, contract):
    done = cli("run", "--contract", contract("[grants]\nargs = false\n"), guest("shows_its_world"), "secret")
    assert "secret" not in done.out


def test_bytes_that_are_no_text_in_arguments(berth, environment, guest):
    done = subprocess.run([berth, "run", guest("shows_its_world"), b"\xff\xfe\n"], env=environment, capture_output=True)
    assert b"argument \xff\xfe\n\n" in done.stdout


def test_the_three_streams(cli, guest):
    assert cli("run", guest("echoes_stdin"), stdin=b"one\ntwo\n").out == "one\ntwo\n"
    done = cli("run", guest("shows_its_world"))
    assert "said on stderr" in done.err and "said on stderr" not in done.out


def test_output_comes_as_it_is_written(start, guest):
    process = start("run", guest("echoes_stdin"), stdin=subprocess.PIPE)
    for line in (b"first\n", b"second\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 100) == line
    assert finish(process).status == 0


def test_much_data_both_ways(cli, guest):
    text = "".join(f"{number}\n" for number in range(300000))
    assert cli("run", guest("echoes_stdin"), stdin=text.encode()).out == text


def test_a_closed_stdin_is_at_its_end(berth, environment, guest):
    done = subprocess.run(["sh", "-c", f'exec "{berth}" run "{guest("echoes_stdin")}" <&-'], env=environment,
                          capture_output=True, timeout=60)
    assert done.stdout == b""
