# SPDX-License-Identifier: Apache-2.0
"""Host calls: too many of them, and with arguments that no compiler makes."""
import re
from pathlib import Path

import pytest

import host_calls as h
from visits import EXIT_TRAP, EXIT_WALL

NS_PER_S = 1_000_000_000
FUNCTIONS_DEF = Path(__file__).resolve().parents[2] / "src" / "wasi" / "wasi_functions.def"


# ---- Rate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["floods_host_calls", "yields_forever"])
def test_calls_are_held_to_their_rate(visit, guest, name):
    """Row 29: a second's worth may come at once, never more; and the guest is parked meanwhile."""
    done = visit(guest(name), options=["--host-calls-per-second", "1000", "--wall-seconds", "1"])
    assert done.status == EXIT_WALL
    assert done.usage["host_calls"] <= 1000 + done.usage["wall_ns"] * 1000 / NS_PER_S + 1
    assert done.usage["parked_ns"] > 0


def test_calls_below_the_rate_are_not_held_up(tell):
    """Row 29, the neighbour."""
    answers = tell(h.until_failure(500, "fd_tell 1 @8"), "*500 clock_time_get 1 0 @8",
                   options=["--host-calls-per-second", "100000"])
    assert answers[1].times == 500


def test_host_calls_are_charged_as_cpu(visit, guest):
    """Row 29."""
    done = visit(guest("floods_host_calls"), options=["--wall-seconds", "0.3"])
    assert done.usage["cpu_ns"] > 0 and done.usage["host_calls"] > 1000


# ---- Random bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65536])
def test_random_bytes_fill_what_was_asked(tell, size):
    """Row 30."""
    answers = tell(f"random_get s+0 {size}", f"peek s+0 {size}")
    assert answers[0].ok
    assert size < 16 or len(set(answers[1].results[0])) > 100


@pytest.mark.parametrize("size", [2**31, 2**32 - 1])
def test_random_bytes_beyond_memory_are_a_fault(tell, size):
    """Row 30: refused by a comparison, not by an attempt."""
    tell(f"random_get s+0 {size}", trap="random_get")


def test_random_bytes_are_those_that_the_contract_grants(tell):
    """Row 30."""
    ask = ["random_get s+0 32", "peek s+0 32"]

    def drawn(*options):
        return tell(*ask, options=["--random", *options])[1].results[0]

    assert tell(*ask, options=["--random", "none"])[0].errno == "NOTSUP"
    assert drawn("os") != drawn("os")
    assert drawn("seeded", "--seed", "7") == drawn("seeded", "--seed", "7") != drawn("seeded", "--seed", "8")


# ---- Every function with every kind of bad argument ----------------------------------------------------------------

