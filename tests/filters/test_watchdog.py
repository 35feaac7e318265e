# SPDX-License-Identifier: Apache-2.0
"""A filter that stays beside a log and tells what is written to it."""
import subprocess
import threading
from queue import Queue

import pytest

PATIENCE_S = 60  # only bounds how long a broken watchdog can hold up the tests


class Watchdog:
    """A running watchdog: its events as they come, None at their end."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.events, self.other = Queue(), []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            if line.startswith("berth: event: "):
                self.events.put(line.removeprefix("berth: event: ").rstrip("\n"))
            else:
                self.other.append(line)
        self.events.put(None)

    def next(self):
        return self.events.get(timeout=PATIENCE_S)

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.reader.join()


@pytest.fixture
def watch(berth, example, tmp_path):
    """watch("WORD") starts a watchdog on tmp_path that has shown that it watches."""
    started = []

    def start(*arguments, options=("--watch", "--events")):
        dog = Watchdog([berth, "run", "--dir", f"{tmp_path}::/logs", *options, "--wall-seconds", "0",
                        example("watchdog.c"), *arguments])
        started.append(dog)
        return dog

    def start_and_await(word):
        dog = start(word)
        number = 0
        while dog.events.empty():  # what is written before it watches is not told of
            number += 1
            append(tmp_path, f"{word} is it there {number}\n")
        while dog.next() != f"{word} is it there {number}":
            pass
        return dog

    start_and_await.at_once = start
    yield start_and_await
    for dog in started:
        dog.end()


def append(directory, text, name="system.log"):
    with open(directory / name, "a", encoding="utf-8") as file:
        file.write(text)


def test_new_lines_are_told_whole_and_old_ones_not(watch, tmp_path):
    append(tmp_path, "CRITICAL but old\n")
    dog = watch("CRITICAL")
    append(tmp_path, "nothing\na CRITICAL one\nhalf of a CRIT")
    assert dog.next() == "a CRITICAL one"
    append(tmp_path, "ICAL one\n")
    assert dog.next() == "half of a CRITICAL one"


def test_a_log_that_is_rotated_or_cut_off_is_followed(watch, tmp_path):
    dog = watch("CRITICAL")
    (tmp_path / "system.log").rename(tmp_path / "system.log.1")
    append(tmp_path, "CRITICAL and new\n")
    assert dog.next() == "CRITICAL and new"
    (tmp_path / "system.log").write_text("")
    append(tmp_path, "CRITICAL\n")
    assert dog.next() == "CRITICAL"


def test_what_a_log_holds_cannot_forge_a_line(watch, tmp_path):
    dog = watch("CRITICAL")
    append(tmp_path, "CRITICAL \x1b[2J\rberth: event: forged\n")
    assert dog.next() == r"CRITICAL \x1b[2J\x0dberth: event: forged"


def test_it_sleeps_and_costs_no_time_of_the_processor(watch, tmp_path):
    dog = watch("CRITICAL")
    for number in range(20):
        append(tmp_path, f"CRITICAL {number}\n")
        assert dog.next() == f"CRITICAL {number}"
    clock = open(f"/proc/{dog.process.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    assert clock[0] == "S"


def test_without_leave_to_watch_it_ends_and_berth_says_what_would_allow_it(watch, tmp_path):
    dog = watch.at_once("CRITICAL", options=["--events"])
    assert dog.process.wait(timeout=PATIENCE_S) == 1
    assert dog.next() is None
    assert any("grants.watch" in line and "watch = true" in line for line in dog.other)
