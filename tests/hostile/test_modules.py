# SPDX-License-Identifier: Apache-2.0
"""Files that are no module, and modules made to hurt whoever reads or compiles them. Each is refused with a sentence;
what an honest toolchain might make just below the limit still runs."""
import gzip
import io
import random
import zipfile

import pytest

import wasm_bytes as w
from visits import EXIT_LIMIT, EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_TRAP, EXIT_WALL, SOON_S


def refused(done, *words):
    assert done.status == EXIT_REFUSED, (done.status, done.messages)
    assert done.out == b""
    assert done.messages.startswith("berth: ") and done.messages.count("\n") == 1, done.messages
    assert done.messages.isprintable() or done.messages[:-1].isprintable(), done.messages
    for word in words:
        assert word in done.messages, done.messages


@pytest.mark.parametrize("content, words", [
    (b"", "empty"),
    (b"\0", "truncated"),
    (b"\0asm", "truncated"),
    (b"\0asm\x01\0\0", "truncated"),
    (b"\0ask\x01\0\0\0", "not a WebAssembly module"),
    (b"\0asm\x02\0\0\0", "version 2"),
    (b"\0asm\x0d\0\x01\0", "component"),
    (b"\0asm\x01\0\0\0\xff", "not valid"),
])
def test_a_wrong_header_is_refused_by_name(visit, write_module, content, words):
    """Row 1."""
    refused(visit(write_module(content)), words)


def test_a_plain_module_runs(visit, write_module):
    """Row 1, the neighbour."""
    assert visit(write_module(w.PLAIN)).status == 0


def ended_in_order(done):
    """Whatever the module turned out to do, berth said one of the things it can say."""
    assert done.status in (0, EXIT_REFUSED, EXIT_TRAP, EXIT_WALL, EXIT_LIMIT, 64), (done.status, done.messages)


def test_every_prefix_of_a_module_is_refused_or_runs(visit, write_module, guest):
    """Row 2. The scan's own tests cut more modules at every byte; here each cut goes through the whole binary."""
    content = guest("ends_with_a_code").read_bytes()
    for length in range(len(content)):
        done = visit(write_module(content[:length]), options=["--no-cache"])
        ended_in_order(done)
        assert done.status != 0, f"{length} of {len(content)} bytes ran"


def test_flipped_bits_are_refused_or_run_within_limits(visit, write_module, guest):
    """Row 2. A sample that is the same each time; fuzz/ flips more of them."""
    choose = random.Random(2)
    for name in ("sums_with_pauses", "writes_in_turn", "recurses_in_all_ways"):
        content = guest(name).read_bytes()
        for _ in range(40):
            flipped = bytearray(content)
            flipped[choose.randrange(8, len(content))] ^= 1 << choose.randrange(8)
            ended_in_order(visit(write_module(bytes(flipped)),
                                 options=["--no-cache", "--wall-seconds", "2", "--output-mb", "1"]))


@pytest.mark.parametrize("content", [
    w.HEADER + b"\x01\xff\xff\xff\xff\x0f",                              # a section of 4 GiB in six bytes
    w.HEADER + b"\x01\x80\x80\x80\x80\x80\x00",                          # a length of more than five bytes
    w.HEADER + b"\x01\xff\xff\xff\xff\x7f",                              # a length of more than 32 bits
    w.module(w.section(w.TYPE, b"\xff\xff\xff\xff\x0f")),                # 2^32-1 types that are not there
    w.module(w.section(w.FUNCTION, b"\xff\xff\xff\xff\x0f")),
    w.module(w.section(w.CODE, b"\xff\xff\xff\xff\x0f")),
    w.module(w.section(w.IMPORT, b"\xff\xff\xff\xff\x0f")),
    w.module(w.section(w.DATA, b"\xff\xff\xff\xff\x0f")),
    w.module(w.section(w.ELEMENT, b"\xff\xff\xff\xff\x0f")),
    w.module(w.section(w.TYPE, w.vector([w.function_type()])) * 2),      # twice
    w.module(w.section(w.EXPORT, b"\0"), w.section(w.TYPE, b"\0")),      # out of order
    w.module(w.section(w.TYPE, b"\0\0")),                                # more bytes than the section needs
    w.module(w.section(99, b"")),                                        # unknown
    w.module(w.section(w.TYPE, w.vector([w.function_type()])), w.section(w.FUNCTION, b"\x01\0")),   # no code
    w.module(w.section(w.CUSTOM, b"")),                                  # a custom section without name
    w.module(w.section(w.CUSTOM, b"\x7f")),
], ids=lambda content: content[8:24].hex())
def test_counts_and_lengths_that_lie_are_refused(visit, write_module, content):
    """Row 3."""
    refused(visit(write_module(content)))


