# SPDX-License-Identifier: Apache-2.0
"""berth audit: what is shown of a log, and what is said of one that is not whole."""
import json
import re
import time

import pytest

from audit_log import AuditLog
from berth_process import CLOSED, FAILURE, REFUSED, USAGE

HOUR_NS = 3600 * 10**9
NOON_NS = 1769947200 * 10**9 + 123456789  # 2026-02-01T12:00:00.123456789Z


@pytest.fixture
def log(tmp_path):
    """A node's state directory with a log of six entries in three commits."""
    (tmp_path / "state").mkdir()
    log = AuditLog(tmp_path / "state" / "audit.db")
    log.add("node_started", time_ns=NOON_NS).commit()
    log.add("session_opened", "alice", time_ns=NOON_NS + 1)
    log.add("run_started", "alice", "r1", NOON_NS + 2, {"module": "ab", "name": "filter.wasm"})
    log.add("denial", "alice", "r1", NOON_NS + 3, {"path": "/etc/passwd"}).commit()
    log.add("run_ended", "alice", "r1", NOON_NS + HOUR_NS, {"outcome": "exited", "exit_code": 0})
    log.add("run_started", "bob", "r2", NOON_NS + HOUR_NS - 5).commit()
    return log


def numbers(done):
    assert done.status == 0, done.err
    return [int(line.split()[0]) for line in done.out.splitlines()]


# ---- list and export ----

def test_list_is_for_people(cli, log):
    done = cli("audit", "list", log.path)
    assert done.status == 0 and done.err == ""
    assert numbers(done) == [1, 2, 3, 4, 5, 6]
    assert done.out.splitlines()[2] == ("       3  2026-02-01T12:00:00.123Z  run_started       alice         r1        "
                                        '{"module":"ab","name":"filter.wasm"}')


def test_where_it_looks(cli, log, tmp_path):
    expected = cli("audit", "list", log.path).out
    assert cli("audit", "list", "--state", log.path.parent).out == expected
    assert cli("audit", "list", cwd=tmp_path, env={"XDG_STATE_HOME": str(tmp_path)}).status == USAGE
    log.path.parent.rename(tmp_path / "berth")
    assert cli("audit", "list", env={"XDG_STATE_HOME": str(tmp_path)}).out == expected
    assert cli("audit", "list", env={"HOME": "", "XDG_STATE_HOME": ""}).status == USAGE


def test_selection(cli, log):
    def selected(*options):
        return numbers(cli("audit", "list", log.path, *options))

    assert selected("--event", "run_started") == [3, 6]
    assert selected("--subject", "alice") == [2, 3, 4, 5]
    assert selected("--run", "r1") == [3, 4, 5]
    assert selected("--run", "r1", "--limit", "2") == [4, 5]
    assert selected("--limit", "0") == [1, 2, 3, 4, 5, 6]
    assert selected("--since", "2026-02-01T12:30") == [5, 6]
    assert selected("--since", "2026-02-01T13:00:00Z") == [5, 6]
    assert selected("--since", "2026-02-01") == [1, 2, 3, 4, 5, 6]
    assert selected("--since", f"@{NOON_NS // 10**9 + 1}") == [5, 6]
    assert selected("--event", "run_started", "--subject", "bob", "--since", "2026-02-01") == [6]


def test_since_so_long_ago(cli, tmp_path):
    log, now_ns = AuditLog(tmp_path / "audit.db"), time.time_ns()
    for hours in (200, 30, 3, 0):
        log.add("denial", time_ns=now_ns - hours * HOUR_NS)
    log.commit()
    for word, expected in (("1h", [4]), ("240m", [3, 4]), ("2d", [2, 3, 4]), ("999999s", [1, 2, 3, 4])):
        assert numbers(cli("audit", "list", log.path, "--since", word)) == expected


def test_nothing_is_like_that(cli, log):
    done = cli("audit", "list", log.path, "--subject", "carol")
    assert (done.status, done.out, done.messages) == (0, "", ["no entry is like that"])
    assert cli("audit", "list", log.path, "--subject", "carol", "--json").json["entries"] == []
    assert cli("audit", "export", log.path, "--subject", "carol").out == ""


def test_a_long_log_is_shown_from_its_end_and_exported_whole(cli, tmp_path):
    log = AuditLog(tmp_path / "audit.db")
    for number in range(1, 1001):
        log.add("run_started", "alice", f"r{number}", number)
    log.commit()
    done = cli("audit", "list", log.path)
    assert numbers(done) == list(range(901, 1001))
    assert done.messages == ["these are the newest 100; --limit 0 shows all"]
    assert len(cli("audit", "export", log.path).out.splitlines()) == 1000
    assert len(cli("audit", "list", log.path, "--json", "--limit", "0").json["entries"]) == 1000


def test_json(cli, log):
    seen = cli("audit", "list", log.path, "--json").json
    assert seen["file"] == str(log.path) and len(seen["entries"]) == 6
    third = seen["entries"][2]
    assert re.fullmatch(r"[0-9a-f]{64}", third.pop("hash"))
    assert third == {"number": 3, "time": "2026-02-01T12:00:00.123456791Z", "event": "run_started",
                     "subject": "alice", "run": "r1", "details": {"module": "ab", "name": "filter.wasm"}}
    exported = cli("audit", "export", log.path).out.splitlines()
    assert [json.loads(line) for line in exported] == cli("audit", "list", log.path, "--json").json["entries"]
    assert seen["entries"][-1]["hash"] == log.hash.hex()


