# SPDX-License-Identifier: Apache-2.0
"""What people start from works: the configuration in examples/, the units and the manifest in deploy/, the commands in
docs/serve.md."""
import base64
import hashlib
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CHECK = ROOT / "tools" / "check_deploy"


@pytest.fixture
def check_deploy(monkeypatch, tmp_path):
    """The tool as a module, over a copy of deploy/ that a test may spoil."""
    loader = importlib.machinery.SourceFileLoader("check_deploy", str(CHECK))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_deploy", loader))
    loader.exec_module(module)
    for path in (ROOT / "deploy").iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    module.DEPLOY = tmp_path
    return module


def test_units_and_manifest_are_right(berth):
    done = subprocess.run([CHECK, berth], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("found", "changed"), [
    ("NoNewPrivileges=yes", "NoNewPrivileges=no"),
    ("MemoryDenyWriteExecute=no", "MemoryDenyWriteExecute=yes"),
    ("landlock_add_rule ", ""),
    ("KillMode=mixed", ""),
])
def test_a_unit_that_would_not_do_is_found(check_deploy, found, changed):
    unit = check_deploy.DEPLOY / "berth.service"
    assert found in unit.read_text()
    unit.write_text(unit.read_text().replace(found, changed))
    assert list(check_deploy.check_service_settings())


@pytest.mark.parametrize(("found", "changed"), [
    ("replicas: 1", "replicas: 2"),
    ("replicas: 1", "replicas: 1\n  replicas: 1"),
    ("runAsNonRoot: true", "runAsNonRoot: yes please"),
    ("readOnlyRootFilesystem", "readonlyRootFilesystem"),
    ("targetPort: grpc", "targetPort: grcp"),
    ("livenessProbe", "livelinessProbe"),
    ("{name: state, mountPath", "{name: estate, mountPath"),
    ("kind: Service", "kind: Services"),
    ("drop: [ALL]", "drop: []"),
])
def test_a_manifest_that_would_not_do_is_found(check_deploy, found, changed):
    manifest = check_deploy.DEPLOY / "kubernetes.yaml"
    assert found in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(found, changed, 1))
    assert list(check_deploy.check_manifest(None))


def jwks():
    x = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})


def test_the_example_configuration_is_taken(berth, tmp_path):
    (tmp_path / "berth.toml").write_text((ROOT / "examples" / "berth.toml").read_text())
    (tmp_path / "jwks.json").write_text(jwks())
    for name in ("logs", "scratch"):
        (tmp_path / name).mkdir()
    command = [berth, "serve", "--config", tmp_path / "berth.toml", "--check", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    assert settings["mount"][0]["host"] == str(tmp_path / "logs")
    assert settings["jwt"]["keys"] == str(tmp_path / "jwks.json")
    assert [principal["name"] for principal in settings["principal"]] == ["ana", "agents"]


def test_what_check_prints_is_a_configuration_again(berth, tmp_path):
    (tmp_path / "logs").mkdir()
    check = [berth, "serve", "--check", "--mount", f"{tmp_path}/logs::/logs", "--memory-mb", "32"]
    first = subprocess.run(check, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    (tmp_path / "berth.toml").write_text(first.stdout)
    second = [berth, "serve", "--check", "--json", "--config", tmp_path / "berth.toml"]
    again = subprocess.run(second, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    direct = subprocess.run([*check, "--json"], capture_output=True, text=True)
    assert json.loads(again.stdout) == json.loads(direct.stdout)


def test_configurations_in_the_page_are_taken(berth, tmp_path):
    """Each block of TOML in docs/serve.md, with what it leaves out."""
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    for i, block in enumerate(re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)):
        block = block.replace("…64 hex digits…", hashlib.sha256(b"token").hexdigest())
        block = block.replace("AA:BB:…", ":".join(["AA"] * 32))
        block = block.replace('"https://id.example/.well-known/jwks.json"', f'"{tmp_path}/jwks.json"')
        (tmp_path / "jwks.json").write_text(jwks())
        config = tmp_path / f"{i}.toml"
        config.write_text(block + '\n[[capability]]\nname = "search"\n')
        done = subprocess.run([berth, "serve", "--config", config, "--check"], capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_command_for_hashing_a_token_is_right():
    done = subprocess.run(["sh", "-c", 'TOKEN=secret; printf %s "$TOKEN" | sha256sum'], capture_output=True, text=True)
    assert done.stdout.split()[0] == hashlib.sha256(b"secret").hexdigest()
