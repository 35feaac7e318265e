# SPDX-License-Identifier: Apache-2.0
"""The public TypeScript client of LIOP, version 2.2, as it is published, visits a node: negotiate, execute, and its own
check of the receipt. LIOP_SDK in the environment names a checkout of the SDK that is built (dist/ in it); without it
these tests are skipped. NODE names a Node.js, of version 22 at least, as what the SDK depends on needs; without it the
one in PATH is taken."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from credentials import Authority
from serving import PATIENCE_S, Node

SDK = os.environ.get("LIOP_SDK")
NODE_JS = os.environ.get("NODE") or shutil.which("node")
DRIVER = Path(__file__).with_name("liop_sdk_driver.mjs")


def absent():
    """What keeps the client from running here, or None."""
    if not SDK:
        return "LIOP_SDK does not name a checkout of the public LIOP SDK"
    if not (Path(SDK) / "dist" / "client.js").exists():
        return f"the LIOP SDK in {SDK} is not built"
    if not NODE_JS:
        return "there is no Node.js"
    version = subprocess.run([NODE_JS, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return None if int(version.lstrip("v").split(".")[0]) >= 22 else f"Node.js {version} is too old for the LIOP SDK"


if absent():
    pytest.skip(absent(), allow_module_level=True)

LINES = [f"2026-01-01 00:00:{i % 60:02} {'CRITICAL' if i % 7 == 0 else 'INFO'} líne {i}\n" for i in range(180_000)]
MATCHES = "".join(line for line in LINES[:5000] if "CRITICAL" in line)

CONFIG = """
{listener}

[limits]
sealed_result_mb = {result_mb}

[[mount]]
name = "logs"
host = "logs"

[[mount]]
name = "large"
host = "large"

[[capability]]
name = "search"
mounts = ["logs", "large"]