def test_eight_kilobytes_with_fifty_million_locals_are_refused(visit, write_module):
    """Row 4."""
    bomb = w.functions(1000, w.body(locals_=[(50000, w.I64)]))
    assert len(bomb) < 10000
    refused(visit(write_module(bomb)), "locals")


def test_many_small_functions_run(visit, write_module):
    """Row 4, the neighbour: as many functions, with as many locals as functions have."""
    assert visit(write_module(w.functions(1000, w.body(locals_=[(50, w.I64)])))).status == 0


def one_function(code, **rest):
    return w.functions(1, w.body(code), **rest)


def br_tables(count, targets):
    table = b"\x41\0\x0e" + w.leb(targets) + b"\0" * targets + b"\0"
    return one_function((b"\x02\x40" + table + w.END) * count)


@pytest.mark.parametrize("bomb, words", [
    (one_function(b"\x01" * 7_000_000), "bytes"),
    (one_function(b"\x02\x40" * 1_000_000 + w.END * 1_000_000), ""),
    (br_tables(8, 131072), ""),
    (one_function(b"\x41\0" * 1_000_000 + b"\x1a" * 1_000_000), ""),
], ids=["seven megabytes of nop", "a million nested blocks", "br_table with a million targets", "a million operands"])
def test_one_huge_function_is_refused(visit, write_module, bomb, words):
    """Row 5."""
    refused(visit(write_module(bomb)), words)


def test_a_large_function_runs(visit, write_module):
    """Row 5, the neighbour: the main loop of an interpreter."""
    large = one_function((b"\x02\x40\x41\0\x0e" + w.leb(500) + b"\0" * 500 + b"\0" + w.END) * 20 + b"\x01" * 100_000)
    assert visit(write_module(large)).status == 0


def many_imports(n):
    one = w.name("wasi_snapshot_preview1") + w.name("sched_yield") + b"\0\0"
    return w.module(w.section(w.TYPE, w.vector([w.function_type((), (w.I32,))])),
                    w.section(w.IMPORT, w.leb(n) + one * n))


def many_exports(n):
    exports = w.vector(w.name(f"e{i}") + b"\0\0" for i in range(n))
    return w.module(w.section(w.TYPE, w.vector([w.function_type()])), w.section(w.FUNCTION, b"\x01\0"),
                    w.section(w.EXPORT, exports), w.section(w.CODE, b"\x01" + w.body()))


@pytest.mark.parametrize("bomb", [
    w.functions(1_000_000),
    w.module(w.section(w.TYPE, w.leb(1_000_000) + w.function_type() * 1_000_000)),
    w.module(w.section(w.GLOBAL, w.leb(1_000_000) + b"\x7f\0\x41\0\x0b" * 1_000_000)),
    many_imports(1_000_000),
    many_exports(1_000_000),
    w.functions(1, after=[w.section(w.DATA, w.leb(1_000_000) + b"\x01\0" * 1_000_000)]),
    w.module(w.section(w.TYPE, w.vector([w.function_type((w.I64,) * 1000)]))),
], ids=["functions", "types", "globals", "imports", "exports", "data segments", "parameters"])
def test_a_million_of_anything_is_refused(visit, write_module, bomb):
    """Row 6."""
    refused(visit(write_module(bomb)))


