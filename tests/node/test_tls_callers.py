# SPDX-License-Identifier: Apache-2.0
"""TLS on the wire and certificates as credentials: with berth send and with gRPC's own TLS, which is not ours."""

import os
import signal
import socket
import ssl
import subprocess

import grpc
import pytest

from credentials import Authority
from liop_client import LARGE, Client
from serving import PATIENCE_S, Node, wait_until

CONFIG = """
[[listener]]
address = "127.0.0.1:0"
certificate = "node.pem"
key = "node.key"
{listener}

[[capability]]
name = "bare"

[[principal]]
name = "alice"
token_sha256 = ["2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"]
capabilities = ["bare"]

{principals}
"""  # the token is "alice"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.node = made.issue("node")
    made.client = made.issue("client")
    made.stranger = made.issue("stranger")
    made.other = Authority(made.directory, "other")
    made.foreign = made.other.issue("foreign")
    return made


@pytest.fixture
def serve(berth, tmp_path, authority):
    started = []

    def start(listener="", principals="", served=authority.node):
        (tmp_path / "node.pem").write_bytes(served.chain)
        (tmp_path / "node.key").write_bytes(served.key.read_bytes())
        started.append(Node(berth, tmp_path, config=CONFIG.format(listener=listener, principals=principals)))
        return started[-1].start()

    yield start
    for node in started:
        node.end()


def with_certificate(authority, required, name="client"):
    return {"listener": f'client_ca = "{authority.certificate}"\nclient_required = {required}',
            "principals": f'[[principal]]\nname = "machine"\ncapabilities = ["bare"]\n'
                          f'certificate_sha256 = "{getattr(authority, name).sha256}"\n'}


def secure(address, authority, client=None, token=None):
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(), *([client.key.read_bytes(), client.chain] if client else []))
    return Client(address, token, channel=grpc.secure_channel(address, credentials, options=LARGE))


def status_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


