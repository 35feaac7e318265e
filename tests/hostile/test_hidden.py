# SPDX-License-Identifier: Apache-2.0
"""Ways to see what a mount hides."""
import os

import pytest

import host_calls as h
from host_calls import WITH_A_PATH, errnos


HIDING = ('[[grants.mount]]\nguest = "/"\nhost = "{tree}"\nmode = "{mode}"\n'
          'hide = ["*.key", "private/", "/inner/only.txt"]\n')


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


HIDDEN_PATHS = ["secret.key", "./secret.key", "secret.key/", "inner/../secret.key", "SECRET.KEY", "Secret.Key",
                "private",
                "private/", "private/.", "private/inside", "private/..", "private/../a.txt", "private/missing",
                "PRIVATE/inside",
                "inner/only.txt", "inner/./only.txt", "to file", "to file/", "to directory", "to directory/",
                "to directory/inside",
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
@pytest.mark.parametrize("name", ["open", "open the link itself", "open as directory", "stat", "lstat", "readlink",
                                  "unlink",
                                  "rmdir", "rename from", "link from", "set times", "truncate", "open for writing"])
def test_what_is_hidden_behaves_as_what_is_absent(tell, twins, tmp_path, mode, name):
    """Row 42: by any path, through any call. Deterministic, so that inodes and times cannot make a difference that is
    none."""
    answers = compare(tell, twins, tmp_path, mode, WITH_A_PATH[name], HIDDEN_PATHS, ["--deterministic"])
    assert sum(answer.ok for answer in answers) <= 4, "links as such may be seen"


def test_a_hidden_name_cannot_be_made(tell, twins, tmp_path):
    """Row 42: neither over what is there nor where there is nothing: the answer is the same."""
    for name in ("create", "mkdir", "rename to", "link to", "symlink at"):
        answers = compare(tell, twins, tmp_path, "write", WITH_A_PATH[name],
                          ["secret.key", "x.key", "private", "inner/only.txt"])
        assert not any(answer.ok for answer in answers), name
    assert (twins[0] / "secret.key").read_text() == "key"


@pytest.mark.parametrize("size", [24, 100, 4096])
def test_a_listing_does_not_show_what_is_hidden(tell, twins, tmp_path, size):
    """Row 42: not by an entry, nor by a gap between cookies that could be told from one without it."""
    answers = compare(tell, twins, tmp_path, "read",
                      lambda path: h.readdir("$0", size) if path == "list" else h.open_directory(path),
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
