# SPDX-License-Identifier: Apache-2.0
"""berth verify: what holds, what differs, and how it says so. The receipts in receipts/ were signed by Python's
cryptography (OpenSSL), another implementation of Ed25519 and ML-DSA-65, with keys from the seeds 00…1f and 20…3f."""
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from berth_process import NOT_FOUND, PATIENCE_S, REFUSED, USAGE

RECEIPTS = Path(__file__).parent / "receipts"
POST_QUANTUM, CLASSICAL = RECEIPTS / "post_quantum.json", RECEIPTS / "classical.json"
NODE = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"
OTHER_NODE = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
OUTPUT = b"one CRITICAL line\nanother CRITICAL line\n"
MODULE = b"\0asm\x01\0\0\0"


@pytest.fixture
def files(tmp_path):
    """files(name=bytes) gives the paths."""

    def write(content, name):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def changed(tmp_path):
    """changed(lambda receipt: …) gives the path of the post-quantum receipt after that change."""

    def write(change):
        receipt = json.loads(POST_QUANTUM.read_text())
        change(receipt)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(receipt))
        return path

    return write


def test_everything_compared(cli, files):
    done = cli("verify", POST_QUANTUM, "--node", NODE, "--principal", "alice", "--run", "0123456789abcdef" * 2,
               "--module", files(MODULE, "filter.wasm"), "--argument", "CRITICAL", "--argument=--last",
               "--output", files(OUTPUT, "lines.txt"), "--post-quantum")
    assert done.status == 0 and done.err == ""
    *checks, statement = done.out.splitlines()
    assert [line.split() for line in checks] == [["holds", field] for field in (
        "signatures.ed25519", "signatures.ed25519.public_key", "signatures.ml_dsa_65", "node_ml_dsa_65_sha256", "node",
        "principal", "run_id", "module.sha256", "arguments_sha256", "output.bytes", "output.sha256")]
    assert statement == f"{NODE} says: 'filter.wasm' ran for 'alice' and exited with code 0"


def test_it_says_what_it_was_not_given(cli, files):
    done = cli("verify", CLASSICAL)
    assert done.status == 0
    assert done.out.splitlines()[-1] == "not compared, because not given: --node, --module, --argument, --output"
    done = cli("verify", CLASSICAL, "--node", NODE, "--output", files(OUTPUT, "lines.txt"))
    assert done.out.splitlines()[-1] == "not compared, because not given: --module, --argument"


@pytest.mark.parametrize("options, field", [
    (["--node", OTHER_NODE], "node"),
    (["--principal", "bob"], "principal"),
    (["--run", "0"], "run_id"),
    (["--argument", "CRITICAL"], "arguments_sha256"),
    (["--argument", "--last", "--argument", "CRITICAL"], "arguments_sha256"),
    (["--no-arguments"], "arguments_sha256"),
])
def test_the_field_that_differs_is_named(cli, options, field):
    done = cli("verify", POST_QUANTUM, *options)
    assert done.status == REFUSED
    [message] = done.messages
    assert message.startswith(f"{field} does not match: expected ")
    [differs] = [line for line in done.out.splitlines() if line.startswith("differs")]
    assert differs.split()[1] == f"{field}:"
    assert "says:" not in done.out, "a receipt that does not hold says nothing"


def test_other_output_and_another_module(cli, files):
    done = cli("verify", POST_QUANTUM, "--output", files(OUTPUT[:-1], "cut"))
    assert done.status == REFUSED and done.messages == ["output.bytes does not match: expected 39, found 40"]
    done = cli("verify", POST_QUANTUM, "--output", files(OUTPUT.replace(b"one", b"two"), "other"))
    assert done.status == REFUSED and done.messages[0].startswith("output.sha256 does not match: expected ")
    done = cli("verify", POST_QUANTUM, "--output", files(b"", "nothing"))
    assert done.status == REFUSED and done.messages == ["output.bytes does not match: expected 0, found 40"]
    done = cli("verify", POST_QUANTUM, "--module", files(MODULE + b"\0\1\0", "other.wasm"))
    assert done.status == REFUSED and done.messages[0].startswith("module.sha256 does not match: expected ")


