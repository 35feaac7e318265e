# SPDX-License-Identifier: Apache-2.0
"""Detached runs: their events are numbered and kept, whoever follows loses none, and they outlive what they may outlive."""

import json
import os
import signal
import threading

import grpc
import pytest

from liop_client import node as protocol
from serving import Node, wait_until


@pytest.fixture
def serving(berth, tmp_path):
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs") as node:
        yield node


def detach(client, module, arguments, **fields):
    session = client.negotiate(sealed=True)
    messages = list(client.run(session, client.request(session, module, arguments, detach=True, **fields)))
    assert [m.WhichOneof("kind") for m in messages] == ["started"]
    return messages[0].started.run_id


def watch(client, run_id, after=0, **options):
    request = protocol.WatchRequest(run_id=run_id, after_sequence=after)
    return client.stream("/berth.v1.Node/Watch", request, protocol.WatchResponse, **options)


def show(client, run_id):
    return client.unary("/berth.v1.Node/ShowRun", protocol.ShowRunRequest(run_id=run_id), protocol.RunInfo)


def stop(client, run_id):
    client.unary("/berth.v1.Node/StopRun", protocol.StopRunRequest(run_id=run_id), protocol.RunInfo)


def take(messages, count):
    return [next(messages).event for _ in range(count)]


@pytest.fixture
def pusher(guest):
    return guest("pushes_events").read_bytes()


def test_events_are_numbered_from_one_and_end_with_the_run(serving, pusher):
    with serving.client() as client:
        run_id = detach(client, pusher, ["5", "1"])
        messages = list(watch(client, run_id))
        assert [(m.event.sequence, m.event.text) for m in messages[:-1]] == [(i, f"event {i}") for i in range(1, 6)]
        assert messages[-1].end.state == "exited" and messages[-1].end.last_sequence == 5


def test_a_watch_resumes_after_any_number(serving, pusher):
    with serving.client() as client:
        run_id = detach(client, pusher, ["20", "1"])
        list(watch(client, run_id))
        for after in (0, 1, 19, 20, 2**63):
            numbers = [m.event.sequence for m in watch(client, run_id, after) if m.WhichOneof("kind") == "event"]
            assert numbers == list(range(after + 1, 21))


def test_events_go_to_who_asked_for_them_in_a_visit(serving, pusher):
    with serving.client() as client:
        assert len(client.execute(pusher, ["3"], events=True)[1]) == 3
        assert client.execute(pusher, ["3"], events=False)[1] == []


def test_a_version_1_client_gets_events_behind_its_output(serving, pusher):
    with serving.client() as client:
        assert client.execute_v1(pusher, {"argv": ["2"]}).semantic_evidence == "event 1\nevent 2\n"


