# SPDX-License-Identifier: Apache-2.0
"""The life of a node as its owner sees it: ready, alone, healed, reloaded, drained, and nothing left behind."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from serving import PATIENCE_S, Node, children, wait_until

ROLES = {"node-front": 1, "node-compiler": 1, "node-worker": 2}


@pytest.fixture
def logs(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    return directory


@pytest.fixture
def node(berth, tmp_path, logs):
    """A node with two workers and the health endpoint; ended by the test or after it."""
    with Node(berth, tmp_path, "--mount", f"{logs}::/logs", "--workers", 2, "--health-listen", "127.0.0.1:0") as node:
        yield node


def events(node):
    """What the supervisor logged."""
    lines = [json.loads(line) for line in node.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["process"] == "supervisor"]


def seen(node, event):
    return [line for line in events(node) if line["event"] == event]


def counted(node):
    return {role: len(pids) for role, pids in node.children().items()}


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def health(node, path="/readyz"):
    """(status, body), or None while nobody listens."""
    host, port = node.ready["health"].rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body.decode()) if head else None


# ---- Start ----


def test_the_ready_line_is_one_json_object(node):
    assert set(node.ready) == {"address", "peer_id", "token", "pid", "health"}
    assert re.fullmatch(r"127\.0\.0\.1:\d+", node.address) and not node.address.endswith(":0")
    assert node.peer_id.startswith("12D3KooW")
    assert len(node.token) >= 32 and node.ready["pid"] == node.process.pid
    assert counted(node) == ROLES


@pytest.mark.parametrize("listen, reach", [("127.0.0.1", r"127\.0\.0\.1:\d+"), ("0.0.0.0", r"HOST:\d+")])
def test_people_get_a_text_with_the_line_to_try(berth, tmp_path, logs, listen, reach):
    process = subprocess.Popen([berth, "serve", "--state", tmp_path / "state", "--listen", f"{listen}:0", "--mount", logs,
                                "--plain-anywhere"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    try:
        text = ""
        while "berth send" not in text:
            line = process.stdout.readline()
            assert line, "it ended"
            text += line
        token, = re.search(rf"berth send --to {reach} --token (\S+) FILTER\.wasm", text).groups()
        assert f"address  {listen}:" in text and f"token    {token}\n" in text
        assert re.search(r"id       12D3KooW\w+\n", text) and str(logs) in text
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()


def test_with_principals_there_is_no_token(berth, tmp_path):
    config = '[[capability]]\nname = "c"\n[[principal]]\nname = "p"\ncapabilities = ["c"]\ntoken_sha256 = ["' + "0" * 64 + '"]\n'
    with Node(berth, tmp_path, config=config) as node:
        assert node.ready["token"] is None and node.ready["health"] is None


def test_the_identity_stays_and_the_token_does_not(berth, tmp_path, node):
    node.stop()
    with Node(berth, tmp_path) as again:
        assert again.peer_id == node.peer_id and again.token != node.token


def test_the_token_is_nowhere_but_in_the_ready_line(node):
    token = node.token.encode()
    pids = [node.pid] + [pid for pids in node.children().values() for pid in pids]
    for pid in pids:
        assert token not in Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    assert node.stop() == 0
    for path in [path for path in node.directory.rglob("*") if path.is_file()]:
        assert token not in path.read_bytes(), path


def test_state_is_private(node):
    state = node.state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert (state / "identity").stat().st_size == 64
    assert (state / "lock").read_text() == f"{node.pid}\n"


# ---- What a child has ----


def descriptors(pid):
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="a worker cannot be looked into by its own user")
def test_children_have_an_empty_environment_and_what_they_need(node):
    kinds = {"node-front": r"/dev/null|socket:|anon_inode:|pipe:|/proc|.*/state(/.*)?$",
             "node-compiler": r"/dev/null|socket:|anon_inode:|pipe:|.*/modules.*|.*/inputs|/proc/\d+/fd",
             "node-worker": r"/dev/null|socket:|anon_inode:|pipe:|.*/logs|.*/inputs|/proc/\d+/fd"}
    for role, pids in node.children().items():
        for pid in pids:
            assert Path(f"/proc/{pid}/environ").read_bytes() == b""
            held = descriptors(pid)
            assert held[0] == held[1] == "/dev/null" and held[2].endswith("/stderr") and held[3].startswith("socket:")
            for number, target in held.items():
                assert number == 2 or re.match(kinds[role], target), (role, number, target)
    for pid in node.children()["node-worker"]:
        sockets = [target for target in descriptors(pid).values() if target.startswith("socket:")]
        assert len(sockets) == 2, "its control and its channel"


def test_children_are_deaf_to_the_terminal(node):
    for pids in node.children().values():
        for pid in pids:
            assert os.getsid(pid) == pid


# ---- Alone ----


def run_to_end(berth, tmp_path, *arguments):
    return subprocess.run([berth, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE_S,
                          stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})


def one_sentence(done, status, *says):
    assert done.returncode == status and done.stdout == "", done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("berth: ")]
    assert len(lines) == 1, done.stderr
    for words in says:
        assert words in lines[0]


def test_a_second_node_is_told_who_is_there(berth, tmp_path, node):
    done = run_to_end(berth, tmp_path, "--state", node.state, "--listen", "127.0.0.1:0")
    one_sentence(done, 125, f"process {node.pid}", str(node.state))
    assert counted(node) == ROLES and health(node) == (200, "ready\n")


def test_a_port_that_is_in_use(berth, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_to_end(berth, tmp_path, "--listen", f"127.0.0.1:{port}", "--state", tmp_path / "state")
        one_sentence(done, 125, f"port {port} of 127.0.0.1 is in use")
        done = run_to_end(berth, tmp_path, "--listen", "127.0.0.1:0", "--health-listen", f"127.0.0.1:{port}",
                          "--state", tmp_path / "state")
        one_sentence(done, 125, f"port {port} of 127.0.0.1", "health")


def test_a_state_directory_that_others_may_enter(berth, tmp_path):
    state = tmp_path / "open"
    state.mkdir(mode=0o755)
    one_sentence(run_to_end(berth, tmp_path, "--state", state, "--listen", "127.0.0.1:0"), 126, str(state), "0755")
    assert list(state.iterdir()) == []


def test_a_state_directory_that_cannot_be(berth, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_to_end(berth, tmp_path, "--state", tmp_path / "file" / "state", "--listen", "127.0.0.1:0")
    one_sentence(done, 125, str(tmp_path / "file" / "state"))


def test_an_identity_that_others_can_read(berth, tmp_path, node):
    node.stop()
    (node.state / "identity").chmod(0o644)
    done = run_to_end(berth, tmp_path, "--state", node.state, "--listen", "127.0.0.1:0")
    one_sentence(done, 126, "may be read by others")


def test_nothing_is_left_when_a_start_fails(berth, tmp_path, node):
    node.stop()
    (node.state / "identity").write_bytes(b"short")
    process = subprocess.Popen([berth, "serve", "--state", node.state, "--listen", "127.0.0.1:0"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    started = set()
    while process.poll() is None:
        started |= {pid for pids in children(process.pid).values() for pid in pids}
    assert process.returncode == 126
    wait_until(lambda: all(is_gone(pid) for pid in started), "the children end")


def test_inputs_are_emptied_at_a_start(berth, tmp_path, node):
    node.stop()
    left = node.state / "inputs" / "run" / "deep"
    left.mkdir(parents=True)
    (left / "file").write_text("x")
    outside = tmp_path / "outside"
    outside.write_text("stays")
    (node.state / "inputs" / "link").symlink_to(outside)
    with Node(berth, tmp_path):
        assert list((node.state / "inputs").iterdir()) == [] and outside.read_text() == "stays"


# ---- Healed ----


@pytest.mark.parametrize("role", ROLES)
def test_a_child_that_is_killed_is_replaced(node, role):
    before = node.children()
    os.kill(before[role][0], signal.SIGKILL)
    wait_until(lambda: seen(node, "child_ready"), f"a new {role}")
    wait_until(lambda: counted(node) == ROLES and before[role][0] not in node.children()[role], "all stand")
    for other in ROLES:
        if other != role:
            assert node.children()[other] == before[other], "nobody else is touched"
    wait_until(lambda: health(node) == (200, "ready\n") or role == "node-front", "ready again")
    assert "Killed" in seen(node, "child_ended")[0]["cause"]
    assert node.stop() == 0


def test_all_children_killed_at_once(node):
    before = node.children()
    for pids in before.values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(seen(node, "child_ready")) == 4, "four new ones")
    assert counted(node) == ROLES
    assert node.stop() == 0


def test_the_address_stays_when_the_front_dies(node):
    host, port = node.address.rsplit(":", 1)
    os.kill(node.children()["node-front"][0], signal.SIGKILL)
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:  # nobody accepts it yet
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        assert connection.recv(9)[3] == 4, "SETTINGS of the new front"


def test_the_pause_grows_while_a_child_keeps_dying(node):
    for n in range(1, 4):
        pid = wait_until(lambda: len(node.children().get("node-compiler", [])) == 1 and
                         len(seen(node, "child_ready")) == n - 1 and node.children()["node-compiler"][0], "a compiler")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(seen(node, "child_ended")) == n, "its end")
    assert [round(line["next_start_in_seconds"], 1) for line in seen(node, "child_ended")] == [0.1, 0.2, 0.4]


def test_no_child_outlives_its_supervisor(node):
    pids = [pid for pids in node.children().values() for pid in pids]
    os.kill(node.pid, signal.SIGKILL)
    wait_until(lambda: all(is_gone(pid) for pid in pids), "all end")


# ---- Reload ----


@pytest.fixture
def configured(berth, tmp_path, logs):
    config = f'[node]\nworkers = 2\n[[mount]]\nname = "logs"\nhost = "{logs}"\n'
    with Node(berth, tmp_path, config=config) as node:
        node.config = tmp_path / "berth.toml"
        yield node


def test_a_good_reload(configured):
    configured.config.write_text(configured.config.read_text() + "[limits]\nconcurrency = 3\n")
    os.kill(configured.pid, signal.SIGHUP)
    wait_until(lambda: seen(configured, "reloaded"), "reloaded")
    os.kill(configured.pid, signal.SIGHUP)
    wait_until(lambda: len(seen(configured, "reloaded")) == 2, "reloaded again")
    assert configured.stop() == 0


@pytest.mark.parametrize("text, says", [
    ("[limits]\nconcurency = 3\n", "concurrency"),
    ("[limits]\nconcurrency = -3\n", "concurrency"),
    ("[[", "berth.toml"),
    ('[[mount]]\nname = "other"\nhost = "/"\n', "mounts"),
    ("[node]\nworkers = 3\n", "workers"),
    ('[cache]\ndirectory = "elsewhere"\n', "cache"),
])
def test_a_bad_reload_changes_nothing(configured, text, says):
    old = configured.config.read_text()
    configured.config.write_text(old.replace("[node]\nworkers = 2\n", "") + text if "[node]" in text else old + text)
    before = configured.children()
    os.kill(configured.pid, signal.SIGHUP)
    wait_until(lambda: seen(configured, "reload_refused"), "refused")
    assert says in seen(configured, "reload_refused")[0]["reason"]
    configured.config.write_text(old)
    os.kill(configured.pid, signal.SIGHUP)
    wait_until(lambda: seen(configured, "reloaded"), "reloaded")
    assert configured.children() == before


def test_a_reload_with_a_file_that_is_gone(configured):
    configured.config.rename(configured.config.with_suffix(".old"))
    os.kill(configured.pid, signal.SIGHUP)
    wait_until(lambda: seen(configured, "reload_refused"), "refused")
    assert "there is no configuration file" in seen(configured, "reload_refused")[0]["reason"]


# ---- End ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_ends_with_0_and_leaves_nothing(node, number):
    pids = [pid for pids in node.children().values() for pid in pids]
    node.process.send_signal(number)
    assert node.process.wait(PATIENCE_S) == 0
    assert all(is_gone(pid) for pid in pids)
    assert seen(node, "draining") and not seen(node, "drain_ended_early")
    host, port = node.address.rsplit(":", 1)
    with pytest.raises(OSError):
        socket.create_connection((host, int(port)), 1)


def test_a_front_that_does_not_drain_is_ended_in_time(berth, tmp_path):
    with Node(berth, tmp_path, "--drain-seconds", 1) as node:
        os.kill(node.children()["node-front"][0], signal.SIGSTOP)
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(PATIENCE_S) == 0
        assert seen(node, "drain_ended_early")


def test_a_second_ctrl_c_ends_at_once(berth, tmp_path):
    with Node(berth, tmp_path, "--drain-seconds", 86400) as node:
        pids = [pid for pids in node.children().values() for pid in pids]
        os.kill(node.children()["node-front"][0], signal.SIGSTOP)
        node.process.send_signal(signal.SIGINT)
        wait_until(lambda: seen(node, "draining"), "draining")
        assert node.process.poll() is None
        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(PATIENCE_S) == 0
        assert all(is_gone(pid) for pid in pids)


# ---- Probes ----


def test_the_health_endpoint(node):
    status, text = health(node, "/healthz")
    assert status == 200 and re.fullmatch(r"ok\n(missing layers of isolation: \w+(, \w+)*\n)?", text)
    assert health(node) == (200, "ready\n")
    status, text = health(node, "/metrics")
    assert status == 200 and "\nberth_workers 2\n" in text and "\nberth_workers_alive 2\n" in text
    assert re.search(r"^berth_process_resident_bytes [1-9]\d+$", text, re.M)
    assert health(node, "/nothing")[0] == 404


def test_it_is_not_ready_without_a_worker(berth, tmp_path):
    with Node(berth, tmp_path, "--workers", 1, "--health-listen", "127.0.0.1:0") as node:
        wait_until(lambda: health(node) == (200, "ready\n"), "ready")
        worker = node.children()["node-worker"][0]
        for n in range(6):  # until the pause is long enough to be seen
            os.kill(wait_until(lambda: (node.children().get("node-worker") or [0])[0], "a worker"), signal.SIGKILL)
            wait_until(lambda: len(seen(node, "child_ended")) == n + 1, "its end")
        wait_until(lambda: health(node)[0] == 503, "not ready")
        wait_until(lambda: health(node)[0] == 200, "ready again")
        assert worker not in node.children()["node-worker"]


# ---- The service manager ----


def test_the_service_manager_hears_of_each_step(berth, tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(PATIENCE_S)
        node = Node(berth, tmp_path, environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"})
        with node:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1" and manager.recv(100) == b"WATCHDOG=1"
            heard = filter(lambda said: said != b"WATCHDOG=1", iter(lambda: manager.recv(100), None))
            node.process.send_signal(signal.SIGHUP)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", next(heard)) and next(heard) == b"READY=1"
            node.process.send_signal(signal.SIGTERM)
            assert next(heard) == b"STOPPING=1"
            assert node.process.wait(PATIENCE_S) == 0


def test_sockets_of_the_service_manager_are_used(berth, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        process = subprocess.Popen(["/bin/sh", "-c", script, "sh", berth, "serve", "--json", "--state",
                                    tmp_path / "state", "--listen", "127.0.0.1:1"],
                                   preexec_fn=lambda: os.dup2(given.fileno(), 3), pass_fds=[3],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        try:
            assert json.loads(process.stdout.readline())["address"] == f"127.0.0.1:{port}"
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
            process.stdout.close()


# ---- Roles ----


@pytest.mark.parametrize("arguments", [["node-front"], ["node-worker", "0"], ["node-compiler"], ["node-worker"],
                                       ["node-worker", "x"], ["node-front", "1"], ["node-worker", "0", "1"]])
def test_a_part_of_a_node_does_not_start_alone(berth, arguments):
    done = subprocess.run([berth, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 64 and done.stdout == b"" and done.stderr.startswith(b"berth: ")


def test_an_idle_node_is_small(node):
    """Proportional share of all processes together, as /proc says."""
    pids = [node.pid] + [pid for pids in node.children().values() for pid in pids]
    shares = [int(re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
              for pid in pids]
    assert sum(shares) <= 40 << 10, shares
