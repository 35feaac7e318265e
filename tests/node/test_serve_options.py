# SPDX-License-Identifier: Apache-2.0
"""What `berth serve` makes of its command line and its file, without serving: --check."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

PATIENCE_S = 60
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def check(berth, tmp_path):
    """check("--mount", …) gives the finished process of `berth serve --check`."""

    def run(*arguments, expected=0):
        done = subprocess.run([berth, "serve", "--check", *map(str, arguments)], cwd=tmp_path, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
                              env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        assert expected is None or done.returncode == expected, done.stderr
        return done

    return run


@pytest.fixture
def settings(check):
    return lambda *arguments: json.loads(check("--json", *arguments).stdout)


def rows_of_settings():
    text = (ROOT / "src" / "node" / "settings" / "settings.def").read_text()
    return re.findall(r"^SETTING_(\w+)\((\w+), (\w+),", text, re.M)


def flags(berth):
    text = subprocess.run([berth, "help", "serve"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^(?:  -\w, |      )--([a-z-]+)", text, re.M))


def test_nothing_is_made_by_a_check(check, tmp_path):
    assert "[limits]" in check().stdout
    assert list(tmp_path.iterdir()) == []


def test_the_toml_that_is_shown_says_the_same_again(check, settings, tmp_path):
    (tmp_path / "logs").mkdir()
    arguments = ["--mount", "logs::/logs", "--memory-mb", "32", "--concurrency", "4", "--listen", "127.0.0.1:0"]
    (tmp_path / "shown.toml").write_text(check(*arguments).stdout)
    assert settings("--config", "shown.toml") == settings(*arguments)


def test_every_setting_has_a_flag_that_sets_it(berth, settings):
    source = (ROOT / "src" / "cli" / "serve_options.c").read_text()
    named = dict(re.findall(r'^#define FLAG_(\w+) +"([a-z-]+)"$', source, re.M))
    shown = flags(berth)
    special = {"node.health_listen": "127.0.0.1:0", "jwt.refresh_seconds": "33", "compile.memory_mb": "333"}
    samples = {"BOOL": None, "NUMBER": "3", "TEXT": "some.text", "PATH": "/some/path", "CHOICE": "full"}
    for kind, group, name in rows_of_settings():
        value = special.get(f"{group}.{name}", samples[kind])
        flag = named[f"{group}_{name}"]
        assert flag in shown
        seen = settings(f"--{flag}", *([value] if value else []))[group][name]
        assert seen == (True if kind == "BOOL" else int(value) if kind == "NUMBER" else value)
    assert len(set(named.values())) == len(named) == len(rows_of_settings())


@pytest.mark.parametrize("flag, key, value", [
    ("--memory-mb", "memory_mb", 32), ("--wall-seconds", "wall_seconds", 7), ("--cpu-percent", "cpu_percent", 50),
    ("--fuel", "fuel", 1000), ("--output-mb", "output_mb", 1), ("--open-files", "open_files", 5),
    ("--host-calls-per-second", "host_calls_per_second", 10)])
def test_a_limit_of_runs_is_the_node_s_contract(settings, flag, key, value):
    assert settings(flag, value)["contract"]["limits"][key] == value


def test_flags_go_over_the_file_wherever_they_stand(settings, tmp_path):
    (tmp_path / "berth.toml").write_text("[limits]\nconcurrency = 5\nmax_runs = 6\n")
    seen = settings("--concurrency", "7", "--config", "berth.toml")["limits"]
    assert (seen["concurrency"], seen["max_runs"]) == (7, 6)


def test_mounts_and_capabilities(settings, tmp_path):
    for name in ("logs", "spool"):
        (tmp_path / name).mkdir()
    seen = settings("--mount", "logs::/var/log", "--mount-write", "spool", "--capability", "search=log")
    assert [(m["name"], m["host"], m["guest"], m["mode"]) for m in seen["mount"]] == [
        ("log", str(tmp_path / "logs"), "/var/log", "read"), ("spool", str(tmp_path / "spool"), "/spool", "write")]
    assert [(c["name"], c["mounts"]) for c in seen["capability"]] == [("search", ["log"])]


def test_flags_about_tls_hold_for_all_listeners(settings, tmp_path):
    for name in ("chain.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("")
    tls = ["--tls-certificate", "chain.pem", "--tls-key", "key.pem", "--tls-client-ca", "ca.pem"]
    for listeners in ([], ["--listen", "127.0.0.1:0", "--listen", "[::1]:7"]):
        seen = settings(*tls, *listeners)["listener"]
        assert len(seen) == max(1, len(listeners) // 2)
        for listener in seen:
            assert listener["certificate"] == str(tmp_path / "chain.pem")
            assert listener["key"] == str(tmp_path / "key.pem")
            assert listener["client_ca"] == str(tmp_path / "ca.pem")


@pytest.mark.parametrize("arguments, says", [
    (["--mount", "nothere"], "nothere"),
    (["--tls-certificate", "x.pem"], "certificate and key belong together"),
    (["--listen", "0.0.0.0:1"], "other machines"),
    (["--listen", "127.0.0.1:99999"], "--listen"),
    (["--config", "nothere.toml"], "there is no configuration file 'nothere.toml'"),
    (["--max-runs", "0"], "from 1 to 15000"),
    (["--memory-mb", "much"], "limits.memory_mb"),
    (["--capability", "a=nope"], "nope"),
    (["--capability", "nope"], "NAME=MOUNT"),
    (["--mount", "::/x"], "HOST::GUEST"),
    (["--config", "a", "--config", "b"], "twice"),
    (["--max-run", "3"], "did you mean '--max-runs'?"),
    (["logs"], "--mount"),
])
def test_a_mistake_is_one_clear_sentence(check, arguments, says):
    done = check(*arguments, expected=64)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("see ")]
    assert len(lines) == 1 and lines[0].startswith("berth: ") and says in lines[0]
    assert done.stdout == ""


def test_a_mistake_in_the_file_is_named(check, tmp_path):
    (tmp_path / "berth.toml").write_text("[limits]\nconcurency = 5\n")
    line = check("--config", "berth.toml", expected=64).stderr
    assert "berth.toml" in line and "concurency" in line and "concurrency" in line


@pytest.mark.parametrize("arguments", [["--config"], ["--mount"], ["--listen"], [], ["--capability"], ["--jwt-keys"]])
def test_names_from_the_command_line_cannot_drive_the_terminal(check, arguments):
    done = check(*arguments, "a\x1b[2Jb", expected=None)
    assert "\x1b" not in done.stderr + done.stdout
