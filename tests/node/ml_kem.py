# SPDX-License-Identifier: Apache-2.0
"""Encapsulation of ML-KEM-768 (FIPS 203), written from the standard and slow: a second opinion on the node's keys.

    ciphertext, secret = encapsulate(public_key)
"""

import hashlib
import os

N, Q, K, ETA, DU, DV = 256, 3329, 3, 2, 10, 4


def reverse_bits(value):
    return int(f"{value:07b}"[::-1], 2)


ZETAS = [pow(17, reverse_bits(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * reverse_bits(i) + 1, Q) for i in range(128)]


def ntt(f):
    """Algorithm 9."""
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def ntt_inverse(f):
    """Algorithm 10."""
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(a, b):
    """Algorithm 11."""
    product = []
    for i in range(128):
        a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        product += [(a0 * b0 + a1 * b1 * GAMMAS[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return product


def add(*polynomials):
    return [sum(values) % Q for values in zip(*polynomials)]


def sample_ntt(seed):
    """Algorithm 7."""
    stream, numbers, at = hashlib.shake_128(seed).digest(1344), [], 0
    while len(numbers) < N:
        low = stream[at] + 256 * (stream[at + 1] % 16)
        high = stream[at + 1] // 16 + 16 * stream[at + 2]
        numbers += [n for n in (low, high) if n < Q]
        at += 3
    return numbers[:N]


def sample_cbd(seed, counter):
    """Algorithm 8 with eta = 2."""
    stream = hashlib.shake_256(seed + bytes([counter])).digest(64 * ETA)
    bits = [byte >> i & 1 for byte in stream for i in range(8)]
    return [(bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(N)]


def encode(numbers, width):
    total = 0
    for i, number in enumerate(numbers):
        total |= number << (width * i)
    return total.to_bytes(32 * width, "little")


def decode(data, width):
    total = int.from_bytes(data, "little")
    return [total >> (width * i) & ((1 << width) - 1) for i in range(N)]


def compress(numbers, width):
    return [((n << width) + Q // 2) // Q % (1 << width) for n in numbers]


def decompress(numbers, width):
    return [(n * Q + (1 << (width - 1))) >> width for n in numbers]


def encrypt(public_key, message, randomness):
    """Algorithm 14: K-PKE.Encrypt."""
    t = [decode(public_key[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    rho = public_key[384 * K :]
    a = [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]
    y = [ntt(sample_cbd(randomness, i)) for i in range(K)]
    e1 = [sample_cbd(randomness, K + i) for i in range(K)]
    e2 = sample_cbd(randomness, 2 * K)
    u = [add(ntt_inverse(add(*(multiply(a[j][i], y[j]) for j in range(K)))), e1[i]) for i in range(K)]
    mu = decompress(decode(message, 1), 1)
    v = add(ntt_inverse(add(*(multiply(t[i], y[i]) for i in range(K)))), e2, mu)
    return b"".join(encode(compress(part, DU), DU) for part in u) + encode(compress(v, DV), DV)


def encapsulate(public_key, message=None):
    """Algorithm 20."""
    assert len(public_key) == 1184
    message = message or os.urandom(32)
    expanded = hashlib.sha3_512(message + hashlib.sha3_256(public_key).digest()).digest()
    return encrypt(public_key, message, expanded[32:]), expanded[:32]


def round3_secret(ciphertext, secret):
    """What the Kyber of round 3 derives where FIPS 203 derives `secret`."""
    return hashlib.shake_256(secret + hashlib.sha3_256(ciphertext).digest()).digest(32)
