# SPDX-License-Identifier: Apache-2.0
"""Contracts that cannot be meant: refused as a whole, with the place and what would be right."""
import pytest

from berth_process import REFUSED, USAGE


def refused(cli, guest, path, *words):
    done = cli("run", "--contract", path, guest("says_hello"))
    assert done.status == REFUSED and done.out == "" and len(done.err.splitlines()) == 1, done
    for word in words:
        assert word in done.err, done.err
    assert cli("contract", "explain", path).status == REFUSED
    assert cli("inspect", "--contract", path, guest("says_hello")).status == REFUSED


@pytest.mark.parametrize("text, words", [
    ("[limits]\nmemroy_mb = 1\n", ["memroy_mb", "memory_mb"]),
    ("[limit]\nmemory_mb = 1\n", ["limit", "limits"]),
    ("memory_mb = 1\n", ["memory_mb"]),
    ("[limits]\nmemory_mb = \"1\"\n", ["limits.memory_mb", "number"]),
    ("[limits]\nmemory_mb = -1\n", ["limits.memory_mb", "-1"]),
    ("[limits]\nmemory_mb = 1e300\n", ["limits.memory_mb"]),
    ("[limits]\nmemory_mb = 99999999999999999999999\n", []),
    ("[limits]\nmemory_mb = nan\n", []),
    ("[limits]\nfuel = 1.5\n", ["limits.fuel"]),
    ("[limits]\ncpu_percent = 101\n", ["limits.cpu_percent", "100"]),
    ("[limits]\nopen_files = true\n", ["limits.open_files"]),
    ("[limits]\nfuel = 1\nfuel = 2\n", ["line 3"]),
    ("limits = 3\n", ["limits"]),
    ("[grants]\nclock = \"coarce\"\n", ["grants.clock", "coarse"]),
    ("[grants]\nenv = \"LANG\"\n", ["grants.env"]),
    ("[grants]\nenv = [\"A=B\"]\n", ["grants.env"]),
    ("[grants]\nargs = 1\n", ["grants.args"]),
    ("[[grants.mount]]\nguest = \"/logs\"\n", ["host"]),
    ("[[grants.mount]]\nguest = \"logs\"\nhost = \"/tmp\"\n", ["guest"]),
    ("[[grants.mount]]\nguest = \"/a/../b\"\nhost = \"/tmp\"\n", ["guest"]),
    ("[[grants.mount]]\nguest = \"/a\"\nhost = \"/tmp\"\nmode = \"append\"\n", ["mode"]),
    ("[limits\nmemory_mb = 1\n", ["line 1"]),
    ("{\"limits\": {\"memory_mb\": 1}", []),
    ("{\"limits\": {\"memory_mb\": 1}} more", []),
    ("{\"limits\": {\"fuel\": 1, \"fuel\": 2}}", []),
    ("{\"limits\": null}", ["limits"]),
    ("just some words\n", ["line 1"]),
    ("\0\0\0\0", []),
])
def test_a_contract_file_that_is_wrong(cli, guest, contract, text, words):
    refused(cli, guest, contract(text), "contract.toml", *words)


def test_a_deeply_nested_contract(cli, guest, contract):
    refused(cli, guest, contract('{"a":' * 100000, "deep.json"))
    refused(cli, guest, contract("a = " + "[" * 100000, "deep.toml"))


def test_a_contract_of_many_megabytes(cli, guest, contract):
    refused(cli, guest, contract("#" * (2 << 20)), "1 MiB")


def test_a_contract_that_never_ends(cli, guest):
    refused(cli, guest, "/dev/zero", "1 MiB")


def test_a_directory_as_contract(cli, guest, tmp_path):
    refused(cli, guest, tmp_path, "directory")


def test_a_contract_that_is_not_there(cli, guest):
    done = cli("run", "--contract", "nowhere.toml", guest("says_hello"))
    assert done.status == USAGE and "nowhere.toml" in done.messages[0]


def test_a_module_as_contract(cli, guest):
    refused(cli, guest, guest("says_hello"))


def test_a_key_that_would_move_the_cursor(cli, guest, contract):
    path = contract('{"\\u001b[2J": 1}', "\033[2J.json")
    done = cli("run", "--contract", path, guest("says_hello"))
    assert done.status == REFUSED and "\033" not in done.err


def test_an_empty_contract_is_the_default(cli, guest, contract):
    assert cli("run", "--contract", contract(""), guest("says_hello")).status == 0


def test_two_mounts_at_one_place(cli, guest, contract, tmp_path):
    path = contract(f'[[grants.mount]]\nguest = "/x"\nhost = "{tmp_path}"\n')
    assert cli("run", "--contract", path, guest("says_hello")).status == 0
    done = cli("run", "--contract", path, "--dir", f"{tmp_path}::/x", guest("says_hello"))
    assert done.status == USAGE and "/x" in done.messages[0]
