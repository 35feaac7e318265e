# SPDX-License-Identifier: Apache-2.0
"""Callers with an Ed25519 key of their own, who sign a nonce of the node; and nodes that are open to everybody."""

import os
import subprocess
import threading

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from liop_client import Client, identity_proof, liop, new_identity
from serving import PATIENCE_S, Node

CONFIG = """
[[capability]]
name = "bare"

[[capability]]
name = "other"

[[principal]]
name = "ana"
capabilities = ["bare", "other"]
ed25519 = "{key}"
"""

OPEN = """
[[capability]]
name = "bare"

[[capability]]
name = "secret"

[[principal]]
name = "visitor"
anyone = true
capabilities = ["bare"]

[[principal]]
name = "alice"
token_sha256 = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"
capabilities = ["bare", "secret"]
"""  # the token is "alice"


@pytest.fixture(scope="module")
def key():
    return new_identity()


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory, key):
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    with Node(berth, tmp_path_factory.mktemp("node"), config=CONFIG.format(key=public)) as node:
        yield node


@pytest.fixture
def client(serving):
    with Client(serving.address) as client:
        yield client


def status_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


# ---- With a key ------------------------------------------------------------------------------------------------------


def test_who_signs_the_nonce_gets_in(client, key, guest):
    proof = identity_proof(key, client.describe(), "bare")
    session = client.negotiate("bare", sealed=True, identity=proof)
    messages = list(client.run(session, client.request(session, guest("exits_with").read_bytes(), ["7"])))
    assert messages[-1].end.exit_code == 7


def test_a_nonce_is_good_once(client, key):
    proof = identity_proof(key, client.describe(), "bare")
    assert client.negotiate("bare", identity=proof).token
    assert status_of(lambda: client.negotiate("bare", identity=proof)) == grpc.StatusCode.UNAUTHENTICATED


def test_a_nonce_is_used_up_by_a_wrong_proof(client, key):
    description = client.describe()
    wrong = identity_proof(new_identity(), description, "bare")
    assert status_of(lambda: client.negotiate("bare", identity=wrong)) == grpc.StatusCode.UNAUTHENTICATED
    right = identity_proof(key, description, "bare")
    assert status_of(lambda: client.negotiate("bare", identity=right)) == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("spoil", ["other key", "other capability", "no capability", "own nonce", "other node", "signature",
                                   "key of another"])
def test_a_proof_that_does_not_hold(client, key, spoil):
    description = client.describe()
    if spoil == "own nonce":
        description.nonce = os.urandom(32)
    if spoil == "other node":
        description.ed25519_public_key = os.urandom(32)
    signed_for = {"other capability": "other", "no capability": ""}.get(spoil, "bare")
    proof = identity_proof(new_identity() if spoil == "other key" else key, description, signed_for)
    if spoil == "signature":
        proof.signature = proof.signature[:-1] + bytes([proof.signature[-1] ^ 1])
    if spoil == "key of another":
        proof.signature = identity_proof(new_identity(), description, "bare").signature
    assert status_of(lambda: client.negotiate("bare", identity=proof)) == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("field, size", [("public_key", 0), ("public_key", 33), ("nonce", 31), ("signature", 63),
                                         ("signature", 65), ("nonce", 1000)])
def test_a_proof_of_a_wrong_shape(client, key, field, size):
    proof = identity_proof(key, client.describe(), "bare")
    setattr(proof, field, b"x" * size)
    assert status_of(lambda: client.negotiate("bare", identity=proof)) == grpc.StatusCode.INVALID_ARGUMENT


def test_the_name_a_caller_gives_itself_proves_nothing(client):
    request = liop.IntentRequest(agent_did="ana", capability_hash="bare", proof_of_intent=b"x" * 64)
    call = lambda: client.unary("/liop.v1.LogicMesh/NegotiateIntent", request, liop.IntentResponse)
    assert status_of(call) == grpc.StatusCode.UNAUTHENTICATED


def test_a_run_needs_the_session_that_was_proved(client, key, guest):
    proof = identity_proof(key, client.describe(), "bare")
    session = client.negotiate("bare", sealed=True, identity=proof)
    request = client.request(session, guest("exits_with").read_bytes(), ["7"])
    assert status_of(lambda: list(client.execute_logic(request))) == grpc.StatusCode.UNAUTHENTICATED
    other = [("berth-session", "0" * 32)]
    assert status_of(lambda: list(client.execute_logic(request, more=other))) == grpc.StatusCode.UNAUTHENTICATED


def test_a_wrong_token_is_refused_before_the_body(client):
    """Or anyone could fill the memory that requests share."""
    never = threading.Event()
    call = client.channel.stream_stream("/liop.v1.LogicMesh/ExecuteLogic")
    answers = call(iter(never.wait, True), metadata=[("authorization", "Bearer wrong")], timeout=PATIENCE_S)
    try:
        assert status_of(lambda: list(answers)) == grpc.StatusCode.UNAUTHENTICATED
    finally:
        never.set()


# ---- berth send --identity -------------------------------------------------------------------------------------------


def send(berth, node, home, *words):
    return subprocess.run([berth, "send", "-q", "--to", node.address, *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE_S, env={"PATH": os.environ["PATH"], "HOME": str(home)})


@pytest.mark.parametrize("form", ["32 bytes", "hex", "hex and a line end"])
def test_send_signs_with_the_identity_of_a_file(berth, serving, key, tmp_path, guest, form):
    secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    text = {"32 bytes": secret, "hex": secret.hex().encode(), "hex and a line end": secret.hex().encode() + b"\n"}[form]
    (tmp_path / "identity").write_bytes(text)
    for capability in ("bare", "other"):
        done = send(berth, serving, tmp_path, "--identity", tmp_path / "identity", "--capability", capability,
                    guest("exits_with"), "7")
        assert done.returncode == 7, done.stderr


def test_send_with_the_identity_of_nobody_is_denied(berth, serving, tmp_path, guest):
    (tmp_path / "identity").write_bytes(os.urandom(32))
    assert send(berth, serving, tmp_path, "--identity", tmp_path / "identity", guest("exits_with"), "7").returncode == 126
    assert send(berth, serving, tmp_path, guest("exits_with"), "7").returncode == 126


# ---- Without credentials ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_node(berth, tmp_path_factory):
    with Node(berth, tmp_path_factory.mktemp("open"), config=OPEN) as node:
        yield node


def test_callers_without_credentials_are_the_principal_for_anyone(open_node, guest):
    with Client(open_node.address) as client:
        assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
        assert client.execute(guest("exits_with").read_bytes(), ["7"], "bare")[2].exit_code == 7
        assert status_of(lambda: client.negotiate("secret")) == grpc.StatusCode.PERMISSION_DENIED


def test_a_wrong_credential_is_not_made_good_by_an_open_door(open_node, key):
    with Client(open_node.address, "wrong") as client:
        assert status_of(client.negotiate) == grpc.StatusCode.UNAUTHENTICATED
    with Client(open_node.address) as client:
        proof = identity_proof(key, client.describe(), "bare")
        assert status_of(lambda: client.negotiate("bare", identity=proof)) == grpc.StatusCode.UNAUTHENTICATED


def test_who_is_known_is_more_than_anyone(open_node):
    with Client(open_node.address, "alice") as client:
        assert client.negotiate("secret").token
