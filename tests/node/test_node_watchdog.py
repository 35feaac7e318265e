# SPDX-License-Identifier: Apache-2.0
"""A watchdog on a real node: it sleeps in a confined worker and hears of changes in its mount."""

import threading
from pathlib import Path

import pytest

from liop_client import node as protocol
from serving import Node

CONFIG = """
[[mount]]
name = "logs"
host = "{logs}"
guest = "/logs"
hide = ["*.key"]
[[capability]]
name = "watcher"
mounts = ["logs"]
events = true
watch = true
detach = true
[[capability]]
name = "blind"
mounts = ["logs"]
events = true
"""


@pytest.fixture
def logs(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    (directory / "visible").write_text("hello\n")
    (directory / "secret.key").write_text("no")
    (directory / "out").symlink_to("/etc/passwd")
    return directory


@pytest.fixture
def serving(berth, tmp_path, logs):
    with Node(berth, tmp_path, config=CONFIG.format(logs=logs)) as node, node.client() as client:
        yield node, client


def detach(client, module, arguments=()):
    session = client.negotiate("watcher", sealed=True)
    (started,) = client.run(session, client.request(session, module, arguments, detach=True))
    return started.started.run_id


def events(client, run_id):
    """The texts of its events as they come, until it ends."""
    request = protocol.WatchRequest(run_id=run_id)
    for message in client.stream("/berth.v1.Node/Watch", request, protocol.WatchResponse):
        if message.WhichOneof("kind") != "event":
            return
        yield message.event.text


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def await_it(told, log):
    """Writes until it tells of a line, for it tells of nothing that was there before it watched; then takes the rest."""
    heard = []
    listener = threading.Thread(target=lambda: heard.append(next(told)))
    listener.start()
    number = 0
    while listener.is_alive():
        number += 1
        append(log, f"CRITICAL is it there {number}\n")
        listener.join(0.01)
    while heard[-1] != f"CRITICAL is it there {number}":
        heard.append(next(told))


def test_a_watchdog_hears_of_its_log(serving, example, logs):
    _, client = serving
    log = logs / "system.log"
    run_id = detach(client, example("watchdog.c").read_bytes(), ["CRITICAL"])
    told = events(client, run_id)
    await_it(told, log)
    for number in range(20):
        append(log, f"nothing\nCRITICAL {number}\n")
        assert next(told) == f"CRITICAL {number}"
    log.rename(logs / "system.log.1")
    append(log, "CRITICAL and new\n")
    assert next(told) == "CRITICAL and new"
    client.unary("/berth.v1.Node/StopRun", protocol.StopRunRequest(run_id=run_id), protocol.RunInfo)
    assert list(told) == []


def test_many_watchdogs_cost_no_thread_and_all_hear(serving, guest, logs):
    node, client = serving
    module = guest("watches_its_directory").read_bytes()
    watches = [events(client, detach(client, module)) for _ in range(30)]
    for told in watches:
        assert next(told) == "waiting"
    (logs / "other.key").write_text("a hidden name wakes nobody")
    for pid in node.children()["node-worker"]:
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) <= 2, "the loop and the clock"
    (logs / "new").write_text("1")
    for told in watches:
        assert list(told) == ["changed"]


def test_a_capability_without_watch_refuses_to_wait(serving, guest):
    _, client = serving
    _, told, end = client.execute(guest("watches_its_directory").read_bytes(), capability="blind")
    assert end.outcome == "exited" and end.exit_code == 8 and told == []
    assert any("grants.watch" in denial for denial in end.denials)
