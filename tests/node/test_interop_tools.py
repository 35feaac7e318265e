# SPDX-License-Identifier: Apache-2.0
"""Programs of others that people point at a gRPC server: grpcurl and h2spec, with and without TLS. GRPCURL and H2SPEC in
the environment name them, else they are looked for in PATH; without them these tests are skipped."""

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from credentials import Authority
from serving import PATIENCE_S, Node

SERVICES = ["berth.v1.Node", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "liop.v1.LogicMesh"]


def program(name):
    return os.environ.get(name.upper()) or shutil.which(name)


def needs(name):
    return pytest.mark.skipif(not program(name), reason=f"{name} is not installed, and {name.upper()} does not name it")


@pytest.fixture(scope="module", params=["plain", "TLS"])
def serving(request, berth, tmp_path_factory):
    """A node, with the words that grpcurl needs to reach it, and those of h2spec."""
    directory = tmp_path_factory.mktemp("node")
    if request.param == "plain":
        arguments, curl, spec = [], ["-plaintext"], []
    else:
        authority = Authority(directory)
        served = authority.issue("node")
        arguments = ["--tls-certificate", served.certificate, "--tls-key", served.key]
        curl, spec = ["-cacert", authority.certificate], ["-t", "-k"]
    with Node(berth, directory, *arguments) as node:
        node.curl, node.spec = curl, spec
        yield node


# ---- grpcurl ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def curl(serving):
    """curl(words of grpcurl before the address, words after it) gives the finished process."""

    def run(*words, before=(), expected=0):
        done = subprocess.run([program("grpcurl"), *map(str, [*serving.curl, *before, serving.address, *words])],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
        assert expected is None or done.returncode == expected, done.stderr
        return done

    return run


@needs("grpcurl")
def test_grpcurl_lists_and_describes(curl):
    assert curl("list").stdout.split() == SERVICES
    for service in SERVICES:
        assert f"service {service.rsplit('.', 1)[1]} {{" in curl("describe", service).stdout
        for method in curl("list", service).stdout.split():
            assert "rpc " + method.rsplit(".", 1)[1] in curl("describe", method).stdout
    for message in ("liop.v1.LogicRequest", "liop.v1.IdentityProof", "berth.v1.RunMessage", "berth.v1.DescribeResponse"):
        assert f"message {message.rsplit('.', 1)[1]} {{" in curl("describe", message).stdout


@needs("grpcurl")
def test_grpcurl_asks_for_health(curl):
    assert json.loads(curl("grpc.health.v1.Health/Check").stdout) == {"status": "SERVING"}
    one = curl("grpc.health.v1.Health/Check", before=["-d", '{"service": "liop.v1.LogicMesh"}'])
    assert json.loads(one.stdout) == {"status": "SERVING"}
    none = curl("grpc.health.v1.Health/Check", before=["-d", '{"service": "nothing"}'], expected=None)
    assert none.returncode != 0 and "NotFound" in none.stderr


@needs("grpcurl")
def test_grpcurl_watches_health(curl):
    watched = curl("grpc.health.v1.Health/Watch", before=["-max-time", "1"], expected=None)
    assert json.loads(watched.stdout) == {"status": "SERVING"} and "DeadlineExceeded" in watched.stderr


@needs("grpcurl")
def test_grpcurl_calls_the_node(curl, serving):
    assert json.loads(curl("berth.v1.Node/Describe").stdout)["peerId"] == serving.peer_id
    intent = json.loads(curl("liop.v1.LogicMesh/NegotiateIntent",
                             before=["-H", f"authorization: Bearer {serving.token}"]).stdout)
    assert intent["accepted"] and re.fullmatch("[0-9a-f]{32}", intent["sessionToken"])
    refused = curl("liop.v1.LogicMesh/NegotiateIntent", expected=None)
    assert refused.returncode != 0 and "Unauthenticated" in refused.stderr


# ---- h2spec ----------------------------------------------------------------------------------------------------------


@needs("h2spec")
def test_h2spec_finds_nothing(serving, tmp_path):
    """All of its generic and http2 sections; exceptions would stand in docs/protocol.md, and there are none."""
    host, port = serving.address.rsplit(":", 1)
    report = tmp_path / "report.xml"
    done = subprocess.run([program("h2spec"), "-h", host, "-p", port, *serving.spec, "-P", "/grpc.health.v1.Health/Check",
                           "--timeout", "10", "-j", report, "generic", "http2"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=10 * PATIENCE_S)
    cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    wrong = [f"{case.get('package')} {case.get('classname')}" for case in cases
             if case.find("failure") is not None or case.find("error") is not None or case.find("skipped") is not None]
    assert len(cases) > 100 and wrong == [], done.stdout
    assert done.returncode == 0
