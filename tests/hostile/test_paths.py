# SPDX-License-Identifier: Apache-2.0
"""Paths, links and files: ways out of a mount, ways to change what may only be read, ways to see what is hidden, ways to
fill a disk. In real directories; single functions of the resolver have their tests in src/wasi."""
import errno
import itertools
import os
import resource
import socket
import stat
import subprocess
import threading

import pytest

import host_calls as h
from conftest import SOON_S

MIB = 1 << 20


@pytest.fixture
def reads(tree):
    return ["--dir", f"{tree}::/"]


@pytest.fixture
def writes(tree):
    return ["--dir-write", f"{tree}::/"]


def errnos(answers):
    return [answer.errno for answer in answers]


# ---- Paths as text -------------------------------------------------------------------------------------------------

# What each call does with a path, and the errnos that are allowed for one that leads out.
WITH_A_PATH = {
    "open": lambda path: h.open_file(path),
    "open for writing": lambda path: h.create(path, oflags=0),
    "create": lambda path: h.create(path),
    "truncate": lambda path: h.create(path, oflags=h.TRUNC),
    "open the link itself": lambda path: h.open_file(path, follow=False),
    "open as directory": lambda path: h.open_directory(path),
    "stat": lambda path: h.stat(path),
    "lstat": lambda path: h.stat(path, follow=False),
    "set times": lambda path: h.set_times(path, h.MTIM, mtim=1),
    "set times of the link": lambda path: h.set_times(path, h.MTIM, mtim=1, follow=False),
    "mkdir": lambda path: h.mkdir(path),
    "rmdir": lambda path: h.rmdir(path),
    "unlink": lambda path: h.unlink(path),
    "rename from": lambda path: h.rename(path, "taken"),
    "rename to": lambda path: h.rename("a.txt", path),
    "link from": lambda path: h.link(path, "taken"),
    "link to": lambda path: h.link("a.txt", path),
    "symlink at": lambda path: h.symlink("a.txt", path),
    "symlink to": lambda path: h.symlink(path, "taken"),
    "readlink": lambda path: h.readlink(path),
}

OUTSIDE = ["..", "../", "../outside", "../outside/secret", "inner/../../outside/secret", "inner/../..", "./../outside",
           "a.txt/../../outside/secret", "/", "//", "/etc/passwd", "/a.txt", "//a.txt", "./" * 1000 + "../outside/secret",
           "inner/" + "../" * 40 + "etc/passwd", "../tree/a.txt", "../tree/../outside/secret"]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:40])
def test_a_path_that_leads_out_does_nothing(tell, tree, untouched, writes, path):
    """Row 36: through any call, also if it comes back in; and nothing that the guest sees tells what is out there."""
    with untouched(tree, tree.parent / "outside"):
        answers = tell(*(make(path) for make in WITH_A_PATH.values()), options=writes)
    for (name, _), answer in zip(WITH_A_PATH.items(), answers, strict=True):
        assert answer.errno in ("NOTCAPABLE", "NOTDIR", "INVAL", "EXIST", "BUSY"), (name, answer)


@pytest.mark.parametrize("path", ["../outside/secret", "../outside/missing", "/etc/passwd", "/etc/missing"])
def test_what_is_out_there_or_not_looks_the_same(tell, writes, path):
    """Row 36."""
    assert errnos(tell(*(WITH_A_PATH[name](path) for name in ("open", "stat", "unlink", "readlink", "rename from", "rmdir")),
                       options=writes)) == ["NOTCAPABLE"] * 6


@pytest.mark.parametrize("path, expected", [
    ("", "NOENT"), (b"a.txt\0", "ILSEQ"), (b"a.txt\0/../../outside/secret", "ILSEQ"), (b"\0", "ILSEQ"),
    (b"\xff", "ILSEQ"), (b"a\xc0\xafb", "ILSEQ"), (b"\xed\xa0\x80", "ILSEQ"), ("x" * 256, "NAMETOOLONG"),
    ("x" * 4096, "NAMETOOLONG"), ("x/" * 2048, "NAMETOOLONG"), ("./" * 2048 + "a.txt", "NAMETOOLONG"),
    ("x" * 100000, "NAMETOOLONG"),
], ids=["empty", "NUL at the end", "NUL inside", "NUL", "no UTF-8", "overlong slash", "surrogate", "name of 256",
        "path of 4096", "deep path of 4096", "dots of 4096", "path of 100,000"])
