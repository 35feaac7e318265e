# SPDX-License-Identifier: Apache-2.0
"""What a client made with grpcio relies on beside a visit that goes well: large messages both ways, a reader that takes its
time, pings of an idle connection, and the asynchronous client. With and without TLS."""

import asyncio
import hashlib

import grpc
import pytest

from credentials import Authority
from liop_client import LARGE, Client, Session, liop
from liop_client import node as protocol
from serving import PATIENCE_S, Node, wait_until

MIB = 1 << 20
LINES = b"".join(b"%063d\n" % i for i in range(32 * MIB // 64))


@pytest.fixture(scope="module", params=["plain", "TLS"])
def serving(request, berth, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    (directory / "logs").mkdir()
    (directory / "logs" / "system.log").write_bytes(LINES)
    arguments = ["--mount", f"{directory}/logs::/logs"]
    if request.param == "TLS":
        authority = Authority(directory)
        served = authority.issue("node")
        arguments += ["--tls-certificate", served.certificate, "--tls-key", served.key]
    with Node(berth, directory, *arguments) as node:
        node.trust = authority.certificate.read_bytes() if request.param == "TLS" else None
        yield node


def new_channel(node, options=(), package=grpc):
    options = [*LARGE, *options]
    if node.trust:
        return package.secure_channel(node.address, grpc.ssl_channel_credentials(node.trust), options=options)
    return package.insecure_channel(node.address, options=options)


@pytest.fixture
def client(serving):
    with Client(serving.address, serving.token, channel=new_channel(serving)) as client:
        yield client


@pytest.fixture(scope="module")
def log_filter(example):
    return example("log_filter.c").read_bytes()


def padded(module, size):
    """With a custom section that makes it larger."""
    content = b"\x07padding" + bytes(size)
    length, leb = len(content), b""
    while length >= 0x80:
        leb, length = leb + bytes([length & 0x7F | 0x80]), length >> 7
    return module + b"\0" + leb + bytes([length]) + content


def test_output_of_32_mib(client, log_filter):
    output, _, end = client.execute(log_filter, ["0"])
    assert end.exit_code == 0 and hashlib.sha256(output).digest() == hashlib.sha256(LINES).digest()


def test_a_module_of_16_mib(client, log_filter):
    output, _, end = client.execute(padded(log_filter, 16 * MIB), ["no such line"])
    assert (output, end.outcome, end.exit_code) == (b"", "exited", 1)


def test_a_module_that_is_too_large_is_refused_before_it_is_read(client, log_filter):
    with pytest.raises(grpc.RpcError) as refused:
        client.execute(padded(log_filter, 70 * MIB))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_reader_that_stops_loses_nothing(client, serving, log_filter):
    """Others are served while it waits."""
    session = client.negotiate(sealed=True)
    messages = client.run(session, client.request(session, log_filter, ["0"]))
    output = hashlib.sha256()
    taken = 0
    while taken < MIB:
        message = next(messages)
        output.update(message.output)
        taken += len(message.output)
    with Client(serving.address, serving.token, channel=new_channel(serving)) as other:
        assert other.execute(log_filter, ["no such line"])[2].exit_code == 1
    for message in messages:
        output.update(message.output)
    assert output.digest() == hashlib.sha256(LINES).digest()


def test_pings_of_an_idle_connection_are_answered(serving):
    """As clients with keep-alive send them; a server that minds them ends the connection."""
    options = [("grpc.keepalive_time_ms", 10), ("grpc.keepalive_timeout_ms", PATIENCE_S * 1000),
               ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0)]
    states = []
    with new_channel(serving, options) as channel:
        channel.subscribe(states.append, try_to_connect=True)
        wait_until(lambda: grpc.ChannelConnectivity.READY in states, "the connection")
        with Client(serving.address, serving.token, channel=new_channel(serving)) as other:
            for _ in range(50):
                other.describe()
        Client(serving.address, serving.token, channel=channel).describe()
    assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states


def test_the_asynchronous_client(serving, log_filter):
    client = Client(serving.address, serving.token, channel=new_channel(serving))

    async def visit(channel):
        negotiate = channel.unary_unary("/liop.v1.LogicMesh/NegotiateIntent", liop.IntentRequest.SerializeToString,
                                        liop.IntentResponse.FromString)
        execute = channel.unary_stream("/liop.v1.LogicMesh/ExecuteLogic", liop.LogicRequest.SerializeToString,
                                       liop.LogicResponse.FromString)
        session = Session(await negotiate(liop.IntentRequest(sealed=True), metadata=client.metadata), "")
        call = execute(client.request(session, log_filter, ["0000000"]), metadata=client.metadata)
        return [answer async for answer in call]

    async def visits():
        async with new_channel(serving, package=grpc.aio) as channel:
            return await asyncio.wait_for(asyncio.gather(*(visit(channel) for _ in range(3))), PATIENCE_S)

    with client:
        assert all(len(answers) > 32 for answers in asyncio.run(visits()))


def test_a_stream_that_is_not_read_ends_with_the_call(client, guest):
    session = client.negotiate(sealed=True)
    call = client.execute_logic(client.request(session, guest("floods_stdout").read_bytes()))
    next(call)
    call.cancel()
    ask = lambda: client.unary("/berth.v1.Node/ListRuns", protocol.ListRunsRequest(running=True), protocol.ListRunsResponse)
    wait_until(lambda: not ask().runs, "the end of the run")