class Sent:
    def __init__(self, berth, node, directory, module, *words, token="alice"):
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **({"BERTH_TOKEN": token} if token else {})}
        done = subprocess.run([berth, "send", "--to", node.address, *map(str, words), module, "7"], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        self.status, self.err = done.returncode, done.stderr.decode()


@pytest.fixture
def send(berth, tmp_path, guest):
    return lambda node, *words, **options: Sent(berth, node, tmp_path, guest("exits_with"), *words, **options)


# ---- The node's certificate ------------------------------------------------------------------------------------------


def test_grpcs_own_tls_is_served(serve, authority, guest):
    with secure(serve().address, authority, token="alice") as client:
        assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
        assert not client.execute_v1(guest("exits_with").read_bytes(), {"argv": ["0"]}).is_error


def test_send_trusts_the_authorities_it_is_given(serve, authority, send):
    assert send(serve(), "--tls-ca", authority.certificate).status == 7


def test_send_does_not_trust_other_authorities(serve, authority, send):
    node = serve()
    sent = send(node, "--tls-ca", authority.other.certificate)
    assert sent.status == 125 and "certificate" in sent.err
    assert send(node, "--tls").status == 125
    assert send(node).status == 125, "without TLS"


def test_a_certificate_for_another_name_is_refused(serve, authority, send):
    sent = send(serve(served=authority.issue("elsewhere", names="DNS:node.example")), "--tls-ca", authority.certificate)
    assert sent.status == 125 and "certificate" in sent.err


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_tls_1_3_is_spoken(serve, authority, maximum):
    host, port = serve().address.split(":")
    context = ssl.create_default_context(cafile=authority.certificate)
    context.maximum_version = maximum
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        if maximum == ssl.TLSVersion.TLSv1_2:
            with pytest.raises(OSError):
                context.wrap_socket(connection, server_hostname=host)
        else:
            with context.wrap_socket(connection, server_hostname=host) as wrapped:
                assert (wrapped.version(), wrapped.selected_alpn_protocol()) == ("TLSv1.3", "h2")


def served_certificate(node, authority):
    host, port = node.address.split(":")
    context = ssl.create_default_context(cafile=authority.certificate)
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        with context.wrap_socket(connection, server_hostname=host) as wrapped:
            return wrapped.getpeercert()["subject"][0][0][1]


def test_a_reload_takes_the_new_certificate_and_callers_stay(serve, authority, tmp_path, guest):
    node = serve()
    with secure(node.address, authority, token="alice") as client:
        assert served_certificate(node, authority) == "node"
        renewed = authority.issue("renewed")
        (tmp_path / "node.pem").write_bytes(renewed.chain)
        (tmp_path / "node.key").write_bytes(renewed.key.read_bytes())
        assert served_certificate(node, authority) == "node", "not before it is asked to"
        os.kill(node.pid, signal.SIGHUP)
        wait_until(lambda: served_certificate(node, authority) == "renewed", "the new certificate")
        assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7


def test_a_reload_with_a_broken_certificate_changes_nothing(serve, authority, tmp_path):
    node = serve()
    (tmp_path / "node.pem").write_text("no certificate")
    os.kill(node.pid, signal.SIGHUP)
    wait_until(lambda: "reload_refused" in node.log(), "refused")
    assert served_certificate(node, authority) == "node"


def test_a_reload_gives_each_listener_its_own_certificate(berth, tmp_path, authority):
    """The second asks for client certificates and the first does not; that stays so."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    listeners = ""
    for name, port in zip(("one", "two"), ports):
        served = authority.issue(name)
        (tmp_path / f"{name}.pem").write_bytes(served.chain)
        (tmp_path / f"{name}.key").write_bytes(served.key.read_bytes())
        listeners += f'[[listener]]\naddress = "127.0.0.1:{port}"\ncertificate = "{name}.pem"\nkey = "{name}.key"\n'
    listeners += f'client_ca = "{authority.certificate}"\nclient_required = true\n'
    with Node(berth, tmp_path, config=listeners) as node:
        os.kill(node.pid, signal.SIGHUP)
        wait_until(lambda: '"reloaded"' in node.log(), "reloaded")
        assert served_certificate(node, authority) == "one"
        two = f"127.0.0.1:{ports[1]}"
        with secure(two, authority, token=node.token) as client:
            assert status_of(client.negotiate) == grpc.StatusCode.UNAVAILABLE
        with secure(two, authority, client=authority.client, token=node.token) as client:
            assert client.negotiate().token


def test_tls_does_not_go_away_with_a_reload(serve, authority, tmp_path):
    node = serve()
    config = (tmp_path / "berth.toml").read_text()
    (tmp_path / "berth.toml").write_text(config.replace('certificate = "node.pem"\nkey = "node.key"\n', ""))
    os.kill(node.pid, signal.SIGHUP)
    wait_until(lambda: "reload_refused" in node.log(), "refused")
    assert served_certificate(node, authority) == "node"


# ---- Client certificates ---------------------------------------------------------------------------------------------


def test_a_client_certificate_is_a_credential(serve, authority, guest, send):
    node = serve(**with_certificate(authority, "false"))
    with secure(node.address, authority, client=authority.client) as client:
        assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
    mine = ["--tls-ca", authority.certificate, "--certificate", authority.client.certificate, "--key", authority.client.key]
    assert send(node, *mine, token=None).status == 7


def test_a_verified_certificate_of_nobody_is_no_credential(serve, authority):
    node = serve(**with_certificate(authority, "false"))
    with secure(node.address, authority, client=authority.stranger) as client:
        assert status_of(client.negotiate) == grpc.StatusCode.UNAUTHENTICATED
    with secure(node.address, authority, client=authority.stranger, token="alice") as client:
        assert client.negotiate().token, "it is for the connection, the token for the caller"
    with secure(node.address, authority, client=authority.client, token="alice") as client:
        assert status_of(client.negotiate) == grpc.StatusCode.UNAUTHENTICATED, "two principals at once"


def test_a_session_belongs_to_the_certificate_that_opened_it(serve, authority, guest):
    node = serve(**with_certificate(authority, "false"))
    with secure(node.address, authority, client=authority.client) as opener, \
            secure(node.address, authority, token="alice") as thief:
        session = opener.negotiate(sealed=True)
        request = opener.request(session, guest("exits_with").read_bytes(), ["7"])
        assert status_of(lambda: list(thief.execute_logic(request))) == grpc.StatusCode.UNAUTHENTICATED


def test_without_a_certificate_of_the_authorities_nobody_gets_in(serve, authority, send):
    node = serve(**with_certificate(authority, "true"))
    with secure(node.address, authority, token="alice") as client:
        assert status_of(client.negotiate) == grpc.StatusCode.UNAVAILABLE, "no certificate"
    with secure(node.address, authority, client=authority.foreign) as client:
        assert status_of(client.negotiate) == grpc.StatusCode.UNAVAILABLE, "of another authority"
    with secure(node.address, authority, client=authority.client) as client:
        assert client.negotiate().token
    assert send(node, "--tls-ca", authority.certificate).status == 125


# ---- Without TLS -----------------------------------------------------------------------------------------------------


def check(berth, directory, *words):
    return subprocess.run([berth, "serve", "--check", *words], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE_S, env={"PATH": os.environ["PATH"], "HOME": str(directory)})


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_other_machines_are_served_without_tls_only_if_somebody_insists(berth, tmp_path, address):
    refused = check(berth, tmp_path, "--listen", address)
    assert refused.returncode == 64 and "no certificate" in refused.stderr
    (tmp_path / "berth.toml").write_text(f'[[listener]]\naddress = "{address}"\nplain_anywhere = true\n')
    assert check(berth, tmp_path, "--config", "berth.toml").returncode == 0


def test_a_node_that_insists_is_served_plainly(berth, tmp_path, guest):
    with Node(berth, tmp_path, config='[[listener]]\naddress = "0.0.0.0:0"\nplain_anywhere = true\n') as node:
        address = f"127.0.0.1:{node.address.rsplit(':', 1)[1]}"
        with Client(address, node.token) as client:
            assert client.execute(guest("exits_with").read_bytes(), ["7"])[2].exit_code == 7