def test_a_path_that_is_no_path_is_an_errno(tell, tree, untouched, writes, path, expected):
    """Row 36."""
    # What a link holds may be longer than a name.
    calls = {name: make for name, make in WITH_A_PATH.items() if name != "symlink to" or expected != "NAMETOOLONG"}
    with untouched(tree, tree.parent / "outside"):
        answers = tell(*(make(path) for make in calls.values()), options=writes)
    for name, answer in zip(calls, answers, strict=True):
        assert answer.errno in {expected, "NOENT"} if "x/" in str(path) else {expected}, (name, answer)


@pytest.mark.parametrize("path", ["con", "nul", "a.txt:stream", "COM1", "*", "?", " ", "-rf", "~", "$HOME", "\\..\\x", "a\nb"])
def test_names_that_mean_something_elsewhere_are_plain_names(tell, tree, writes, path):
    """Row 36, the neighbour."""
    assert tell(h.create(path), h.write("$0", "here"), options=writes)[1].ok
    assert (tree / path).read_bytes() == b"here"


@pytest.mark.parametrize("path", ["a.txt", "./a.txt", "inner/../a.txt", ".//./a.txt", "inner/./../a.txt", "inner/../inner/../a.txt",
                                  "./" * 2045 + "a.txt"], ids=lambda path: path[:20])
def test_paths_that_stay_inside_work(tell, reads, path):
    """Row 36, the neighbour: also with ".." on the way."""
    assert tell(h.open_file(path), h.read("$0"), options=reads)[1].data == b"hello"


def test_the_longest_name_works(tell, tree, writes):
    """Row 36, the neighbour."""
    assert tell(h.create("n" * 255), options=writes)[0].ok
    assert (tree / ("n" * 255)).exists()


def test_twins_of_unicode_are_two_files(tell, tree, writes):
    """Row 36: composed and decomposed, upper and lower case."""
    names = ["\u00e9", "e\u0301", "\u00c9"]
    tell(*itertools.chain.from_iterable((h.create(name), h.write(f"${2 * i}", str(i))) for i, name in enumerate(names)),
         options=writes)
    assert [(tree / name).read_text() for name in names] == ["0", "1", "2"]


TRAILING = {"open": "NOTDIR", "lstat": "NOTDIR", "stat": "NOTDIR", "unlink": "NOTDIR", "open for writing": "NOTDIR",
            "set times": "NOTDIR", "set times of the link": "NOTDIR", "rmdir": "NOTDIR", "rename from": "NOTDIR",
            "link from": "NOTDIR"}


def test_a_slash_behind_a_file_is_an_errno(tell, tree, untouched, writes):
    """Row 36."""
    with untouched(tree):
        answers = tell(*(WITH_A_PATH[name]("a.txt/") for name in TRAILING), options=writes)
    assert dict(zip(TRAILING, errnos(answers), strict=True)) == TRAILING


# ---- Symbolic links ------------------------------------------------------------------------------------------------

LINKS_OUT = {"up": "../outside/secret", "up to a directory": "../outside", "parent": "..", "absolute": "/etc/passwd",
             "root": "/", "the process's root": "/proc/self/root/etc/passwd", "working directory": "/proc/self/cwd",
             "descriptor": "/proc/self/fd/0", "dangling": "../outside/new", "dangling absolute": "/nonexistent/new",
             "back in": "../tree/a.txt", "deep": "inner/../../outside/secret"}

FOLLOWING = ["open", "open for writing", "create", "truncate", "open as directory", "stat", "set times"]


@pytest.mark.parametrize("target", LINKS_OUT.values(), ids=LINKS_OUT.keys())
def test_a_link_that_leads_out_is_not_followed(tell, tree, untouched, writes, target):
    """Row 37: prepared by someone else. As the last component, with a slash behind it, and on the way."""
    (tree / "link").symlink_to(target)
    with untouched(tree.parent / "outside", tree):
        for path in ("link", "link/", "link/.", "link/secret", "link/../a.txt", "inner/../link"):
            answers = tell(*(WITH_A_PATH[name](path) for name in FOLLOWING), options=writes)
            for name, answer in zip(FOLLOWING, answers, strict=True):
                assert not answer.ok, (path, name)
    assert not (tree.parent / "outside" / "new").exists()


