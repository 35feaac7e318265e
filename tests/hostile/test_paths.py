# SPDX-License-Identifier: Apache-2.0
"""Paths and links: ways out of a mount, and ways to change what may only be read. In real directories; single
functions
of the resolver have their tests in src/wasi."""
import itertools
import os

import pytest

import host_calls as h
from host_calls import WITH_A_PATH, errnos
from visits import Swapping


# ---- Paths as text -------------------------------------------------------------------------------------------------

OUTSIDE = ["..", "../", "../outside", "../outside/secret", "inner/../../outside/secret", "inner/../..", "./../outside",
           "a.txt/../../outside/secret", "/", "//", "/etc/passwd", "/a.txt", "//a.txt",
           "./" * 1000 + "../outside/secret", "inner/" + "../" * 40 + "etc/passwd",
           "../tree/a.txt", "../tree/../outside/secret"]


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
    names = ("open", "stat", "unlink", "readlink", "rename from", "rmdir")
    assert errnos(tell(*(WITH_A_PATH[name](path) for name in names), options=writes)) == ["NOTCAPABLE"] * 6


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


@pytest.mark.parametrize("path", ["con", "nul", "a.txt:stream", "COM1", "*", "?", " ", "-rf", "~", "$HOME", "\\..\\x",
                                  "a\nb"])
def test_names_that_mean_something_elsewhere_are_plain_names(tell, tree, writes, path):
    """Row 36, the neighbour."""
    assert tell(h.create(path), h.write("$0", "here"), options=writes)[1].ok
    assert (tree / path).read_bytes() == b"here"


@pytest.mark.parametrize("path", ["a.txt", "./a.txt", "inner/../a.txt", ".//./a.txt", "inner/./../a.txt",
                                  "inner/../inner/../a.txt",
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
    tell(*itertools.chain.from_iterable((h.create(name), h.write(f"${2 * i}", str(i))) for i,
                                        name in enumerate(names)),
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
    names = ["lstat", "set times of the link", "open the link itself", "mkdir", "rmdir", "unlink", "rename from",
             "readlink"]
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
        answers = tell(h.symlink("../a.txt", "inner/link"), h.rename("inner/up", "up"),
                       h.rename("inner/up", "inner/down"),
                       h.link("inner/up", "up"), options=writes)
    assert set(errnos(answers)) == {"NOTCAPABLE"}


def test_no_move_makes_a_link_of_a_guest_lead_out(tell, tree, writes):
    """Rows 37 and 41, the neighbour: links, directories with links, second names of links."""
    (tree / "inner" / "deep").mkdir()
    answers = tell(h.symlink("target", "inner/deep/link"), h.rename("inner/deep", "deep"),
                   h.rename("deep/link", "link"),
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


@pytest.mark.parametrize("path", ["a/b/../../secret", "a/b/../../../outside/secret", "a/../secret"])
def test_no_rename_of_the_host_lets_a_path_out(tell, tree, reads, path):
    """Row 38: a directory moves in and out of the tree; "secret" exists outside only, so that each success is an
    escape.
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
    """Row 39: a descriptor stays with its directory, wherever the host moves it; what is above it stays out of
    reach."""
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
                                  "rename to", "link from", "link to", "symlink at", "set times",
                                  "set times of the link"])
def test_a_change_on_a_mount_for_reading_is_refused_by_name(visit, guest, tree, untouched, reads, name):
    """Row 43: before anything happened, and with the line that would allow it."""
    path = "inner" if name == "rmdir" else "new" if name in ("create", "mkdir", "rename to", "link to",
                                                             "symlink at") else "a.txt"
    with untouched(tree):
        done = visit(guest("does_as_told"), WITH_A_PATH[name](path), options=reads)
    assert h.read_answers(done.out)[0].errno == "ROFS"
    assert "mode" in done.messages and done.usage["denials"] == 1, done.messages


def test_a_descriptor_for_reading_cannot_be_used_to_write(tell, tree, untouched, reads):
    """Row 43."""
    with untouched(tree):
        answers = tell(h.open_file("a.txt", rights=h.READING), h.write("$0", "x"), h.pwrite("$0", "x", 0),
                       h.set_size("$0", 0),
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
    answers = tell(h.create("new"), h.write("$0", "written"), h.mkdir("d"), h.rename("new", "d/moved"),
                   h.link("d/moved", "hard"),
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
             ("..", "x"): "NOTCAPABLE", ("inner/..", "x"): "BUSY", ("a.txt", ".."): "NOTCAPABLE",
             ("a.txt", "b/"): "NOTDIR"}
    with untouched(tree):
        answers = tell(*(h.rename(old, new) for old, new in cases), options=writes)
    for (case, expected), answer in zip(cases.items(), answers, strict=True):
        assert answer.errno == expected, (case, answer)
