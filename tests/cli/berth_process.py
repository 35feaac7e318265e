# SPDX-License-Identifier: Apache-2.0
"""How berth ends, and how to look at it while it runs."""
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

USAGE, LIMIT, WALL, FAILURE, REFUSED, NOT_FOUND = 64, 123, 124, 125, 126, 127
INTERRUPTED, TRAPPED, CLOSED, TERMINATED = 130, 134, 141, 143

# Generous: it only bounds how long a broken berth can hold up the tests.
PATIENCE_S = 60


@dataclass
class Ended:
    status: int
    out: str
    err: str

    @property
    def messages(self):
        """What berth said, a sentence each, without its prefix."""
        return [line.removeprefix("berth: ") for line in self.err.splitlines() if line.startswith("berth: ")]

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def report(self):
        """What --usage=json printed."""
        return json.loads(self.err.splitlines()[-1])


def wait_until(condition, process=None):
    """Waits for something that is bound to happen."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        assert process is None or process.poll() is None, "berth ended before it happened"
        time.sleep(0.002)


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_catching(pid, number):
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return bool(int(caught[1], 16) >> (number - 1) & 1)


def finish(process, stdin=None):
    out, err = process.communicate(stdin, timeout=PATIENCE_S)
    return Ended(process.returncode, (out or b"").decode(), (err or b"").decode())