@pytest.mark.parametrize("target", ["../outside/", "../outside"])
def test_a_slash_behind_a_link_does_not_lead_out(tell, tree, untouched, writes, target):
    """Row 37: where "do not follow" was asked for and the slash makes the kernel follow after all."""
    (tree / "link").symlink_to(target)
    names = ["lstat", "set times of the link", "open the link itself", "mkdir", "rmdir", "unlink", "rename from", "readlink"]
    with untouched(tree.parent / "outside", tree):
        answers = tell(*(WITH_A_PATH[name]("link/") for name in names), options=writes)
    assert not any(answer.ok for answer in answers), dict(zip(names, answers, strict=True))


def test_a_chain_of_links_ends(tell, tree, reads):
    """Row 37: forty are what Linux follows."""
    (tree / "l0").symlink_to("a.txt")
    for i in range(45):
        (tree / f"l{i + 1}").symlink_to(f"l{i}")
    (tree / "loop").symlink_to("loop")
    (tree / "ping").symlink_to("pong")
    (tree / "pong").symlink_to("ping")
    answers = tell(*(h.open_file(path) for path in ("l0", "l39", "l40", "l45", "loop", "ping")), options=reads)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "LOOP", "LOOP", "LOOP", "LOOP"]


@pytest.mark.parametrize("target", ["a.txt", "./a.txt", "inner/../a.txt", "other", "inner"])
def test_a_link_that_stays_inside_is_followed(tell, tree, reads, target):
    """Row 37, the neighbour."""
    (tree / "other").symlink_to("a.txt")
    (tree / "link").symlink_to(target)
    path = "link/../a.txt" if target == "inner" else "link"
    assert tell(h.open_file(path), h.read("$0"), options=reads)[1].data == b"hello"


@pytest.mark.parametrize("at, target", [("link", "/etc/passwd"), ("link", "../outside/secret"), ("link", ".."),
                                        ("inner/link", "../../outside/secret"), ("link", "inner/../../outside"),
                                        ("link", "/proc/self/root"), ("inner/link", "/"), ("link", "//")])
def test_a_guest_cannot_make_a_link_that_leads_out(tell, tree, writes, at, target):
    """Row 37: it could not follow it, but a tool of the host could."""
    assert tell(h.symlink(target, at), options=writes)[0].errno == "NOTCAPABLE"
    assert not os.path.lexists(tree / at)


@pytest.mark.parametrize("target", ["a.txt", "inner/b.txt", "nowhere", "./inner"])
def test_a_guest_can_make_a_link_that_stays_inside(tell, tree, writes, target):
    """Row 37, the neighbour."""
    assert tell(h.symlink(target, "link"), options=writes)[0].ok
    assert os.readlink(tree / "link") == target


def test_a_link_that_leads_up_is_neither_made_nor_moved(tell, tree, untouched, writes):
    """Rows 37 and 41: where it is it may stay inside, but not where it, or its directory, could be moved to."""
    (tree / "inner" / "up").symlink_to("../a.txt")
    with untouched(tree):
        answers = tell(h.symlink("../a.txt", "inner/link"), h.rename("inner/up", "up"), h.rename("inner/up", "inner/down"),
                       h.link("inner/up", "up"), options=writes)
    assert set(errnos(answers)) == {"NOTCAPABLE"}


def test_no_move_makes_a_link_of_a_guest_lead_out(tell, tree, writes):
    """Rows 37 and 41, the neighbour: links, directories with links, second names of links."""
    (tree / "inner" / "deep").mkdir()
    answers = tell(h.symlink("target", "inner/deep/link"), h.rename("inner/deep", "deep"), h.rename("deep/link", "link"),
                   h.link("link", "inner/hard"), options=writes)
    assert errnos(answers) == ["SUCCESS"] * 4
    for link in ("link", "inner/hard"):
        assert os.path.realpath(tree / link).startswith(str(tree) + "/")