[[principal]]
name = "alice"
token_sha256 = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"
capabilities = ["search"]
{more}
"""  # the token is "alice"

TLS = '[[listener]]\naddress = "127.0.0.1:0"\ncertificate = "node.pem"\nkey = "node.key"\n'


def new_node(berth, directory, listener="", more="", result_mb=4):
    for name, lines in (("logs", LINES[:5000]), ("large", LINES)):
        (directory / name).mkdir()
        (directory / name / "system.log").write_text("".join(lines))
    return Node(berth, directory, config=CONFIG.format(listener=listener, more=more, result_mb=result_mb))


@pytest.fixture(scope="module")
def plain(berth, tmp_path_factory):
    with new_node(berth, tmp_path_factory.mktemp("plain")) as node:
        yield node


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def over_tls(berth, directory, authority, listener="", more=""):
    served = authority.issue("node")
    (directory / "node.pem").write_bytes(served.chain)
    (directory / "node.key").write_bytes(served.key.read_bytes())
    return new_node(berth, directory, TLS + listener, more)


@pytest.fixture
def visit(tmp_path, example):
    """visit(node, call, …) gives what each call came to; a call is as in the driver, with the log filter unless it says."""

    def run(node, *calls, token="alice", tls=None):
        usual = {"capability": "search", "module": str(example("log_filter.c")), "arguments": {"query": "CRITICAL"}}
        task = {"sdk": str(Path(SDK).resolve()), "address": node.address, "token": token, "tls": tls,
                "calls": [{**usual, **call} for call in calls or [{}]]}
        done = subprocess.run([NODE_JS, DRIVER, json.dumps(task)], cwd=tmp_path, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=3 * PATIENCE_S,
                              env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LIOP_LOG_LEVEL": "silent"})
        lines = [line for line in done.stdout.splitlines() if line.startswith("results ")]
        assert lines, done.stdout + done.stderr
        return json.loads(lines[0].removeprefix("results "))

    return run


def is_whole(result, expected=MATCHES):
    return not result.get("thrown") and not result["isError"] and \
        result["sha256"] == hashlib.sha256(expected.encode()).hexdigest()


# ---- What works ------------------------------------------------------------------------------------------------------


def test_a_visit_with_a_token(visit, plain):
    result, = visit(plain)
    assert is_whole(result), result


def test_arguments_may_be_a_list_too(visit, plain):
    result, = visit(plain, {"arguments": {"argv": ["CRITICAL", "/logs/system.log"]}})
    assert is_whole(result), result


def test_a_visit_over_tls(visit, berth, tmp_path, authority):
    directory = tmp_path / "node"
    directory.mkdir()
    with over_tls(berth, directory, authority) as node:
        result, = visit(node, tls={"rootCert": str(authority.certificate)})
        assert is_whole(result), result
        stranger = Authority(directory, "stranger")
        refused, = visit(node, tls={"rootCert": str(stranger.certificate)})
        assert refused["code"] == 14, "it does not trust the node"


def test_a_visit_with_a_client_certificate(visit, berth, tmp_path, authority):
    directory = tmp_path / "node"
    directory.mkdir()
    client = authority.issue("client")
    more = f'[[principal]]\nname = "machine"\ncapabilities = ["search"]\ncertificate_sha256 = "{client.sha256}"\n'
    listener = f'client_ca = "{authority.certificate}"\nclient_required = true\n'
    with over_tls(berth, directory, authority, listener, more) as node:
        shown = {"rootCert": str(authority.certificate), "certChain": str(client.certificate), "privateKey": str(client.key)}
        result, = visit(node, token=None, tls=shown)
        assert is_whole(result), result
        without, = visit(node, token=None, tls={"rootCert": str(authority.certificate)})
        assert without["code"] == 14


def test_a_visit_of_anyone_to_an_open_node(visit, berth, tmp_path):
    directory = tmp_path / "node"
    directory.mkdir()
    more = '[[principal]]\nname = "visitor"\nanyone = true\ncapabilities = ["search"]\n'
    with new_node(berth, directory, more=more) as node:
        result, = visit(node, token=None)
        assert is_whole(result), result


def test_fifty_calls_at_once_on_one_client(visit, plain):
    results = visit(plain, *[{}] * 50)
    assert len(results) == 50 and all(is_whole(result) for result in results), results


def test_inputs_arrive_on_stdin(visit, plain, guest):
    result, = visit(plain, {"module": str(guest("echoes_stdin")), "arguments": {"k": [1, {"ü": None}], "s": "x\"\n"}})
    assert json.loads(result["start"]) == {"k": [1, {"ü": None}], "s": "x\"\n"}


def test_a_program_that_says_nothing_succeeded(visit, plain, guest):
    result, = visit(plain, {"module": str(guest("exits_with")), "arguments": {"argv": ["0"]}})
    assert (result["isError"], result["start"]) == (False, "WASM_EXECUTION_SUCCESS")


# ---- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token, call, code", [
    ("wrong", {}, 16),
    (None, {}, 16),
    ("alice", {"capability": "nothing"}, 7),
    ("alice", {"capability": "x" * 300}, 3),
], ids=["a wrong token", "no token", "an unknown capability", "a capability without end"])
def test_a_caller_hears_why_not(visit, plain, token, call, code):
    result, = visit(plain, call, token=token)
    assert result["code"] == code, result


@pytest.mark.parametrize("name, arguments, says", [
    ("exits_with", {"argv": ["3"]}, "3"),
    ("exits_with", {"argv": ["abort"]}, "unreachable"),
    ("reaches_past_memory", {}, "memory"),
])
def test_a_program_that_fails_is_an_error_in_words(visit, plain, guest, name, arguments, says):
    result, = visit(plain, {"module": str(guest(name)), "arguments": arguments})
    assert result["isError"] and says in result["start"], result


@pytest.mark.parametrize("payload", [b"\0asm\1\0\0\0\1\xff", b"\0asm\x0d\0\1\0", b"return 1", b"\0" * 1000, b""])
def test_a_module_that_is_refused_is_an_error_in_words(visit, plain, tmp_path, payload):
    (tmp_path / "module.wasm").write_bytes(payload)
    result, = visit(plain, {"module": str(tmp_path / "module.wasm")})
    assert result["isError"] and result["start"], result


def test_no_module_at_all_is_an_error_in_words(visit, plain):
    result, = visit(plain, {"module": None})
    assert result["isError"] and "WebAssembly" in result["start"], result


def test_an_answer_that_the_client_would_not_take_is_an_error_in_words(visit, plain):
    assert len("".join(LINES).encode()) > 5 << 20
    result, = visit(plain, {"arguments": {"argv": ["2026", "/large/system.log"]}})
    assert result["isError"] and "sealed_result_mb" in result["start"], result


def test_a_node_that_sends_more_is_refused_by_the_client_and_lives(visit, berth, tmp_path):
    directory = tmp_path / "node"
    directory.mkdir()
    with new_node(berth, directory, result_mb=16) as node:
        results = visit(node, {"arguments": {"argv": ["2026", "/large/system.log"]}}, {})
        assert results[0]["code"] == 8 and is_whole(results[1]), results


def test_one_failure_among_many_is_its_own(visit, plain, guest):
    calls = [{}, {"module": str(guest("exits_with")), "arguments": {"argv": ["3"]}}, {"capability": "nothing"}] * 5
    results = visit(plain, *calls)
    for good, failed, denied in zip(*[iter(results)] * 3):
        assert is_whole(good) and failed["isError"] and denied["code"] == 7
