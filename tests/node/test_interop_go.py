# SPDX-License-Identifier: Apache-2.0
"""A client in Go visits a node: gRPC, ML-KEM, HKDF and AES-GCM of other hands, over code that protoc makes of our .proto
files. Built once, under the build directory; skipped without Go of version 1.24, and if its modules cannot be fetched."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from credentials import Authority
from liop_client import PROTOCOL
from serving import PATIENCE_S, Node

SOURCE = Path(__file__).with_name("interop_go")
GO = os.environ.get("GO") or shutil.which("go")
PROTOS = ["liop", "berth"]
MIB = 1 << 20
LINES = [f"2026-01-01 00:00:{i % 60:02} {'CRITICAL' if i % 7 == 0 else 'INFO'} line {i}\n" for i in range(5000)]
MATCHES = "".join(line for line in LINES if "CRITICAL" in line).encode()
LARGE = b"".join(b"%063d\n" % i for i in range(32 * MIB // 64))
SERVICES = ["berth.v1.Node", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "liop.v1.LogicMesh"]


def absent():
    if not GO:
        return "there is no Go"
    found = subprocess.run([GO, "version"], capture_output=True, text=True, env={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    version = re.search(r"go(\d+)\.(\d+)", found)
    if not version or tuple(map(int, version.groups())) < (1, 24):
        return f"Go 1.24 is needed, this is: {found.strip()}"
    return None if shutil.which("protoc") else "there is no protoc"


if absent():
    pytest.skip(absent(), allow_module_level=True)


def go(directory, *words, **environment):
    return subprocess.run([GO, *words], cwd=directory, capture_output=True, text=True,
                          env={**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off", **environment})


def build(directory):
    """The program, made of tests/node/interop_go and of what protoc makes of the .proto files."""
    for name in ("go.mod", "go.sum", "main.go"):
        shutil.copy(SOURCE / name, directory / name)
    fetched = go(directory, "mod", "download")
    if fetched.returncode != 0:
        pytest.skip(f"the Go modules cannot be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    tools = go(directory, "install", "tool", GOBIN=str(directory / "bin"))
    assert tools.returncode == 0, tools.stderr
    package = "berth.example/interop"
    words = [f"--proto_path={PROTOCOL}"]
    for kind in ("go", "go-grpc"):
        words += [f"--plugin=protoc-gen-{kind}={directory}/bin/protoc-gen-{kind}", f"--{kind}_out={directory}",
                  f"--{kind}_opt=module={package}"]
        words += [f"--{kind}_opt=M{name}.proto={package}/{name}" for name in PROTOS]
    subprocess.run(["protoc", *words, *(f"{name}.proto" for name in PROTOS)], check=True)
    made = go(directory, "build", "-o", "bin/interop", ".")
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="session")
def program(berth):
    directory = berth.parent / "tests" / "interop_go"
    directory.mkdir(parents=True, exist_ok=True)
    made = directory / "bin" / "interop"
    sources = [*SOURCE.iterdir(), *(PROTOCOL / f"{name}.proto" for name in PROTOS)]
    if not made.exists() or made.stat().st_mtime_ns < max(path.stat().st_mtime_ns for path in sources):
        build(directory)
        made.touch()
    return made


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    for name, content in (("logs", "".join(LINES).encode()), ("large", LARGE)):
        (directory / name).mkdir()
        (directory / name / "system.log").write_bytes(content)
    with Node(berth, directory, "--mount", f"{directory}/logs::/logs", "--mount", f"{directory}/large::/large") as node:
        yield node


@pytest.fixture
def visit(program, serving):
    """visit(scenario, module, arguments…) gives what the program printed."""

    def run(scenario, *words, node=serving, token=None, ca=None):
        options = ["-address", node.address, "-token", node.token if token is None else token, *(["-ca", str(ca)] if ca else [])]
        done = subprocess.run([program, *options, scenario, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=3 * PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def log_filter(example):
    return example("log_filter.c")


def is_whole(result, expected=MATCHES):
    return result["status"] == "OK" and (result["outcome"], result["exit_code"]) == ("exited", 0) and \
        result["output_sha256"] == hashlib.sha256(expected).hexdigest()


def test_a_sealed_visit(visit, log_filter, serving):
    result = visit("run", log_filter, "CRITICAL")
    assert is_whole(result), result
    assert json.loads(result["receipt"])["receipt"]["node"] == serving.peer_id


def test_a_sealed_visit_over_tls(visit, berth, tmp_path, guest):
    authority = Authority(tmp_path)
    served = authority.issue("node")
    with Node(berth, tmp_path, "--tls-certificate", served.certificate, "--tls-key", served.key) as node:
        assert visit("run", guest("exits_with"), "7", node=node, ca=authority.certificate)["exit_code"] == 7
        assert visit("health", node=node, ca=authority.certificate)[""] == "SERVING"


def test_output_of_32_mib_comes_whole_and_in_pieces(visit, log_filter):
    result = visit("run", log_filter, "0", "/large/system.log")
    assert is_whole(result, LARGE), result
    assert result["output_bytes"] == 32 * MIB and result["pieces"] >= 32


def test_a_module_of_16_mib(visit, log_filter):
    assert is_whole(visit("upload", log_filter, "CRITICAL"))


def test_twenty_at_once_on_one_connection(visit, log_filter):
    assert all(is_whole(result) for result in visit("together", log_filter, "CRITICAL"))


def test_the_exit_status_is_the_programs(visit, guest):
    assert visit("run", guest("exits_with"), "42")["exit_code"] == 42


@pytest.mark.parametrize("scenario, status", [("deadline", "DeadlineExceeded"), ("cancel", "Canceled")])
def test_a_caller_who_stops_waiting_stops_the_program(visit, guest, scenario, status):
    assert visit(scenario, guest("loops_forever"))["status"] == status


def test_a_broken_seal_is_refused(visit, guest):
    assert visit("wrong-seal", guest("exits_with"), "0")["status"] == "Unauthenticated"


def test_a_wrong_token_is_refused(visit, guest):
    assert visit("run", guest("exits_with"), "0", token="wrong")["status"] == "Unauthenticated"


def test_who_the_node_is(visit, serving):
    said = visit("describe", token="")
    assert said["peer_id"] == serving.peer_id and said["ml_dsa_65_bytes"] == 1952 and said["nonce_bytes"] == 32


def test_health_and_reflection(visit):
    assert visit("health", token="") == {"": "SERVING", "liop.v1.LogicMesh": "SERVING", "berth.v1.Node": "SERVING",
                                         "no.such.Service": "NotFound", "watch": "SERVING"}
    assert sorted(visit("reflection", token="")) == SERVICES
