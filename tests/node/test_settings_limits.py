# SPDX-License-Identifier: Apache-2.0
"""Settings about sizes, connections and compilation, each enforced by a real node: what fits goes, what is more does not."""

import json
import re
import shutil
import socket
import subprocess

import grpc
import pytest

from liop_client import node as protocol
from serving import Node, wait_until

MIB = 1 << 20


@pytest.fixture
def serve(berth, tmp_path):
    """serve("--max-inputs", 2) gives a node that shows nothing but its own directory."""
    nodes = []

    def start(*arguments):
        nodes.append(Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs", *arguments).start())
        return nodes[-1]

    yield start
    for node in nodes:
        node.end()


@pytest.fixture
def hello(guest):
    return guest("says_hello").read_bytes()


def leb(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def padded(module, size_bytes):
    """The same program with a custom section of that size."""
    content = b"\x01x" + bytes(size_bytes)
    return module + b"\0" + leb(len(content)) + content


def additions(functions, each):
    """A module with so many functions of so many additions."""
    body = b"\0" + b"".join(b"\x20\x00\x41%c\x6a\x21\x00" % (i % 64) for i in range(each)) + b"\x20\x00\x0b"
    parts = [(1, b"\x01\x60\x01\x7f\x01\x7f"), (3, leb(functions) + bytes(functions)),
             (10, leb(functions) + (leb(len(body)) + body) * functions)]
    return b"\0asm\1\0\0\0" + b"".join(bytes([kind]) + leb(len(content)) + content for kind, content in parts)


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# ---- Requests and results --------------------------------------------------------------------------------------------


def test_a_larger_request_is_refused(serve, hello):
    with serve("--max-request-mb", 2).client() as client:
        assert client.execute(padded(hello, MIB))[2].outcome == "exited"
        code, _ = refused(lambda: client.execute(padded(hello, 2 * MIB)))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_inputs_are_refused(serve, hello):
    with serve("--max-inputs", 2).client() as client:
        inputs = {f"name{i}": b"1" for i in range(3)}
        code, sentence = refused(lambda: client.execute(hello, inputs=inputs))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limits.max_inputs" in sentence
        inputs.popitem()
        assert client.execute(hello, inputs=inputs)[2].outcome == "exited"


def test_larger_inputs_are_refused(serve, hello):
    with serve("--max-inputs-mb", 1).client() as client:
        half = json.dumps("x" * (MIB // 2 - 2)).encode()
        assert client.execute(hello, inputs={"a": half, "b": half})[2].outcome == "exited"
        code, sentence = refused(lambda: client.execute(hello, inputs={"a": half, "b": half, "c": b"1"}))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limits.max_inputs_mb" in sentence


def test_a_larger_sealed_result_ends_the_run(serve, guest):
    with serve("--sealed-result-mb", 1).client() as client:
        answer = client.execute_v1(guest("floods_stdout").read_bytes())
        assert answer.is_error
        assert "limits.sealed_result_mb" in answer.semantic_evidence
        assert not client.execute_v1(guest("says_hello").read_bytes()).is_error


# ---- Connections -----------------------------------------------------------------------------------------------------


def connect(node, source="127.0.0.1"):
    """A connection that has said the preface and an empty SETTINGS frame."""
    host, port = node.address.rsplit(":", 1)
    peer = socket.create_connection((host, int(port)), timeout=60, source_address=(source, 0))
    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    return peer


def is_served(peer):
    try:
        return peer.recv(1) != b""
    except ConnectionError:
        return False


def test_more_connections_from_one_address_are_closed(serve):
    node = serve("--max-connections-per-address", 2)
    peers = [connect(node) for _ in range(2)]
    assert all(is_served(peer) for peer in peers)
    with connect(node) as third:
        assert not is_served(third)
    with connect(node, "127.0.0.2") as other:
        assert is_served(other)
    for peer in peers:
        peer.close()


def test_the_oldest_idle_connection_makes_room(serve):
    node = serve("--max-connections", 2)
    peers = [connect(node) for _ in range(2)]
    assert all(is_served(peer) for peer in peers)
    with connect(node) as third:
        assert is_served(third)
        gone = [peer for peer in peers if ends(peer)]
        assert len(gone) == 1
    for peer in peers:
        peer.close()


def ends(peer):
    """Whether the other side closes while a second goes by at most."""
    peer.settimeout(1)
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


# ---- Compilation -----------------------------------------------------------------------------------------------------


def test_a_long_compilation_is_ended(serve, hello):
    node = serve("--compile-wall-seconds", 1)
    with node.client() as client:
        _, sentence = refused(lambda: client.execute(additions(3000, 1000)))
        assert "compil" in sentence
        assert client.execute(hello)[2].outcome == "exited"


def test_a_large_compilation_is_ended(serve, hello):
    node = serve("--compile-memory-mb", 64, "--compile-wall-seconds", 600)
    with node.client() as client:
        _, sentence = refused(lambda: client.execute(additions(1, 250000)))
        assert "64 MiB of memory" in sentence
        assert client.execute(hello)[2].outcome == "exited"


def test_machine_code_is_kept_in_the_cache_directory(serve, hello, tmp_path):
    with serve("--cache", tmp_path / "here").client() as client:
        client.execute(hello)
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert not (tmp_path / "cache").exists()


# ---- Records ---------------------------------------------------------------------------------------------------------


def test_as_many_workers_as_asked_for(serve):
    assert len(serve("--workers", 3).children()["node-worker"]) == 3


def test_everything_is_in_the_state_directory(serve, tmp_path):
    serve()
    assert {"identity", "audit.db", "runs.db"} <= {path.name for path in (tmp_path / "state").iterdir()}


def test_ended_runs_of_no_days_are_forgotten(serve, hello):
    def runs(client):
        return client.unary("/berth.v1.Node/ListRuns", protocol.ListRunsRequest(), protocol.ListRunsResponse).runs

    first = serve()
    with first.client() as client:
        client.execute(hello)
        assert len(runs(client)) == 1
    assert first.stop() == 0
    with serve("--keep-days", 0).client() as client: # looks for them when it starts
        wait_until(lambda: not runs(client), "the run is forgotten")


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_full_sync_waits_for_the_disk(berth, tmp_path, hello, sync):
    """Counted where the kernel is asked: a commit of the log is followed by a sync, or not."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    node = Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs", "--audit-sync", sync)
    node.arguments = ["strace", "-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace), *node.arguments]
    with node, node.client() as client:
        try:
            before = len(syncs(trace))
            for _ in range(5):
                client.execute(hello)
            during = len(syncs(trace)) - before
        finally: # the node, not the tracer
            subprocess.run(["kill", str(node.ready["pid"])], check=True)
            node.process.wait(60)
    assert during >= 5 if sync == "full" else during == 0


def syncs(trace):
    return re.findall(r"sync\(\d+<[^>]*/audit\.db-wal>", trace.read_text())
