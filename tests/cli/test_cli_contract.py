# SPDX-License-Identifier: Apache-2.0
"""berth contract explain: what a run with the same words would get."""
import json
import re
import subprocess

FLAGS = ["--memory-mb", "3", "--clock", "fine", "--env", "LANG", "--deterministic", "--cpu-percent=50"]


def test_the_defaults(cli):
    done = cli("contract", "explain")
    assert done.status == 0
    rows = [line for line in done.out.splitlines() if re.match(r"(limits|grants)\.", line)]
    assert len(rows) >= 12 and all(" default " in row for row in rows)


def test_each_value_says_where_it_came_from(cli, contract):
    path = contract("[limits]\nmemory_mb = 8\nopen_files = 3\n")
    out = cli("contract", "explain", path, "--memory-mb", "9").out
    assert re.search(r"limits\.memory_mb +9 MiB +--memory-mb", out)
    assert re.search(r"limits\.open_files +3 +\S*contract\.toml", out)


def test_json_is_a_contract_too(cli, contract, tmp_path):
    explained = cli("contract", "explain", "--json", *FLAGS)
    assert explained.status == 0 and isinstance(explained.json, dict)
    assert "--memory-mb" in json.dumps(explained.json)


def test_toml_gives_the_same_contract_again(cli, contract, tmp_path):
    (tmp_path / "logs").mkdir()
    first = cli("contract", "explain", "--toml", *FLAGS, "--dir", f"{tmp_path / 'logs'}::/logs").out
    path = contract(first, "again.toml")
    assert cli("contract", "explain", "--toml", path).out == first
    assert cli("contract", "explain", "--toml", "--contract", path).out == first


def test_explain_and_run_agree(cli, guest):
    limits = cli("run", "--usage=json", *FLAGS, guest("says_hello")).report["limits"]
    assert limits["memory_bytes"] == 3 << 20 and limits["cpu_percent"] == 50
    assert "memory_mb = 3" in cli("contract", "explain", "--toml", *FLAGS).out


def test_the_help_of_each_limit_is_a_key(cli):
    """No flag for a limit that does not exist, and no limit without its flag."""
    explained = cli("contract", "explain").out
    keys = {key.replace("_", "-") for key in re.findall(r"^limits\.(\w+)", explained, re.M)}
    flags = set(re.findall(r"--([a-z-]+) NUMBER", cli("help", "run").out)) - {"seed"}
    assert flags == keys


def test_a_contract_from_a_pipe(berth, environment):
    done = subprocess.run(["bash", "-c", f'"{berth}" contract explain <(echo "[limits]"; echo "fuel = 5")'],
                          env=environment, capture_output=True, text=True, timeout=60)
    assert re.search(r"limits\.fuel +5 ", done.stdout)
