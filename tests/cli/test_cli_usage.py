# SPDX-License-Identifier: Apache-2.0
"""The usage report, which says what a run took beside what it might."""
import hashlib
import re

USAGE_MEMBERS = {"wall_ns", "cpu_ns", "fuel", "memory_peak_bytes", "host_calls", "input_bytes", "output_bytes", "written_bytes",
                 "files_opened", "parked_ns", "denials"}


def test_none_unless_asked_for(cli, guest):
    assert cli("run", guest("says_hello")).err == ""


def test_for_a_person(cli, guest):
    for option in ("--usage", "--usage=text"):
        lines = cli("run", option, "--memory-mb=16", guest("echoes_stdin"), stdin=b"x" * 2048).err.splitlines()
        assert lines[0] == "echoes_stdin.wasm exited with code 0"
        rows = dict(re.match(r"  (\w+(?: \w+)*)  +(\S.*)", line).groups() for line in lines[1:])
        assert rows["memory"] == "64 KiB of 16 MiB"
        assert rows["input"] == "2 KiB" and rows["output"] == "2 KiB of 64 MiB"
        assert re.fullmatch(r"\d+\.\d{3} s of 300 s", rows["wall"])
        assert rows["host calls"].isdigit() and rows["refusals"] == "0"


def test_limits_that_are_off_are_not_shown(cli, guest):
    err = cli("run", "--usage", "--wall-seconds=0", "--output-mb=0", guest("says_hello")).err
    assert re.search(r"^  wall +\S+ s$", err, re.M) and re.search(r"^  output +6 B$", err, re.M)
    assert "fuel" not in err
    assert re.search(r"fuel +\d+ of 1,000,000$", cli("run", "--usage", "--fuel", "1000000", guest("says_hello")).err, re.M)


def test_for_a_program(cli, guest, tmp_path):
    (tmp_path / "a").write_text("x" * 1000)
    path = guest("copies_files")
    done = cli("run", "--usage=json", "--dir-write", f"{tmp_path}::/d", path, "/d/a", "/d/b")
    report = done.report
    assert done.err.count("\n") == 1 and set(report) == {"module", "outcome", "usage", "limits"}
    assert report["module"] == {"name": "copies_files.wasm", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert report["outcome"] == {"kind": "exited", "limit": "none", "exit_code": 0, "cause": "", "remedy": ""}
    usage = report["usage"]
    assert set(usage) == USAGE_MEMBERS
    assert (usage["files_opened"], usage["input_bytes"], usage["written_bytes"], usage["output_bytes"]) == (2, 1000, 1000, 0)
    assert usage["wall_ns"] > 0 and usage["cpu_ns"] > 0 and usage["memory_peak_bytes"] >= 65536


def test_the_report_comes_after_what_the_guest_said(cli, guest):
    done = cli("run", "--usage=json", guest("shows_its_world"))
    assert done.err.splitlines()[0] == "said on stderr" and done.report["outcome"]["kind"] == "exited"


def test_quiet_keeps_the_report(cli, guest):
    done = cli("run", "--quiet", "--usage=json", "--fuel=1000", guest("loops_forever"))
    assert done.messages == [] and done.report["outcome"]["limit"] == "fuel"


def test_fuel_is_equal_on_every_run(cli, guest):
    spent = {cli("run", "--usage=json", "--fuel=100000000", guest("sums_with_pauses")).report["usage"]["fuel"] for _ in range(5)}
    assert len(spent) == 1 and spent.pop() > 0


def test_a_call_reports_too(cli, guest):
    assert cli("call", "--usage=json", guest("counts_calls"), "add", "1").report["outcome"]["kind"] == "exited"


def test_a_name_that_would_move_the_cursor(cli, guest, tmp_path):
    path = tmp_path / "\033[2J\n.wasm"
    path.write_bytes(guest("says_hello").read_bytes())
    for option in ("--usage", "--usage=json"):
        done = cli("run", option, path)
        assert done.status == 0 and "\033" not in done.err
