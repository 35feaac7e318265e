# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand (RFC 9113), for peers that do what no library lets them do."""
import socket
import ssl
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 7, 8, 11
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_S = 30  # only a bound against hanging


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", globals()[name], value) for name, value in values.items()))


def request(path, extra=(), method="POST", content_type="application/grpc"):
    fields = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
    if content_type:
        fields.append(("content-type", content_type))
    return hpack.Encoder().encode([*fields, *extra], huffman=False)


def message(payload, flag=0):
    return bytes([flag]) + len(payload).to_bytes(4, "big") + payload


class Ended(Exception):
    """The peer closed the connection."""


class Connection:
    def __init__(self, port, greet=True, tls=None, **values):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.decoder = hpack.Decoder()
        self.received = b""
        if greet:
            self.send(PREFACE + settings(**values))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass  # reading tells why

    def open(self, stream, path, extra=(), flags=END_HEADERS, **options):
        self.send(frame(HEADERS, flags, stream, request(path, extra, **options)))

    def _fill(self, size):
        while len(self.received) < size:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise Ended
            self.received += data

    def read(self):
        """The next frame: (kind, flags, stream, payload)."""
        self._fill(9)
        size = int.from_bytes(self.received[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.received[3:9])
        self._fill(9 + size)
        payload, self.received = self.received[9:9 + size], self.received[9 + size:]
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        return kind, flags, stream, payload

    def wait_for(self, kind, stream=None):
        """The next frame of that kind: (flags, payload). HEADERS come decoded, as a dict."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found, flags, on, payload = self.read()
            if found == HEADERS:
                payload = dict(self.decoder.decode(payload))
            if found == kind and (stream is None or on == stream):
                return flags, payload
        raise AssertionError("the frame did not come")

    def trailers(self, stream):
        """The fields of the frame that ends the stream."""
        while True:
            flags, fields = self.wait_for(HEADERS, stream)
            if flags & END_STREAM:
                return fields

    def goaway(self):
        """The error code of the GOAWAY that comes."""
        return struct.unpack(">I", self.wait_for(GOAWAY)[1][4:8])[0]

    def ends(self):
        """Whether the peer closes the connection."""
        try:
            while True:
                self.read()
        except Ended:
            return True
        except TimeoutError:
            return False
