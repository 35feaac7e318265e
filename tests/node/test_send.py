# SPDX-License-Identifier: Apache-2.0
"""berth send, watch and runs against a real node: what a person or a script sees of a visit over the network."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from serving import PATIENCE_S, Node, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = [f"2026-01-01 00:00:{i % 60:02} {'CRITICAL' if i % 7 == 0 else 'INFO'} line {i}\n" for i in range(2000)]
MATCHES = "".join(line for line in LINES if "CRITICAL" in line)
RUN_ID = re.compile(r"[0-9a-f]{32}")

CONFIG = """
[[mount]]
name = "logs"
host = "{logs}"
guest = "/logs"

[[capability]]
name = "logs"
mounts = ["logs"]
events = true
detach = true

[[capability]]
name = "bare"

[[principal]]
name = "alice"
token_sha256 = ["2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"]
capabilities = ["logs", "bare"]

[[principal]]
name = "bob"
token_sha256 = ["81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9"]
capabilities = ["bare"]
"""  # the tokens are "alice" and "bob"


class Ended:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    (directory / "logs").mkdir()
    (directory / "logs" / "system.log").write_text("".join(LINES))
    with Node(berth, directory, config=CONFIG.format(logs=directory / "logs")) as node:
        yield node


@pytest.fixture
def environment(serving, tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BERTH_NODE": serving.address, "BERTH_TOKEN": "alice"}


@pytest.fixture
def cli(berth, environment):
    def run(*words, env=None, stdin=b"", **options):
        done = subprocess.run([berth, *map(str, words)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**environment, **(env or {})}, timeout=PATIENCE_S, **options)
        return Ended(done)

    return run


@pytest.fixture
def start(berth, environment):
    started = []

    def popen(*words, **options):
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        started.append(subprocess.Popen([berth, *map(str, words)], env={**environment, **options.pop("env", {})}, **options))
        return started[-1]

    yield popen
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def log_filter(example):
    return example("log_filter.c")


def detached(cli, *words):
    ended = cli("send", "--quiet", "--detach", *words)
    assert ended.status == 0, ended.err
    assert RUN_ID.fullmatch(ended.out.strip())
    return ended.out.strip()


# ---- A visit ---------------------------------------------------------------------------------------------------------


def test_the_lines_that_match_come_back(cli, log_filter):
    ended = cli("send", log_filter, "CRITICAL")
    assert (ended.status, ended.out) == (0, MATCHES)


def test_the_node_is_remembered_once_and_silently_known_after(cli, serving, log_filter, tmp_path):
    first, second = cli("send", log_filter, "CRITICAL"), cli("send", log_filter, "CRITICAL")
    assert serving.peer_id in first.err
    assert second.err == ""
    known = tmp_path / ".local/state/berth/known-nodes"
    assert known.stat().st_mode & 0o777 == 0o600
    assert known.read_text().startswith(f"{serving.address} {serving.peer_id} ed25519:")


def test_streams_status_and_arguments_are_the_programs_own(cli, guest):
    ended = cli("send", "-q", guest("shows_its_world"), "one", "--two", "")
    assert ended.status == 0
    assert "argument one\nargument --two\nargument \n" in ended.out
    assert ended.err == "said on stderr\n"
    assert cli("send", "-q", guest("exits_with"), "42").status == 42


def test_a_trap_has_the_status_of_run(cli, guest):
    ended = cli("send", "-q", guest("exits_with"), "abort")
    assert (ended.status, ended.err) == (134, "")
    assert "trapped" in cli("send", guest("exits_with"), "abort").err


def test_the_receipt_is_kept_and_verifies(cli, serving, log_filter, tmp_path):
    lines = tmp_path / "lines"
    with open(lines, "wb") as out:
        assert cli("send", "-q", "--receipt", tmp_path / "r.json", log_filter, "CRITICAL").status == 0
        out.write(MATCHES.encode())
    verified = cli("verify", tmp_path / "r.json", "--node", serving.peer_id, "--module", log_filter, "--argument",
                   "CRITICAL", "--output", lines)
    assert verified.status == 0, verified.err + verified.out


def test_usage_as_text_and_as_json(cli, log_filter):
    assert "files opened" in cli("send", "--usage", log_filter, "CRITICAL").err
    report = json.loads(cli("send", "--usage=json", log_filter, "CRITICAL").err.splitlines()[-1])
    assert report["outcome"]["kind"] == "exited"
    assert report["usage"]["output_bytes"] == len(MATCHES)
    assert "limits" not in report


def test_inputs_are_one_object_on_stdin(cli, guest, tmp_path):
    (tmp_path / "value").write_text('{"deep": [1, 2]}')
    ended = cli("send", "-q", "--input", "n=40", "--input", "s=plain words", "--input", f"f=@{tmp_path / 'value'}",
                guest("echoes_stdin"))
    assert json.loads(ended.out) == {"n": 40, "s": "plain words", "f": {"deep": [1, 2]}}


def test_a_large_input_arrives_as_it_is(cli, guest, tmp_path):
    value = {"numbers": list(range(100000)), "exact": 0.12345678901234567}
    (tmp_path / "value").write_text(json.dumps(value))
    ended = cli("send", "-q", "--input", f"f=@{tmp_path / 'value'}", guest("echoes_stdin"))
    assert json.loads(ended.out) == {"f": value}


def test_a_contract_asks_for_less(cli, guest, tmp_path):
    (tmp_path / "less.toml").write_text("[limits]\nwall_seconds = 1\n")
    ended = cli("send", "--contract", tmp_path / "less.toml", guest("loops_forever"))
    assert ended.status == 124
    assert "wall" in ended.err


def test_a_deadline_ends_the_program_with_the_status_of_timeout(cli, guest):
    assert cli("send", "-q", "--deadline", "0.3", guest("loops_forever")).status == 124


def test_events_are_shown_if_they_are_asked_for(cli, guest):
    assert "event 2: event 2\n" in cli("send", "-q", "--events", guest("pushes_events"), "3").err
    lines = [json.loads(line) for line in cli("send", "-q", "--events=json", guest("pushes_events"), "3").err.splitlines()]
    assert [(line["sequence"], line["text"]) for line in lines] == [(i, f"event {i}") for i in (1, 2, 3)]
    assert cli("send", "-q", guest("pushes_events"), "3").err == ""


def test_the_token_may_come_from_a_file_or_the_command_line(cli, log_filter, tmp_path):
    (tmp_path / "token").write_text("alice\n")
    assert cli("send", "-q", "--token-file", tmp_path / "token", log_filter, "X", env={"BERTH_TOKEN": "wrong"}).status in (0, 1)
    assert cli("send", "-q", "--token", "alice", log_filter, "X", env={"BERTH_TOKEN": "wrong"}).status in (0, 1)


def test_an_identity_is_proven_and_a_stranger_is_told_its_name(berth, cli, log_filter, tmp_path):
    key = tmp_path / "key"
    key.write_text("11" * 32 + "\n")
    stranger = cli("send", "--identity", key, log_filter, "CRITICAL", env={"BERTH_TOKEN": ""})
    assert stranger.status == 126
    name = re.search(r"12D3KooW\w{44}", stranger.err.split("identity, ")[1])[0]
    place = tmp_path / "node"
    place.mkdir()
    with Node(berth, place, config=f'[[capability]]\nname = "bare"\n[[principal]]\nname = "friend"\ned25519 = ["{name}"]\n'
                                   'capabilities = ["bare"]\n') as node:
        for _ in range(2):
            ended = cli("send", "-q", "--to", node.address, "--identity", key, log_filter, "CRITICAL")
            assert "identity" not in ended.err and "token" not in ended.err, ended.err
            assert ended.status < 124


def test_the_example_for_embedders_is_short_and_works(berth, environment, serving, log_filter, tmp_path):
    source = ROOT / "examples" / "send.c"
    lines = source.read_text().splitlines()
    assert len(lines) < 100
    assert all("<berth/" in line for line in lines if line.startswith("#include") and "berth" in line)
    program = tmp_path / "send"
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{ROOT / 'include'}",
                    source, "-o", program, f"-L{berth.parent}", "-lberth-client", "-lberth", f"-Wl,-rpath,{berth.parent}"],
                   check=True)
    done = subprocess.run([program, serving.address, log_filter, "CRITICAL"], env=environment, capture_output=True,
                          timeout=PATIENCE_S)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, MATCHES, b"")


# ---- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, status, says", [
    (["--token", "wrong"], 126, "does not accept this token"),
    (["--token", "bob", "--capability", "logs"], 126, "does not allow it"),
    (["--capability", "no-such"], 126, "does not allow it"),
    (["--to", "127.0.0.1:1"], 125, "127.0.0.1:1"),
    (["--to", "not an address"], 64, "no address"),
    (["--tls"], 125, "no connection"),
    (["--to", "192.0.2.1:1"], 64, "clear text"),
    (["--node", "12D3KooWWrong"], 126, "12D3KooWWrong"),
    (["--input", "novalue"], 64, "NAME=VALUE"),
    (["--deadline", "soon"], 64, "seconds"),
    (["--survive-restart"], 64, "--detach"),
    (["--token-file", "/nonexistent"], 64, "token file"),
    (["--identity", "/dev/null"], 64, "identity file"),
    (["--certificate", "/dev/null"], 64, "key"),
    (["--contract", "/nonexistent"], 64, "contract file"),
    (["--events=loud"], 64, "text|json"),
])
def test_what_cannot_be_is_told_in_one_sentence(cli, log_filter, words, status, says):
    ended = cli("send", *words, log_filter, "CRITICAL")
    assert ended.status == status, ended.err
    assert says in ended.err
    assert ended.out == ""


def test_no_node_and_no_module_are_usage_errors(cli, log_filter, tmp_path):
    assert "BERTH_NODE" in cli("send", log_filter, env={"BERTH_NODE": ""}).err
    assert cli("send").status == 64
    assert cli("send", tmp_path / "absent.wasm").status == 127


def test_a_module_that_is_none_is_refused(cli, tmp_path):
    (tmp_path / "no.wasm").write_bytes(b"no module at all")
    ended = cli("send", tmp_path / "no.wasm")
    assert ended.status == 126, ended.err
    assert ended.err.count("\n") <= 2


def test_another_key_at_the_address_is_refused_loudly(cli, log_filter, serving, tmp_path):
    other = "12D3KooWEauvxa76ibLB8nATTmMzdWaCNjVNJBbV6D3Puga9NxUM"
    key = "46d8379217b974de3a4cdc5a2bcca73406181050b6184d17e04f268b486c6816"
    known = tmp_path / "known"
    known.write_text(f"{serving.address} {other} ed25519:{key} ml-dsa-65-sha256:{'0' * 64} 2026-01-01\n")
    ended = cli("send", "--known-nodes", known, log_filter, "CRITICAL")
    assert ended.status == 126
    assert "HAS CHANGED" in ended.err and other in ended.err and serving.peer_id in ended.err and "line 1 of" in ended.err


def test_a_known_nodes_file_with_nonsense_is_not_ignored(cli, log_filter, tmp_path):
    (tmp_path / "known").write_text("nonsense\n")
    assert "line 1" in cli("send", "--known-nodes", tmp_path / "known", log_filter, "CRITICAL").err


def test_what_speaks_something_else_is_no_node(cli, log_filter):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                peer.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        ended = cli("send", "--to", f"127.0.0.1:{listener.getsockname()[1]}", log_filter)
        thread.join()
    assert ended.status == 125
    assert "HTTP/2" in ended.err


# ---- Streaming and stopping ------------------------------------------------------------------------------------------


def running(cli):
    return json.loads(cli("runs", "list", "--running", "--json").out)["runs"]


def test_output_arrives_while_the_program_runs(start, guest):
    process = start("send", "-q", guest("writes_much_and_sleeps"))
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    assert ready and process.poll() is None


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_on_the_node(cli, start, guest, number, status):
    process = start("send", guest("loops_forever"))
    wait_until(lambda: running(cli), "the run")
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, err
    wait_until(lambda: not running(cli), "the end of the run")


def test_a_signal_ends_a_run_whose_output_nobody_reads(cli, start, guest):
    process = start("send", "-q", guest("floods_stdout"))
    wait_until(lambda: running(cli), "the run")
    time.sleep(0.2)  # until the pipe is full
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE_S)
    assert process.returncode == 130
    wait_until(lambda: not running(cli), "the end of the run")


def test_a_reader_that_leaves_ends_the_run(cli, start, guest):
    process = start("send", "-q", guest("floods_stdout"))
    process.stdout.read(1)
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 141
    wait_until(lambda: not running(cli), "the end of the run")


def test_a_slow_reader_gets_everything(start, guest):
    process = start("send", "-q", guest("writes_much_at_once"))
    size = 0
    while True:
        piece = os.read(process.stdout.fileno(), 1 << 20)
        if not piece:
            break
        size += len(piece)
        if size < 1 << 20:
            time.sleep(0.01)
    assert process.wait(PATIENCE_S) in (0, 123)  # the node may allow less output than it has
    assert size > 32 << 20


def test_an_upload_that_takes_time_is_shown_on_a_terminal(berth, environment, serving, guest, tmp_path):
    """Through a relay that lets a part of the module wait."""
    module = guest("exits_with").read_bytes()
    name = b"padding"
    content = bytes([len(name)]) + name + bytes(8 << 20)
    size, leb = len(content), b""
    while size >= 0x80:
        leb, size = leb + bytes([size & 0x7F | 0x80]), size >> 7
    (tmp_path / "large.wasm").write_bytes(module + b"\0" + leb + bytes([size]) + content)
    controller, terminal = pty.openpty()
    host, port = serving.address.split(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def relay():
            near, _ = listener.accept()
            far = socket.create_connection((host, int(port)))
            moved, slowed = 0, False
            while True:
                for source, sink in ((near, far), (far, near)):
                    if select.select([source], [], [], 0.01)[0]:
                        piece = source.recv(65536)
                        if not piece:
                            near.close()
                            far.close()
                            return
                        sink.sendall(piece)
                        moved += len(piece) if source is near else 0
                if moved > 4 << 20 and not slowed:
                    slowed = time.sleep(1) is None

        thread = threading.Thread(target=relay)
        thread.start()
        process = subprocess.Popen([berth, "send", "--to", f"127.0.0.1:{listener.getsockname()[1]}", tmp_path / "large.wasm", "3"],
                                   env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal)
        os.close(terminal)
        shown = b""
        while True:
            try:
                piece = os.read(controller, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert process.wait(PATIENCE_S) == 3
        thread.join(PATIENCE_S)
    os.close(controller)
    assert b"sending large.wasm [" in shown and b"MiB of 8" in shown


# ---- Runs that go on -------------------------------------------------------------------------------------------------


def test_a_detached_run_is_watched_from_any_event_on(cli, guest):
    run = detached(cli, guest("pushes_events"), "5", "1")
    watched = cli("watch", run)
    assert watched.status == 0, watched.err
    assert watched.out == "".join(f"event {i}: event {i}\n" for i in range(1, 6))
    later = cli("watch", "--after", "3", "--json", run)
    lines = [json.loads(line) for line in later.out.splitlines()]
    assert [line["sequence"] for line in lines[:-1]] == [4, 5]
    assert lines[-1]["state"] == "exited" and lines[-1]["receipt"]["receipt"]["run_id"] == run


def test_runs_are_listed_shown_and_stopped(cli, guest, tmp_path):
    run = detached(cli, guest("loops_forever"))
    assert run in cli("runs", "list", "--running").out
    shown = json.loads(cli("runs", "show", "--json", run).out)
    assert shown["state"] in ("queued", "running") and shown["detached"]
    assert cli("runs", "show", run, "--receipt", tmp_path / "r.json").status == 125
    assert cli("runs", "stop", run).status == 0
    wait_until(lambda: json.loads(cli("runs", "show", "--json", run).out)["state"] == "cancelled", "the end")
    assert cli("runs", "show", run, "--receipt", tmp_path / "r.json").status == 0
    assert cli("verify", tmp_path / "r.json").status == 0
    assert cli("watch", "-q", run).status == 130


def test_runs_of_others_are_as_absent_as_none(cli, guest):
    run = detached(cli, guest("pushes_events"), "1")
    for action in ("show", "stop"):
        ended = cli("runs", action, run, "--token", "bob")
        absent = cli("runs", action, "f" * 32, "--token", "bob")
        assert ended.status == absent.status == 127
        assert ended.err == absent.err
    assert cli("watch", run, "--token", "bob").status == 127
    assert run not in cli("runs", "list", "--token", "bob").out


@pytest.mark.parametrize("words", [["runs"], ["runs", "kill"], ["runs", "show"], ["runs", "show", "x"], ["runs", "list", "x"],
                                   ["runs", "list", "--limit", "0"], ["watch"], ["watch", "x"], ["watch", "--after", "-1", "x"]])
def test_mistakes_are_usage_errors(cli, words):
    ended = cli(*words)
    assert ended.status == 64
    assert ended.out == ""


def test_watching_goes_on_after_a_connection_that_was_lost(cli, start, serving, guest):
    """Through a relay that breaks the first connection in the middle."""
    run = detached(cli, guest("pushes_events"), "100", "20")
    host, port = serving.address.split(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def relay():
            for breaks in (True, False):
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                moved = 0
                with near, far:
                    while not over.is_set():
                        ready, _, _ = select.select([near, far], [], [], 0.1)
                        pieces = [(source, source.recv(4096)) for source in ready]
                        if any(not piece for _, piece in pieces):
                            break
                        for source, piece in pieces:
                            (far if source is near else near).sendall(piece)
                            moved += len(piece) if source is far else 0
                        if breaks and moved > 9000:
                            break

        thread = threading.Thread(target=relay)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        watched = cli("watch", "--to", address, run)
        over.set()
        thread.join(PATIENCE_S)
    assert watched.status == 0, watched.err
    assert watched.out == "".join(f"event {i}: event {i}\n" for i in range(1, 101))
    assert "trying again" in watched.err


def test_watching_goes_on_over_a_restart_of_the_node(berth, tmp_path, guest):
    """The run is quiet, so that nothing was heard when the node goes; it is lost with the node, and that is told."""
    (tmp_path / "logs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = f'[[listener]]\naddress = "127.0.0.1:{port}"\n' + CONFIG.format(logs=tmp_path / "logs")
    node = Node(berth, tmp_path, config=config).start()
    try:
        words = {"env": {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BERTH_NODE": node.address, "BERTH_TOKEN": "alice"},
                 "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        run = subprocess.run([berth, "send", "-q", "--detach", guest("loops_forever")], timeout=PATIENCE_S, **words).stdout.strip()
        watching = subprocess.Popen([berth, "watch", "--known-nodes", tmp_path / "known", run], **words)
        try:
            assert node.peer_id in watching.stderr.readline()  # it is connected
            node.process.kill()
            node.process.wait()
            wait_until(lambda: not node.children(), "the end of the node")
            node.end()
            node.start()
            _, err = watching.communicate(timeout=PATIENCE_S)
        finally:
            watching.kill()
            watching.wait()
        assert watching.returncode == 125, err
        assert "trying again" in err and "lost" in err
    finally:
        node.end()
