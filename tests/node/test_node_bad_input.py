# SPDX-License-Identifier: Apache-2.0
"""What a node makes of requests that are wrong: which status, which words, and what the audit log says of each."""

import json
import os
import subprocess
import time

import grpc
import pytest

from liop_client import Sealed, liop
from serving import Node, wait_until

UNAUTHENTICATED, INVALID_ARGUMENT = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    with Node(berth, directory, "--mount", f"{directory}::/logs", "--session-seconds", 2, "--max-request-mb", 2) as node:
        yield node


@pytest.fixture
def client(serving):
    with serving.client() as client:
        yield client


@pytest.fixture(scope="module")
def hello(guest):
    return guest("says_hello").read_bytes()


@pytest.fixture
def audited(berth, serving):
    """audited(event) gives the details of the entries that were added since the test began."""

    def entries():
        done = subprocess.run([berth, "audit", "export", "--state", serving.state], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    before = len(entries())

    def new(event, says):
        return wait_until(lambda: [entry for entry in entries()[before:] if entry["event"] == event and says in json.dumps(entry)],
                          f"{event} with '{says}' in the audit log")

    yield new
    done = subprocess.run([berth, "audit", "verify", "--state", serving.state], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        list(call())
    return caught.value.code(), caught.value.details()


# ---- Sessions


def test_a_session_that_is_too_old(client, hello, audited):
    session = client.negotiate(sealed=True)
    opened = time.monotonic()
    wait_until(lambda: time.monotonic() > opened + 2.2, "its two seconds are over")
    code, says = refused(lambda: client.run(session, client.request(session, hello)))
    assert code == UNAUTHENTICATED and "expired" in says
    assert audited("session_refused", "unknown session")


def test_a_request_that_is_sent_twice(client, hello, audited):
    session = client.negotiate(sealed=True)
    request = client.request(session, hello)
    assert list(client.run(session, request))[-1].end.outcome == "exited"
    assert refused(lambda: client.run(session, request))[0] == UNAUTHENTICATED
    assert audited("session_refused", "unknown session")


def test_a_request_under_the_session_of_another_one(client, hello, audited):
    first, second = client.negotiate(sealed=True), client.negotiate(sealed=True)
    request = client.request(first, hello)
    request.session_token = second.token
    assert refused(lambda: client.run(second, request))[0] == UNAUTHENTICATED
    assert audited("run_refused", "seal")


def test_a_wrong_token(serving, audited):
    with serving.client(token="wrong") as client:
        assert refused(lambda: [client.negotiate()])[0] == UNAUTHENTICATED
    assert audited("session_refused", "127.0.0.1")


def test_a_capability_that_nobody_has(client, audited):
    assert refused(lambda: [client.negotiate("nothing")])[0] == grpc.StatusCode.PERMISSION_DENIED
    assert audited("session_refused", "capability")


# ---- Requests


@pytest.mark.parametrize("spoil, code", [
    (lambda request: setattr(request, "sealed_request", request.sealed_request[:-1]), UNAUTHENTICATED),
    (lambda request: setattr(request, "sealed_request", b"\0" + request.sealed_request), UNAUTHENTICATED),
    (lambda request: setattr(request, "sealed_request", b"x"), UNAUTHENTICATED),
    (lambda request: setattr(request, "pqc_ciphertext", bytes(1088)), UNAUTHENTICATED),
    (lambda request: setattr(request, "pqc_ciphertext", b"short"), INVALID_ARGUMENT),
    (lambda request: setattr(request, "wasm_binary", b"beside"), INVALID_ARGUMENT),
], ids=["cut", "shifted", "too short", "another key", "no ciphertext", "two requests"])
def test_a_sealed_request_that_was_changed(client, hello, audited, spoil, code):
    session = client.negotiate(sealed=True)
    request = client.request(session, hello)
    spoil(request)
    assert refused(lambda: client.run(session, request))[0] == code
    assert audited("run_refused", code.name)


def test_a_seal_around_nonsense(client, audited):
    session = client.negotiate(sealed=True)
    sealed = Sealed(session.secret, session.token, "", 0).close(b"\xff" * 64)
    request = liop.LogicRequest(session_token=session.token, pqc_ciphertext=session.ciphertext, sealed_request=sealed)
    assert refused(lambda: client.run(session, request))[0] == INVALID_ARGUMENT
    assert audited("run_refused", "RunRequest")


def test_an_older_request_with_a_nonce_that_is_none(client, hello, audited):
    session = client.negotiate()
    request = client.request_v1(session, hello)
    request.aes_nonce = b""
    assert refused(lambda: client.execute_logic(request))[0] == INVALID_ARGUMENT
    assert audited("run_refused", "aes_nonce")


def test_an_older_request_whose_input_was_changed(client, hello, audited):
    session = client.negotiate()
    request = client.request_v1(session, hello, {"k": 1})
    request.inputs["k"] = request.inputs["k"][:-1] + bytes([request.inputs["k"][-1] ^ 1])
    assert refused(lambda: client.execute_logic(request))[0] == UNAUTHENTICATED
    assert audited("run_refused", "input")


def test_a_request_that_is_too_large(client, hello):
    session = client.negotiate(sealed=True)
    request = client.request(session, hello + b"\0" + b"\x81\x80\xc0\x01" + b"\x01x" + bytes(3 << 20))
    assert refused(lambda: client.run(session, request))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.execute(hello)[2].outcome == "exited"


def test_a_hash_that_nobody_sent(client, audited):
    module = b"\0asm" + os.urandom(8)
    assert refused(lambda: [client.execute(module, send_module=False)])[0] == grpc.StatusCode.NOT_FOUND
    assert audited("run_refused", "unknown module")


def test_a_module_that_is_refused(client, audited):
    module = b"\0asm\1\0\0\0\1\xff"
    code, says = refused(lambda: [client.execute(module)])
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "refused" in says
    assert audited("module_refused", "refused")


def test_a_contract_that_asks_for_nonsense(client, hello, audited):
    code, _ = refused(lambda: [client.execute(hello, contract='{"limits": {"memroy_mb": 1}}')])
    assert code == INVALID_ARGUMENT
    assert audited("run_refused", "memory_mb")


# ---- The cache


def test_runs_go_on_when_the_cache_takes_nothing(berth, tmp_path, hello):
    """Machine code that cannot be kept is made again."""
    cache = tmp_path / "cache" / "berth" / "modules"
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs", "--workers", 1) as node, node.client() as client:
        wait_until(cache.is_dir, "the cache directory")
        # A file where the directory was is full and unwritable for everyone, root included.
        cache.rename(tmp_path / "moved")
        for moved in (tmp_path / "moved").iterdir():
            moved.unlink()
        (tmp_path / "moved").rmdir()
        cache.write_bytes(b"")
        for number in range(2):
            custom = b"\0\x03\x01x" + bytes([number])
            assert client.execute(hello + custom)[2].outcome == "exited"
        assert client.execute(hello)[2].outcome == "exited"
