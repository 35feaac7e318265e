# SPDX-License-Identifier: Apache-2.0
"""Every setting of a node names a test that fails if it is not enforced (src/node/settings/settings_tests.h), and it exists."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = re.findall(r'\{"([a-z_.]+)", "([^"]+)::(\w+)"\}', (ROOT / "src" / "node" / "settings" / "settings_tests.h").read_text())


def test_every_setting_is_there():
    settings = re.findall(r"^SETTING_\w+\((\w+), (\w+)", (ROOT / "src" / "node" / "settings" / "settings.def").read_text(), re.MULTILINE)
    assert sorted(f"{group}.{name}" for group, name in settings) == sorted(key for key, _, _ in ROWS)


@pytest.mark.parametrize(("key", "path", "name"), ROWS)
def test_the_test_exists(key, path, name):
    assert (ROOT / path).exists(), f"{key}: there is no {path}"
    assert re.search(rf"\b{name}\(", (ROOT / path).read_text(encoding="utf-8")), f"{key}: {path} has no {name}"
