# SPDX-License-Identifier: Apache-2.0
"""Visits over the network, by an independent client: sealed and in the older form, what comes back and what is refused."""

import hashlib
import json
import os
import threading

import grpc
import pytest

import ml_kem
from liop_client import Client, Sealed, generated, liop, node as protocol
from serving import Node, wait_until

LINES = [f"2026-01-01 00:00:{i % 60:02} {'CRITICAL' if i % 7 == 0 else 'INFO'} line {i}\n" for i in range(5000)]
MATCHES = "".join(line for line in LINES if "CRITICAL" in line)


@pytest.fixture(scope="module")
def log_filter(example):
    return example("log_filter.c").read_bytes()


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    logs = directory / "logs"
    logs.mkdir()
    (logs / "system.log").write_text("".join(LINES))
    with Node(berth, directory, "--mount", f"{logs}::/logs") as node:
        yield node


@pytest.fixture
def client(serving):
    with serving.client() as client:
        yield client


def status_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# ---- Sealed ----------------------------------------------------------------------------------------------------------


def test_a_sealed_visit_gives_the_matching_lines(client, log_filter):
    output, _, end = client.execute(log_filter, ["CRITICAL"])
    assert output.decode() == MATCHES
    assert (end.outcome, end.exit_code) == ("exited", 0)
    assert end.usage.output_bytes == len(MATCHES)


def test_the_receipt_binds_what_was_sent_and_received(client, serving, log_filter):
    output, _, end = client.execute(log_filter, ["CRITICAL"])
    receipt = json.loads(end.receipt)["receipt"]
    assert receipt["node"] == serving.peer_id
    assert receipt["module"]["sha256"] == hashlib.sha256(log_filter).hexdigest()
    assert receipt["output"]["sha256"] == hashlib.sha256(output).hexdigest()
    assert receipt["arguments_sha256"] == hashlib.sha256(b"CRITICAL\0").hexdigest()


def test_a_known_module_need_not_cross_again(client, log_filter):
    client.execute(log_filter, ["CRITICAL"])
    session = client.negotiate(sealed=True, module_sha256=hashlib.sha256(log_filter).digest())
    assert session.answer.module_known
    output, _, _ = client.execute(log_filter, ["CRITICAL"], send_module=False)
    assert output.decode() == MATCHES


def test_a_module_that_nobody_sent_is_not_found(client):
    assert status_of(lambda: client.execute(b"\0asm never sent", send_module=False))[0] == grpc.StatusCode.NOT_FOUND


def test_the_exit_status_is_the_guests(client, guest):
    _, _, end = client.execute(guest("exits_with").read_bytes(), ["7"])
    assert (end.outcome, end.exit_code) == ("exited", 7)


def test_an_endless_loop_ends_at_the_deadline_and_others_go_on(client, guest, log_filter):
    loop = guest("loops_forever").read_bytes()
    _, _, end = client.execute(loop, contract='{"limits": {"wall_seconds": 0.2}}')
    assert (end.outcome, end.limit) == ("limit", "wall")
    assert client.execute(log_filter, ["CRITICAL"])[0].decode() == MATCHES


def test_inputs_are_on_stdin_and_in_files(client, guest):
    output, _, _ = client.execute(guest("echoes_stdin").read_bytes(), inputs={"k": b"[1,2]"})
    assert output == b'{"k":[1,2]}\n'


