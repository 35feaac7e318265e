# SPDX-License-Identifier: Apache-2.0
"""The include check finds each kind of violation, by file and line, and nothing else."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).with_name("check_includes")
TABLE = """| folder | what | may include | third-party |
|---|---|---|---|
| `base` | ground | | jansson |
| `upper` | on top | base | wasmtime |
"""


class CheckIncludes(unittest.TestCase):
    def run_on(self, path, line, table=TABLE):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "src").mkdir()
            (root / "src/README.md").write_text(table)
            source = root / path
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(f"/* a comment */\n{line}\n")
            result = subprocess.run([sys.executable, TOOL, root], capture_output=True, text=True, check=False)
            return result.returncode, result.stderr, str(source)

    def assert_allowed(self, path, line):
        status, errors, _ = self.run_on(path, line)
        self.assertEqual((status, errors), (0, ""))

    def assert_refused(self, path, line, expected):
        status, errors, source = self.run_on(path, line)
        self.assertEqual(status, 1)
        self.assertIn(f"{source}:2: ", errors)
        self.assertIn(expected, errors)

    def test_what_the_table_names_is_allowed(self):
        self.assert_allowed("src/upper/a.c", '#include "base/text.h"')
        self.assert_allowed("src/upper/a.c", '#include "upper/b.def"')
        self.assert_allowed("src/upper/a.c", "#include <wasm.h>")
        self.assert_allowed("src/base/a.c", "# include <jansson.h>")
        self.assert_allowed("src/base/a.c", "#include <sys/uio.h>")
        self.assert_allowed("src/base/test_a.c", "#include <cmocka.h>")
        self.assert_allowed("include/berth/a.h", "#include <berth/b.h>")
        self.assert_allowed("include/berth/a.h", "#include <stdint.h>")

    def test_a_lower_layer_knows_nothing_of_an_upper_one(self):
        self.assert_refused("src/base/a.c", '#include "upper/b.h"', "base may include no other folder")

    def test_third_party_headers_stay_in_their_folder(self):
        self.assert_refused("src/base/a.c", "#include <wasmtime/store.h>", "base may use jansson")
        self.assert_refused("src/upper/a.c", "#include <jansson.h>", "upper may use wasmtime")
        self.assert_refused("src/base/a.c", "#include <cmocka.h>", "cmocka.h")
        self.assert_refused("include/berth/a.h", "#include <jansson.h>", "no third-party header")

    def test_includes_carry_their_folder(self):
        self.assert_refused("src/upper/a.c", '#include "b.h"', "with its folder")
        self.assert_refused("src/upper/a.c", '#include "../base/text.h"', "upper may include base")
        self.assert_refused("include/berth/a.h", '#include "base/text.h"', "public header")

    def test_a_folder_without_a_row_is_named(self):
        status, errors, _ = self.run_on("src/other/a.c", "")
        self.assertEqual(status, 1)
        self.assertIn("no row", errors)

    def test_a_row_names_earlier_rows_only(self):
        status, errors, _ = self.run_on("src/base/a.c", "", TABLE.replace("| ground | |", "| ground | upper |"))
        self.assertEqual(status, 1)
        self.assertIn("no earlier row", errors)


if __name__ == "__main__":
    unittest.main()
