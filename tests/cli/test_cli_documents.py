# SPDX-License-Identifier: Apache-2.0
"""The pages about the command line say what the binary does."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows(page, heading):
    """The cells of the table below a heading."""
    section = (ROOT / "docs" / page).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_exit_statuses(cli):
    text = " ".join(cli("help", "exit-status").out.split("\n\n")[0].split())
    for number, meaning in rows("errors.md", "Exit statuses"):
        assert f" {number} {meaning}" in text
    assert len(rows("errors.md", "Exit statuses")) == len(re.findall(r"^  \S", cli("help", "exit-status").out, re.M))


def test_the_table_of_library_errors():
    header = (ROOT / "include" / "berth" / "error.h").read_text()
    names = re.findall(r"^    (BERTH_\w+) = [1-9]\d*,", header, re.M)
    assert [row[0].strip("`") for row in rows("errors.md", "Errors of the library")] == names


def test_every_option_that_the_pages_name_exists(cli):
    known = {"--help", "--version"}
    for command in ("run", "call", "inspect", "contract", "cache", "version"):
        known |= set(re.findall(r"--[a-z][a-z-]+", cli("help", command).out))
    for page in ("run.md", "errors.md"):
        assert set(re.findall(r"--[a-z][a-z-]+", (ROOT / "docs" / page).read_text())) <= known


def test_every_option_stands_on_the_page(cli):
    page = (ROOT / "docs" / "run.md").read_text()
    for option in re.findall(r"^(?:  -\w, |      )(--[a-z-]+)", cli("help", "run").out, re.M)[:-1]:  # but --help
        assert option in page, option