def test_creating_through_a_dangling_link_stays_inside(tell, tree, writes):
    """Row 37."""
    (tree / "link").symlink_to("../outside/new")
    assert not tell(h.create("link"), options=writes)[0].ok
    (tree / "inside").symlink_to("inner/new")
    tell(h.create("inside"), options=writes)
    assert not (tree.parent / "outside" / "new").exists()


# ---- Races ---------------------------------------------------------------------------------------------------------


class Swapping:
    """A thread of the host that does something again and again while a guest is at work."""

    def __init__(self, turn):
        self.turn, self.over, self.turns = turn, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            self.turn()
            self.turns += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize("path", ["a/b/../../secret", "a/b/../../../outside/secret", "a/../secret"])
def test_no_rename_of_the_host_lets_a_path_out(tell, tree, reads, path):
    """Row 38: a directory moves in and out of the tree; "secret" exists outside only, so that each success is an escape.
    The long version is a program of its own in the tests of src/wasi."""
    (tree / "a" / "b").mkdir(parents=True)

    def move():
        os.rename(tree / "a" / "b", tree.parent / "outside" / "b")
        os.rename(tree.parent / "outside" / "b", tree / "a" / "b")

    with Swapping(move) as swapping:
        answer, = tell(h.stubbornly(100_000, h.stat(path)), options=reads)
    assert answer.times == 0 and swapping.turns > 0


def test_no_swap_of_a_file_for_a_link_lets_an_open_out(tell, tree, reads):
    """Rows 37 and 38: the file has a name that is now itself, now a link to the secret. What was opened was hello."""
    (tree / "link").symlink_to("../outside/secret")
    (tree / "file").write_text("hello")

    def swap():
        os.rename(tree / "file", tree / "now")
        os.rename(tree / "now", tree / "file")
        os.rename(tree / "link", tree / "now")
        os.rename(tree / "now", tree / "link")

    rounds = range(3000)
    statements = [line for i in rounds for line in (h.open_file("now"), h.read(f"${3 * i}"), h.close(f"${3 * i}"))]
    with Swapping(swap):
        answers = tell(*statements, options=reads)
    seen = {answers[3 * i + 1].data for i in rounds if answers[3 * i].ok}
    assert seen <= {b"hello"}


def test_a_directory_that_was_moved_away_keeps_to_itself(converse, tree, writes):
    """Row 39: a descriptor stays with its directory, wherever the host moves it; what is above it stays out of reach."""
    guest = converse(options=writes)
    assert guest.tell(h.open_directory("inner")).ok
    os.rename(tree / "inner", tree.parent / "outside" / "inner")
    assert guest.tell(h.open_file("b.txt", at="$0")).ok
    for path in ("../secret", "..", "../../tree/a.txt", "../../outside/secret"):
        assert guest.tell(h.open_file(path, at="$0")).errno == "NOTCAPABLE"
    assert guest.tell(h.open_file("inner/b.txt")).errno == "NOENT"
    assert guest.end().status == 0


# ---- Reading only --------------------------------------------------------------------------------------------------


def test_nothing_changes_on_a_mount_for_reading(tell, tree, untouched, reads):
    """Row 43: each combination of the flags of path_open, with each set of rights that is for writing."""
    combinations = [h.open_file(path, oflags=oflags, rights=rights, inheriting=h.ALL_RIGHTS, flags=flags)
                    for path in ("a.txt", "new", "inner") for oflags in range(16) for flags in (0, h.APPEND, h.SYNC)
                    for rights in (h.ALL_RIGHTS, h.FD_WRITE, h.WRITING | h.READING, 1 << 8, 1 << 22)]
    with untouched(tree):
        answers = tell(*combinations, options=[*reads, "--open-files", "2000"])
    for statement, answer in zip(combinations, answers, strict=True):
        if answer.ok:
            assert " 1 " in statement and int(statement.split(" ")[4]) & (h.CREAT | h.TRUNC) == 0, statement


@pytest.mark.parametrize("name", ["create", "truncate", "open for writing", "mkdir", "rmdir", "unlink", "rename from",
                                  "rename to", "link from", "link to", "symlink at", "set times", "set times of the link"])