def test_nothing_that_others_chose_is_printed_raw(cli, tmp_path):
    hostile = "\x1b[31m\n\u202e\x7f\x9b\u2028'\"\\"
    log = AuditLog(tmp_path / "audit.db")
    log.add(hostile, hostile, hostile, -1, {hostile: [hostile, 10**18, 1.5]})
    log.add("x", "y" * 5000, "z", 2**63 - 1, "no JSON " + hostile)
    log.add("x", details=json.dumps("v" * 5000)).commit()
    for arguments in (["list"], ["list", "--json"], ["export"]):
        out = cli("audit", *arguments, log.path).out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", out)
        assert out.count("\n") == (1 if "--json" in arguments else 3)
    rows = cli("audit", "list", log.path).out.splitlines()
    assert all(len(row) < 800 for row in rows) and "…" in rows[1] and "…" in rows[2]
    first, second, _ = (json.loads(line) for line in cli("audit", "export", log.path).out.splitlines())
    assert first["event"] == first["subject"] == first["run"] == hostile
    assert first["details"] == {hostile: [hostile, 10**18, 1.5]}
    assert first["time"] == "1969-12-31T23:59:59.999999999Z"
    assert second["details"] == "no JSON " + hostile


def test_a_reader_that_leaves_ends_it(start, tmp_path):
    log = AuditLog(tmp_path / "audit.db")
    for _ in range(5000):
        log.add("run_started", "alice", "r", 0, {"padding": "x" * 100})
    log.commit()
    process = start("audit", "export", log.path)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait() in (CLOSED, -13)


# ---- verify ----

def test_a_log_that_was_written_from_its_description_verifies(cli, log):
    done = cli("audit", "verify", log.path)
    assert done.status == 0 and done.err == ""
    assert done.out.startswith("the chain is whole: 6 entries, 3 signatures\n")
    assert log.key.peer_id in done.out and log.hash.hex() in done.out
    assert cli("audit", "verify", log.path, "--json").json == {
        "file": str(log.path), "entries": 6, "signatures": 3, "head": log.hash.hex(), "node": log.key.peer_id}


def test_what_is_expected_of_it(cli, log):
    head = log.hash.hex()
    assert cli("audit", "verify", log.path, "--node", log.key.peer_id, "--head", head).status == 0
    log.add("node_stopped").commit()
    assert cli("audit", "verify", log.path, "--head", head).status == 0
    done = cli("audit", "verify", log.path, "--head", "ab" * 32)
    assert done.status == REFUSED and "which ends with entry 7" in done.messages[0]
    done = cli("audit", "verify", log.path, "--node", "12D3KooWother")
    assert done.status == REFUSED and log.key.peer_id in done.messages[0]
    assert cli("audit", "verify", log.path, "--head", "ab").status == USAGE
    assert cli("audit", "verify", log.path, "--head", "x" * 64).status == USAGE


@pytest.mark.parametrize("change, words", [
    ("UPDATE entries SET subject = 'mallory' WHERE number = 3", "entry 3 was changed, inserted or moved"),
    ("UPDATE entries SET time_ns = 0 WHERE number = 5", "entry 5 was changed"),
    ("DELETE FROM entries WHERE number = 4", "entry 4 is missing"),
    ("DELETE FROM entries WHERE number > 4", "the log was cut back after entry 4"),
    ("DELETE FROM signatures WHERE number = 6", "entry 5 is not signed"),
    ("UPDATE signatures SET signature = zeroblob(64) WHERE number = 4", "entry 4: its signature is not the node's"),
    ("UPDATE node SET public_key = zeroblob(32)", "entry 1: its signature is not the node's"),
    ("DELETE FROM node", "entry 1 cannot be checked: the node's key is missing"),
    ("INSERT INTO node VALUES (zeroblob(32))", "entry 1 cannot be checked"),
])
def test_what_does_not_fit_is_named(cli, log, change, words):
    log.change(change)
    for options in ([], ["--json"]):
        done = cli("audit", "verify", log.path, *options)
        assert done.status == REFUSED and done.out == "" and len(done.messages) == 1
        assert words in done.messages[0]


# ---- what is no log ----

@pytest.mark.parametrize("action", ["list", "verify", "export"])
def test_files_that_are_no_log(cli, tmp_path, action):
    text = tmp_path / "notes\x1b.txt"
    text.write_text("notes " * 1000)
    empty = tmp_path / "empty"
    empty.touch()
    for path, status in ((text, USAGE), (empty, USAGE), (tmp_path, FAILURE), (tmp_path / "none", USAGE)):
        done = cli("audit", action, path)
        assert done.status == status and done.out == "" and len(done.messages) == 1 and "\x1b" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "notes\x1b.txt"]


def test_reading_changes_nothing(cli, log):
    log.database.close()
    before = log.path.read_bytes()
    for action in ("list", "verify", "export"):
        assert cli("audit", action, log.path).status == 0
    assert log.path.read_bytes() == before
    assert [path.name for path in log.path.parent.iterdir()] == ["audit.db"]


@pytest.mark.parametrize("arguments", [
    [], ["lst"], ["list", "a", "b"], ["list", "a", "--state", "b"], ["list", "--head", "ab" * 32],
    ["export", "--node", "x"], ["verify", "--event", "x"], ["verify", "--limit", "1"], ["list", "--limit", "-1"],
    ["list", "--limit", "many"], ["list", "--limit", "99999999999999999999"], ["list", "--since", "yesterday"],
    ["list", "--since", "1"], ["list", "--since", "1y"], ["list", "--since", "1hour"], ["list", "--since", "-1h"],
    ["list", "--since", "2026-02-30"], ["list", "--since", "@x"], ["list", "--since", "99999999999999d"],
    ["list", "--since", "2026-02-01T12:00:00+01:00"], ["list", "--since", ""],
])
def test_usage_errors(cli, arguments):
    done = cli("audit", *arguments)
    assert done.status == USAGE and done.out == "" and done.messages
