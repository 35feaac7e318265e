# SPDX-License-Identifier: Apache-2.0
"""Everything at once: hostile sessions of all kinds, and callers who notice nothing of them but time.

HOSTILE_SESSIONS (60) says how many. How much time is `make bench`'s to measure.
"""

import hashlib
import os
import re
import socket
import threading
from pathlib import Path

import hostile_peers
from hostile_peers import Crowd
from serving import Node, wait_until

SESSIONS = int(os.environ.get("HOSTILE_SESSIONS", "60"))
GOOD_CLIENTS, GOOD_VISITS = 4, 5
RESIDENT_GROWTH_MAX = 96 << 20
REMEMBERED_MAX = 2 * (len(hostile_peers.GUESTS) + 1)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def metric(node, name):
    """Its value, or None: who asks too often is not answered."""
    host, port = node.ready["health"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    found = re.search(rf"^{name} (\d+)", text, re.M)
    return int(found.group(1)) if found else None


def all_children(node):
    return sorted(pid for pids in node.children().values() for pid in pids)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pids):
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") for pid in pids)


def test_good_visits_succeed_among_hostile_sessions_and_nothing_stays_behind(berth, tmp_path, guest):
    guests = {name: guest(name).read_bytes() for name in hostile_peers.GUESTS}
    hello = guest("says_hello").read_bytes()
    config = hostile_peers.configuration(tmp_path, sha256("hostile"), sha256("good"))
    outcomes, troubles = [], []

    def visit():
        try:
            for _ in range(GOOD_VISITS):
                with node.client(token="good") as client:
                    output, _, end = client.execute(hello)
                    outcomes.append((output, end.outcome))
        except Exception as error:  # pylint: disable=broad-except
            troubles.append(error)

    with Node(berth, tmp_path, "--session-seconds", 10, "--health-listen", "127.0.0.1:0", config=config) as node:
        with node.client(token="good") as client:
            expected = client.execute(hello)
        for module in guests.values():  # so that all is compiled
            with node.client(token="hostile") as client:
                client.execute(module, contract='{"limits": {"wall_seconds": 0.1, "output_mb": 1}}')
        pids = all_children(node)
        before, resident_before = {pid: descriptors(pid) for pid in pids}, resident(pids)

        with Crowd(node.address, "hostile", guests, SESSIONS) as crowd:
            wait_until(lambda: all(crowd.begun.values()) or crowd.faults, "all kinds have begun")
            threads = [threading.Thread(target=visit) for _ in range(GOOD_CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not troubles and not crowd.faults
        assert outcomes == [(expected[0], "exited")] * (GOOD_CLIENTS * GOOD_VISITS)

        assert all_children(node) == pids, "a process died"
        for name in ("berth_runs_running", "berth_sessions", "berth_calls"):
            wait_until(lambda name=name: metric(node, name) == 0, name)
        for pid in pids:
            # Workers remember modules and contracts; the front's last connection may just be closing.
            wait_until(lambda pid=pid: descriptors(pid) <= before[pid] + REMEMBERED_MAX, "descriptors are closed")
        assert resident(pids) - resident_before < RESIDENT_GROWTH_MAX
        with node.client(token="good") as client:
            assert client.execute(hello)[2].outcome == "exited"
