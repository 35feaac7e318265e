# SPDX-License-Identifier: Apache-2.0
"""berth call: numbers in, numbers out, on one instance."""
import pytest

from berth_process import LIMIT, REFUSED, TRAPPED, USAGE, WALL


@pytest.mark.parametrize("kind, given, returned", [
    ("i32", "0", "0"), ("i32", "-1", "-1"), ("i32", "4294967295", "-1"), ("i32", "2147483648", "-2147483648"),
    ("i32", "-2147483648", "-2147483648"), ("i32", "0xff", "255"), ("i32", "-0x1", "-1"), ("i32", "007", "7"),
    ("i64", "-9223372036854775808", "-9223372036854775808"), ("i64", "18446744073709551615", "-1"),
    ("i64", "0xffffffffffffffff", "-1"), ("i64", "9223372036854775807", "9223372036854775807"),
    ("f32", "0.1", "0.1"), ("f32", "-0", "-0"), ("f32", "16777217", "16777216"), ("f32", "3.4028235e38", "3.4028235e+38"),
    ("f32", "1e-50", "0"), ("f32", "inf", "inf"), ("f32", "-inf", "-inf"), ("f32", "nan", "nan"), ("f32", "-nan", "nan"),
    ("f64", "0.1", "0.1"), ("f64", "1e308", "1e+308"), ("f64", "0.30000000000000004", "0.30000000000000004"),
    ("f64", "-infinity", "-inf"), ("f64", "NaN", "nan"), ("f64", "5e-324", "5e-324"), ("f64", "+.5", "0.5"),
])
def test_a_number_there_and_back(cli, guest, kind, given, returned):
    done = cli("call", guest("gives_numbers_back"), kind, given)
    assert (done.status, done.out, done.err) == (0, returned + "\n", "")


@pytest.mark.parametrize("kind, given", [
    ("i32", "4294967296"), ("i32", "-2147483649"), ("i32", "1.0"), ("i32", ""), ("i32", "0x"), ("i32", "one"), ("i32", " 1"),
    ("i32", "1 "), ("i32", "--1"), ("i32", "+1"), ("i32", "99999999999999999999999"), ("i64", "18446744073709551616"),
    ("i64", "-9223372036854775809"), ("f32", "1e39"), ("f32", "x"), ("f32", ""), ("f32", " 1"), ("f32", "1x"), ("f64", "1e309"),
    ("f64", "-1e309"), ("f64", "nun"), ("f64", "nan(1)"), ("f64", "nan(1"), ("f64", "1,5"),
])
def test_what_is_no_such_number(cli, guest, kind, given):
    done = cli("call", guest("gives_numbers_back"), kind, given)
    assert done.status == USAGE and done.out == ""
    assert f"'{given}'" in done.messages[0] and f"it is an {kind}" in done.messages[0]


def test_several_results(cli, guest):
    assert cli("call", guest("gives_numbers_back"), "swap", "7", "2.5").out == "2.5\n7\n"
    assert cli("call", "--json", guest("gives_numbers_back"), "swap", "7", "2.5").json == [2.5, 7]
    assert cli("call", guest("gives_numbers_back"), "nothing").out == ""
    assert cli("call", "--json", guest("gives_numbers_back"), "nothing").out == "[]\n"


@pytest.mark.parametrize("kind, given, returned", [
    ("f64", "inf", "inf"), ("f64", "nan", "nan"), ("f32", "0.1", 0.1), ("i64", "9007199254740993", 9007199254740993)])
def test_results_as_json(cli, guest, kind, given, returned):
    assert cli("call", "--json", guest("gives_numbers_back"), kind, given).json == [returned]


@pytest.mark.parametrize("words, problem", [
    (["i32"], "takes 1 number, not 0"), (["i32", "1", "2"], "takes 1 number, not 2"), (["swap", "1"], "takes 2 numbers, not 1"),
    (["i3", "1"], "i32"), (["memory"], "memory"), (["", "1"], "")])
def test_a_call_that_the_export_does_not_have(cli, guest, words, problem):
    done = cli("call", guest("gives_numbers_back"), *words)
    assert done.status == USAGE and problem in done.messages[0]


def test_too_many_numbers(cli, guest):
    assert cli("call", guest("gives_numbers_back"), "i32", *["1"] * 1000).status == USAGE


def test_initialize_runs_once_and_the_instance_lives_on(cli, guest):
    assert cli("call", "--repeat", "3", guest("counts_calls"), "add", "1").out == "8\n9\n10\n"
    assert cli("call", "--repeat=3", "--json", guest("counts_calls"), "add", "1").out == "[8]\n[9]\n[10]\n"


def test_a_call_that_traps_ends_it(cli, guest):
    done = cli("call", "--repeat", "3", guest("counts_calls"), "fail", "1")
    assert done.status == TRAPPED and done.out == "" and len(done.messages) == 1


def test_a_call_that_exits(cli, guest):
    assert cli("call", guest("gives_numbers_back"), "leave", "7").status == 7
    done = cli("call", guest("gives_numbers_back"), "leave", "0")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_each_call_is_under_the_contract(cli, module):
    path = module("""(module (memory (export "memory") 1)
      (func (export "spin") (loop $l (br $l)))
      (func (export "count") (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))""")
    assert cli("call", "--wall-seconds", "0.05", path, "spin").status == WALL
    assert cli("call", "--fuel", "3000", path, "spin").status == LIMIT
    # Fuel is that of one call: three calls of which each needs most of it.
    assert cli("call", "--fuel", "100000", "--repeat", "3", path, "count", "10000").status == 0


def test_a_module_that_is_refused(cli, guest):
    assert cli("call", guest("uses_vectors"), "_start").status == REFUSED


def test_a_program_can_be_called(cli, guest):
    assert cli("call", guest("says_hello"), "_start").out == "hello\n"