def test_a_change_on_a_mount_for_reading_is_refused_by_name(visit, guest, tree, untouched, reads, name):
    """Row 43: before anything happened, and with the line that would allow it."""
    path = "inner" if name == "rmdir" else "new" if name in ("create", "mkdir", "rename to", "link to", "symlink at") else "a.txt"
    with untouched(tree):
        done = visit(guest("does_as_told"), WITH_A_PATH[name](path), options=reads)
    assert h.read_answers(done.out)[0].errno == "ROFS"
    assert "mode" in done.messages and done.usage["denials"] == 1, done.messages


def test_a_descriptor_for_reading_cannot_be_used_to_write(tell, tree, untouched, reads):
    """Row 43."""
    with untouched(tree):
        answers = tell(h.open_file("a.txt", rights=h.READING), h.write("$0", "x"), h.pwrite("$0", "x", 0), h.set_size("$0", 0),
                       "fd_allocate $0 0 100", "fd_filestat_set_times $0 0 0 8", "fd_fdstat_set_flags $0 1",
                       f"fd_fdstat_set_rights $0 {h.ALL_RIGHTS} 0", "fd_sync $0", h.read("$0"), options=reads)
    assert all(answer.errno in ("ROFS", "NOTCAPABLE", "BADF") for answer in answers[1:8]), errnos(answers)
    assert answers[9].data == b"hello"


def test_rights_that_were_given_up_do_not_come_back(tell, tree, untouched, writes):
    """Row 43: by the descriptor, by one opened from it, by a renumbering."""
    narrow = h.READING | 1 << 13
    with untouched(tree):
        answers = tell(h.open_directory("."), f"fd_fdstat_set_rights $0 {1 << 13} {narrow}",
                       f"fd_fdstat_set_rights $0 {h.ALL_RIGHTS} {h.ALL_RIGHTS}", h.create("new", at="$0"),
                       h.open_file("a.txt", at="$0", rights=h.ALL_RIGHTS), h.write("$4", "x"), h.set_size("$4", 0),
                       h.renumber("$4", 3), h.write(3, "x"), options=writes)
    assert errnos(answers[1:4]) == ["SUCCESS", "NOTCAPABLE", "NOTCAPABLE"]
    assert not any(answer.ok for answer in (answers[5], answers[6], answers[8]))


def test_a_mount_for_writing_takes_what_it_is_for(tell, tree, writes):
    """Row 43, the neighbour."""
    answers = tell(h.create("new"), h.write("$0", "written"), h.mkdir("d"), h.rename("new", "d/moved"), h.link("d/moved", "hard"),
                   h.symlink("hard", "soft"), h.set_times("hard", h.MTIM, mtim=5 * 10**9), h.unlink("a.txt"),
                   h.open_file("soft"), h.read("$8"), h.rmdir("d"), h.unlink("hard"), options=writes)
    assert errnos(answers) == ["SUCCESS"] * 10 + ["NOTEMPTY", "SUCCESS"]
    assert answers[9].data == b"written"
    assert (tree / "d" / "moved").read_text() == "written" and not (tree / "a.txt").exists()


def test_a_name_granted_twice_is_as_wide_as_each_mount_says(tell, tree):
    """Row 43: one directory as two mounts, one of them for writing."""
    answers = tell(h.create("new", at=3), h.create("new", at=4), h.open_file("new", at=3), h.write("$2", "x"),
                   options=["--dir", f"{tree}::/r", "--dir-write", f"{tree}::/w"])
    assert errnos(answers) == ["ROFS", "SUCCESS", "SUCCESS", "NOTCAPABLE"] or answers[3].errno == "ROFS"


# ---- Links and renames across mounts -------------------------------------------------------------------------------


@pytest.fixture
def two_mounts(tree):
    """3 is for reading, 4 for writing."""
    (tree.parent / "work").mkdir()
    (tree.parent / "work" / "mine").write_text("mine")
    return ["--dir", f"{tree}::/data", "--dir-write", f"{tree.parent}/work::/work"]


def test_a_file_for_reading_cannot_be_linked_or_moved_to_where_it_could_be_written(tell, tree, untouched, two_mounts):
    """Rows 40 and 41."""
    with untouched(tree, tree.parent / "work"):
        answers = tell(h.link("a.txt", "got", at=3, to=4), h.rename("a.txt", "got", at=3, to=4),
                       h.link("mine", "got", at=4, to=3), h.rename("mine", "a.txt", at=4, to=3), options=two_mounts)
    assert all(answer.errno in ("ROFS", "XDEV") for answer in answers), errnos(answers)


