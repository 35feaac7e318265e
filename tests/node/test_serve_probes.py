# SPDX-License-Identifier: Apache-2.0
"""gRPC health and reflection, as probes, load balancers and grpcurl use them: without credentials."""
import signal

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from liop_client import PROTOCOL, generated
from serving import PATIENCE_S, Node

health = generated("health")
reflection = generated("reflection")

SERVICES = ["berth.v1.Node", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "liop.v1.LogicMesh"]
Status = health.HealthCheckResponse.ServingStatus


@pytest.fixture(scope="module")
def serving(berth, tmp_path_factory):
    with Node(berth, tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture
def channel(serving):
    with grpc.insecure_channel(serving.address) as channel:
        yield channel


def check(channel, service=""):
    method = channel.unary_unary("/grpc.health.v1.Health/Check", health.HealthCheckRequest.SerializeToString,
                                 health.HealthCheckResponse.FromString)
    return method(health.HealthCheckRequest(service=service), timeout=PATIENCE_S).status


def watch(channel, service=""):
    method = channel.unary_stream("/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
                                  health.HealthCheckResponse.FromString)
    return method(health.HealthCheckRequest(service=service), timeout=PATIENCE_S)


def ask(channel, *questions, package="grpc.reflection.v1"):
    method = channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo",
                                   reflection.ServerReflectionRequest.SerializeToString,
                                   reflection.ServerReflectionResponse.FromString)
    requests = [reflection.ServerReflectionRequest(host="h", **question) for question in questions]
    answers = list(method(iter(requests), timeout=PATIENCE_S))
    assert [answer.original_request for answer in answers] == requests
    assert all(answer.valid_host == "h" for answer in answers)
    return answers


# ---- Health ----


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_the_node_and_each_service_serve(channel, service):
    assert check(channel, service) == Status.SERVING


@pytest.mark.parametrize("service", ["liop.v1", "liop.v1.LogicMesh ", "x" * 900])
def test_a_service_that_is_not_here(channel, service):
    with pytest.raises(grpc.RpcError) as refused:
        check(channel, service)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    answers = watch(channel, service)
    assert next(answers).status == Status.SERVICE_UNKNOWN
    answers.cancel()


def test_a_question_that_is_too_long(channel):
    with pytest.raises(grpc.RpcError) as refused:
        check(channel, "x" * 2000)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["Check", "Watch"])
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"])
def test_a_question_that_is_none(channel, method, body):
    call = channel.unary_stream(f"/grpc.health.v1.Health/{method}", bytes, bytes)
    with pytest.raises(grpc.RpcError) as refused:
        list(call(body, timeout=PATIENCE_S))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_no_question_at_all(channel, method):
    call = channel.stream_stream(f"/grpc.health.v1.Health/{method}", bytes, bytes)
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([]), timeout=PATIENCE_S))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_who_watches_hears_of_the_end_and_does_not_hold_it_up(berth, tmp_path):
    with Node(berth, tmp_path, "--drain-seconds", 86400) as node, grpc.insecure_channel(node.address) as channel:
        answers = watch(channel)
        assert next(answers).status == Status.SERVING
        node.process.send_signal(signal.SIGTERM)
        assert next(answers).status == Status.NOT_SERVING
        with pytest.raises(grpc.RpcError) as ended:
            next(answers)
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
        assert node.process.wait(PATIENCE_S) == 0


# ---- Reflection ----


@pytest.mark.parametrize("package", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
def test_the_services_are_listed(channel, package):
    answer, = ask(channel, {"list_services": "*"}, package=package)
    assert sorted(service.name for service in answer.list_services_response.service) == SERVICES


def file_of(answer):
    data, = answer.file_descriptor_response.file_descriptor_proto
    return descriptor_pb2.FileDescriptorProto.FromString(data)


def test_every_symbol_leads_to_its_file_and_the_files_are_whole(channel):
    pool = descriptor_pool.DescriptorPool()
    for name in ("liop", "berth", "health", "reflection"):
        pool.Add(file_of(ask(channel, {"file_by_filename": f"{name}.proto"})[0]))
    for service in SERVICES:
        descriptor = pool.FindServiceByName(service)
        symbols = [service] + [method.full_name for method in descriptor.methods]
        symbols += [method.input_type.full_name for method in descriptor.methods]
        for answer in ask(channel, *({"file_containing_symbol": symbol} for symbol in symbols)):
            assert file_of(answer).name == descriptor.file.name
    inner = ask(channel, {"file_containing_symbol": "grpc.health.v1.HealthCheckResponse.ServingStatus"})
    assert file_of(inner[0]).name == "health.proto"
    assert (PROTOCOL / "health.proto").exists()


def test_what_is_not_here(channel):
    questions = [{"file_by_filename": "nope.proto"}, {"file_by_filename": "../liop.proto"},
                 {"file_containing_symbol": "liop.v1"}, {"file_containing_symbol": ""},
                 {"file_containing_extension": {"containing_type": "liop.v1.LogicRequest", "extension_number": 1}},
                 {"all_extension_numbers_of_type": "liop.v1.LogicRequest"}]
    for answer in ask(channel, *questions):
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    nothing, = ask(channel, {})
    assert nothing.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_a_question_of_garbage_ends_the_call_only(channel):
    call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", bytes, bytes)
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([b"\xff\xff"]), timeout=PATIENCE_S))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert check(channel) == Status.SERVING


def test_several_questions_in_one_call(channel):
    answers = ask(channel, *[{"file_containing_symbol": "liop.v1.LogicMesh"}] * 100)
    assert len(answers) == 100
