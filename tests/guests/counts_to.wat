;; SPDX-License-Identifier: Apache-2.0
;; `count(n)` counts to n, one step at a time; `wait_and_count(n)` sleeps for 1 ms after each step.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "count") (param $n i32) (result i32) (local $i i32)
    (loop $next
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $i))
  (func (export "wait_and_count") (param $n i32) (result i32) (local $i i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 1000000))
    (loop $next
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $i)))
