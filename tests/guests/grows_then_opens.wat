;; SPDX-License-Identifier: Apache-2.0
;; `grow_then_open(n)` asks n times for far too much memory, then to create a file in its first mount: the errno.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "file")
  (func (export "grow_then_open") (param $times i32) (result i32)
    (loop $again
      (drop (memory.grow (i32.const 60000)))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32))))