@pytest.mark.parametrize("honest", [
    w.functions(20000),
    w.functions(1, after=[w.section(w.DATA, w.leb(10000) + b"\x01\0" * 10000)]),
], ids=["functions", "data segments"])
def test_thousands_of_something_run(visit, write_module, honest):
    """Row 6, the neighbour."""
    assert visit(write_module(honest)).status == 0


def test_a_custom_section_of_fifty_megabytes_is_cut_off(visit, write_module):
    """Row 7. Debug information is large in honest modules too, so it is no reason to refuse."""
    done = visit(write_module(w.PLAIN + w.section(w.CUSTOM, w.name(".debug_info") + bytes(50 << 20))))
    assert done.status == 0, done.messages


def test_a_module_above_the_largest_size_is_refused(visit, write_module):
    """Row 7."""
    refused(visit(write_module(w.PLAIN + w.section(w.CUSTOM, w.name("x") + bytes(65 << 20)))))


def name_section(names):
    return w.section(w.CUSTOM, w.name("name") + w.section(1,
                                                          w.vector(w.leb(i) + w.name(n) for i, n in enumerate(names))))


def test_a_name_section_with_a_million_names_does_no_harm(visit, write_module):
    """Row 7."""
    ended_in_order(visit(write_module(w.PLAIN + name_section([f"n{i}" for i in range(1_000_000)]))))


@pytest.mark.parametrize("name", [b"\x1b[31mred\x1b]0;title\x07", b"\n{\"forged\":1}\nberth: fine", b"\xff\xfe\x80",
                                  b"%s%n%n", "\u202egpj".encode(), b"x" * 100000],
                         ids=["escapes", "lines", "no UTF-8", "format", "right to left", "long"])
def test_names_of_functions_are_never_printed_raw(visit, write_module, name):
    """Rows 7, 26 and 56: a name section is the guest's to write, and traps quote it."""
    trapping = one_function(b"\x00") + name_section([name])
    done = visit(write_module(trapping))
    assert done.status in (EXIT_TRAP, EXIT_REFUSED)
    assert "\x1b" not in done.messages and "\u202e" not in done.messages
    assert all(line.startswith("berth: ") for line in done.messages.splitlines()), done.messages
    assert len(done.messages) < 5000


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "x" * 100000, "%s%n", "\u202egpj", ""])
@pytest.mark.parametrize("part", ["module", "name"])
def test_names_of_imports_are_never_printed_raw(visit, write_module, name, part):
    """Rows 7, 12 and 56."""
    pair = (name, "x") if part == "module" else ("wasi_snapshot_preview1", name)
    imports = w.section(w.IMPORT, w.vector([w.name(pair[0]) + w.name(pair[1]) + b"\0\0"]))
    done = visit(write_module(w.module(w.section(w.TYPE, w.vector([w.function_type()])), imports)))
    refused(done)
    assert len(done.messages) < 1000 and "\u202e" not in done.messages


@pytest.mark.parametrize("text, word", [
    ("(module (memory i64 1))", "memory64"),
    ("(module (memory 1 1 shared))", "threads"),
    ("(module (memory 1) (memory 1))", "mem"),
    ("(module (func $f (return_call $f)))", "tail"),
    ("(module (tag))", "exception"),
    ("(module (func (param externref)))", "externref"),
    ("(module (func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))))", "relaxed"),
    ("(module (table 1 externref))", "externref"),
], ids=lambda value: value if len(value) < 12 else "")
def test_features_that_are_off_are_named(visit, assemble, text, word):
    """Row 8."""
    done = visit(assemble(text), options=["--simd"])
    refused(done)
    assert word in done.messages.lower().replace("-", ""), done.messages


@pytest.mark.parametrize("kind, name", [(b"\x5f\0", "a struct type"), (b"\x5e\x7f\0", "an array type"),
                                        (b"\x4e\x01" + w.function_type(), "a recursive group"),
                                        (b"\x5d\0", "a continuation type")], ids=lambda value: str(value))