def test_two_mounts_for_writing_are_still_two(tell, tree, untouched):
    """Row 41: each has its own rules and its own quota."""
    (tree.parent / "work").mkdir()
    with untouched(tree, tree.parent / "work"):
        answers = tell(h.link("a.txt", "got", at=3, to=4), h.rename("a.txt", "got", at=3, to=4),
                       options=["--dir-write", f"{tree}::/a", "--dir-write", f"{tree.parent}/work::/b"])
    assert errnos(answers) == ["XDEV", "XDEV"]


def test_what_cannot_be_linked(tell, tree, untouched, writes):
    """Row 40: a directory, a symbolic link out, what one leads to, a missing file, over another."""
    (tree / "link").symlink_to("../outside/secret")
    with untouched(tree, tree.parent / "outside"):
        answers = tell(h.link("inner", "new"), h.link("link", "new"), h.link("link", "new", follow=True),
                       h.link("a.txt", "new", follow=True), h.link("missing", "new"), h.link("a.txt", "inner/b.txt"),
                       h.link("a.txt", "new/"), options=writes)
    assert errnos(answers)[:6] == ["PERM", "NOTCAPABLE", "INVAL", "INVAL", "NOENT", "EXIST"] and not answers[6].ok


def test_what_cannot_be_renamed(tell, tree, untouched, writes):
    """Row 41."""
    (tree / "full").mkdir()
    (tree / "full" / "x").touch()
    cases = {("inner", "a.txt"): "NOTDIR", ("a.txt", "inner"): "ISDIR", ("inner", "inner/deeper"): "INVAL",
             ("inner", "full"): "NOTEMPTY", ("missing", "x"): "NOENT", (".", "x"): "BUSY", ("a.txt", "."): "BUSY",
             ("..", "x"): "NOTCAPABLE", ("inner/..", "x"): "BUSY", ("a.txt", ".."): "NOTCAPABLE", ("a.txt", "b/"): "NOTDIR"}
    with untouched(tree):
        answers = tell(*(h.rename(old, new) for old, new in cases), options=writes)
    for (case, expected), answer in zip(cases.items(), answers, strict=True):
        assert answer.errno == expected, (case, answer)


# ---- Hidden names --------------------------------------------------------------------------------------------------

HIDING = '[[grants.mount]]\nguest = "/"\nhost = "{tree}"\nmode = "{mode}"\nhide = ["*.key", "private/", "/inner/only.txt"]\n'


@pytest.fixture
def twins(tree, tmp_path):
    """Two trees that are the same but for what is hidden: the first has it, the second does not. With links, made by
    the owner, to what is there or not."""
    def fill(root, with_hidden):
        root.mkdir(exist_ok=True)
        (root / "inner").mkdir(exist_ok=True)
        (root / "a.txt").write_text("hello")
        (root / "inner" / "b.txt").write_text("inner")
        (root / "to file").symlink_to("secret.key")
        (root / "to directory").symlink_to("private")
        (root / "through").symlink_to("private/../a.txt")
        if with_hidden:
            (root / "secret.key").write_text("key")
            (root / "private").mkdir()
            (root / "private" / "inside").write_text("private")
            (root / "inner" / "only.txt").write_text("only")
        for name in ("a.txt", "inner/b.txt", "inner", "."):
            os.utime(root / name, (0, 0))
        return root

    return fill(tree, True), fill(tmp_path / "absent", False)


HIDDEN_PATHS = ["secret.key", "./secret.key", "secret.key/", "inner/../secret.key", "SECRET.KEY", "Secret.Key", "private",
                "private/", "private/.", "private/inside", "private/..", "private/../a.txt", "private/missing", "PRIVATE/inside",
                "inner/only.txt", "inner/./only.txt", "to file", "to file/", "to directory", "to directory/", "to directory/inside",
                "through", "./private/./inside", "private//inside", "secret.key/..", "secret.key/../a.txt"]


