# SPDX-License-Identifier: Apache-2.0
"""An audit log written from its description alone (src/audit/chain.h, docs/operations.md): if berth accepts it, the
description is right, and anybody can write a verifier."""
import hashlib
import json
import sqlite3
import struct

APPLICATION_ID, VERSION = 0x62417564, 1


# ---- Ed25519 (RFC 8032), slow and only for tests ----

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def _recover_x(y):
    """The even square root of (y^2 - 1) / (d y^2 + 1)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 else x


_BASE_Y = 4 * pow(5, -1, P) % P
BASE = (_recover_x(_BASE_Y), _BASE_Y)


def _add(a, b):
    cross = D * a[0] * b[0] * a[1] * b[1]
    return ((a[0] * b[1] + a[1] * b[0]) * pow(1 + cross, -1, P) % P,
            (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P) % P)


def _multiply(scalar, point):
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


class Key:
    def __init__(self, seed):
        halves = hashlib.sha512(seed).digest()
        self._scalar = int.from_bytes(halves[:32], "little") & (2**254 - 8) | 2**254
        self._prefix = halves[32:]
        self.public = _encode(_multiply(self._scalar, BASE))

    def sign(self, message):
        nonce = _number(self._prefix, message) % ORDER
        commitment = _encode(_multiply(nonce, BASE))
        response = (nonce + _number(commitment, self.public, message) * self._scalar) % ORDER
        return commitment + response.to_bytes(32, "little")

    @property
    def peer_id(self):
        digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
        number, text = int.from_bytes(bytes([0, 36, 8, 1, 18, 32]) + self.public, "big"), ""
        while number:
            number, digit = divmod(number, 58)
            text = digits[digit] + text
        return "1" + text


# ---- the log ----

class AuditLog:
    """Writes entries; commit() signs what was added."""

    def __init__(self, path, seed=bytes(32)):
        self.path, self.key, self.number, self.hash = path, Key(seed), 0, bytes(32)
        self.database = sqlite3.connect(path)
        self.database.executescript(f"""
            PRAGMA application_id = {APPLICATION_ID};
            PRAGMA user_version = {VERSION};
            CREATE TABLE node (public_key BLOB NOT NULL);
            CREATE TABLE entries (number INTEGER PRIMARY KEY, time_ns INTEGER, event TEXT, subject TEXT, run TEXT,
                                  details TEXT, hash BLOB);
            CREATE TABLE signatures (number INTEGER PRIMARY KEY, signature BLOB);""")
        self.database.execute("INSERT INTO node VALUES (?)", (self.key.public,))
        self.database.commit()

    def add(self, event, subject="", run="", time_ns=0, details=None):
        self.number += 1
        details = details if isinstance(details, str) else json.dumps(details or {})
        hashed = b"berth audit entry 1\0" + self.hash + struct.pack(">Qq", self.number, time_ns)
        for field in (event, subject, run, details):
            hashed += struct.pack(">I", len(field.encode())) + field.encode()
        self.hash = hashlib.sha256(hashed).digest()
        self.database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
                              (self.number, time_ns, event, subject, run, details, self.hash))
        return self

    def commit(self):
        signature = self.key.sign(b"berth audit commit 1\0" + struct.pack(">Q", self.number) + self.hash)
        self.database.execute("INSERT INTO signatures VALUES (?, ?)", (self.number, signature))
        self.database.commit()
        return self

    def change(self, sql):
        self.database.execute(sql)
        self.database.commit()