def test_types_of_garbage_collection_and_stack_switching_are_refused(visit, write_module, kind, name):
    """Row 8."""
    refused(visit(write_module(w.module(w.section(w.TYPE, w.leb(1) + kind)))))


VECTORS = ('(module (memory (export "memory") 1)'
           ' (func (export "_start") (drop (i8x16.add (v128.const i64x2 0 0) (v128.const i64x2 0 0)))))')


def test_vectors_need_a_grant(visit, assemble):
    """Row 8."""
    refused(visit(assemble(VECTORS)), "simd")
    assert visit(assemble(VECTORS), options=["--simd"]).status == 0


@pytest.mark.parametrize("language", ["c", "wat"])
def test_what_toolchains_make_by_default_runs(visit, guest, language):
    """Row 8, the neighbour: bulk memory, sign extension, several results, references to functions."""
    assert visit(guest({"c": "does_as_told", "wat": "looks_for_a_canary"}[language])).status == 0


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("module.wasm", content)
    return file.getvalue()


@pytest.mark.parametrize("content, word", [
    (b"\x7fELF\x02\x01\x01" + bytes(1000), "machine code"),
    (b"(module)", "text"),
    (gzip.compress(w.PLAIN), "gzip"),
    (zipped(w.PLAIN), "zip"),
    (b"#!/bin/sh\n", "script"),
    (bytes(4096), "not a WebAssembly module"),
], ids=["machine code", "text", "gzip", "zip", "script", "zeros"])
def test_other_kinds_of_files_are_refused_by_name(visit, write_module, content, word):
    """Row 9: machine code above all, which would run outside of any sandbox."""
    refused(visit(write_module(content)), word)


def test_machine_code_from_the_cache_is_no_module(visit, environment, write_module, tmp_path):
    """Row 9: even our own."""
    cache = tmp_path / "cache"
    assert visit(write_module(w.PLAIN), env={"XDG_CACHE_HOME": str(cache)}).status == 0
    entries = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert entries
    for path in entries:
        refused(visit(path))


def test_places_that_hold_no_module(visit, tmp_path):
    """Row 9."""
    assert visit(tmp_path / "missing.wasm").status == EXIT_NOT_FOUND
    assert visit(tmp_path).status == EXIT_REFUSED


def test_a_module_that_compiles_for_too_long_costs_no_more_the_tenth_time(visit, write_module):
    """Row 10, as far as one process goes: a bomb is refused by the scan each time, before anything is compiled."""
    bomb = write_module(w.functions(1000, w.body(locals_=[(50000, w.I64)])))
    for _ in range(10):
        done = visit(bomb)
        refused(done, "locals")
        assert done.elapsed_s < SOON_S


def test_a_changed_cache_entry_is_not_run(visit, write_module, tmp_path):
    """Row 11: each byte of an entry counts, and what does not fit is compiled anew."""
    path, cache = write_module(w.PLAIN), tmp_path / "cache"
    assert visit(path, env={"XDG_CACHE_HOME": str(cache)}).status == 0
    entry = max((p for p in cache.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = entry.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 20)):
        changed = bytearray(content)
        changed[at] ^= 0x40
        entry.chmod(0o600)
        entry.write_bytes(bytes(changed))
        done = visit(path, env={"XDG_CACHE_HOME": str(cache)})
        assert done.status == 0, done.messages


def test_a_cache_entry_of_another_module_is_not_run(visit, write_module, guest, tmp_path):
    """Row 11: an entry put under another module's name."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    path, other = write_module(w.PLAIN), guest("loops_forever")

    def entries():
        return {p for p in (tmp_path / "cache").rglob("*") if p.is_file()}

    assert visit(other, env=env, options=["--wall-seconds", "0.2"]).status == EXIT_WALL
    of_other = entries()
    assert visit(path, env=env).status == 0
    ours = max(entries() - of_other, key=lambda p: p.stat().st_size)
    theirs = max(of_other, key=lambda p: p.stat().st_size)
    ours.chmod(0o600)
    ours.write_bytes(theirs.read_bytes())
    assert visit(path, env=env, options=["--wall-seconds", "5"]).status == 0
