# SPDX-License-Identifier: Apache-2.0
"""Callers with a JWT of an identity provider: which tokens are good, and where a node gets the keys from."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from credentials import AUDIENCE, SCOPE, Authority, SigningKey, key_set
from liop_client import Client
from liop_client import node as PROTOCOL
from serving import Node, wait_until

CONFIG = """
[jwt]
keys = "{keys}"
issuer = "https://id.example"
{jwt}

[[capability]]
name = "bare"

[[principal]]
name = "build"
capabilities = ["bare"]
jwt_subject = "build"

[[principal]]
name = "agents"
capabilities = ["bare"]
jwt_subject = "*"
concurrency = 1
"""

ISSUED = {"iss": "https://id.example"}


@pytest.fixture(scope="module")
def keys():
    return [SigningKey("EdDSA", "ed"), SigningKey("ES256", "es")]


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory, keys):
    directory = tmp_path_factory.mktemp("node")
    (directory / "jwks.json").write_text(key_set(*keys))
    with Node(berth, directory, config=CONFIG.format(keys="jwks.json", jwt="")) as node:
        yield node


def answer(node, token):
    """OK, or the status and what is said."""
    with Client(node.address, token) as client:
        try:
            client.negotiate()
            return "OK", ""
        except grpc.RpcError as refused:
            return refused.code().name, refused.details()


# ---- Tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["EdDSA", "ES256"])
def test_a_program_runs_for_a_good_token(serving, keys, which, guest):
    with Client(serving.address, keys[which].token(**ISSUED)) as client:
        assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
        runs = client.unary("/berth.v1.Node/ListRuns", PROTOCOL.ListRunsRequest(), PROTOCOL.ListRunsResponse).runs
        assert {run.principal for run in runs} == {"build"}


def test_each_subject_of_a_star_has_its_own_name_and_budget(serving, keys, guest):
    loop = guest("loops_forever").read_bytes()
    with Client(serving.address, keys[0].token(**{**ISSUED, "sub": "one"})) as one, \
            Client(serving.address, keys[0].token(**{**ISSUED, "sub": "two"})) as two:
        session = one.negotiate(sealed=True)
        running = one.run(session, one.request(session, loop))
        next(running)
        with pytest.raises(grpc.RpcError) as refused:
            one.execute(loop)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert two.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
        runs = one.unary("/berth.v1.Node/ListRuns", PROTOCOL.ListRunsRequest(running=True), PROTOCOL.ListRunsResponse).runs
        assert [run.principal for run in runs] == ["agents/one"]


@pytest.mark.parametrize("claims, says", [
    ({"aud": "urn:other"}, "audience"),
    ({"aud": None}, "audience"),
    ({"aud": ["urn:other", "urn:third"]}, "audience"),
    ({"exp": 1000}, "expired"),
    ({"exp": None}, ""),
    ({"nbf": 99999999999}, "not yet valid"),
    ({"iss": "https://else.example"}, "issuer"),
    ({"iss": None}, "issuer"),
    ({"sub": None}, ""),
    ({"sub": ""}, ""),
])
def test_a_token_for_something_else_or_another_time(serving, keys, claims, says):
    status, details = answer(serving, keys[1].token(**{**ISSUED, **claims}))
    assert status == "UNAUTHENTICATED" and says in details


@pytest.mark.parametrize("scope", [None, "", "liop:tools", "liop:tools:call2", "other"])
def test_a_token_without_the_scope(serving, keys, scope):
    assert answer(serving, keys[0].token(**ISSUED, scope=scope))[0] == "PERMISSION_DENIED"


@pytest.mark.parametrize("claims", [{"aud": ["x", AUDIENCE]}, {"scope": f"a {SCOPE} b"}, {"nbf": 1, "iat": 1}])
def test_forms_that_are_as_good(serving, keys, claims):
    assert answer(serving, keys[1].token(**{**ISSUED, **claims})) == ("OK", "")


def forged(kind, keys):
    ed, es = keys
    good = ed.token(**ISSUED)
    head, body, signature = good.split(".")
    return {
        "none": ed.token(header={"alg": "none"}, **ISSUED),
        "none with a signature": es.token(header={"alg": "None"}, **ISSUED),
        "symmetric": ed.token(header={"alg": "HS256"}, **ISSUED),
        "the key of another": SigningKey("EdDSA", "ed").token(**ISSUED),
        "algorithms confused": es.token(header={"alg": "EdDSA", "kid": "ed"}, **ISSUED),
        "no such key": SigningKey("ES256", "nobody").token(**ISSUED),
        "a key it brings itself": SigningKey("EdDSA", "mine").token(header={"jwk": SigningKey("EdDSA", "mine").jwk()}, **ISSUED),
        "critical extension": ed.token(header={"crit": ["x"], "x": 1}, **ISSUED),
        "signature cut": f"{head}.{body}.{signature[:-4]}",
        "signature empty": f"{head}.{body}.",
        "body swapped": f"{head}.{ed.token(**{**ISSUED, 'sub': 'root'}).split('.')[1]}.{signature}",
        "four parts": good + ".x",
        "padding": f"{head}=.{body}.{signature}",
        "garbage": "a.b.c",
    }[kind]


@pytest.mark.parametrize("kind", [
    "none", "none with a signature", "symmetric", "the key of another", "algorithms confused", "no such key",
    "a key it brings itself", "critical extension", "signature cut", "signature empty", "body swapped", "four parts",
    "padding", "garbage"])
def test_a_forged_token(serving, keys, kind):
    assert answer(serving, forged(kind, keys))[0] == "UNAUTHENTICATED"


# ---- Keys from a URL -------------------------------------------------------------------------------------------------


class Provider:
    """Serves a key set over TLS at .url; says what .status and .body are, and counts in .asked."""

    def __init__(self, certificate):
        self.status, self.body, self.asked = 200, "", 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked += 1
                body = provider.body.encode()
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                """Callers that do not trust us leave in the handshake."""

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.provider = made.issue("provider")
    made.other = Authority(made.directory, "other")
    return made


@pytest.fixture
def provider(authority):
    with Provider(authority.provider) as provider:
        yield provider


@pytest.fixture
def serve(berth, tmp_path, provider, authority):
    started = []

    def start(jwt="", ca=authority.certificate):
        config = CONFIG.format(keys=provider.url, jwt=(f'keys_ca = "{ca}"\n' if ca else "") + jwt)
        started.append(Node(berth, tmp_path, config=config))
        return started[-1].start()

    yield start
    for node in started:
        node.end()


def is_good(node, key):
    return answer(node, key.token(**ISSUED))[0] == "OK"


def reload(node):
    os.kill(node.pid, signal.SIGHUP)


def test_keys_come_from_a_url(serve, provider, keys):
    provider.body = key_set(*keys)
    node = serve()
    wait_until(lambda: is_good(node, keys[0]), "the keys")
    assert is_good(node, keys[1])


def test_each_new_set_is_in_the_audit_log_once(serve, provider, keys, berth):
    provider.body = key_set(keys[0])
    node = serve()
    wait_until(lambda: is_good(node, keys[0]), "the first set")
    reload(node)
    wait_until(lambda: provider.asked == 2, "the same set")
    provider.body = key_set(*keys)
    reload(node)
    wait_until(lambda: is_good(node, keys[1]), "the last set")
    assert node.stop() == 0
    listed = subprocess.run([berth, "audit", "export", "--event", "jwt_keys_loaded", node.state / "audit.db"], check=True,
                            capture_output=True, text=True).stdout.splitlines()
    assert [json.loads(line)["details"]["url"] for line in listed] == [provider.url] * 2


def test_until_the_keys_are_there_callers_are_told_to_come_back(serve, provider, keys):
    provider.status = 503
    node = serve()
    wait_until(lambda: "jwt_keys_not_fetched" in node.log(), "a failure that is told")
    assert answer(node, keys[0].token(**ISSUED))[0] == "UNAVAILABLE"
    provider.status, provider.body = 200, key_set(*keys)
    wait_until(lambda: is_good(node, keys[0]), "another try")


def test_a_reload_fetches_again(serve, provider, keys):
    provider.body = key_set(keys[0])
    node = serve()
    wait_until(lambda: is_good(node, keys[0]), "the keys")
    provider.body = key_set(keys[1])
    reload(node)
    wait_until(lambda: is_good(node, keys[1]), "the new key")
    assert not is_good(node, keys[0])


@pytest.mark.parametrize("status, body", [(500, ""), (200, "no JSON"), (200, '{"keys": []}'), (404, ""), (302, ""),
                                          (200, " " * (300 << 10))])
def test_what_cannot_be_fetched_leaves_the_old_keys(serve, provider, keys, status, body):
    provider.body = key_set(keys[0])
    node = serve()
    wait_until(lambda: is_good(node, keys[0]), "the keys")
    provider.status, provider.body = status, body
    reload(node)
    wait_until(lambda: "jwt_keys_not_fetched" in node.log(), "a failure that is told")
    assert is_good(node, keys[0])


def test_keys_are_fetched_again_after_their_time(serve, provider, keys):
    provider.body = key_set(keys[0])
    node = serve("refresh_seconds = 10")
    wait_until(lambda: is_good(node, keys[0]), "the keys")
    began = time.monotonic()
    provider.body = key_set(keys[1])
    wait_until(lambda: is_good(node, keys[1]), "the new key")
    assert provider.asked == 2 and time.monotonic() - began > 5


@pytest.mark.parametrize("trusted", ["other", None])
def test_only_authorities_of_keys_ca_are_trusted(serve, provider, authority, keys, trusted):
    provider.body = key_set(*keys)
    node = serve(ca=authority.other.certificate if trusted else None)
    wait_until(lambda: "jwt_keys_not_fetched" in node.log(), "a failure that is told")
    assert "certificate" in node.log() and provider.asked == 0
    assert answer(node, keys[0].token(**ISSUED))[0] == "UNAVAILABLE"


def test_a_provider_that_never_answers_holds_nothing_up(berth, tmp_path, provider, keys, authority):
    """Not the start, not other callers, not a reload that names another provider, not the end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = CONFIG.format(keys=provider.url, jwt=f'keys_ca = "{authority.certificate}"\n')
        hanging = config.replace(provider.url, f"https://127.0.0.1:{silent.getsockname()[1]}/keys")
        with Node(berth, tmp_path, config=hanging) as node:
            connection, _ = silent.accept()
            with connection:
                assert answer(node, keys[0].token(**ISSUED))[0] == "UNAVAILABLE"
                provider.body = key_set(*keys)
                (tmp_path / "berth.toml").write_text(config)
                reload(node)
                wait_until(lambda: is_good(node, keys[0]), "the keys of the other provider")
                (tmp_path / "berth.toml").write_text(hanging)
                reload(node)
                with silent.accept()[0]:
                    assert node.stop() == 0
