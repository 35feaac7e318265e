# SPDX-License-Identifier: Apache-2.0
"""Host calls as words: each function gives a statement for the guest does_as_told, read_answers() reads what it says.

`at` and `fd` are descriptors: a number, or "$3" for the one that statement 3 of the visit opened. The first mount
is 3."""
from dataclasses import dataclass

ERRNO = {0: "SUCCESS", 1: "2BIG", 2: "ACCES", 6: "AGAIN", 8: "BADF", 10: "BUSY", 19: "DQUOT", 20: "EXIST", 21: "FAULT",
         22: "FBIG", 25: "ILSEQ", 27: "INTR", 28: "INVAL", 29: "IO", 31: "ISDIR", 32: "LOOP", 33: "MFILE", 34: "MLINK",
         37: "NAMETOOLONG", 41: "NFILE", 43: "NODEV", 44: "NOENT", 48: "NOMEM", 51: "NOSPC", 52: "NOSYS",
         54: "NOTDIR", 55: "NOTEMPTY", 57: "NOTSOCK", 58: "NOTSUP", 59: "NOTTY", 60: "NXIO", 61: "OVERFLOW",
         63: "PERM", 64: "PIPE", 68: "RANGE", 69: "ROFS", 70: "SPIPE", 72: "STALE", 73: "TIMEDOUT", 74: "TXTBSY",
         75: "XDEV", 76: "NOTCAPABLE"}

CREAT, DIRECTORY, EXCL, TRUNC = 1, 2, 4, 8
APPEND, DSYNC, NONBLOCK, RSYNC, SYNC = 1, 2, 4, 8, 16
FD_READ, FD_SEEK, FD_WRITE = 1 << 1, 1 << 2, 1 << 6
READDIR = 1 << 14
READING = FD_READ | FD_SEEK | 1 << 5 | 1 << 21
WRITING = FD_WRITE | FD_SEEK | 1 << 5 | 1 << 21 | 1 << 22 | 1 << 23
ALL_RIGHTS = (1 << 30) - 1
MTIM, MTIM_NOW, ATIM, ATIM_NOW = 4, 8, 1, 2
REALTIME, MONOTONIC = 0, 1


@dataclass
class Answer:
    errno: str
    times: int
    results: list

    @property
    def ok(self):
        return self.errno == "SUCCESS"

    def number(self, result=0, at=0, size=4):
        return int.from_bytes(self.results[result][at:at + size], "little")

    @property
    def data(self):
        """What a read got: the first result, as long as the second says."""
        return self.results[0][:self.number(1)]


def read_answers(out):
    answers = []
    for line in out.decode().splitlines():
        errno, times, *results = line.split(" ")
        answers.append(Answer(ERRNO[int(errno)], int(times), [bytes.fromhex(result) for result in results]))
    return answers


def text(value):
    """A path or content as an argument."""
    value = value.encode() if isinstance(value, str) else value
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/*"
    return "'" + "".join(chr(byte) if byte in plain else f"%{byte:02x}" for byte in value)


def open_file(path, at=3, oflags=0, rights=READING, inheriting=0, flags=0, follow=True):
    return f"path_open {at} {int(follow)} {text(path)} {oflags} {rights} {inheriting} {flags} @4"


def open_directory(path, at=3, follow=True):
    return open_file(path, at, DIRECTORY, ALL_RIGHTS & ~(FD_READ | FD_WRITE), ALL_RIGHTS, 0, follow)


def create(path, at=3, oflags=CREAT, rights=WRITING | READING, **rest):
    return open_file(path, at, oflags, rights, **rest)


def read(fd, size=100):
    return f"fd_read {fd} >{size} @4"


def write(fd, content):
    return f"fd_write {fd} <{text(content)[1:]} @4"


def pread(fd, size, offset):
    return f"fd_pread {fd} >{size} {offset} @4"


def pwrite(fd, content, offset):
    return f"fd_pwrite {fd} <{text(content)[1:]} {offset} @4"


def close(fd):
    return f"fd_close {fd}"


def stat(path, at=3, follow=True):
    return f"path_filestat_get {at} {int(follow)} {text(path)} @64"


def fstat(fd):
    return f"fd_filestat_get {fd} @64"


def readdir(fd, size=4096, cookie=0):
    return f"fd_readdir {fd} @{size} {size} {cookie} @4"


def entries(answer):
    """What fd_readdir got: name -> (inode, kind)."""
    found, rest = {}, answer.data
    while len(rest) >= 24:
        length = int.from_bytes(rest[16:20], "little")
        if len(rest) < 24 + length:
            break
        found[rest[24:24 + length]] = (int.from_bytes(rest[8:16], "little"), rest[20])
        rest = rest[24 + length:]
    return found


def mkdir(path, at=3):
    return f"path_create_directory {at} {text(path)}"


def rmdir(path, at=3):
    return f"path_remove_directory {at} {text(path)}"


def unlink(path, at=3):
    return f"path_unlink_file {at} {text(path)}"


def rename(old, new, at=3, to=None):
    return f"path_rename {at} {text(old)} {at if to is None else to} {text(new)}"


def link(old, new, at=3, to=None, follow=False):
    return f"path_link {at} {int(follow)} {text(old)} {at if to is None else to} {text(new)}"


def symlink(target, path, at=3):
    return f"path_symlink {text(target)} {at} {text(path)}"


def readlink(path, at=3, size=256):
    return f"path_readlink {at} {text(path)} @{size} {size} @4"


def set_times(path, flags, atim=0, mtim=0, at=3, follow=True):
    return f"path_filestat_set_times {at} {int(follow)} {text(path)} {atim} {mtim} {flags}"


def set_size(fd, size):
    return f"fd_filestat_set_size {fd} {size}"


def renumber(fd, to):
    return f"fd_renumber {fd} {to}"


def seek(fd, offset, whence=0):
    return f"fd_seek {fd} {offset} {whence} @8"


def until_failure(count, statement):
    return f"*{count} {statement}"


def stubbornly(count, statement):
    return f"!{count} {statement}"


# Each call that takes a path.
WITH_A_PATH = {
    "open": lambda path: open_file(path),
    "open for writing": lambda path: create(path, oflags=0),
    "create": lambda path: create(path),
    "truncate": lambda path: create(path, oflags=TRUNC),
    "open the link itself": lambda path: open_file(path, follow=False),
    "open as directory": lambda path: open_directory(path),
    "stat": lambda path: stat(path),
    "lstat": lambda path: stat(path, follow=False),
    "set times": lambda path: set_times(path, MTIM, mtim=1),
    "set times of the link": lambda path: set_times(path, MTIM, mtim=1, follow=False),
    "mkdir": lambda path: mkdir(path),
    "rmdir": lambda path: rmdir(path),
    "unlink": lambda path: unlink(path),
    "rename from": lambda path: rename(path, "taken"),
    "rename to": lambda path: rename("a.txt", path),
    "link from": lambda path: link(path, "taken"),
    "link to": lambda path: link("a.txt", path),
    "symlink at": lambda path: symlink("a.txt", path),
    "symlink to": lambda path: symlink(path, "taken"),
    "readlink": lambda path: readlink(path),
}


def errnos(answers):
    return [answer.errno for answer in answers]
