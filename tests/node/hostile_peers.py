# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, many at a time, on loopback only: each kind is a function that goes on until it is told to stop.

    with Crowd(address, token, guests, sessions=900): ...

Those that break the transport come from 127.0.0.2, so that what is counted by address is not counted against others.
"""

import os
import random
import socket
import threading
import time

import grpc

from http2_frames import (CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame, message,
                          request)
from liop_client import Client, liop

SOURCE = ("127.0.0.2", 0)
PAUSE_S = 0.05
EXECUTE = "/liop.v1.LogicMesh/ExecuteLogic"
NEGOTIATE = "/liop.v1.LogicMesh/NegotiateIntent"
HELLO = PREFACE + frame(SETTINGS, 0, 0)


class Crowd:
    """Hostile sessions, as many of each kind as of any other; `begun` counts what they tried, by kind. One that was
    thrown out comes back after about pause_s: a crowd that is in a hurry takes more of the processor than its node."""

    def __init__(self, address, token, guests, sessions, pause_s=PAUSE_S):
        host, port = address.rsplit(":", 1)
        self.address, self.peer, self.token, self.guests = address, (host, int(port)), token, guests
        self.over, self.pause_s = threading.Event(), pause_s
        self.begun = {kind.__name__: 0 for kind in KINDS}
        self.faults = []
        self.threads = [threading.Thread(target=self.play, args=(KINDS[i % len(KINDS)],)) for i in range(sessions)]

    def play(self, kind):
        while not self.over.is_set():
            self.begun[kind.__name__] += 1
            try:
                kind(self)
            except (OSError, grpc.RpcError):
                pass  # refused or thrown out: it comes again
            except Exception as error:  # pylint: disable=broad-except
                self.faults.append(f"{kind.__name__}: {error!r}")
                return
            self.over.wait(self.pause_s * random.uniform(0.5, 1.5))

    def connect(self, *pieces):
        connection = socket.create_connection(self.peer, timeout=5, source_address=SOURCE)
        for piece in pieces:
            connection.sendall(piece)
        return connection

    def authorized(self):
        return [("authorization", f"Bearer {self.token}"), ("te", "trailers")]

    def client(self):
        return Client(self.address, self.token)

    def drip(self, connection, bytes_):
        """A byte now and then, until it is thrown out."""
        for i in range(len(bytes_)):
            if self.over.wait(PAUSE_S):
                return
            connection.sendall(bytes_[i:i + 1])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def drain(connection, patience_s=1):
    """Reads until the node closes or says nothing for a while."""
    connection.settimeout(patience_s)
    while connection.recv(1 << 16):
        pass


# ---- The transport


def half_open(crowd):
    with crowd.connect():
        crowd.over.wait(max(2, crowd.pause_s))


def slow_headers(crowd):
    with crowd.connect(HELLO) as connection:
        crowd.drip(connection, frame(HEADERS, END_HEADERS, 1, request(EXECUTE, crowd.authorized())))


def slow_body(crowd):
    with crowd.connect(HELLO, frame(HEADERS, END_HEADERS, 1, request(EXECUTE, crowd.authorized()))) as connection:
        connection.sendall(frame(DATA, 0, 1, b"\0" + (1 << 20).to_bytes(4, "big")))
        for _ in range(40):
            if crowd.over.wait(PAUSE_S):
                return
            connection.sendall(frame(DATA, 0, 1, b"x"))


def oversized_message(crowd):
    with crowd.connect(HELLO, frame(HEADERS, END_HEADERS, 1, request(EXECUTE, crowd.authorized()))) as connection:
        connection.sendall(frame(DATA, 0, 1, b"\0" + (3 << 30).to_bytes(4, "big") + bytes(8192)))
        drain(connection)


def garbage_preface(crowd):
    with crowd.connect(os.urandom(4096)) as connection:
        drain(connection)


def garbage_frames(crowd):
    with crowd.connect(HELLO, b"".join(frame(i % 12, 255, i, os.urandom(32)) for i in range(64))) as connection:
        drain(connection)


def header_flood(crowd):
    with crowd.connect(HELLO, frame(HEADERS, 0, 1, request(EXECUTE))) as connection:
        for _ in range(100):
            connection.sendall(frame(CONTINUATION, 0, 1, b"\x00\x01x\x7f\x81\x7f" + b"y" * 256))


def rapid_reset(crowd):
    with crowd.connect(HELLO) as connection:
        headers = request(NEGOTIATE, crowd.authorized())
        for first in range(1, 4000, 200):
            connection.sendall(b"".join(frame(HEADERS, END_HEADERS, i, headers) + frame(RST_STREAM, 0, i, bytes(4))
                                        for i in range(first, first + 200, 2)))


def ping_flood(crowd):
    with crowd.connect(HELLO) as connection:
        for _ in range(50):
            connection.sendall(frame(PING, 0, 0, bytes(8)) * 100)


# ---- Access


def wrong_token(crowd):
    headers = request(NEGOTIATE, [("authorization", "Bearer " + os.urandom(8).hex()), ("te", "trailers")])
    with crowd.connect(HELLO) as connection:
        for i in range(1, 101, 2):
            connection.sendall(frame(HEADERS, END_HEADERS, i, headers) + frame(DATA, 1, i, message(b"")))
        drain(connection)


def session_that_never_runs(crowd):
    with crowd.client() as client:
        for _ in range(20):
            client.unary(NEGOTIATE, liop.IntentRequest(sealed=True), liop.IntentResponse, timeout=5)
            if crowd.over.is_set():
                return


# ---- Guests


def run(crowd, guest, read=True):
    with crowd.client() as client:
        session = client.negotiate(sealed=True)
        messages = client.run(session, client.request(session, crowd.guests[guest]), timeout=3)
        try:
            for _ in messages:
                if not read:
                    crowd.over.wait(2)
                if crowd.over.is_set():
                    return
        finally:
            messages.close()


def looping_guest(crowd):
    run(crowd, "loops_forever")


def flooding_guest(crowd):
    run(crowd, "floods_stdout")


def reader_that_does_not_read(crowd):
    run(crowd, "floods_stdout", read=False)


def growing_guest(crowd):
    run(crowd, "grows_memory_beyond_all_limits")


KINDS = [half_open, slow_headers, slow_body, oversized_message, garbage_preface, garbage_frames, header_flood, rapid_reset,
         ping_flood, wrong_token, session_that_never_runs, looping_guest, flooding_guest, reader_that_does_not_read,
         growing_guest]
GUESTS = ["loops_forever", "floods_stdout", "grows_memory_beyond_all_limits"]


def configuration(directory, hostile_token_sha256, good_token_sha256):
    """Two principals: what a node's owner can set against callers who turn out to be hostile is set for one of them."""
    return f"""
[[mount]]
name = "logs"
host = "{directory}"
guest = "/logs"
[[principal]]
name = "good"
token_sha256 = "{good_token_sha256}"
capabilities = ["default"]
[[principal]]
name = "hostile"
token_sha256 = "{hostile_token_sha256}"
capabilities = ["default"]
concurrency = 16
[principal.contract.limits]
cpu_percent = 5
memory_mb = 16
wall_seconds = 5
"""
