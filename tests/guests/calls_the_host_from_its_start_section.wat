;; SPDX-License-Identifier: Apache-2.0
;; Writes "early" to stdout in its start section, when no export has been looked up yet, and "late" in `_start`.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "early\nlate\n")
  (func $say (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $early (call $say (i32.const 16) (i32.const 6)))
  (start $early)
  (func (export "_start") (call $say (i32.const 22) (i32.const 5))))
