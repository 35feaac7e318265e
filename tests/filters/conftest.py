# SPDX-License-Identifier: Apache-2.0
"""Running an example filter over a directory."""
import subprocess

import pytest


@pytest.fixture
def run_filter(berth, example):
    """run_filter("log_filter.c", directory, "WORD") runs it with the directory as /logs."""

    def run(name, directory, *arguments):
        return subprocess.run([berth, "run", "--dir", f"{directory}::/logs", "--output-mb", "0", example(name), *arguments],
                              capture_output=True, timeout=300, check=False)

    return run
