# SPDX-License-Identifier: Apache-2.0
"""The page about operation knows every event of the audit log, and no other."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_audit_events():
    page = (ROOT / "docs" / "operations.md").read_text().split("## The audit log", 1)[1].split("**What it proves", 1)[0]
    documented = re.findall(r"^\| `(\w+)` \|", page, re.M)
    noted = set()
    for source in (ROOT / "src" / "node").rglob("*.c"):
        if not source.name.startswith("test_"):
            for call in re.findall(r"(?:ledger_note|audit_append)\(([^;]*);", source.read_text()):
                noted |= set(re.findall(r'"(\w+)"', call.split(",")[1]))
    assert sorted(documented) == sorted(noted)
