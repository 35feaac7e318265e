# SPDX-License-Identifier: Apache-2.0
"""berth inspect: what a module is, for people and programs."""
import hashlib

from berth_process import REFUSED


def test_it_runs_nothing_and_keeps_nothing(cli, guest, tmp_path):
    done = cli("inspect", guest("loops_forever"), env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.status == 0 and done.err == ""
    assert list(tmp_path.iterdir()) == []


def test_it_names_imports_and_exports(cli, guest):
    path = guest("gives_numbers_back")
    text = cli("inspect", path).out
    assert "gives_numbers_back.wasm" in text and "wasi_snapshot_preview1.proc_exit" in text and "swap" in text
    seen = cli("inspect", "--json", path).json
    assert seen["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert seen["size_bytes"] == path.stat().st_size
    assert {"module": "wasi_snapshot_preview1", "name": "proc_exit"}.items() <= seen["imports"][0].items()
    assert {export["name"] for export in seen["exports"]} >= {"i32", "swap", "memory"}
    assert seen["refused"] is False


def test_a_contract_that_would_refuse(cli, guest, contract):
    path = contract("[grants]\nsimd = false\n")
    done = cli("inspect", "--contract", path, "--json", guest("uses_vectors"))
    assert done.status == REFUSED and done.json["refused"] is True and done.json["reason"]
    assert cli("inspect", "--contract", path, "--simd", guest("uses_vectors")).status == 0
    assert cli("inspect", guest("uses_vectors")).status == REFUSED, "the default contract has no simd"


def test_it_says_what_imports_beside_wasi_need(cli, guest):
    needs = {item["name"]: item for item in cli("inspect", "--json", "--watch", guest("watches_its_directory")).json["imports"]}
    assert needs["push_event"]["grant"] == "grants.events" and needs["push_event"]["granted"] is False
    assert needs["wait_for_change"]["grant"] == "grants.watch" and needs["wait_for_change"]["granted"] is True


def test_a_refused_module_is_described_all_the_same(cli, module):
    done = cli("inspect", "--json", module(b"\0asm\x01\0\0\0garbage"))
    assert done.status == REFUSED and done.json["size_bytes"] == 15 and done.json["refused"] is True


def test_inspect_and_run_agree(cli, guest):
    for name in ("says_hello", "uses_vectors", "shows_its_world", "gives_numbers_back"):
        assert (cli("inspect", guest(name)).status == REFUSED) == (cli("call", guest(name), "nonsense").status == REFUSED)
