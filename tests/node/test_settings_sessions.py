# SPDX-License-Identifier: Apache-2.0
"""Settings of sessions and access, each enforced by a real node."""

import hashlib
import json
import os
import signal
import time

import grpc
import pytest

from liop_client import Client
from serving import Node, wait_until

PRINCIPALS = "".join(f"""
[[principal]]
name = "{name}"
capabilities = ["bare"]
token_sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"
""" for name in ("ana", "bob"))
CONFIG = '[[capability]]\nname = "bare"\n' + PRINCIPALS


@pytest.fixture
def serve(berth, tmp_path):
    """serve("sessions.max = 1") gives a node with the principals ana and bob, whose tokens are their names."""
    nodes = []

    def start(scalars="", config=CONFIG):
        nodes.append(Node(berth, tmp_path, config=f"{scalars}\n{config}").start())
        return nodes[-1]

    yield start
    for node in nodes:
        node.end()


def refused(call):
    """Status and message of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def code(call):
    return refused(call)[0]


def test_a_session_dies_after_its_seconds(serve, guest):
    module = guest("says_hello").read_bytes()
    with Client(serve("sessions.seconds = 1").address, token="ana") as client:
        opened = time.monotonic()
        session = client.negotiate()
        assert session.answer.expires_ms == 1000
        wait_until(lambda: time.monotonic() > opened + 1.2, "a second")
        late = client.request_v1(session, module)
        assert code(lambda: list(client.execute_logic(late))) == grpc.StatusCode.UNAUTHENTICATED
        assert not client.execute_v1(module).is_error


def test_one_session_more_than_the_maximum_is_refused(serve, guest):
    node = serve("sessions.max = 2")
    with Client(node.address, token="ana") as ana, Client(node.address, token="bob") as bob:
        first, _ = ana.negotiate(), ana.negotiate()
        assert code(bob.negotiate) == grpc.StatusCode.RESOURCE_EXHAUSTED
        list(ana.execute_logic(ana.request_v1(first, guest("says_hello").read_bytes())))
        bob.negotiate()


def test_one_session_more_of_a_principal_is_refused(serve):
    node = serve("sessions.max_per_principal = 1")
    with Client(node.address, token="ana") as ana, Client(node.address, token="bob") as bob:
        ana.negotiate()
        assert code(ana.negotiate) == grpc.StatusCode.RESOURCE_EXHAUSTED
        bob.negotiate()


def test_rates_hold_over_the_wire(serve):
    with Client(serve("limits.handshakes_per_minute = 2").address, token="ana") as client:
        client.negotiate()
        client.negotiate()
        status, sentence = refused(client.negotiate)
        assert status == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "2 a minute" in sentence


def test_guessing_from_one_address_is_slowed_down(serve):
    node = serve("limits.failures_per_address = 3")
    with Client(node.address, token="ana") as known:
        known.negotiate()
        for attempt in range(3):
            with Client(node.address, token=f"guess{attempt}") as guesser:
                assert code(guesser.negotiate) == grpc.StatusCode.UNAUTHENTICATED
        with Client(node.address, token="bob") as right_guess:
            assert code(right_guess.negotiate) == grpc.StatusCode.RESOURCE_EXHAUSTED
        known.negotiate()


def test_what_is_not_granted_and_what_does_not_exist_look_the_same(serve):
    node = serve(config=CONFIG + '[[capability]]\nname = "secret"\n')
    with Client(node.address, token="ana") as client:
        hidden, absent = refused(lambda: client.negotiate("secret")), refused(lambda: client.negotiate("../secret"))
        assert hidden == absent
        assert hidden[0] == grpc.StatusCode.PERMISSION_DENIED


def test_a_token_for_one_session(serve):
    ticket = hashlib.sha256(b"ticket").hexdigest()
    once = f'[[principal]]\nname = "guest"\ncapabilities = ["bare"]\nonce = true\ntoken_sha256 = "{ticket}"\n'
    with Client(serve(config=CONFIG + once).address, token="ticket") as client:
        client.negotiate()
        assert code(client.negotiate) == grpc.StatusCode.UNAUTHENTICATED


def test_a_reload_revokes_and_admits(serve, tmp_path):
    revoked = tmp_path / "revoked.json"
    revoked.write_text("[]")
    node = serve(f'jwt.revoked = "{revoked}"')
    with Client(node.address, token="ana") as ana, Client(node.address, token="bob") as bob:
        ana.negotiate()
        revoked.write_text(json.dumps([hashlib.sha256(b"ana").hexdigest()]))
        os.kill(node.pid, signal.SIGHUP)

        def is_out():
            try:
                ana.negotiate()
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.UNAUTHENTICATED
            return False

        wait_until(is_out, "the token is revoked")
        bob.negotiate()


def test_tokens_are_nowhere_in_what_a_node_writes(serve, tmp_path, guest):
    secret = "canary-f3b1c9d2e4"
    config = CONFIG.replace(hashlib.sha256(b"ana").hexdigest(), hashlib.sha256(secret.encode()).hexdigest())
    node = serve(config=config)
    with Client(node.address, token=secret) as client:
        client.execute_v1(guest("says_hello").read_bytes())
    with Client(node.address, token=secret + "x") as client:
        assert code(client.negotiate) == grpc.StatusCode.UNAUTHENTICATED
    node.stop()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
