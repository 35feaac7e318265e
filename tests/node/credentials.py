# SPDX-License-Identifier: Apache-2.0
"""What callers and listeners prove themselves with, made anew for each test: certificates with the openssl program, JWTs
and their keys with a library that is not the node's."""

import base64
import hashlib
import json
import subprocess
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE, SCOPE = "urn:liop:mesh:api", "liop:tools:call"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Certificate:
    """NAME.pem and NAME.key in a directory."""

    def __init__(self, directory, name):
        self.certificate, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        self.chain = self.certificate.read_bytes()
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.sha256 = hashlib.sha256(der).hexdigest()


class Authority:
    """Signs certificates for servers on loopback and for clients."""

    def __init__(self, directory, name="authority"):
        self.directory, self.name = directory, name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem")
        self.certificate = directory / f"{name}.pem"

    def issue(self, name, days=2, names="IP:127.0.0.1,IP:::1,DNS:localhost"):
        here = self.directory
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={name}",
                "-keyout", here / f"{name}.key", "-out", here / f"{name}.csr")
        (here / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
                                          "basicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", here / f"{name}.csr", "-CA", self.certificate, "-CAkey", here / f"{self.name}.key",
                "-CAcreateserial", "-days", days, "-extfile", here / f"{name}.ext", "-out", here / f"{name}.pem")
        return Certificate(here, name)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """EdDSA or ES256, with its place in a JWK set."""

    def __init__(self, algorithm, key_id):
        self.algorithm, self.key_id = algorithm, key_id
        self.key = ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        public = self.key.public_key()
        if self.algorithm == "EdDSA":
            shape = {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
        else:
            numbers = public.public_numbers()
            shape = {"kty": "EC", "crv": "P-256", "x": base64url(numbers.x.to_bytes(32, "big")),
                     "y": base64url(numbers.y.to_bytes(32, "big"))}
        return {**shape, "kid": self.key_id, "use": "sig", "alg": self.algorithm}

    def sign(self, data):
        if self.algorithm == "EdDSA":
            return self.key.sign(data)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, header=None, **claims):
        """A good one, but for what the arguments say; a claim that is None is left out."""
        head = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id, **(header or {})}
        body = {"sub": "build", "aud": AUDIENCE, "scope": SCOPE, "exp": int(time.time()) + 600, **claims}
        parts = [head, {name: value for name, value in body.items() if value is not None}]
        signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = b"" if head["alg"] == "none" else self.sign(signed.encode())
        return f"{signed}.{base64url(signature)}"


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() for key in keys]})
