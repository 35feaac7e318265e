# SPDX-License-Identifier: Apache-2.0
"""Modules that cannot be let in: one clear sentence each, the same verdict from `run` and `inspect`, nothing run."""
import os

import pytest

from berth_process import NOT_FOUND, REFUSED, USAGE

WASI = '(import "wasi_snapshot_preview1" "{}" (func {}))'
COMPONENT = b"\0asm\x0d\0\x01\0"


def refused(cli, path, *words, options=()):
    done = cli("run", *options, path)
    assert done.status == REFUSED and done.out == "" and len(done.err.splitlines()) == 1, done
    for word in words:
        assert word in done.err, done.err
    inspected = cli("inspect", *options, path)
    assert inspected.status == REFUSED, inspected
    return done


def test_an_empty_file(cli, module):
    refused(cli, module(b""))


def test_text(cli, module):
    refused(cli, module(b"some words\n"), "text")
    refused(cli, module(b"#!/bin/sh\necho hello\n"), "script")


def test_text_of_a_module(cli, module):
    refused(cli, module(b'(module (func (export "_start")))'), "text")


def test_garbage(cli, module):
    refused(cli, module(os.urandom(1000)))


def test_a_native_program(cli, berth):
    refused(cli, "/bin/true")


def test_a_component(cli, module):
    refused(cli, module(COMPONENT), "component")


def test_machine_code_of_an_engine(cli, module):
    """A .cwasm is an ELF file of Wasmtime's; loading one would run whatever it holds."""
    refused(cli, module(b"\x7fELF\x02\x01\x01\xc8" + b"\0" * 500, "filter.cwasm"))


def test_an_entry_of_the_cache(cli, guest, cache_home):
    assert cli("run", guest("says_hello")).status == 0
    entry = next(path for path in (cache_home / "berth" / "modules").iterdir() if len(path.name) == 64)
    refused(cli, entry)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_module(cli, guest, module, share):
    whole = guest("shows_its_world").read_bytes()
    refused(cli, module(whole[:int(len(whole) * share)]))


def test_a_module_with_something_behind_it(cli, guest, module):
    refused(cli, module(guest("says_hello").read_bytes() + b"more"))


def test_another_version(cli, module):
    refused(cli, module(b"\0asm\x02\0\0\0"), "version")


def test_a_gigantic_file(cli, tmp_path):
    path = tmp_path / "gigantic.wasm"
    with open(path, "wb") as file:
        file.write(b"\0asm\x01\0\0\0")
        file.truncate(1 << 40)
    refused(cli, path, "64 MiB")


def test_a_file_that_never_ends(cli):
    refused(cli, "/dev/zero", "64 MiB")


def test_a_gigantic_size_in_a_small_file(cli, module):
    refused(cli, module(b"\0asm\x01\0\0\0" + b"\x0a\xff\xff\xff\xff\x0f"))


def test_a_directory(cli, tmp_path):
    refused(cli, tmp_path, "directory")


def test_a_file_that_may_not_be_read(cli, berth, module, environment):
    path = module("(module)")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    refused(cli, path, "Permission denied")


@pytest.mark.parametrize("path", ["", "nowhere.wasm", "/bin/true/filter.wasm", "x" * 5000])
def test_a_path_that_leads_nowhere(cli, path):
    done = cli("run", path)
    assert done.status in (NOT_FOUND, REFUSED) and len(done.err.splitlines()) == 1
    assert cli("inspect", path).status == done.status


def test_an_unknown_function_of_wasi(cli, module):
    refused(cli, module("(module " + WASI.format("fd_raed", "(param i32 i32 i32 i32) (result i32)") +
                        '(memory (export "memory") 1) (func (export "_start")))'), "fd_raed")


def test_a_function_of_wasi_with_another_type(cli, module):
    refused(cli, module("(module " + WASI.format("fd_read", "(param i64) (result i32)") +
                        '(memory (export "memory") 1) (func (export "_start")))'), "fd_read")


@pytest.mark.parametrize("imported", ['"env" "system" (func (param i32))', '"env" "memory" (memory 1)',
                                      '"env" "table" (table 1 funcref)', '"env" "size" (global i32)',
                                      '"wasi_unstable" "proc_exit" (func (param i32))'])
def test_an_import_that_berth_does_not_offer(cli, module, imported):
    refused(cli, module(f'(module (import {imported}) (func (export "_start")))'), imported.split('"')[3])


def test_a_name_that_would_move_the_cursor(cli, module):
    done = refused(cli, module('(module (import "\\1b[2J" "\\0a\\e2\\80\\ae" (func)) (func (export "_start")))'))
    assert "\033" not in done.err and "\u202e" not in done.err
    assert "\033" not in cli("inspect", module('(module (func (export "\\1b[2J")))')).out


def test_more_memory_than_the_contract_has(cli, module):
    path = module('(module (memory (export "memory") 100) (func (export "_start")))')
    refused(cli, path, "limits.memory_mb", options=["--memory-mb", "1"])
    assert cli("run", path).status == 0


def test_no_start(cli, module):
    path = module('(module (memory (export "memory") 1) (func (export "main")))')
    done = cli("run", path)
    assert done.status == REFUSED and "_start" in done.messages[0]


def test_a_start_that_is_no_program(cli, module):
    for export in ('(func (export "_start") (param i32))', '(memory (export "_start") 1)'):
        done = cli("run", module(f"(module {export})"))
        assert done.status == REFUSED and "_start" in done.messages[0]


def test_an_invalid_body(cli, module):
    refused(cli, module('(module (func (export "_start") (result i32) (i64.const 1)))'))


def test_a_start_function_that_never_ends(cli, module):
    done = cli("run", "--wall-seconds", "0.05",
               module('(module (func $s (loop $l (br $l))) (start $s) (func (export "_start")))'))
    assert done.status == 124


def test_nothing_is_kept_of_a_refused_module(cli, module, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    cli("run", module(b"\0asm\x01\0\0\0garbage"), env=env)
    entries = list((tmp_path / "cache").rglob("*"))
    assert [path for path in entries if path.is_file() and path.name != "key"] == []


def test_the_module_is_looked_for_before_directories(cli):
    assert cli("run", "--dir", "/nowhere", "nowhere.wasm").status == NOT_FOUND
    assert cli("run", "--memory-mb", "x", "nowhere.wasm").status == USAGE