def test_sixteen_at_a_time(serving, log_filter):
    results = []

    def visit():
        with serving.client() as client:
            for _ in range(3):
                results.append(client.execute(log_filter, ["CRITICAL"])[0].decode() == MATCHES)

    threads = [threading.Thread(target=visit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 48


# ---- Version 1 -------------------------------------------------------------------------------------------------------


def test_a_version_1_visit_gives_one_sealed_result(client, log_filter):
    answer = client.execute_v1(log_filter, {"query": "CRITICAL"})
    assert not answer.is_error and answer.semantic_evidence == MATCHES


def test_arguments_of_version_1_come_as_a_list(client, log_filter):
    answer = client.execute_v1(log_filter, {"argv": ["CRITICAL"]})
    assert answer.semantic_evidence == MATCHES


def test_the_secret_of_kyber_round_3_opens_it_too(client, log_filter):
    answer = client.execute_v1(log_filter, {"query": "CRITICAL"}, round3=True)
    assert answer.semantic_evidence == MATCHES


@pytest.mark.parametrize("payload", [b"", b"return 1", b"@LIOP{wasi_v1,X}\nreturn 1\n@END"])
def test_what_is_no_module_is_an_error_in_words(client, payload):
    answer = client.execute_v1(payload)
    assert answer.is_error and "WebAssembly" in answer.semantic_evidence and not answer.zk_receipt


def test_a_failing_guest_is_an_error_not_a_result(client, guest):
    answer = client.execute_v1(guest("exits_with").read_bytes(), {"argv": ["3"]})
    assert answer.is_error and "3" in answer.semantic_evidence


# ---- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", "x" * 5000])
def test_callers_without_a_good_token_get_nowhere(serving, token):
    with Client(serving.address, token) as client:
        assert status_of(client.negotiate)[0] == grpc.StatusCode.UNAUTHENTICATED


def test_an_unknown_capability_is_denied(client):
    assert status_of(lambda: client.negotiate("nothing"))[0] == grpc.StatusCode.PERMISSION_DENIED


def test_a_session_is_good_once(client, log_filter):
    session = client.negotiate(sealed=True)
    assert list(client.run(session, client.request(session, log_filter, ["x"])))
    code, _ = status_of(lambda: list(client.run(session, client.request(session, log_filter, ["x"]))))
    assert code == grpc.StatusCode.UNAUTHENTICATED


def test_a_broken_seal_is_refused(client, log_filter):
    session = client.negotiate(sealed=True)
    request = client.request(session, log_filter)
    request.sealed_request = request.sealed_request[:-1] + bytes([request.sealed_request[-1] ^ 1])
    assert status_of(lambda: list(client.run(session, request)))[0] == grpc.StatusCode.UNAUTHENTICATED


def test_a_ciphertext_for_another_key_is_refused(client, log_filter):
    session, other = client.negotiate(sealed=True), client.negotiate(sealed=True)
    request = client.request(session, log_filter)
    request.pqc_ciphertext = ml_kem.encapsulate(other.answer.kyber_public_key)[0]
    assert status_of(lambda: list(client.run(session, request)))[0] == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("size", [0, 1, 1087, 1089])
def test_a_ciphertext_of_a_wrong_length_is_refused(client, log_filter, size):
    session = client.negotiate(sealed=True)
    request = client.request(session, log_filter)
    request.pqc_ciphertext = b"x" * size
    assert status_of(lambda: list(client.run(session, request)))[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("size", [0, 11, 13])
def test_a_nonce_of_a_wrong_length_is_refused(client, log_filter, size):
    session = client.negotiate()
    request = client.request_v1(session, log_filter)
    request.aes_nonce = b"x" * size
    assert status_of(lambda: list(client.execute_logic(request)))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_module_that_the_scan_refuses_says_why(client):
    code, details = status_of(lambda: client.execute(b"\0asm\1\0\0\0\1\xff"))
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "refused" in details


def test_a_hash_that_is_not_the_modules_is_refused(client, log_filter):
    session = client.negotiate(sealed=True)
    run = protocol.RunRequest(module=log_filter, module_sha256=bytes(32))
    sealed = Sealed(session.secret, session.token, "", 0).close(run.SerializeToString())
    request = liop.LogicRequest(session_token=session.token, pqc_ciphertext=session.ciphertext, sealed_request=sealed)
    assert status_of(lambda: list(client.run(session, request)))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_contract_that_asks_for_nonsense_names_the_key(client, log_filter):
    code, details = status_of(lambda: client.execute(log_filter, contract='{"limits": {"memroy_mb": 1}}'))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "memory_mb" in details


def test_garbage_is_no_message(serving):
    channel = grpc.insecure_channel(serving.address)
    call = channel.unary_unary("/liop.v1.LogicMesh/NegotiateIntent", request_serializer=bytes, response_deserializer=bytes)
    code, _ = status_of(lambda: call(b"\xff" * 100, metadata=[("authorization", f"Bearer {serving.token}")], timeout=60))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    channel.close()


# ---- Leaving ---------------------------------------------------------------------------------------------------------


def running(client):
    return client.unary("/berth.v1.Node/ListRuns", protocol.ListRunsRequest(running=True), protocol.ListRunsResponse).runs


def test_a_caller_who_leaves_ends_its_run(client, guest):
    session = client.negotiate(sealed=True)
    call = client.execute_logic(client.request(session, guest("loops_forever").read_bytes()),
                                more=[("berth-session", session.token)])
    next(call)
    assert len(running(client)) == 1
    call.cancel()
    wait_until(lambda: not running(client), "the run ends")


def test_a_deadline_of_the_call_ends_its_run(client, guest):
    session = client.negotiate(sealed=True)
    request = client.request(session, guest("loops_forever").read_bytes())
    code, _ = status_of(lambda: list(client.run(session, request, timeout=0.3)))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: not running(client), "the run ends")


def test_a_run_can_be_stopped_by_its_caller(client, guest):
    session = client.negotiate(sealed=True)
    messages = client.run(session, client.request(session, guest("loops_forever").read_bytes()))
    run_id = next(messages).started.run_id
    client.unary("/berth.v1.Node/StopRun", protocol.StopRunRequest(run_id=run_id), protocol.RunInfo)
    assert list(messages)[-1].end.outcome == "cancelled"


def test_runs_of_nobody_are_not_found(client):
    call = lambda: client.unary("/berth.v1.Node/ShowRun", protocol.ShowRunRequest(run_id="0" * 32), protocol.RunInfo)
    assert status_of(call)[0] == grpc.StatusCode.NOT_FOUND
