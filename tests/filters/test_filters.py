# SPDX-License-Identifier: Apache-2.0
"""The example filters give what grep, awk and sort | uniq give, on made and on real logs."""
import json
import subprocess
from pathlib import Path

import pytest

import logs

TOP = r"tr -s ' \t\n\v\f\r' '\n' | grep -a -v '^$' | sort | uniq -c | sort -k1,1nr -k2 | head -n %d"
SEVERITY = r"""
BEGIN {
    split("debug info notice warning error critical alert emergency none", order, " ")
    split("debug debug info info notice notice warning warning warn warning error error err error critical critical " \
          "crit critical fatal critical alert alert emergency emergency emerg emergency panic emergency", pairs, " ")
    for (i = 1; i in pairs; i += 2) severity[pairs[i]] = pairs[i + 1]
}
{
    n = split(tolower($0), words, /[^a-z]+/)
    found = "none"
    for (i = 1; i <= n && found == "none"; i++) if (words[i] in severity) found = severity[words[i]]
    count[found]++
}
END {
    for (i = 1; i <= 9; i++) printf "%s%s: %d", i == 1 ? "{" : ", ", "\"" order[i] "\"", count[order[i]]
    print "}"
}
"""


def shell(command, standard_input):
    return subprocess.run(["sh", "-c", command], input=standard_input, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                          capture_output=True, check=False).stdout


def grep(word, files):
    return subprocess.run(["grep", "-a", "-h", "-F", "--", word, *files], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                          capture_output=True, check=False)


def whole_lines(path):
    """A file never continues in the next one."""
    log = path.read_bytes()
    return log if log.endswith(b"\n") or not log else log + b"\n"


def regular(directory):
    return sorted((path for path in directory.iterdir() if path.is_file()), key=lambda path: path.name.encode())


def agrees(result, reference):
    assert (result.stdout, result.returncode) == (reference.stdout, reference.returncode), result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return logs.write_made(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    directory = tmp_path_factory.mktemp("real")
    if not logs.copy_real(directory):
        pytest.skip("no log in /var/log is readable")
    return directory


@pytest.mark.parametrize("word", ["CRITICAL", "C", "no such word", "", "session opened", "\u00e9t", "a=b"])
def test_log_filter_prints_what_grep_prints(run_filter, made, word):
    agrees(run_filter("log_filter.c", made, word), grep(word, regular(made)))


@pytest.mark.parametrize("kind", [make.__name__ for make in logs.MADE])
def test_log_filter_prints_what_grep_prints_of_one_file(run_filter, made, kind):
    agrees(run_filter("log_filter.c", made, "CRITICAL", f"/logs/{kind}.log"), grep("CRITICAL", [made / f"{kind}.log"]))


@pytest.mark.parametrize("word", [" install ", "status", "e", "Commandline"])
def test_log_filter_prints_what_grep_prints_of_real_logs(run_filter, real, word):
    agrees(run_filter("log_filter.c", real, word), grep(word, regular(real)))


def test_log_filter_reads_the_log_where_it_lies(run_filter):
    log = Path("/var/log/dpkg.log")
    if not log.exists() or log.stat().st_size == 0:
        pytest.skip("this machine has no /var/log/dpkg.log")
    agrees(run_filter("log_filter.c", "/var/log", " status installed ", "/logs/dpkg.log"),
           grep(" status installed ", [log]))


def test_log_filter_prints_a_log_that_is_all_matches(run_filter, tmp_path):
    (tmp_path / "all.log").write_bytes(b"CRITICAL again\n" * 1000000)
    agrees(run_filter("log_filter.c", tmp_path, "CRITICAL"), grep("CRITICAL", [tmp_path / "all.log"]))


def test_log_filter_goes_on_after_a_file_that_is_not_there(run_filter, made):
    result = run_filter("log_filter.c", made, "CRITICAL", "/logs/absent.log", "/logs/ordinary.log")
    assert result.returncode == 2
    assert b"/logs/absent.log: No such file" in result.stderr
    assert result.stdout == grep("CRITICAL", [made / "ordinary.log"]).stdout


@pytest.mark.parametrize("arguments", [[], ["two\nlines"]])
def test_log_filter_says_how_it_is_used(run_filter, made, arguments):
    result = run_filter("log_filter.c", made, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(b"usage: log_filter WORD")


@pytest.mark.parametrize("word", ["CRITICAL", "session", "no such word", ""])
def test_rust_filter_prints_what_grep_prints(run_filter, made, word):
    agrees(run_filter("log_filter.rs", made, word), grep(word, [made / "system.log"]))


@pytest.mark.parametrize("kind", [make.__name__ for make in logs.MADE])
def test_rust_filter_prints_what_grep_prints_of_hostile_logs(run_filter, made, tmp_path, kind):
    log = tmp_path / "system.log"
    log.write_bytes((made / f"{kind}.log").read_bytes())
    agrees(run_filter("log_filter.rs", tmp_path, "CRITICAL"), grep("CRITICAL", [log]))


def test_rust_filter_prints_what_grep_prints_of_a_real_log(run_filter, real, tmp_path):
    largest = max(regular(real), key=lambda path: path.stat().st_size)
    log = tmp_path / "system.log"
    log.write_bytes(largest.read_bytes())
    agrees(run_filter("log_filter.rs", tmp_path, "install"), grep("install", [log]))


def test_rust_filter_says_that_the_log_is_not_there(run_filter, tmp_path):
    result = run_filter("log_filter.rs", tmp_path, "CRITICAL")
    assert result.returncode == 2
    assert result.stderr.startswith(b"/logs/system.log: ")


@pytest.mark.parametrize("which", ["made", "real"])
def test_severities_are_counted_as_awk_counts_them(run_filter, request, which):
    directory = request.getfixturevalue(which)
    text = b"".join(whole_lines(path) for path in regular(directory)).replace(b"\0", b" ")
    reference = subprocess.run(["awk", SEVERITY], input=text, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                               capture_output=True, check=True)
    result = run_filter("count_severities.c", directory)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == json.loads(reference.stdout)
    assert sum(json.loads(result.stdout).values()) == text.count(b"\n")


@pytest.mark.parametrize("k", [1, 10, 100000])
@pytest.mark.parametrize("which", ["made", "real"])
def test_top_words_are_those_of_sort_and_uniq(run_filter, request, which, k):
    directory = request.getfixturevalue(which)
    text = b"".join(whole_lines(path) for path in regular(directory))
    result = run_filter("top_words.c", directory, str(k))
    assert result.returncode == 0, result.stderr
    assert result.stdout == shell(TOP % k, text)


@pytest.mark.parametrize("k", ["0", "-", "ten", "10x", None])
def test_top_words_say_how_they_are_used(run_filter, made, k):
    result = run_filter("top_words.c", made, *([k] if k is not None else []))
    assert result.returncode == 2
    assert result.stderr.startswith(b"usage: top_words K")


def test_top_words_end_in_order_when_there_are_too_many_for_the_contract(berth, example, tmp_path):
    (tmp_path / "many.log").write_bytes(b"".join(b"%d\n" % number for number in range(300000)))
    result = subprocess.run([berth, "run", "--memory-mb", "4", "--dir", f"{tmp_path}::/logs", example("top_words.c"), "3"],
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 2
    assert b"too many different words" in result.stderr
