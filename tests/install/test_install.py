# SPDX-License-Identifier: Apache-2.0
"""What `make install` lays down works from wherever it was put, for a user and for an embedder."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def installed(berth, tmp_path_factory):
    """The prefix directory inside a DESTDIR."""
    if not (berth.parent / "build.ninja").exists():
        pytest.skip(f"{berth.parent} is no build directory")
    destination = tmp_path_factory.mktemp("destination")
    subprocess.run(["meson", "install", "-C", berth.parent, "--no-rebuild", "--quiet", "--destdir", destination], check=True)
    [found] = destination.rglob("bin/berth")
    return found.parent.parent


def environment(tmp_path, **more):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **more}


def test_the_program_compiles_and_runs_a_module(installed, guest, tmp_path):
    result = subprocess.run([installed / "bin" / "berth", "run", guest("echoes_stdin")], input=b"visitor\n",
                            env=environment(tmp_path), capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, b"visitor\n"), result.stderr


def test_an_embedder_builds_with_pkg_config(installed, tmp_path, guest):
    [package] = installed.rglob("berth.pc")
    prefix = package.read_text().splitlines()[0].removeprefix("prefix=")
    destination = str(installed).removesuffix(prefix)
    settings = environment(tmp_path, PKG_CONFIG_PATH=str(package.parent), PKG_CONFIG_SYSROOT_DIR=destination)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "berth"], env=settings, capture_output=True, text=True,
                           check=True).stdout.split()
    program = tmp_path / "embedder"
    subprocess.run(["cc", ROOT / "examples" / "run_one_module.c", "-o", program, *flags,
                    f"-Wl,-rpath,{package.parent.parent}"], check=True)
    result = subprocess.run([program, tmp_path, guest("floods_stdout")], env=environment(tmp_path), timeout=60,
                            capture_output=True, check=False)
    assert result.returncode == 125 and b"output" in result.stderr


def test_every_public_header_is_installed(installed):
    wanted = sorted(path.name for path in (ROOT / "include" / "berth").glob("*.h"))
    assert sorted(path.name for path in (installed / "include" / "berth").iterdir()) == wanted


def test_every_command_has_a_manual_page(installed, berth):
    pages = {path.name for path in installed.rglob("man1/*.1")}
    summary = subprocess.run([berth, "help"], capture_output=True, text=True, check=True).stdout
    for page in pages - {"berth.1"}:
        assert page.removeprefix("berth-").removesuffix(".1") in summary
    assert {"berth.1", "berth-run.1", "berth-inspect.1"} <= pages


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_manual_pages_are_understood_by_man(installed):
    for page in installed.rglob("man1/*.1"):
        result = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
        assert result.returncode == 0 and result.stderr == "", page


def test_the_library_exports_only_its_public_interface(installed):
    [library] = [path for path in installed.rglob("libberth.so.*") if not path.is_symlink()]
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in symbols.splitlines()}
    assert [name for name in sorted(names) if not name.startswith("berth_")] == []
