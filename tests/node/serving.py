# SPDX-License-Identifier: Apache-2.0
"""A node of its own for a test: state, cache and mounts in a directory that goes with it.

    with Node(berth, directory, "--mount", f"{logs}::/logs") as node:
        node.address, node.token, node.peer_id, node.pid
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from liop_client import Client

PATIENCE_S = 60


def wait_until(condition, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not after {patience_s} s"
        time.sleep(0.01)


def children(pid):
    """{role: [pid]} of the processes that a node started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z" and len(words) > 1:
            found.setdefault(words[1].decode(), []).append(int(entry.name))
    return found


class Node:
    def __init__(self, berth, directory, *arguments, config=None, environment=None):
        self.directory = Path(directory)
        self.state = self.directory / "state"
        self.arguments = [str(berth), "serve", "--json", "--state", str(self.state), *map(str, arguments)]
        if not any(str(a) in ("--listen", "--config") for a in arguments) and not (config and "listener" in config):
            self.arguments += ["--listen", "127.0.0.1:0"]
        if config is not None:
            path = self.directory / "berth.toml"
            path.write_text(config)
            self.arguments += ["--config", str(path)]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory),
                            "XDG_CACHE_HOME": str(self.directory / "cache"), **(environment or {})}
        self.process = None

    def start(self):
        self.errors = open(self.directory / "stderr", "ab")
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, env=self.environment)
        line = self.process.stdout.readline()
        assert line, f"the node did not start: {self.log()}"
        self.ready = json.loads(line)
        self.address, self.peer_id = self.ready["address"], self.ready["peer_id"]
        self.token, self.pid = self.ready.get("token"), self.process.pid
        return self

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.end()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.process.stdout.close()
            self.errors.close()

    def log(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def client(self, **options):
        return Client(self.address, **{"token": self.token, **options})

    def children(self):
        return children(self.pid)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.end()
