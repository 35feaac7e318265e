# SPDX-License-Identifier: Apache-2.0
"""berth cache: what is kept, and how to get rid of it."""
import hashlib
import os

import pytest

from berth_process import FAILURE


@pytest.fixture
def own_cache(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_a_cache_that_is_not_there_is_empty(cli, own_cache, tmp_path):
    assert cli("cache", "list", env=own_cache).out == f"0 modules, 0 B in {tmp_path}/cache/berth/modules\n"
    listed = cli("cache", "list", "--json", env=own_cache).json
    assert listed == {"directory": f"{tmp_path}/cache/berth/modules", "entries": [], "size_bytes": 0}
    assert cli("cache", "clear", env=own_cache).out == "removed 0 modules, 0 B\n"
    assert not (tmp_path / "cache").exists()


def test_it_lists_what_was_run(cli, guest, own_cache):
    path = guest("says_hello")
    for _ in range(2):
        assert cli("run", path, env=own_cache).status == 0
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry, = cli("cache", "list", "--json", env=own_cache).json["entries"]
    assert entry["module_sha256"] == digest and entry["usable"] is True and entry["size_bytes"] > 0
    out = cli("cache", "list", env=own_cache).out
    assert out.startswith(digest[:16]) and "1 module, " in out and ("just now" in out or "second" in out)


def test_ages_are_for_people(cli, guest, own_cache, tmp_path):
    cli("run", guest("says_hello"), env=own_cache)
    entry = next(path for path in (tmp_path / "cache/berth/modules").iterdir() if len(path.name) == 64)
    used_s = entry.stat().st_mtime
    for seconds, words in ((90, "1 minute ago"), (7300, "2 hours ago"), (86400 * 3 + 60, "3 days ago"), (-5000, "just now")):
        os.utime(entry, (used_s - seconds, used_s - seconds))
        assert words in cli("cache", "list", env=own_cache).out


def test_clear_removes_all_of_it(cli, guest, own_cache):
    cli("run", guest("says_hello"), env=own_cache)
    size = cli("cache", "list", "--json", env=own_cache).json["size_bytes"]
    assert cli("cache", "clear", "--json", env=own_cache).json == {"removed": 1, "size_bytes": size}
    assert cli("cache", "list", "--json", env=own_cache).json["entries"] == []
    assert cli("run", guest("says_hello"), env=own_cache).out == "hello\n"


def test_an_entry_that_was_tampered_with_is_not_run(cli, guest, own_cache, tmp_path):
    cli("run", guest("says_hello"), env=own_cache)
    entry = next(path for path in (tmp_path / "cache/berth/modules").iterdir() if len(path.name) == 64)
    content = bytearray(entry.read_bytes())
    for at in range(200, len(content), 97):
        content[at] ^= 0xFF
    entry.chmod(0o600)
    entry.write_bytes(content)
    assert cli("run", guest("says_hello"), env=own_cache).out == "hello\n"


def test_without_a_home(cli, guest):
    env = {"HOME": "", "XDG_CACHE_HOME": ""}
    done = cli("cache", "list", env=env)
    assert done.status == FAILURE and len(done.messages) == 1
    assert cli("run", guest("says_hello"), env=env).out == "hello\n"