def test_a_changed_receipt(cli, changed):
    done = cli("verify", changed(lambda all: all["receipt"].update(principal="mallory")))
    assert done.status == REFUSED
    assert done.messages == ["signatures.ed25519 does not match: expected valid, found broken"]
    done = cli("verify", changed(lambda all: all["receipt"]["usage"].update(cpu_ns=1)))
    assert done.status == REFUSED and "signatures.ed25519" in done.messages[0]


def test_a_post_quantum_signature_cannot_be_taken_away(cli, changed):
    done = cli("verify", changed(lambda all: all["signatures"].pop("ml_dsa_65")))
    assert done.status == REFUSED
    assert done.messages == ["signatures.ml_dsa_65 does not match: expected valid, found absent"]
    assert cli("verify", CLASSICAL).status == 0
    assert cli("verify", CLASSICAL, "--post-quantum").status == REFUSED


def test_json_for_programs(cli, changed):
    good = cli("verify", "--json", POST_QUANTUM, "--node", NODE)
    assert good.status == 0 and good.err == ""
    assert good.json["ok"] is True and good.json["message"] == ""
    assert good.json["checks"][-1] == {"field": "node", "ok": True, "expected": NODE, "found": NODE}
    assert good.json["receipt"] == json.loads(POST_QUANTUM.read_text())["receipt"]
    bad = cli("verify", "--json", changed(lambda all: all["receipt"].update(run_id="0")))
    assert bad.status == REFUSED and bad.json["ok"] is False
    assert bad.messages == [bad.json["message"]]
    assert [check["field"] for check in bad.json["checks"] if not check["ok"]] == \
        ["signatures.ed25519", "signatures.ml_dsa_65"]


@pytest.mark.parametrize("content", [b"", b"\0asm", b"{}", b"[" * 100000, b"\x1b]0;owned\x07", b"\xff" * 100,
                                     b'{"receipt": {}, "signatures": {}}', b" " * (1 << 20) + b"{}"])
def test_what_is_no_receipt(cli, files, content):
    path = files(content, "odd.json")
    done = cli("verify", path)
    assert done.status == (REFUSED if len(content) <= 1 << 20 else USAGE) and done.out == ""
    [message] = done.messages
    assert message.startswith("not a receipt: ") or "larger than 1 MiB" in message
    assert re.fullmatch(r"[ -~]+", message)
    if len(content) <= 1 << 20:
        done = cli("verify", "--json", path)
        assert done.status == REFUSED and done.json["ok"] is False and done.json["receipt"] is None


def test_a_hostile_name_is_not_printed_raw(cli, changed):
    name = "\x1b[2Jalice\nholds    everything"
    done = cli("verify", changed(lambda all: all["receipt"].update(principal=name)), "--principal", "alice")
    assert "\x1b" not in done.out + done.err
    assert not any(line.startswith("holds    everything") for line in done.out.splitlines())


def test_files_that_are_not_there(cli, tmp_path):
    assert cli("verify", tmp_path / "absent.json").status == USAGE
    assert cli("verify", tmp_path).status == USAGE
    assert cli("verify", POST_QUANTUM, "--output", tmp_path / "absent").status == USAGE
    assert cli("verify", POST_QUANTUM, "--module", tmp_path / "absent").status == NOT_FOUND
    assert cli("verify").status == USAGE
    assert cli("verify", POST_QUANTUM, CLASSICAL).status == USAGE


def test_it_needs_neither_home_nor_cache_nor_network(cli, tmp_path):
    done = cli("verify", POST_QUANTUM, env={"HOME": "", "XDG_CACHE_HOME": str(tmp_path)}, cwd="/")
    assert done.status == 0 and list(tmp_path.iterdir()) == []


def test_colour_on_a_terminal_only(berth, cli, environment):
    assert "\x1b" not in cli("verify", POST_QUANTUM).out
    leader, follower = pty.openpty()
    done = subprocess.run([berth, "verify", CLASSICAL, "--node", OTHER_NODE], stdout=follower, stderr=subprocess.DEVNULL,
                          env={**environment, "TERM": "xterm"}, timeout=PATIENCE_S)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.returncode == REFUSED and "\x1b[1;31mdiffers" in shown