def compare(tell, twins, tmp_path, mode, make, cases, options=()):
    """The same calls on both trees: whatever the guest can see must be equal to the byte."""
    seen = []
    for number, root in enumerate(twins):
        contract = tmp_path / f"contract{number}.toml"
        contract.write_text(HIDING.format(tree=root, mode=mode))
        seen.append(tell(*(make(case) for case in cases), options=["--contract", contract, *options]))
    for case, hidden, absent in zip(cases, *seen, strict=True):
        assert hidden == absent, (case, hidden, absent)
    return seen[0]


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize("name", ["open", "open the link itself", "open as directory", "stat", "lstat", "readlink", "unlink",
                                  "rmdir", "rename from", "link from", "set times", "truncate", "open for writing"])
def test_what_is_hidden_behaves_as_what_is_absent(tell, twins, tmp_path, mode, name):
    """Row 42: by any path, through any call. Deterministic, so that inodes and times cannot make a difference that is
    none."""
    answers = compare(tell, twins, tmp_path, mode, WITH_A_PATH[name], HIDDEN_PATHS, ["--deterministic"])
    assert sum(answer.ok for answer in answers) <= 4, "links as such may be seen"


def test_a_hidden_name_cannot_be_made(tell, twins, tmp_path):
    """Row 42: neither over what is there nor where there is nothing: the answer is the same."""
    for name in ("create", "mkdir", "rename to", "link to", "symlink at"):
        answers = compare(tell, twins, tmp_path, "write", WITH_A_PATH[name], ["secret.key", "x.key", "private", "inner/only.txt"])
        assert not any(answer.ok for answer in answers), name
    assert (twins[0] / "secret.key").read_text() == "key"


@pytest.mark.parametrize("size", [24, 100, 4096])
def test_a_listing_does_not_show_what_is_hidden(tell, twins, tmp_path, size):
    """Row 42: not by an entry, nor by a gap between cookies that could be told from one without it."""
    answers = compare(tell, twins, tmp_path, "read", lambda path: h.readdir("$0", size) if path == "list" else h.open_directory(path),
                      [".", "list"], ["--deterministic"])
    names = h.entries(answers[1])
    if size == 4096:
        assert sorted(names) == [b".", b"..", b"a.txt", b"inner", b"through", b"to directory", b"to file"]


def test_counters_of_a_directory_do_not_tell_of_what_is_hidden(tell, twins, tmp_path):
    """Row 42: link count and size."""
    compare(tell, twins, tmp_path, "read", h.stat, [".", "inner"], ["--deterministic"])


def test_what_is_not_hidden_is_seen(tell, twins, tmp_path):
    """Row 42, the neighbour."""
    contract = tmp_path / "contract.toml"
    contract.write_text(HIDING.format(tree=twins[0], mode="write"))
    answers = tell(h.open_file("a.txt"), h.read("$0"), h.create("keys"), h.create("only.txt"), h.mkdir("privates"),
                   h.rename("keys", "inner/keys"), options=["--contract", contract])
    assert errnos(answers) == ["SUCCESS"] * 6 and answers[1].data == b"hello"


def test_a_hidden_file_stays_hidden_when_its_directory_is_moved(tell, twins, tmp_path):
    """Row 42: a pattern with a slash names a place, so that a directory cannot leave it."""
    contract = tmp_path / "contract.toml"
    contract.write_text(HIDING.format(tree=twins[0], mode="write"))
    answers = tell(h.rename("inner", "elsewhere"), h.open_file("elsewhere/only.txt"), h.mkdir("d"), h.rename("d", "e"),
                   options=["--contract", contract])
    assert not answers[0].ok and not answers[1].ok
    assert (twins[0] / "inner" / "only.txt").exists()


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


