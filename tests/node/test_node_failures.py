# SPDX-License-Identifier: Apache-2.0
"""What dies, and what is full: who is hurt, who is not, and what the state and the audit log say afterwards."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import threading

import grpc
import pytest

from liop_client import node as protocol
from serving import Node, wait_until


@pytest.fixture
def serving(berth, tmp_path):
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs") as node:
        yield node


@pytest.fixture
def verify_audit(berth):
    def verify(serving):
        done = subprocess.run([berth, "audit", "verify", "--state", serving.state, "--node", serving.peer_id],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return verify


def audit(berth, serving):
    done = subprocess.run([berth, "audit", "export", "--state", serving.state], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def begin(client, module):
    """A run that goes on: its id and what comes of it."""
    session = client.negotiate(sealed=True)
    messages = client.run(session, client.request(session, module))
    return next(messages).started.run_id, messages


def code_of(messages):
    with pytest.raises(grpc.RpcError) as caught:
        list(messages)
    return caught.value.code()


def show(client, run_id):
    return client.unary("/berth.v1.Node/ShowRun", protocol.ShowRunRequest(run_id=run_id), protocol.RunInfo)


def replaced(serving, role, old):
    return wait_until(lambda: [p for p in serving.children().get(role, []) if p != old], f"another {role}")


def test_a_worker_that_dies_costs_only_its_own_visitors(berth, serving, guest, verify_audit):
    loop, hello = guest("loops_forever").read_bytes(), guest("says_hello").read_bytes()
    with serving.client() as client:
        workers = serving.children()["node-worker"]
        runs = [begin(client, loop) for _ in range(2 * len(workers))]
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: sum(show(client, run_id).state == "lost" for run_id, _ in runs) == 2, "two runs are lost")
        assert client.execute(hello)[2].outcome == "exited"
        for run_id, messages in runs:
            if show(client, run_id).state == "lost":
                assert code_of(messages) == grpc.StatusCode.UNAVAILABLE
            else:
                client.unary("/berth.v1.Node/StopRun", protocol.StopRunRequest(run_id=run_id), protocol.RunInfo)
                assert list(messages)[-1].end.outcome == "cancelled"
        replaced(serving, "node-worker", workers[0])
    assert sum(entry["event"] == "worker_lost" for entry in audit(berth, serving)) == 1
    verify_audit(serving)


@pytest.mark.parametrize("role", ["node-front", "node-worker", "node-compiler"])
def test_killing_each_process_under_load_leaves_the_truth(serving, guest, verify_audit, role):
    hello = guest("says_hello").read_bytes()
    done, failed = [], []
    stop = threading.Event()

    def visit():
        while not stop.is_set():
            try:
                with serving.client() as client:
                    while not stop.is_set():
                        done.append(json.loads(client.execute(hello)[2].receipt)["receipt"]["run_id"])
            except (grpc.RpcError, StopIteration) as error:
                failed.append(error)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            before = len(done)
            wait_until(lambda: len(done) > before + 5, "visits succeed")
            victim = serving.children()[role][0]
            os.kill(victim, signal.SIGKILL)
            replaced(serving, role, victim)
        before = len(done)
        wait_until(lambda: len(done) > before + 5, "visits succeed again")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with serving.client() as client:
        for run_id in done:
            assert show(client, run_id).state == "exited"
        running = client.unary("/berth.v1.Node/ListRuns", protocol.ListRunsRequest(running=True),
                               protocol.ListRunsResponse).runs
        assert not running
    verify_audit(serving)


def test_nothing_runs_while_the_audit_log_cannot_be_written(serving, guest, verify_audit):
    hello = guest("says_hello").read_bytes()
    with serving.client() as client:
        assert client.execute(hello)[2].outcome == "exited"
        (front,) = serving.children()["node-front"]
        old = resource.prlimit(front, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(grpc.RpcError) as caught:
            client.execute(hello)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE and "audit" in caught.value.details()
        resource.prlimit(front, resource.RLIMIT_FSIZE, old)
        assert client.execute(hello)[2].outcome == "exited"
    verify_audit(serving)


def test_draining_lets_visits_end_and_takes_no_more(serving, guest):
    with serving.client() as client:
        session = client.negotiate(sealed=True)
        loop = client.run(session, client.request(session, guest("sleeps_forever").read_bytes(),
                                                  contract='{"limits": {"wall_seconds": 1}}'))
        assert next(loop).started.run_id
        serving.process.send_signal(signal.SIGTERM)
        assert list(loop)[-1].end.limit == "wall"
        assert serving.process.wait(60) == 0


def test_bombs_of_one_principal_do_not_delay_another(berth, tmp_path, guest):
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("good", "bad")}
    config = f'[[mount]]\nname = "logs"\nhost = "{tmp_path}"\nguest = "/logs"\n' + "".join(
        f'[[principal]]\nname = "{name}"\ntoken_sha256 = "{digest}"\ncapabilities = ["default"]\n'
        for name, digest in hashes.items())
    functions = 3000
    body = b"".join(b"\x20\x00\x41%c\x6a\x21\x00" % (i % 64) for i in range(1000)) + b"\x20\x00\x0b"

    def leb(number):
        out = b""
        while number > 127:
            out += bytes([number & 127 | 128])
            number >>= 7
        return out + bytes([number])

    def section(kind, content):
        return bytes([kind]) + leb(len(content)) + content

    def bomb(number):
        code = b"\x00" + body
        return (b"\0asm\1\0\0\0" + section(0, b"\x04bomb" + str(number).encode())
                + section(1, b"\x01\x60\x01\x7f\x01\x7f") + section(3, leb(functions) + bytes(functions))
                + section(10, leb(functions) + (leb(len(code)) + code) * functions))

    hello = guest("says_hello").read_bytes()
    stop, throwers = threading.Event(), []
    with Node(berth, tmp_path, "--compile-wall-seconds", "5", config=config) as serving:

        def throw(first):
            client = serving.client(token="bad")
            throwers.append(client)
            for number in range(first, 1000, 8):
                try:
                    client.execute(bomb(number))
                except (grpc.RpcError, ValueError): # refused, or closed below
                    if stop.is_set():
                        return

        threads = [threading.Thread(target=throw, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: serving.children()["node-compiler"], "the compiler")
            with serving.client(token="good") as client:
                for number in range(3):
                    custom = section(0, b"\x04own" + bytes([64 + number]))
                    assert client.execute(hello + custom)[2].outcome == "exited"
        finally:
            stop.set()
            for client in throwers:
                client.channel.close()
            for thread in threads:
                thread.join()
