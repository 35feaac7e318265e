# SPDX-License-Identifier: Apache-2.0
"""docs/security.md says what is tested, and nothing else."""
import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = {int(number): cells for number, cells in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)}


def hostile_tests():
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path != Path(__file__):
                yield node.name, ast.get_docstring(node)


def test_the_page_names_every_test_and_no_other():
    assert set(re.findall(r"`(test_\w+)`", PAGE)) == {name for name, _ in hostile_tests()}


def test_every_file_that_the_page_names_exists():
    for path in re.findall(r"`((?:src|tests|fuzz)/[\w./]+)`", PAGE):
        assert (ROOT / path).exists(), path


def test_every_test_says_which_attack_it_is_about():
    for name, text in hostile_tests():
        numbers = re.match(r"Rows? ([\d, and]+)", text or "")
        assert numbers, name
        assert {int(number) for number in re.findall(r"\d+", numbers[1])} <= set(ROWS), name


def test_every_attack_has_a_test_or_a_reason():
    assert sorted(ROWS) == list(range(1, 73))
    for number, cells in ROWS.items():
        assert re.search(r"test_|not yet|not promised", cells), number
