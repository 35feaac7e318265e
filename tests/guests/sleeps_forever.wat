;; SPDX-License-Identifier: Apache-2.0
;; Sleeps for 2^63 nanoseconds, again and again.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (i32.store (i32.const 16) (i32.const 1))
      (i64.store (i32.const 24) (i64.const 9223372036854775807))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br $again))))
