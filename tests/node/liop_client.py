# SPDX-License-Identifier: Apache-2.0
"""A client of a node written from docs/protocol.md and the .proto files alone, in another language and with other
libraries than the node's: what it accepts, others will.

    with Client(address, token) as client:
        answer = client.execute_v1(module, {"argv": ["CRITICAL"]})
        answer = client.execute(module, ["CRITICAL"])
"""

import hashlib
import hmac
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import ml_kem

PROTOCOL = Path(__file__).resolve().parents[2] / "src" / "wire"
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def generated(name):
    """The module that protoc makes of src/wire/NAME.proto."""
    directory = Path(tempfile.mkdtemp(prefix="berth-protocol-"))
    try:
        subprocess.run(["protoc", f"--proto_path={PROTOCOL}", f"--python_out={directory}", f"{name}.proto"], check=True)
        sys.path.insert(0, str(directory))
        return importlib.import_module(f"{name}_pb2")
    finally:
        sys.path.remove(str(directory))
        shutil.rmtree(directory)


liop = generated("liop")
node = generated("berth")


def direction_key(secret, token, capability, direction):
    info = b"berth seal v1\0" + bytes([direction]) + b"\0" + hashlib.sha256(capability.encode()).digest()
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=32, salt=token.encode(), info=info).derive(secret))


class Sealed:
    """One direction of a session: docs/protocol.md, "Sealed messages"."""

    def __init__(self, secret, token, capability, direction):
        self.key = direction_key(secret, token, capability, direction)
        self.bound = bytes([direction]) + token.encode()
        self.sequence = 0

    def nonce(self):
        nonce = bytes(4) + struct.pack(">Q", self.sequence)
        self.sequence += 1
        return nonce

    def close(self, plain):
        return self.key.encrypt(self.nonce(), plain, self.bound)

    def open(self, sealed):
        return self.key.decrypt(self.nonce(), sealed, self.bound)


class Session:
    def __init__(self, answer, capability):
        self.token = answer.session_token
        self.capability = capability
        self.answer = answer
        self.ciphertext, self.secret = ml_kem.encapsulate(answer.kyber_public_key)


class Client:
    def __init__(self, address, token=None, channel=None, metadata=()):
        self.channel = channel or grpc.insecure_channel(address, options=LARGE)
        self.metadata = list(metadata) + ([("authorization", f"Bearer {token}")] if token else [])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.channel.close()

    def unary(self, path, request, answer, **options):
        call = self.channel.unary_unary(path, request_serializer=type(request).SerializeToString,
                                        response_deserializer=answer.FromString)
        return call(request, metadata=self.metadata, **{"timeout": 60, **options})

    def stream(self, path, request, answer, **options):
        call = self.channel.unary_stream(path, request_serializer=type(request).SerializeToString,
                                         response_deserializer=answer.FromString)
        return call(request, metadata=self.metadata + options.pop("more", []), **{"timeout": 60, **options})

    def describe(self):
        return self.unary("/berth.v1.Node/Describe", node.DescribeRequest(), node.DescribeResponse)

    def negotiate(self, capability="", sealed=False, **fields):
        request = liop.IntentRequest(agent_did="did:liop:test", capability_hash=capability, sealed=sealed, **fields)
        answer = self.unary("/liop.v1.LogicMesh/NegotiateIntent", request, liop.IntentResponse)
        if sealed:
            signed = b"\0".join([b"berth kem key v1", answer.session_token.encode(), capability.encode(),
                                 answer.kyber_public_key])
            Ed25519PublicKey.from_public_bytes(answer.node_public_key).verify(answer.kem_signature, signed)
        return Session(answer, capability)

    def execute_logic(self, request, **options):
        return self.stream("/liop.v1.LogicMesh/ExecuteLogic", request, liop.LogicResponse, **options)

    # ---- LIOP version 1 ----

    def request_v1(self, session, payload, inputs=None, secret=None):
        key = AESGCM(secret or session.secret)
        nonce = os.urandom(12)
        sealed = {}
        for name, value in (inputs or {}).items():
            own = os.urandom(12)
            sealed[name] = own + key.encrypt(own, json.dumps(value).encode(), None)
        return liop.LogicRequest(session_token=session.token, wasm_binary=key.encrypt(nonce, payload, None), inputs=sealed,
                                 pqc_ciphertext=session.ciphertext, aes_nonce=nonce)

    def execute_v1(self, payload, inputs=None, capability="", round3=False, **options):
        """The one answer, its receipt checked as a public client does."""
        session = self.negotiate(capability)
        secret = ml_kem.round3_secret(session.ciphertext, session.secret) if round3 else session.secret
        answers = list(self.execute_logic(self.request_v1(session, payload, inputs, secret), **options))
        assert len(answers) == 1
        if not answers[0].is_error:
            check_receipt_v1(answers[0], payload, secret)
        return answers[0]

    # ---- Sealed ----

    def request(self, session, module, arguments=(), send_module=True, **fields):
        run = node.RunRequest(module=module if send_module else b"", module_sha256=hashlib.sha256(module).digest(),
                              name="test.wasm", arguments=arguments, **fields)
        sealed = Sealed(session.secret, session.token, session.capability, 0).close(run.SerializeToString())
        return liop.LogicRequest(session_token=session.token, pqc_ciphertext=session.ciphertext, sealed_request=sealed)

    def run(self, session, request, **options):
        """RunMessages as they come."""
        opener = Sealed(session.secret, session.token, session.capability, 1)
        more = [("berth-session", session.token)]
        for answer in self.execute_logic(request, more=more, **options):
            message = node.RunMessage()
            message.ParseFromString(opener.open(answer.sealed))
            yield message

    def execute(self, module, arguments=(), capability="", send_module=True, **fields):
        """(output, events, end) of a whole run."""
        session = self.negotiate(capability, sealed=True)
        output, events, end = bytearray(), [], None
        for message in self.run(session, self.request(session, module, arguments, send_module, **fields)):
            assert end is None, "something came after the end"
            kind = message.WhichOneof("kind")
            if kind == "output":
                output += message.output
            elif kind == "event":
                events.append(message.event)
            elif kind == "end":
                end = message.end
        return bytes(output), events, end


def check_receipt_v1(answer, payload, secret):
    image_id = hashlib.sha256(payload).digest()
    receipt = answer.zk_receipt
    version, length = struct.unpack(">BH", receipt[:3])
    journal, seal = receipt[3 : 3 + length], receipt[3 + length :]
    assert answer.cryptographic_proof == image_id and version == 1 and len(seal) == 32
    assert hmac.compare_digest(seal, hmac.new(secret, journal, hashlib.sha256).digest())
    said = json.loads(journal)
    assert said["image_id"] == image_id.hex()
    assert said["output_hash"] == hashlib.sha256(answer.semantic_evidence.encode()).hexdigest()


def identity_proof(private_key, description, capability):
    public = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signed = (b"berth identity proof v1\0" + description.nonce + description.ed25519_public_key
              + hashlib.sha256(capability.encode()).digest())
    return liop.IdentityProof(public_key=public, nonce=description.nonce, signature=private_key.sign(signed))


def new_identity():
    return Ed25519PrivateKey.generate()
