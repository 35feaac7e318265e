;; SPDX-License-Identifier: Apache-2.0
;; Computes for about half a millisecond and sleeps for as long, without end: below any tick that samples it.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $left i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 500000))
    (loop $again
      (local.set $left (i32.const 200000))
      (loop $next (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br $again))))