@pytest.mark.parametrize("host, path", [("/", "proc/version"), ("/", "proc/self/environ"), ("/", "dev/null"), ("/", "sys"),
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
    return sum(os.lstat(os.path.join(parent, name)).st_size for parent, _, files in os.walk(directory) for name in files)


def test_a_quota_holds_for_all_ways_to_grow(tell, tree, with_quota):
    """Row 45: writing, writing far behind the end, making larger, in one file and in many."""
    before = size_of(tree)
    answers = tell(h.create("one", rights=h.ALL_RIGHTS & ~h.READDIR), h.create("two", rights=h.ALL_RIGHTS & ~h.READDIR),
                   h.until_failure(1000, "fd_write $0 <~65536 @4"), h.set_size("$0", 2**40), h.pwrite("$0", "x", 8 * 2**40),
                   h.pwrite("$0", "x", 2**62), h.until_failure(1000, "fd_write $1 <~65536 @4"), h.set_size("$1", 2 * MIB),
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
    answers = tell(h.create("new", rights=h.ALL_RIGHTS & ~h.READDIR), f"fd_allocate $0 0 {2**63}", f"fd_allocate $0 0 {2**40}",
                   options=writes)
    assert not any(answer.ok for answer in answers[1:]) and (tree / "new").stat().st_size == 0


def test_deep_directories_and_many_entries_are_no_trouble(tell, tree, writes):
    """Row 45: deeper than a path can say, as one descriptor opens the next."""
    deep, statements = 1500, []
    for i in range(deep):
        at = 3 if i == 0 else f"${4 * (i - 1) + 1}"
        statements += [h.mkdir("d", at), h.open_directory("d", at), h.stat("d", at), h.close(at) if i else h.stat(".")]
    answers = tell(*statements, h.create("bottom", at=f"${4 * (deep - 1) + 1}"), options=writes)
    assert set(errnos(answers)) == {"SUCCESS"}
    subprocess.run(["rm", "-rf", tree / "d"], check=True)


def test_a_file_size_limit_of_the_host_is_an_errno(guest, berth, environment, tree, writes):
    """Row 46: and not a signal that ends berth."""
    done = subprocess.run([berth, "run", *writes, guest("does_as_told"), h.create("new"), h.until_failure(100, "fd_write $0 <~65536 @4")],
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
    answers = told_on_stderr(visit, guest, h.open_file("a.txt"), h.close("$1"), h.close("$1"), h.read("$1"), h.fstat("$1"),
                             h.close(3), h.open_file("a.txt"), h.stat("a.txt"), "fd_prestat_get 3 @8", h.close(0),
                             "fd_read 0 >1 @4", h.close(1), "fd_write 1 <x @4", "fd_renumber 1 4", options=reads)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "BADF", "BADF", "BADF", "SUCCESS", "BADF", "BADF", "BADF", "SUCCESS",
                               "BADF", "SUCCESS", "BADF", "BADF"]


def test_a_file_opened_after_stdout_was_closed_does_not_take_its_place(visit, guest, tree, writes):
    """Row 48: otherwise output meant for nobody would land in it."""
    answers = told_on_stderr(visit, guest, h.close(0), h.close(1), h.create("new"), "fd_write 1 <lost @4", options=writes)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "SUCCESS", "BADF"] and answers[2].number() > 2
    assert (tree / "new").read_bytes() == b""


@pytest.mark.parametrize("pairs, expected", [
    ([(4, 4)], ["SUCCESS"]), ([(4, 99)], ["BADF"]), ([(99, 4)], ["BADF"]), ([(4, 2**31)], ["BADF"]), ([(4, 2**32 - 1)], ["BADF"]),
    ([(3, 4), (4, 3)], ["SUCCESS", "BADF"]), ([(4, 3), (3, 3)], ["SUCCESS", "SUCCESS"]), ([(4, 1), (1, 1)], ["SUCCESS", "SUCCESS"]),
], ids=lambda value: str(value) if isinstance(value, list) else "")
def test_renumbering_moves_or_is_an_errno(visit, guest, writes, pairs, expected):
    """Row 48."""
    answers = told_on_stderr(visit, guest, h.open_file("a.txt"), *(h.renumber(*pair) for pair in pairs), options=writes)
    assert errnos(answers[1:]) == expected


def test_a_file_renumbered_onto_a_mount_is_a_file(tell, tree, untouched, writes):
    """Row 48."""
    with untouched(tree):
        answers = tell(h.open_file("a.txt"), h.renumber("$0", 3), h.open_file("a.txt"), h.create("new"), h.read(3), "fd_prestat_get 3 @8",
                       options=writes)
    assert errnos(answers) == ["SUCCESS", "SUCCESS", "NOTDIR", "NOTDIR", "SUCCESS", "BADF"] and answers[4].data == b"hello"


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
    answers = tell(h.set_times("a.txt", flags, 1, 1), h.open_file("a.txt", rights=h.ALL_RIGHTS), f"fd_filestat_set_times $1 1 1 {flags}",
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
