# SPDX-License-Identifier: Apache-2.0
"""Modules byte by byte, for those that no assembler would make."""

HEADER = b"\0asm\x01\0\0\0"
CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(13)
I32, I64, F32, F64, FUNCREF = 0x7F, 0x7E, 0x7D, 0x7C, 0x70
END = b"\x0b"


def leb(value):
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sized(content):
    return leb(len(content)) + content


def section(kind, content):
    return bytes([kind]) + sized(content)


def vector(items):
    items = list(items)
    return leb(len(items)) + b"".join(items)


def name(value):
    return sized(value if isinstance(value, bytes) else value.encode())


def function_type(parameters=(), results=()):
    return b"\x60" + sized(bytes(parameters)) + sized(bytes(results))


def body(code=b"", locals_=()):
    """locals_: pairs of a count and a type."""
    return sized(vector(leb(count) + bytes([kind]) for count, kind in locals_) + code + END)


def module(*sections):
    return HEADER + b"".join(sections)


def functions(n, one_body=None, before=(), after=()):
    """n functions without parameters; the first is exported as _start."""
    return module(section(TYPE, vector([function_type()])), *before, section(FUNCTION, leb(n) + b"\0" * n),
                  section(MEMORY, b"\x01\0\x01"),
                  section(EXPORT, vector([name("_start") + b"\0\0", name("memory") + b"\x02\0"])),
                  section(CODE, leb(n) + (one_body or body()) * n), *after)


PLAIN = functions(1)