def test_two_followers_see_the_same(serving, pusher):
    with serving.client() as one, serving.client() as two:
        run_id = detach(one, pusher, ["50", "2"])
        seen = {}
        follow = lambda name, client: seen.update({name: [m.event.sequence for m in watch(client, run_id)][:-1]})
        threads = [threading.Thread(target=follow, args=pair) for pair in (("one", one), ("two", two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen["one"] == seen["two"] == list(range(1, 51))


def test_stopping_ends_the_watch(serving, pusher):
    with serving.client() as client:
        run_id = detach(client, pusher, ["0", "5"])
        messages = watch(client, run_id)
        take(messages, 2)
        stop(client, run_id)
        assert list(messages)[-1].end.state == "cancelled"


def test_old_events_go_first_and_the_watch_says_so(berth, tmp_path, pusher):
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs", "--max-events-per-run", "10") as serving:
        with serving.client() as client:
            run_id = detach(client, pusher, ["100"])
            wait_until(lambda: show(client, run_id).ended_ns, "the run ends")
            messages = list(watch(client, run_id))
            assert messages[0].dropped_up_to == 90
            assert [m.event.sequence for m in messages[1:-1]] == list(range(91, 101))


def test_a_run_outlives_the_front(serving, pusher):
    with serving.client() as client:
        run_id = detach(client, pusher, ["0", "5"])
        take(watch(client, run_id), 3)
    (front,) = serving.children()["node-front"]
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: serving.children().get("node-front", [front]) != [front], "another front")
    with serving.client() as client:
        events = take(watch(client, run_id, 3, wait_for_ready=True), 30)
        assert [e.sequence for e in events] == list(range(4, 34))
        assert show(client, run_id).state == "running"
        stop(client, run_id)


def test_a_run_that_outlives_the_front_goes_on_writing(serving, guest):
    with serving.client() as client:
        run_id = detach(client, guest("floods_stdout").read_bytes(), [], contract='{"limits": {"output_mb": 500}}')
    (front,) = serving.children()["node-front"]
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: serving.children().get("node-front", [front]) != [front], "another front")
    with serving.client() as client:
        assert list(watch(client, run_id, wait_for_ready=True))[-1].end.state == "limit"


def test_a_run_outlives_the_node_if_it_says_so(berth, tmp_path, pusher):
    config = (f'[[mount]]\nname = "logs"\nhost = "{tmp_path}"\nguest = "/logs"\n'
              '[[principal]]\nname = "alice"\ntoken_sha256 = "'
              '2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"\ncapabilities = ["default"]\n')
    with Node(berth, tmp_path, config=config) as serving, serving.client(token="alice") as client:
        survivor = detach(client, pusher, ["0", "5"], survive_restart=True)
        other = detach(client, pusher, ["0", "5"])
        last = take(watch(client, survivor), 3)[-1].sequence
        assert serving.stop() == 0
    with Node(berth, tmp_path, config=config) as serving, serving.client(token="alice") as client:
        wait_until(lambda: show(client, survivor).state == "running", "the run is started again")
        assert [e.sequence for e in take(watch(client, survivor, last), 20)] == list(range(last + 1, last + 21))
        assert show(client, other).state in ("cancelled", "lost")
        stop(client, survivor)


def test_a_killed_node_says_afterwards_what_is_true(berth, tmp_path, pusher, guest):
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs") as serving, serving.client() as client:
        run_id = detach(client, pusher, ["0", "5"])
        take(watch(client, run_id), 1)
        children = [pid for pids in serving.children().values() for pid in pids]
        serving.process.kill()
        serving.process.wait()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in children), "no child is left")
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/logs") as serving, serving.client() as client:
        state = lambda: show(client, run_id).state
        wait_until(lambda: state() == "lost", "the run is known to be over")


def test_detached_runs_are_the_capabilitys_to_give(berth, tmp_path, pusher):
    config = (f'[[mount]]\nname = "logs"\nhost = "{tmp_path}"\nguest = "/logs"\n'
              '[[capability]]\nname = "c"\nmounts = ["logs"]\ndetach = false\n')
    with Node(berth, tmp_path, config=config) as serving, serving.client() as client:
        with pytest.raises(grpc.RpcError) as caught:
            detach(client, pusher, ["1"])
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_events_that_a_slow_reader_has_no_room_for_are_a_gap_in_the_numbers(serving, guest):
    count = 500
    with serving.client() as client:
        session = client.negotiate(sealed=True)
        request = client.request(session, guest("pushes_large_events").read_bytes(), [str(count)], events=True)
        messages = client.run(session, request)
        run_id = next(messages).started.run_id
        wait_until(lambda: show(client, run_id).ended_ns, "the run ends")
        *events, end = messages
        numbers = [message.event.sequence for message in events]
        assert numbers == sorted(set(numbers)) and 0 < len(numbers) < count
        assert end.end.outcome == "exited" and json.loads(end.end.receipt)["receipt"]["events"]["count"] == count


def test_a_drain_ends_a_run_that_would_survive_but_has_not_started(serving, pusher):
    """Its caller, who does not know of it yet, hears of it; otherwise the drain would wait for that call."""
    (compiler,) = serving.children()["node-compiler"]
    with serving.client() as client:
        session = client.negotiate(sealed=True)
        request = client.request(session, pusher, ["1"], detach=True, survive_restart=True)
        messages = client.run(session, request)
        heard = []
        reader = threading.Thread(target=lambda: heard.extend(messages))
        listed = lambda: client.unary("/berth.v1.Node/ListRuns", protocol.ListRunsRequest(), protocol.ListRunsResponse).runs
        os.kill(compiler, signal.SIGSTOP)
        try:
            reader.start()
            wait_until(lambda: [run.state for run in listed()] == ["queued"], "the run waits for the compiler")
            serving.process.send_signal(signal.SIGTERM)
            reader.join(30)
        finally:
            os.kill(compiler, signal.SIGCONT)
        assert [message.WhichOneof("kind") for message in heard] == ["end"]
        assert heard[0].end.outcome == "cancelled"
    assert serving.stop() == 0
