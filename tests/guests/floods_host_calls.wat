;; SPDX-License-Identifier: Apache-2.0
;; Asks for the time without end.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8)))
      (br $again))))