POINTERS = ["0", "1", "3", "e-1", "e-0", "e-4", 2**31, 2**32 - 1, 2**32 - 8]
LENGTHS = [0, 1, 65536, 2**31 - 1, 2**32 - 1]
DESCRIPTORS = [-1, 2**31 - 1, 99, 0, 1, 3, 4, 5]
NUMBERS = [0, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NORMAL = {"pointer": "s+64", "length": 8, "descriptor": 4, "number": 0}


# Calls that can close the guest's own stdout or overwrite what it was about to say or do.
SILENCING = ("fd_close", "fd_renumber", "fd_fdstat_set_rights", "random_get")


def kinds_of(function, parameters):
    """What each parameter is: by its type, its name in the specification's order, and its place."""
    kinds = ["number" if letter == "I" else "pointer" for letter in parameters]
    if function.startswith(("fd_", "path_", "sock_")) and function != "path_symlink":
        kinds[0] = "descriptor"
    if function == "fd_renumber":
        kinds[1] = "descriptor"
    if function in ("path_rename", "path_link"):
        kinds[{"path_rename": 3, "path_link": 4}[function]] = "descriptor"
    if function == "path_symlink":
        kinds[2] = "descriptor"
    return kinds


def functions():
    rows = re.findall(r'^WASI_FUNCTION\((\w+), "(\w*)"', FUNCTIONS_DEF.read_text(), re.MULTILINE)
    assert len(rows) == 46
    return [row for row in rows if row[0] != "proc_exit"]


@pytest.mark.parametrize("function, parameters", functions(), ids=lambda value: value)
def test_every_bad_argument_is_an_errno_or_a_trap(visit, guest, tree, untouched, function, parameters):
    """Row 31: each parameter takes each bad value while the others are plain. berth goes on in every case, and outside
    of the mount nothing changes. 4 is a file, 5 a directory."""
    kinds = kinds_of(function, parameters)
    values = {"pointer": POINTERS + LENGTHS, "descriptor": DESCRIPTORS, "number": NUMBERS}
    prepare = [h.create("scratch", rights=h.ALL_RIGHTS & ~h.READDIR), h.open_directory("inner")]
    cases = [[bad if i == at else NORMAL[kind] for i, kind in enumerate(kinds)]
             for at in range(len(kinds)) for bad in values[kinds[at]]]
    with untouched(tree.parent / "outside"):
        for case in cases or [[]]:
            statement = " ".join(map(str, [function, *case]))
            done = visit(guest("does_as_told"), *prepare, statement,
                         options=["--dir-write", f"{tree}::/", "--wall-seconds", "1"])
            assert done.status in (0, EXIT_TRAP, EXIT_WALL), (statement, done.status, done.messages)
            if done.status == EXIT_TRAP:
                assert function in done.messages, (statement, done.messages)
            elif done.status == EXIT_WALL:
                assert function == "poll_oneoff" or function in SILENCING, statement
            elif function not in SILENCING:
                assert h.read_answers(done.out)[2].errno


# ---- Vectors -------------------------------------------------------------------------------------------------------


def vectors(*pairs):
    """Bytes of an iovec array, as text for poke."""
    return h.text(b"".join((at % 2**32).to_bytes(4, "little") + size.to_bytes(4, "little") for at, size in pairs))


def test_no_vectors_move_no_bytes(tell, tree):
    """Row 32."""
    answers = tell(h.create("new"), "fd_write $0 s+0 0 @4", "fd_read $0 s+0 0 @4", "fd_write 1 s+0 0 @4",
                   options=["--dir-write", f"{tree}::/"])
    assert [answer.number() for answer in answers[1:]] == [0, 0, 0] and all(answer.ok for answer in answers)


@pytest.mark.parametrize("count", [1025, 8000])
def test_too_many_vectors_are_an_errno(tell, tree, count):
    """Row 32: 1024 are what readv(2) takes; the array itself fits."""
    assert tell(h.open_file("a.txt"), f"fd_read $0 s+0 {count} @4",
                options=["--dir", f"{tree}::/"])[1].errno == "INVAL"


def test_a_thousand_vectors_are_fine(tell, tree):
    """Row 32, the neighbour: 1024 of them, all empty."""
    assert tell(h.open_file("a.txt"), "fd_read $0 s+0 1024 @4", options=["--dir", f"{tree}::/"])[1].ok


@pytest.mark.parametrize("count", [2**29, 2**32 - 1])
def test_a_vector_array_longer_than_memory_is_a_fault(tell, count):
    """Row 32: 2^29 of 8 bytes each are 2^32, which is 0 in 32 bits."""
    tell(f"fd_write 1 0 {count} @4", trap="fd_write")


def test_a_read_onto_its_own_vectors_uses_those_it_was_given(tell, tree):
    """Row 32: the array is read before the first byte arrives. The file holds vectors that point elsewhere."""
    (tree / "vectors").write_bytes(b"\xff" * 64)
    # Both vectors lie in the first 16 bytes of memory, which is where they point.
    answers = tell(h.open_file("vectors"), "poke 16 " + vectors((16, 12), (40, 24)), "fd_read $0 16 2 @4",
                   "peek 40 24",
                   options=["--dir", f"{tree}::/"])
    assert answers[2].ok and answers[2].number() == 36
    assert answers[3].results[0] == b"\xff" * 24


def test_vectors_that_overlap_are_written_one_after_the_other(tell, tree):
    """Row 32."""
    answers = tell(h.create("new"), "poke 32 'abcdef", "poke 64 " + vectors((32, 4), (34, 4)), "fd_write $0 64 2 @4",
                   options=["--dir-write", f"{tree}::/"])
    assert answers[3].number() == 8 and (tree / "new").read_bytes() == b"abcdcdef"


def test_a_count_inside_the_buffer_is_written_last(tell, tree):
    """Row 32."""
    answers = tell(h.open_file("a.txt"), "poke 64 " + vectors((32, 8)), "fd_read $0 64 1 32", "peek 32 5",
                   options=["--dir", f"{tree}::/"])
    assert answers[2].ok and answers[3].results[0] == b"\x05\0\0\0o"


def test_lengths_that_add_up_to_more_than_32_bits_do_not_wrap(tell, tree):
    """Row 33: 1024 vectors of 8 MiB each, on the same bytes: 8 GiB."""
    grow = ["grow 129", h.open_file("a.txt")]
    fill = [f"poke {4096 + 8 * i} " + vectors((16 << 20, 8 << 20)) for i in range(1024)]
    # The array lies in the grown part, above what the program uses.
    moved = [s.replace(f"poke {4096 + 8 * i} ", f"poke {(15 << 20) + 8 * i} ") for i, s in enumerate(fill)]
    answers = tell(*grow, "grow 256", *moved, f"fd_read $1 {15 << 20} 1024 @4", options=["--dir", f"{tree}::/"])
    assert answers[-1].ok and answers[-1].number() == 5


@pytest.mark.parametrize("call", ["fd_write 1", "fd_read 0"])
def test_a_vector_that_leaves_memory_is_a_fault(tell, call):
    """Row 33: one byte too far, and so far that the sum is small again."""
    for address, size in ((2**32 - 1, 2), (65536, 2**32 - 1), (2**31, 2**31)):
        tell("poke s+0 " + vectors((address, size)), f"{call} s+0 1 @4", trap="outside of memory")


# ---- Offsets -------------------------------------------------------------------------------------------------------

OFFSETS = {
    "fd_pread $0 >8 {} @4": {2**63: "INVAL", 2**64 - 1: "INVAL"},
    "fd_pwrite $0 <x {} @4": {2**63: "INVAL", 2**64 - 1: "INVAL"},
    "fd_seek $0 {} 0 @8": {2**63: "INVAL", -1: "INVAL"},
    "fd_seek $0 {} 1 @8": {-1: "INVAL", 2**63: "INVAL"},
    "fd_seek $0 {} 2 @8": {-6: "INVAL", 2**63 - 1: "OVERFLOW INVAL"},
    "fd_seek $0 0 {} @8": {3: "INVAL", 255: "INVAL", 2**32 - 1: "INVAL"},
    "fd_filestat_set_size $0 {}": {2**63: "INVAL", 2**64 - 1: "INVAL"},
    "fd_allocate $0 0 {}": {2**63: "NOTSUP", 2**64 - 1: "NOTSUP", 1: "NOTSUP"},
    "fd_advise $0 0 {} 0": {2**63: "INVAL", 2**64 - 1: "INVAL"},
    "fd_advise $0 0 0 {}": {6: "INVAL", 255: "INVAL"},
}


@pytest.mark.parametrize("statement", OFFSETS)
def test_offsets_beyond_a_file_are_an_errno(tell, tree, untouched, statement):
    """Row 34."""
    cases = OFFSETS[statement]
    with untouched(tree):
        answers = tell(h.open_file("a.txt", rights=h.ALL_RIGHTS), *(statement.format(value) for value in cases),
                       options=["--dir-write", f"{tree}::/"])
    for (value, errnos), answer in zip(cases.items(), answers[1:], strict=True):
        assert answer.errno in errnos.split(), (value, answer)


def test_the_last_offsets_that_make_sense_work(tell, tree):
    """Row 34, the neighbour."""
    answers = tell(h.open_file("a.txt", rights=h.ALL_RIGHTS), h.pread("$0", 8, 2**40), h.seek("$0", 2**40),
                   h.seek("$0", -1, 2),
                   h.read("$0"), options=["--dir-write", f"{tree}::/"])
    assert [answer.errno for answer in answers] == ["SUCCESS"] * 5
    assert answers[1].data == b"" and answers[4].data == b"o"


# ---- Arguments and environment -------------------------------------------------------------------------------------

SIZES = ["args_sizes_get @4 @4", "environ_sizes_get @4 @4"]


def test_nothing_of_the_host_s_environment_gets_through(tell):
    """Row 35."""
    answers = tell(*SIZES, env={"LD_PRELOAD_": "x", "HTTPS_PROXY": "http://user:password@proxy", "TOKEN": "secret"})
    assert answers[1].number(0) == 0 and answers[1].number(1) == 0


def environment_of(answers):
    return answers[-1].results[0].rstrip(b"\0").split(b"\0")


def test_what_was_named_gets_through_and_nothing_beside_it(tell):
    """Row 35: by exact name."""
    answers = tell("environ_get s+0 s+4096", "peek s+4096 200",
                   env={"PLACE": "here", "PLACES": "there", "PLAC": "nowhere"},
                   options=["--env", "PLACE", "--env", "SET=a=b=c", "--env", "EMPTY=", "--env", "MISSING_IN_BERTH"])
    assert sorted(environment_of(answers)) == [b"EMPTY=", b"PLACE=here", b"SET=a=b=c"]


def test_a_contract_may_withhold_the_arguments(visit, guest, tmp_path):
    """Row 35."""
    contract = tmp_path / "contract.toml"
    contract.write_text("[grants]\nargs = false\n")
    assert b"argument secret" in visit(guest("shows_its_world"), "secret").out
    done = visit(guest("shows_its_world"), "secret", options=["--contract", contract])
    assert b"argument secret" not in done.out and done.status == 0


def test_a_contract_may_withhold_stderr(visit, guest, tmp_path):
    """Row 35."""
    contract = tmp_path / "contract.toml"
    contract.write_text("[grants]\nlog = false\n")
    assert "said on stderr" in visit(guest("shows_its_world")).messages
    assert "said on stderr" not in visit(guest("shows_its_world"), options=["--contract", contract]).messages


def test_many_arguments_and_a_long_one_arrive_whole(visit, guest):
    """Row 35: as many as the system lets berth itself have."""
    given = [str(i) for i in range(20000)]
    done = visit(guest("shows_its_world"), *given)
    assert done.out.decode().splitlines()[1:] == [f"argument {word}" for word in given]
    done = visit(guest("shows_its_world"), "x" * 100000)
    assert b"argument " + b"x" * 100000 in done.out


@pytest.mark.parametrize("clock", ["none", "coarse", "fine"])
def test_clocks_tell_what_the_contract_grants(tell, clock):
    """Row 31: in steps of 1 ms, or not at all; never the CPU time of the host."""
    read = "clock_time_get {} 0 @8"
    realtime, monotonic, process, thread, unknown = tell(*(read.format(i) for i in range(5)),
                                                         options=["--clock", clock])
    assert (process.errno, thread.errno, unknown.errno) == ("NOTSUP", "NOTSUP", "INVAL")
    if clock == "none":
        assert (realtime.errno, monotonic.errno) == ("NOTSUP", "NOTSUP")
    else:
        assert realtime.number(size=8) > 1_600_000_000 * NS_PER_S
        assert monotonic.number(size=8) < 3600 * NS_PER_S, "not since the host has started"
    if clock == "coarse":
        assert realtime.number(size=8) % 1_000_000 == monotonic.number(size=8) % 1_000_000 == 0


def test_sockets_do_not_exist(tell):
    """Row 31."""
    assert [answer.errno for answer in tell("sock_accept 3 0 @4", "sock_send 1 s+0 0 0 @4", "sock_shutdown 0 3",
                                            "sock_recv 0 s+0 0 0 @4 @4")] == ["BADF", "NOTSOCK", "NOTSOCK", "NOTSOCK"]


def test_raising_a_signal_ends_the_guest_and_nobody_else(tell):
    """Row 31."""
    for number in (0, 9, 11, 255):
        tell(f"proc_raise {number}", trap="signal")
