# SPDX-License-Identifier: Apache-2.0
"""A confined worker does for its guests all that an unconfined process does: the same host calls get the same answers
as from `berth run`. A system call that the walls lack would end the worker, and the visit with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving import Node

sys.path.append(str(Path(__file__).resolve().parent.parent / "hostile"))
import host_calls as call  # noqa: E402

# Every function of WASI preview 1, and most of them in the ways in which they work.
STATEMENTS = [
    "args_sizes_get s+0 s+4",
    "environ_sizes_get @4 @4",
    "clock_res_get 1 s+0",
    "clock_time_get 0 1 s+0",
    "sched_yield",
    "random_get s+0 64",
    call.create("made", rights=call.ALL_RIGHTS),  # 6
    call.write("$6", "some text"),
    call.pwrite("$6", "more", 4),
    call.seek("$6", 0),
    call.read("$6"),
    call.pread("$6", 4, 2),
    "fd_advise $6 0 0 0",
    "fd_allocate $6 0 100",
    "fd_datasync $6",
    "fd_sync $6",
    "fd_tell $6 @8",
    "fd_fdstat_get $6 s+0",
    "fd_fdstat_set_flags $6 1",
    "fd_filestat_get $6 s+0",
    call.set_size("$6", 6),
    "fd_filestat_set_times $6 1000000000 2000000000 5",
    call.close("$6"),
    call.mkdir("directory"),
    call.create("directory/inner"),  # 24
    call.close("$24"),
    call.stat("made").replace("@64", "s+0"),
    call.set_times("made", call.MTIM, mtim=1000000000),
    call.symlink("made", "link"),
    call.readlink("link"),
    call.open_file("link"),  # 30
    call.read("$30"),
    call.renumber("$30", 3 + 2),
    call.link("made", "hard"),
    call.rename("made", "directory/moved"),
    call.open_directory("directory"),  # 35
    "fd_readdir $35 s+0 4096 0 @4",
    call.open_file("../outside"),
    call.open_file("/etc/passwd"),
    call.open_file(".git/config"),
    call.open_file("secret.key"),
    call.unlink("directory/moved"),
    call.unlink("directory/inner"),
    call.rmdir("directory"),
    call.unlink("link"),
    "fd_prestat_get 3 @8",
    "fd_prestat_dir_name 3 @2 2",
    "fd_fdstat_set_rights 3 0 0",
    "sock_accept 3 0 @4",
    "sock_shutdown 3 0",
    "grow 20",
    "poke s+2072 '%40%42%0f",  # a millisecond
    "poll_oneoff s+2048 s+4096 1 @4",
]

CONFIG = """
[[mount]]
name = "work"
host = "{work}"
guest = "/w"
mode = "write"
hide = ["*.key", ".git/"]
"""

CONTRACT = """
[[grants.mount]]
guest = "/w"
host = "{work}"
mode = "write"
hide = ["*.key", ".git/"]
"""


def make_work(directory):
    work = directory / "work"
    (work / ".git").mkdir(parents=True)
    (work / ".git" / "config").write_text("hidden")
    (work / "secret.key").write_text("hidden")
    (directory / "outside").write_text("outside")
    return work


def visible(output):
    return [(answer.errno, answer.times, answer.results) for answer in call.read_answers(output)]


@pytest.fixture
def unconfined(berth, guest, tmp_path):
    """The same statements under `berth run`, in a directory of its own."""
    work = make_work(tmp_path / "unconfined")
    contract = tmp_path / "contract.toml"
    contract.write_text(CONTRACT.format(work=work))
    done = subprocess.run([berth, "run", "--contract", contract, guest("does_as_told"), *STATEMENTS],
                          capture_output=True, check=False, timeout=60,
                          env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    return visible(done.stdout)


def test_every_host_call_works_inside_the_walls(berth, guest, tmp_path, unconfined):
    directory = tmp_path / "node"
    work = make_work(directory)
    with Node(berth, directory, config=CONFIG.format(work=work)) as node, node.client() as client:
        before = sorted(node.children()["node-worker"])
        output, _, end = client.execute(guest("does_as_told").read_bytes(), STATEMENTS)
        assert (end.outcome, end.exit_code) == ("exited", 0), end.cause
        assert sorted(node.children()["node-worker"]) == before
    for statement, here, there in zip(STATEMENTS, visible(output), unconfined, strict=True):
        assert here == there, statement
    assert sorted(entry.name for entry in work.iterdir()) == [".git", "hard", "secret.key"]


def test_a_quota_is_counted_inside_the_walls_and_over_visits(berth, guest, tmp_path):
    work = make_work(tmp_path)
    module = guest("does_as_told").read_bytes()
    fill = [call.create("full"), call.until_failure(2000, "fd_write $0 <~5000 @4")]
    with Node(berth, tmp_path, config=CONFIG.format(work=work) + "quota_mb = 1\n") as node, node.client() as client:
        first = call.read_answers(client.execute(module, fill)[0])[1]
        assert (first.errno, first.times) == ("DQUOT", (1 << 20) // 5000)
        # Another visit has what this one left, and no more.
        second = call.read_answers(client.execute(module, [call.create("more"), fill[1]])[0])
        assert "DQUOT" in call.errnos(second)
        assert second[1].times == 0
        # Nor has one that sees inputs, too.
        answers = call.read_answers(client.execute(module, [call.create("more"), fill[1]], inputs={"a": b"1"})[0])
        assert "DQUOT" in call.errnos(answers)
        assert answers[1].times == 0
        # What is removed can be written again.
        third = call.read_answers(client.execute(module, [call.unlink("full"), call.create("again"),
                                                          call.until_failure(2000, "fd_write $1 <~5000 @4")])[0])[2]
        assert third.times > 0


def test_a_worker_that_is_ready_says_that_nothing_is_missing(berth, tmp_path):
    with Node(berth, tmp_path, "--mount", f"{tmp_path}::/w", "--require-isolation") as node:
        for pid in node.children()["node-worker"]:
            status = Path(f"/proc/{pid}/status").read_text()
            assert "\nNoNewPrivs:\t1\n" in status
            assert "\nSeccomp:\t2\n" in status
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert "Max core file size        0                    0" in limits
            assert Path(f"/proc/{pid}/environ").read_bytes() == b""
