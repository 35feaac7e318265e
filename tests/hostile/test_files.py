# SPDX-License-Identifier: Apache-2.0
"""What is not a file, what fills a disk, what becomes of descriptors, listings and times."""
import errno
import os
import resource
import socket
import stat
import subprocess

import pytest

import host_calls as h
from host_calls import WITH_A_PATH, errnos
from visits import SOON_S, Swapping

MIB = 1 << 20


# ---- Kinds of files ------------------------------------------------------------------------------------------------


@pytest.fixture
def zoo(tree):
    """A file of each kind that is neither a regular file nor a directory."""
    os.mkfifo(tree / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tree / "socket"))
    kinds = ["fifo", "socket"]
    try:
        os.mknod(tree / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(tree / "block", 0o666 | stat.S_IFBLK, os.makedev(7, 200))
        kinds += ["null", "block"]
    except PermissionError:
        pass
    yield kinds
    listening.close()


@pytest.mark.parametrize("name", ["open", "open for writing", "truncate", "open the link itself", "create"])
def test_only_files_and_directories_are_opened(tell, zoo, writes, name):
    """Row 44: a FIFO without the other end does not block, and a device is not kept."""
    answers = tell(*(WITH_A_PATH[name](kind) for kind in zoo), options=[*writes, "--wall-seconds", SOON_S])
    assert set(errnos(answers)) == {"NOTCAPABLE"}, dict(zip(zoo, errnos(answers), strict=True))


def test_a_link_to_a_device_is_no_way_to_it(tell, tree, zoo, writes):
    """Row 44."""
    for kind in zoo:
        (tree / f"to {kind}").symlink_to(kind)
    assert set(errnos(tell(*(h.open_file(f"to {kind}") for kind in zoo), options=writes))) == {"NOTCAPABLE"}


def test_special_files_can_be_seen_and_removed(tell, tree, zoo, writes):
    """Row 44, the neighbour."""
    answers = tell(*(h.stat(kind) for kind in zoo), *(h.unlink(kind) for kind in zoo), options=writes)
    assert set(errnos(answers)) == {"SUCCESS"} and not (tree / "fifo").exists()


@pytest.mark.parametrize("host, path", [("/", "proc/version"), ("/", "proc/self/environ"), ("/", "dev/null"),
                                        ("/", "sys"),
                                        ("/proc", "self/root/etc/passwd"), ("/proc", "self/fd/0"), ("/dev", "null"),
                                        ("/dev", "zero"), ("/dev", "fd/0")])
def test_other_file_systems_below_a_mount_are_not_entered(tell, host, path):
    """Row 44: whoever mounts "/" does not mean /proc."""
    assert tell(h.open_file(path), options=["--dir", f"{host}::/"])[0].errno in ("NOTCAPABLE", "NOENT", "LOOP")


# ---- Filling the disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def with_quota(tree, tmp_path):
    contract = tmp_path / "quota.toml"
    contract.write_text(f'[[grants.mount]]\nguest = "/"\nhost = "{tree}"\nmode = "write"\nquota_mb = 1\n')
    return ["--contract", contract]


def size_of(directory):
    return sum(os.lstat(os.path.join(parent, name)).st_size for parent, _,
               files in os.walk(directory) for name in files)


def test_a_quota_holds_for_all_ways_to_grow(tell, tree, with_quota):
    """Row 45: writing, writing far behind the end, making larger, in one file and in many."""
    before = size_of(tree)
    answers = tell(h.create("one", rights=h.ALL_RIGHTS & ~h.READDIR),
                   h.create("two", rights=h.ALL_RIGHTS & ~h.READDIR),
                   h.until_failure(1000, "fd_write $0 <~65536 @4"), h.set_size("$0", 2**40),
                   h.pwrite("$0", "x", 8 * 2**40),
                   h.pwrite("$0", "x", 2**62), h.until_failure(1000, "fd_write $1 <~65536 @4"),
                   h.set_size("$1", 2 * MIB),
                   h.create("three"), options=with_quota)
    assert answers[2].errno == answers[6].errno == answers[7].errno == answers[8].errno == "DQUOT"
    assert {answer.errno for answer in answers[3:6]} <= {"DQUOT", "FBIG"}
    assert MIB // 2 < size_of(tree) - before <= MIB


def test_a_quota_holds_for_names_without_content(tell, tree, with_quota):
    """Row 45: files and directories of no bytes fill a file system too."""
    answers = tell(*(h.mkdir(f"d{i}") for i in range(10_000)), options=with_quota)
    made = sum(answer.ok for answer in answers)
    assert 0 < made < 10_000 and answers[-1].errno == "DQUOT"


def test_below_its_quota_a_guest_writes_and_what_it_removes_counts_no_more(tell, tree, with_quota):
    """Row 45, the neighbour."""
    round_ = [h.create("file"), "*14 fd_write $0 <~65536 @4", h.close("$0"), h.unlink("file")]
    statements = []
    for i in range(5):
        statements += [s.replace("$0", f"${4 * i}") for s in round_]
    assert set(errnos(tell(*statements, options=with_quota))) == {"SUCCESS"}


def test_allocation_is_refused_before_it_is_tried(tell, tree, writes):
    """Row 45."""
    answers = tell(h.create("new", rights=h.ALL_RIGHTS & ~h.READDIR), f"fd_allocate $0 0 {2**63}",
                   f"fd_allocate $0 0 {2**40}",
                   options=writes)
    assert not any(answer.ok for answer in answers[1:]) and (tree / "new").stat().st_size == 0


def test_deep_directories_and_many_entries_are_no_trouble(tell, tree, writes):
    """Row 45: deeper than a path can say, as one descriptor opens the next."""
    deep, statements = 800, []
    for i in range(deep):
        at = 3 if i == 0 else f"${4 * (i - 1) + 1}"
        statements += [h.mkdir("d", at), h.open_directory("d", at), h.stat("d", at), h.close(at) if i else h.stat(".")]
    answers = tell(*statements, h.create("bottom", at=f"${4 * (deep - 1) + 1}"), options=writes)
    assert set(errnos(answers)) == {"SUCCESS"}
    subprocess.run(["rm", "-rf", tree / "d"], check=True)


def test_a_file_size_limit_of_the_host_is_an_errno(guest, berth, environment, tree, writes):
    """Row 46: and not a signal that ends berth."""
    done = subprocess.run([berth, "run", *writes, guest("does_as_told"), h.create("new"),
                           h.until_failure(100, "fd_write $0 <~65536 @4")],
                          env=environment, capture_output=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
    assert done.returncode == 0 and h.read_answers(done.stdout)[1].errno == "FBIG", done


def test_a_full_file_system_is_an_errno(tell, tmp_path):
    """Row 46: where this machine lets us make a small one."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        answers = tell(h.create("file"), h.until_failure(100, "fd_write $0 <~65536 @4"), h.mkdir("d"),
                       options=["--dir-write", f"{small}::/"])
        assert answers[1].errno == "NOSPC" and answers[1].times <= 16
    finally:
        subprocess.run(["umount", small], check=True)


# ---- Descriptors ---------------------------------------------------------------------------------------------------


def test_as_many_files_open_as_the_contract_says(tell, reads):
    """Row 47: one more is an errno, and a closed one makes room."""
    answers = tell(h.until_failure(100, h.open_file("a.txt")), h.close(4), h.open_file("a.txt"), h.open_file("a.txt"),
                   options=[*reads, "--open-files", "10"])
    assert (answers[0].errno, answers[0].times) == ("MFILE", 10)
    assert errnos(answers[1:]) == ["SUCCESS", "SUCCESS", "MFILE"]


def descriptors_of(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def test_no_way_to_lose_descriptors_of_the_host(converse, writes):
    """Row 47: opened and renumbered two thousand times, opened and failed, renumbered onto streams and mounts."""
    guest = converse(options=writes)
    assert guest.tell(h.open_file("a.txt")).ok and guest.tell(h.open_file("a.txt")).ok
    before = descriptors_of(guest.visitor.process)
    for _ in range(1000):
        opened = guest.tell(h.open_file("a.txt"))
        assert opened.ok and guest.tell(h.renumber(opened.number(), 4)).ok
    guest.tell(h.stubbornly(1000, h.create("a.txt", oflags=h.CREAT | h.EXCL)))
    guest.tell(h.stubbornly(1000, h.open_file("missing")))
    guest.tell(h.stubbornly(1000, h.open_directory("a.txt")))
    guest.tell(h.stubbornly(1000, h.open_file("inner/../../x")))
    assert descriptors_of(guest.visitor.process) == before
    assert guest.end().status == 0


def test_a_host_short_of_descriptors_is_an_errno(guest, berth, environment, reads):
    """Row 47: berth still says how it went."""
    done = subprocess.run([berth, "run", "--usage=json", "--open-files", "1000", *reads, guest("does_as_told"),
                           h.until_failure(1000, h.open_file("a.txt")), h.close(5), h.open_file("a.txt")],
                          env=environment, capture_output=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    answers = h.read_answers(done.stdout)
    assert done.returncode == 0 and answers[0].errno in ("MFILE", "NFILE") and answers[2].ok, done
    assert b'"outcome"' in done.stderr


def told_on_stderr(visit, guest, *statements, **rest):
    """As tell(), for guests that close their stdout."""
    done = visit(guest("does_as_told"), "report 2", *statements, **rest)
    assert done.status == 0, done.messages
    lines = [line for line in done.messages.splitlines() if line[:1].isdigit()]
    return h.read_answers("\n".join(lines).encode())[1:]


def test_after_close_each_use_is_an_errno(visit, guest, reads):
    """Row 48."""
    answers = told_on_stderr(visit, guest, h.open_file("a.txt"), h.close("$1"), h.close("$1"), h.read("$1"),
                             h.fstat("$1"),
                             h.close(3), h.open_file("a.txt"), h.stat("a.txt"), "fd_prestat_get 3 @8", h.close(0),
                             "fd_read 0 >1 @4", h.close(1), "fd_write 1 <x @4", "fd_renumber 1 4", options=reads)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "BADF", "BADF", "BADF", "SUCCESS", "BADF", "BADF", "BADF",
                               "SUCCESS",
                               "BADF", "SUCCESS", "BADF", "BADF"]


def test_a_file_opened_after_stdout_was_closed_does_not_take_its_place(visit, guest, tree, writes):
    """Row 48: otherwise output meant for nobody would land in it."""
    answers = told_on_stderr(visit, guest, h.close(0), h.close(1), h.create("new"), "fd_write 1 <lost @4",
                             options=writes)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "SUCCESS", "BADF"] and answers[2].number() > 2
    assert (tree / "new").read_bytes() == b""


@pytest.mark.parametrize("pairs, expected", [
    ([(4, 4)], ["SUCCESS"]), ([(4, 99)], ["BADF"]), ([(99, 4)], ["BADF"]), ([(4, 2**31)], ["BADF"]),
    ([(4, 2**32 - 1)], ["BADF"]),
    ([(3, 4), (4, 3)], ["SUCCESS", "BADF"]), ([(4, 3), (3, 3)], ["SUCCESS", "SUCCESS"]),
    ([(4, 1), (1, 1)], ["SUCCESS", "SUCCESS"]),
], ids=lambda value: str(value) if isinstance(value, list) else "")
def test_renumbering_moves_or_is_an_errno(visit, guest, writes, pairs, expected):
    """Row 48."""
    answers = told_on_stderr(visit, guest, h.open_file("a.txt"), *(h.renumber(*pair) for pair in pairs),
                             options=writes)
    assert errnos(answers[1:]) == expected


def test_a_file_renumbered_onto_a_mount_is_a_file(tell, tree, untouched, writes):
    """Row 48."""
    with untouched(tree):
        answers = tell(h.open_file("a.txt"), h.renumber("$0", 3), h.open_file("a.txt"), h.create("new"), h.read(3),
                       "fd_prestat_get 3 @8",
                       options=writes)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "NOTDIR", "NOTDIR", "SUCCESS",
                               "BADF"] and answers[4].data == b"hello"


# ---- Listings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--deterministic"]], ids=["plain", "deterministic"])
@pytest.mark.parametrize("cookie", [1, 2, 10**6, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_cookie_that_was_never_given_is_no_harm(tell, reads, cookie, options):
    """Row 49."""
    answer = tell(h.open_directory("."), h.readdir("$0", cookie=cookie), options=[*reads, *options])[1]
    assert answer.errno in ("SUCCESS", "INVAL", "NOENT", "OVERFLOW", "IO")


@pytest.mark.parametrize("size", [0, 1, 23, 24, 25, 30, 4096])
def test_a_listing_fills_a_buffer_of_any_size(tell, reads, size):
    """Row 49: never more than it has room for."""
    answer = tell(h.open_directory("."), h.readdir("$0", size), options=reads)[1]
    assert answer.ok and answer.number(1) <= size


@pytest.mark.parametrize("size", [24 + 255, 1000, 65536])
def test_a_listing_in_pieces_has_each_name_once(converse, tree, reads, size):
    """Row 49: with names of the greatest length, and a buffer that holds hardly one."""
    expected = {b".", b".."}
    for i in range(50):
        (tree / f"{i:03}{'n' * (i * 5)}").touch()
    expected |= set(os.listdir(os.fsencode(tree)))
    guest = converse(options=reads)
    assert guest.tell(h.open_directory(".")).ok
    seen, cookie = [], 0
    while True:
        rest = guest.tell(h.readdir("$0", size, cookie)).data
        if not rest:
            break
        while len(rest) >= 24:
            length = int.from_bytes(rest[16:20], "little")
            if len(rest) < 24 + length:
                break
            cookie = int.from_bytes(rest[:8], "little")
            seen.append(rest[24:24 + length])
            rest = rest[24 + length:]
    assert len(seen) == len(set(seen)) and set(seen) == expected
    assert guest.end().status == 0


def test_a_directory_that_changes_while_it_is_listed_is_no_harm(tell, tree, reads):
    """Row 49."""
    for i in range(200):
        (tree / f"f{i}").touch()

    def change():
        for i in range(0, 200, 3):
            (tree / f"f{i}").rename(tree / f"g{i}")
            (tree / f"g{i}").rename(tree / f"f{i}")

    with Swapping(change):
        answers = tell(h.open_directory("."), *(h.readdir("$0", 500, cookie) for cookie in range(500)), options=reads)
    assert {answer.errno for answer in answers} <= {"SUCCESS", "INVAL", "NOENT"}


# ---- Times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags, expected", [
    (h.MTIM | h.MTIM_NOW, "INVAL"), (h.ATIM | h.ATIM_NOW, "INVAL"), (15, "INVAL"), (16, "INVAL"), (2**16 - 1, "INVAL"),
    (2**32 - 1, "INVAL"), (0, "SUCCESS"), (h.MTIM, "SUCCESS"), (h.ATIM_NOW | h.MTIM_NOW, "SUCCESS"),
])
def test_times_are_set_once_or_not_at_all(tell, tree, writes, flags, expected):
    """Row 50."""
    before = (tree / "a.txt").stat().st_mtime_ns
    answers = tell(h.set_times("a.txt", flags, 1, 1), h.open_file("a.txt", rights=h.ALL_RIGHTS),
                   f"fd_filestat_set_times $1 1 1 {flags}",
                   options=writes)
    assert (answers[0].errno, answers[2].errno) == (expected, expected)
    assert (tree / "a.txt").stat().st_mtime_ns == before or expected == "SUCCESS" and flags


@pytest.mark.parametrize("time_ns", [0, 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_times_at_the_ends_of_their_range(tell, tree, writes, time_ns):
    """Row 50: whatever the file system makes of it, what is read afterwards is a time."""
    answers = tell(h.set_times("a.txt", h.MTIM | h.ATIM, time_ns, time_ns), h.stat("a.txt"), options=writes)
    assert answers[0].errno in ("SUCCESS", "INVAL", "OVERFLOW") and answers[1].ok


def test_times_of_the_host_before_1970_and_far_ahead_can_be_read(tell, tree, reads):
    """Row 50."""
    for time_s in (-10**9, 2**34):
        try:
            os.utime(tree / "a.txt", (time_s, time_s))
        except OSError as error:
            assert error.errno in (errno.EINVAL, errno.EOVERFLOW)
        assert tell(h.stat("a.txt"), options=reads)[0].ok
