# SPDX-License-Identifier: Apache-2.0
"""Documents say what is there: links lead somewhere, commands and targets that they name exist."""
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/*.md"), *ROOT.glob("rust/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    absent = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert absent == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_in_code_marks_exist(document):
    """`src/base/text.h` is a path of this tree; names with a wildcard or a placeholder are not."""
    text = document.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:src|tests|tools|examples|bench|fuzz|include|docs)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md" and f"({page.name})" not in index] == []


def test_make_targets_that_documents_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in DOCUMENTS:
        named = re.findall(r"`make ([a-z-]+)", document.read_text(encoding="utf-8"))
        assert set(named) <= targets, document


def test_commands_that_documents_name_exist(berth):
    help_text = subprocess.run([berth, "help"], capture_output=True, text=True, check=True).stdout
    for document in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for block in re.findall(r"^```\w*\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for command in re.findall(r"^(?:\$ )?(?:build/)?berth ([a-z]+)", block, re.MULTILINE):
                assert re.search(rf"\b{command}\b", help_text), f"{document}: berth {command}"
