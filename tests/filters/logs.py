# SPDX-License-Identifier: Apache-2.0
"""Logs for the filters: made ones, each with something that trips careless readers, and real ones of this machine."""
import os
import random
import shutil
import stat
from pathlib import Path

WORDS = [b"alpha", b"session", b"opened", b"for", b"user", b"root", b"failed", b"CRON", b"sshd", b"kernel", b"disk",
         b"CRITICALLY", b"critical", b"eth0", b"a=b", b"\xc3\xa9t\xc3\xa9"]
SEVERITIES = [b"DEBUG", b"INFO", b"Notice", b"WARN", b"warning", b"ERROR", b"err", b"CRITICAL", b"panic", b"x"]
QUERY = b"CRITICAL"
MIB = 1 << 20


def line(seed):
    words = [seed.choice(SEVERITIES)] + [seed.choice(WORDS) for _ in range(seed.randrange(0, 12))]
    return b"Nov 21 09:%02d:%02d host app[%d]: %s" % (seed.randrange(60), seed.randrange(60), seed.randrange(9999),
                                                      seed.choice([b" ", b"  ", b"\t"]).join(words))


def ordinary(seed):
    return b"".join(line(seed) + b"\n" for _ in range(20000))


def no_line_break_at_the_end(seed):
    return ordinary(seed) + b"the last line is " + QUERY


def empty_lines(seed):
    return b"".join(seed.choice([b"\n", b"\n\n\n", line(seed) + b"\n"]) for _ in range(5000))


def carriage_returns(seed):
    return b"".join(line(seed) + seed.choice([b"\r\n", b"\n", b"\r\r\n"]) for _ in range(5000))


def nuls(seed):
    return b"".join(line(seed).replace(b" ", seed.choice([b" ", b"\0"])) + seed.choice([b"\n", b"\0\n"])
                    for _ in range(5000)) + b"\0"


def invalid_utf8(seed):
    return b"".join(bytes(seed.randrange(256) for _ in range(40)) + seed.choice([QUERY, b""]) + b"\xff\xfe\n"
                    for _ in range(3000))


def words_at_every_place_of_a_buffer(seed):
    """The word lies on and around the ends of reads of any power of two."""
    log = bytearray()
    for size in [4096, 65536, 262144, 1048576]:
        for shift in range(-len(QUERY) - 1, 3):
            log += b"." * (-len(log) % size + size + shift) + QUERY + b" behind\n"
            log += line(seed) + b"\n"
            if len(log) > 24 * MIB:
                return bytes(log)
    return bytes(log)


def very_long_lines(seed):
    """Lines longer than any buffer: with the word at the start, at the end, in the middle, not at all, cut in two."""
    filling = bytes(seed.choice(b"abcdef ") for _ in range(64 * 1024)) * 24
    return b"".join([QUERY, filling, b"\n", filling, QUERY, b"\n", filling, QUERY, filling, b"\n", filling, b"\n",
                     filling, QUERY[:4], b"\n", QUERY[4:], filling, b"\nshort\n", filling, QUERY])


def only_line_breaks(_seed):
    return b"\n" * 100000


def empty(_seed):
    return b""


def one_byte(_seed):
    return b"C"


MADE = [ordinary, no_line_break_at_the_end, empty_lines, carriage_returns, nuls, invalid_utf8,
        words_at_every_place_of_a_buffer, very_long_lines, only_line_breaks, empty, one_byte]


def write_made(directory):
    """A file per kind, and things that are no logs. Returns the directory."""
    for make in MADE:
        (directory / f"{make.__name__}.log").write_bytes(make(random.Random(make.__name__)))
    (directory / "system.log").write_bytes(ordinary(random.Random(4711)))
    (directory / "a directory").mkdir()
    (directory / "a directory" / "inside.log").write_bytes(b"CRITICAL, but not entered\n")
    os.mkfifo(directory / "fifo.log")
    return directory


def copy_real(directory):
    """What is readable in /var/log, copied because live logs change under a test. Returns the files."""
    copied = []
    for source in sorted(Path("/var/log").rglob("*")):
        try:
            status = source.lstat()
            if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size < 64 * MIB:
                continue
            target = directory / "-".join(source.relative_to("/var/log").parts)
            shutil.copyfile(source, target)
            copied.append(target)
        except PermissionError:
            continue
    return copied
