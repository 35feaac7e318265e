# SPDX-License-Identifier: Apache-2.0
"""The gRPC server of src/net with a real client (grpcio) and with peers that misbehave, served by grpc_echo."""
import hashlib
import os
import queue
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest

import http2_frames as h2

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(os.environ.get("BERTH", ROOT / "build" / "berth")).resolve().parent / "tests" / "node"
ECHO = PROGRAMS / "grpc_echo"
ROW = "/berth.test.Echo/"
PATIENCE_S = 30  # only a bound against hanging
MIB = 1 << 20


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def wish(count=0, size=0, pause_ms=0):
    return b"\x08" + varint(count) + b"\x10" + varint(size) + b"\x18" + varint(pause_ms)


class Server:
    """grpc_echo with options; what it prints can be waited for."""

    def __init__(self, **options):
        assert ECHO.exists(), f"{ECHO} is not built; meson configure -Dtests=enabled"
        arguments = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([ECHO, *arguments], stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.wait_for(r"port (\d+)")[1])

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def wait_for(self, pattern):
        while True:
            line = self.lines.get(timeout=PATIENCE_S)
            found = re.fullmatch(pattern, line)
            if found:
                return found

    def counts(self):
        """connections, calls, refused connections, protocol errors"""
        self.process.send_signal(signal.SIGUSR1)
        return tuple(map(int, self.wait_for(r"counts (\d+) (\d+) (\d+) (\d+)").groups()))

    def wait_for_counts(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            counts = self.counts()
            if condition(*counts):
                return counts
            time.sleep(0.01)
        raise AssertionError(f"counts stay {counts}")

    def resident_kib(self, peak=False):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(("VmHWM" if peak else "VmRSS") + r":\s+(\d+)", status.read())[1])

    def is_well(self):
        """A new client is served."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            return unary(channel)(b"\x0a\x01x", timeout=PATIENCE_S) == b"\x0a\x01x"

    def connect(self, **options):
        return h2.Connection(self.port, **options)


@pytest.fixture
def serve():
    started = []

    def start(**options):
        started.append(Server(**options))
        return started[-1]

    yield start
    statuses = []
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        else:
            statuses.append(server.process.returncode)
    assert not any(statuses)


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def channel(server):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as open_channel:
        yield open_channel


def unary(channel, name="Unary", kind="unary_unary"):
    return getattr(channel, kind)(ROW + name)  # bytes in, bytes out


def error_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# ---- A well-behaved client


@pytest.mark.parametrize("size", [0, 1, 5000, 70_000, 16 * MIB])
def test_a_message_comes_back(channel, size):
    payload = os.urandom(size)
    assert unary(channel)(payload, timeout=PATIENCE_S) == payload


def test_many_calls_share_a_connection(channel, server):
    calls = [unary(channel).future(b"%d" % i, timeout=PATIENCE_S) for i in range(500)]
    assert [call.result() for call in calls] == [b"%d" % i for i in range(500)]
    assert server.counts()[:2] == (1, 0)


def test_a_stream_comes_in_order_and_whole(channel):
    got = list(unary(channel, "Stream", "unary_stream")(wish(count=1000, size=10_000), timeout=PATIENCE_S))
    assert len(got) == 1000
    assert all(one[:1] == b"\x0a" and len(one) == 10_003 for one in got)


def test_an_upload_is_counted(channel):
    total = unary(channel, "Upload", "stream_unary")((b"x" * 100_000 for _ in range(100)), timeout=PATIENCE_S)
    assert total == b"\x08" + varint(10_000_000)


def test_status_and_message_arrive(channel):
    with pytest.raises(grpc.RpcError) as caught:
        unary(channel, "Fail")(b"", metadata=[("fail-with", "100% of \"it\"\\")], timeout=PATIENCE_S)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "100% of \"it\"\\"


def test_unknown_method_is_unimplemented(channel):
    code, details = error_of(lambda: unary(channel, "Nothing")(b"", timeout=PATIENCE_S))
    assert code == grpc.StatusCode.UNIMPLEMENTED and "/berth.test.Echo/Nothing" in details


def test_message_over_the_limit_is_refused_before_it_is_read(channel):
    assert unary(channel, "Small")(b"x" * 1000, timeout=PATIENCE_S)
    code, details = error_of(lambda: unary(channel, "Small")(b"x" * 1001, timeout=PATIENCE_S))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "1001 bytes is over the limit of 1000" in details
    assert error_of(lambda: unary(channel, "Small")(b"x" * (32 * MIB), timeout=PATIENCE_S))[0] == \
        grpc.StatusCode.RESOURCE_EXHAUSTED


def test_compressed_message_is_unimplemented(channel):
    code, _ = error_of(lambda: unary(channel)(b"x" * 5000, compression=grpc.Compression.Gzip, timeout=PATIENCE_S))
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_deadline_ends_the_call_on_both_sides(channel, server):
    code, _ = error_of(lambda: unary(channel, "Slow")(wish(), timeout=0.3))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.wait_for(r"Slow closed (\w+)")[1] in ("DEADLINE_EXCEEDED", "CANCELLED")


def test_server_itself_keeps_the_deadline(server):
    with server.connect() as peer:
        peer.open(1, ROW + "Slow", [("grpc-timeout", "50m")])
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish())))
        assert peer.trailers(1)["grpc-status"] == "4"
    server.wait_for("Slow closed DEADLINE_EXCEEDED")


def test_cancel_reaches_the_handler(channel, server):
    call = unary(channel, "Slow").future(wish())
    server.wait_for("Slow began")
    call.cancel()
    server.wait_for("Slow closed CANCELLED")
    assert server.counts()[1] == 0


def test_disconnect_reaches_the_handler(server):
    with server.connect() as peer:
        peer.open(1, ROW + "Slow")
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish())))
        server.wait_for("Slow began")
    server.wait_for("Slow closed CANCELLED")
    server.wait_for_counts(lambda connections, *_: connections == 0)


def test_reader_that_stops_holds_the_stream_back_at_flat_memory(server, channel):
    call = unary(channel, "Stream", "unary_stream")(wish(count=100_000, size=65_536), timeout=PATIENCE_S)
    next(call)
    before = server.resident_kib()
    assert server.is_well()
    assert server.resident_kib(peak=True) - before < 8 * 1024
    call.cancel()
    server.wait_for("Stream closed CANCELLED")


def test_drain_lets_calls_end_and_takes_no_new_ones(server, channel):
    call = unary(channel, "Slow").future(wish(pause_ms=300), timeout=PATIENCE_S)
    server.wait_for("Slow began")
    server.process.send_signal(signal.SIGTERM)
    assert call.result() == b"\x0a\x04xxxx"
    server.wait_for("drained")
    channel.close()
    assert server.process.wait(PATIENCE_S) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


# ---- TLS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    subprocess.run([PROGRAMS / "make_certificates", directory], check=True)
    return directory


def secure(server, certificates, client=None, authority="ca"):
    read = lambda name: (certificates / name).read_bytes()
    pair = (read(client + ".key"), read(client + ".pem")) if client else (None, None)
    return grpc.secure_channel(f"127.0.0.1:{server.port}",
                               grpc.ssl_channel_credentials(read(authority + ".pem"), *pair))


def test_tls_serves_those_who_trust_it(serve, certificates):
    server = serve(tls=f"{certificates}/server.pem,{certificates}/server.key")
    with secure(server, certificates) as channel:
        assert unary(channel, "Who")(b"", timeout=PATIENCE_S)[2:] == b"127.0.0.1 tls "
        payload = os.urandom(8 * MIB)
        upload = unary(channel, "Upload", "stream_unary")
        assert upload(iter([payload]), timeout=PATIENCE_S) == b"\x08" + varint(len(payload))
    with secure(server, certificates, authority="other-ca") as channel:
        assert error_of(lambda: unary(channel)(b"", timeout=PATIENCE_S))[0] == grpc.StatusCode.UNAVAILABLE


def test_client_certificate_is_known_to_the_handler(serve, certificates):
    server = serve(tls=f"{certificates}/server.pem,{certificates}/server.key", client_ca=f"{certificates}/ca.pem",
                   client_required=1)
    with secure(server, certificates, client="client") as channel:
        digest = ssl.PEM_cert_to_DER_cert((certificates / "client.pem").read_text())
        expected = hashlib.sha256(digest).hexdigest()[:8]
        assert unary(channel, "Who")(b"", timeout=PATIENCE_S)[2:].decode() == f"127.0.0.1 tls {expected}"
    for stranger in (None, "stranger"):
        with secure(server, certificates, client=stranger) as channel:
            assert error_of(lambda: unary(channel)(b"", timeout=PATIENCE_S))[0] == grpc.StatusCode.UNAVAILABLE


def test_tls_below_1_3_and_other_protocols_are_refused(serve, certificates):
    server = serve(tls=f"{certificates}/server.pem,{certificates}/server.key")
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.set_alpn_protocols(["h2"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        server.connect(tls=context)
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.set_alpn_protocols(["http/1.1"])
    with pytest.raises(ssl.SSLError):
        server.connect(tls=context).ends()
    context.set_alpn_protocols(["h2"])
    with server.connect(tls=context) as peer:
        peer.open(1, ROW + "Nothing", flags=h2.END_HEADERS | h2.END_STREAM)
        assert peer.trailers(1)["grpc-status"] == "12"


# ---- Requests that are not as they should be


@pytest.mark.parametrize("extra, options, status", [
    ((), {"method": "GET"}, "405"),
    ((), {"method": "DELETE"}, "405"),
    ((), {"content_type": None}, "415"),
    ((), {"content_type": "application/json"}, "415"),
    ((), {"content_type": "application/grpcish"}, "415"),
])
def test_what_is_no_grpc_gets_an_http_status(server, extra, options, status):
    with server.connect() as peer:
        peer.open(1, ROW + "Unary", extra, flags=h2.END_HEADERS | h2.END_STREAM, **options)
        assert peer.wait_for(h2.HEADERS, 1)[1][":status"] == status


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc;x=y"])
def test_content_types_of_grpc(server, content_type):
    with server.connect() as peer:
        peer.open(1, ROW + "Unary", content_type=content_type)
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(b"hello")))
        assert peer.trailers(1)["grpc-status"] == "0"


@pytest.mark.parametrize("body, extra, status", [
    (h2.message(b"x", flag=1), (), "13"),
    (h2.message(b"x", flag=1), [("grpc-encoding", "identity")], "13"),
    (h2.message(b"x", flag=1), [("grpc-encoding", "gzip")], "12"),
    (h2.message(b"x", flag=2), (), "13"),
    (b"\0\0\0", (), "13"),
    (h2.message(b"xyz")[:-1], (), "13"),
    (b"\0\xff\xff\xff\xff", (), "8"),
    (h2.message(b"x"), [("grpc-timeout", "soon")], "3"),
    (h2.message(b"x"), [("grpc-timeout", "0n")], "4"),
    (h2.message(b"x"), [("grpc-encoding", "gzip")], "0"),
    (b"", (), None),
])
def test_bodies_that_are_no_messages(server, body, extra, status):
    with server.connect() as peer:
        peer.open(1, ROW + "Slow" if status == "4" else ROW + "Unary", extra)
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, body))
        if status:
            assert peer.trailers(1)["grpc-status"] == status
    assert server.is_well()


def test_messages_may_be_cut_anywhere(server):
    body = h2.message(b"") + h2.message(b"abc") + h2.message(b"d" * 70_000)
    with server.connect() as peer:
        peer.open(1, ROW + "Upload")
        for at in range(0, 20):
            peer.send(h2.frame(h2.DATA, 0, 1, body[at:at + 1]))
        for at in range(20, len(body), 7000):
            peer.send(h2.frame(h2.DATA, 0, 1, body[at:at + 7000]))
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1))
        assert peer.wait_for(h2.DATA, 1)[1] == h2.message(b"\x08" + varint(70_003))


def test_headers_over_64_kib_are_refused(server):
    with server.connect() as peer:
        block = h2.request(ROW + "Unary", [(f"x-{i}", "y" * 7000) for i in range(10)])
        pieces = [block[at:at + 16_000] for at in range(0, len(block), 16_000)]
        peer.send(h2.frame(h2.HEADERS, h2.END_STREAM, 1, pieces[0]))
        for piece in pieces[1:-1]:
            peer.send(h2.frame(h2.CONTINUATION, 0, 1, piece))
        peer.send(h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1, pieces[-1]))
        assert peer.trailers(1)["grpc-status"] == "8"
    assert server.is_well()


def test_answer_ends_an_upload_that_is_not_wanted(server):
    with server.connect() as peer:
        peer.open(1, ROW + "Fail")
        assert peer.trailers(1)["grpc-status"] == "9"
        _, code = peer.wait_for(h2.RST_STREAM, 1)
        assert struct.unpack(">I", code)[0] == h2.NO_ERROR


def test_larger_frames_are_used_if_the_peer_takes_them(server):
    with server.connect(INITIAL_WINDOW_SIZE=4 * MIB, MAX_FRAME_SIZE=MIB) as peer:
        peer.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 4 * MIB)))
        peer.open(1, ROW + "Stream")
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish(count=40, size=65_536))))
        sizes = []
        while sum(sizes) < 40 * (65_536 + 4 + 5):
            sizes.append(len(peer.wait_for(h2.DATA, 1)[1]))
        assert 16_384 < max(sizes) <= 262_144
        assert peer.trailers(1)["grpc-status"] == "0"


def test_closed_window_stops_one_stream_and_no_other(server):
    with server.connect(INITIAL_WINDOW_SIZE=0) as peer:
        peer.open(1, ROW + "Stream")
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish(count=1000, size=65_536))))
        peer.open(3, ROW + "Fail", flags=h2.END_HEADERS | h2.END_STREAM)
        assert peer.trailers(3)["grpc-status"] == "9"
        peer.send(h2.frame(h2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 1000)))
        assert len(peer.wait_for(h2.DATA, 1)[1]) == 1000
        assert server.resident_kib(peak=True) < 64 * 1024


# ---- Peers that take their time


def test_half_open_connection_is_closed(serve):
    server = serve(handshake_timeout_ms=100)
    with server.connect(greet=False) as silent, server.connect(greet=False) as slow:
        slow.send(h2.PREFACE[:10])
        assert silent.ends() and slow.ends()


def test_tls_handshake_that_does_not_come_is_closed(serve, certificates):
    server = serve(handshake_timeout_ms=100, tls=f"{certificates}/server.pem,{certificates}/server.key")
    with server.connect(greet=False) as peer:
        peer.send(b"\x16\x03\x01")
        assert peer.ends()


def test_headers_that_do_not_end_are_given_up(serve):
    server = serve(header_timeout_ms=100)
    with server.connect() as peer:
        peer.wait_for(h2.SETTINGS)  # its answer must not fall between our headers
        peer.send(h2.frame(h2.HEADERS, 0, 1, h2.request(ROW + "Unary")))
        assert peer.goaway() == h2.ENHANCE_YOUR_CALM
        assert peer.ends()
    with server.connect() as peer:
        peer.wait_for(h2.SETTINGS)
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request(ROW + "Unary"))[:20])
        assert peer.goaway() == h2.ENHANCE_YOUR_CALM


def test_body_that_stops_ends_the_call(serve):
    server = serve(body_timeout_ms=100)
    with server.connect() as peer:
        peer.open(1, ROW + "Upload")
        peer.send(h2.frame(h2.DATA, 0, 1, h2.message(b"x" * 100)[:50]))
        peer.open(3, ROW + "Upload")
        assert peer.trailers(1)["grpc-status"] == "4"
        assert peer.trailers(3)["grpc-status"] == "4"
    server.wait_for("Upload closed DEADLINE_EXCEEDED")


def test_answer_that_is_not_taken_is_dropped(serve):
    server = serve(body_timeout_ms=100)
    with server.connect(INITIAL_WINDOW_SIZE=0) as peer:
        peer.open(1, ROW + "Unary")
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(b"x" * 1000)))
        _, code = peer.wait_for(h2.RST_STREAM, 1)
        assert struct.unpack(">I", code)[0] == h2.CANCEL
    server.wait_for("Unary closed CANCELLED")


def test_idle_connection_is_sent_away(serve):
    server = serve(idle_timeout_ms=100)
    with server.connect() as peer:
        for _ in range(3):  # pings are no call
            peer.send(h2.frame(h2.PING, 0, 0, b"12345678"))
        assert peer.goaway() == h2.NO_ERROR
        assert peer.ends()
    with server.connect() as busy:
        busy.open(1, ROW + "Slow")
        busy.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish(pause_ms=500))))
        assert busy.trailers(1)["grpc-status"] == "0"


# ---- Floods


def expect_calm(server, flood):
    with server.connect() as peer:
        flood(peer)
        assert peer.goaway() == h2.ENHANCE_YOUR_CALM
        assert peer.ends()
    assert server.is_well()
    server.wait_for_counts(lambda connections, calls, refused, errors: connections == 0 and errors > 0)


def test_ping_flood(server):
    expect_calm(server, lambda peer: peer.send(h2.frame(h2.PING, 0, 0, bytes(8)) * 3000))


def test_settings_flood(server):
    expect_calm(server, lambda peer: peer.send(h2.settings() * 3000))


def test_priority_flood(server):
    expect_calm(server, lambda peer: peer.send(h2.frame(h2.PRIORITY, 0, 1, bytes(4) + b"\x01") * 3000))


def test_flood_of_empty_data(server):
    def flood(peer):
        peer.open(1, ROW + "Upload")
        peer.send(h2.frame(h2.DATA, 0, 1) * 3000)

    expect_calm(server, flood)


def test_rapid_reset(server):
    def flood(peer):
        for stream in range(1, 4001, 2):
            peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.request(ROW + "Slow")) +
                      h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.CANCEL)))

    expect_calm(server, flood)
    assert server.counts()[1] == 0


def test_continuation_flood(server):
    with server.connect() as peer:
        peer.send(h2.frame(h2.HEADERS, 0, 1, h2.request(ROW + "Unary")) + h2.frame(h2.CONTINUATION, 0, 1) * 3000)
        assert peer.ends()
    assert server.is_well()


def send_without_reading(server, data_for):
    """Until the server has enough of it, or takes no more."""
    with server.connect() as peer:
        peer.socket.settimeout(1)
        try:
            for turn in range(500):
                peer.socket.sendall(data_for(turn))
        except (ConnectionError, TimeoutError):
            pass
    assert server.is_well()
    assert server.resident_kib(peak=True) < 64 * 1024


def test_pings_whose_answers_are_not_read(server):
    send_without_reading(server, lambda turn: h2.frame(h2.PING, 0, 0, bytes(8)) * 10_000)


def test_refused_streams_whose_refusals_are_not_read(serve):
    def requests(turn):
        first = turn * 8000 + 1
        return b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block)
                        for stream in range(first, first + 8000, 2))

    block = h2.request(ROW + "Slow")
    send_without_reading(serve(max_calls_per_connection=5), requests)


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 5000, b"\xff" * 5000, h2.PREFACE + b"\xff" * 5000,
    h2.PREFACE + h2.frame(h2.DATA, 0, 1, b"x"), h2.PREFACE + h2.settings() + h2.frame(h2.HEADERS, 4, 1, b"\xff" * 100),
    h2.PREFACE + h2.settings() + h2.frame(h2.WINDOW_UPDATE, 0, 0, bytes(4)),
    h2.PREFACE + h2.settings() + h2.frame(h2.PUSH_PROMISE, 4, 1, bytes(8)),
])
def test_garbage_is_disconnected(server, garbage):
    with server.connect(greet=False) as peer:
        peer.send(garbage)
        assert peer.ends()
    assert server.is_well()


# ---- Bounds


def test_connections_of_one_address_are_bounded(serve):
    server = serve(max_connections_per_address=3)
    peers = [server.connect() for _ in range(3)]
    for peer in peers:
        peer.wait_for(h2.SETTINGS)
    with server.connect() as fourth:
        assert fourth.ends()
    peers.pop().socket.close()
    server.wait_for_counts(lambda connections, *_: connections == 2)
    assert server.is_well()
    for peer in peers:
        peer.socket.close()


def test_oldest_idle_connection_makes_room(serve):
    server = serve(max_connections=3)
    peers = []
    for _ in range(3):
        peers.append(server.connect())
        peers[-1].send(h2.frame(h2.PING, 0, 0, bytes(8)))
        peers[-1].wait_for(h2.PING)
    peers[0].open(1, ROW + "Slow")
    peers[0].send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish())))
    server.wait_for("Slow began")
    with server.connect() as fourth:
        fourth.wait_for(h2.SETTINGS)
        assert peers[1].goaway() == h2.ENHANCE_YOUR_CALM
        assert server.counts()[:2] == (3, 1)
    for peer in peers:
        peer.socket.close()


def test_busy_server_accepts_again_when_somebody_leaves(serve):
    server = serve(max_connections=2)
    peers = [server.connect() for _ in range(2)]
    for peer in peers:
        peer.open(1, ROW + "Slow")
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(wish())))
        server.wait_for("Slow began")
    with server.connect() as third:
        third.open(1, ROW + "Nothing", flags=h2.END_HEADERS | h2.END_STREAM)
        assert server.counts()[0] == 2
        peers[0].send(h2.frame(h2.RST_STREAM, 0, 1, struct.pack(">I", h2.CANCEL)))
        assert third.trailers(1)["grpc-status"] == "12"
    for peer in peers:
        peer.socket.close()


def test_calls_of_one_connection_are_bounded(serve):
    server = serve(max_calls_per_connection=5)
    with server.connect() as peer:
        for stream in range(1, 13, 2):  # before it can know
            peer.open(stream, ROW + "Slow")
        _, code = peer.wait_for(h2.RST_STREAM, 11)
        assert struct.unpack(">I", code)[0] == h2.REFUSED_STREAM
        assert server.counts()[1] == 5
        peer.open(13, ROW + "Slow")  # the answer to our SETTINGS has gone out by now
        assert peer.goaway() == h2.PROTOCOL_ERROR
    assert server.is_well()


def test_silent_uploads_make_room_for_those_that_move(serve):
    server = serve(max_buffered_bytes=4 * MIB)
    with server.connect() as hoarder:
        hoarder.wait_for(h2.SETTINGS)  # until they are known, windows are smaller
        for stream in (1, 3, 5, 7):
            hoarder.open(stream, ROW + "Upload")
            hoarder.send(h2.frame(h2.DATA, 0, stream, h2.message(bytes(16 * MIB))[:5 + 1000]))
            for _ in range(60):
                hoarder.send(h2.frame(h2.DATA, 0, stream, bytes(16_000)))
        with grpc.insecure_channel(f"127.0.0.1:{server.port}",
                                   options=[("grpc.max_send_message_length", -1)]) as channel:
            upload = unary(channel, "Upload", "stream_unary")
            deadline = time.monotonic() + PATIENCE_S
            while True:  # for a second everybody counts as moving
                try:
                    assert upload(iter([bytes(2 * MIB)]), timeout=PATIENCE_S) == b"\x08" + varint(2 * MIB)
                    break
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and time.monotonic() < deadline
        assert hoarder.trailers(1)["grpc-status"] == "8"
