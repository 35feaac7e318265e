;; SPDX-License-Identifier: Apache-2.0
;; Sums up 1 to 200000, sleeping a little after each fifth of it, and prints the sum.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $pause
    (i64.store (i32.const 0) (i64.const 1))       ;; userdata
    (i32.store8 (i32.const 8) (i32.const 0))      ;; a clock
    (i32.store (i32.const 16) (i32.const 1))      ;; monotonic
    (i64.store (i32.const 24) (i64.const 1000000)) ;; 1 ms
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func $print (param $number i64) (local $at i32)
    (local.set $at (i32.const 299))
    (i32.store8 (i32.const 299) (i32.const 10))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at) (i64.add (i64.const 48) (i64.rem_u (local.get $number) (i64.const 10))))
      (local.set $number (i64.div_u (local.get $number) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $number) (i64.const 0))))
    (i32.store (i32.const 400) (local.get $at))
    (i32.store (i32.const 404) (i32.sub (i32.const 300) (local.get $at)))
    (drop (call $write (i32.const 1) (i32.const 400) (i32.const 1) (i32.const 408))))
  (func (export "_start") (local $i i64) (local $sum i64)
    (loop $next
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (local.set $sum (i64.add (local.get $sum) (local.get $i)))
      (if (i64.eqz (i64.rem_u (local.get $i) (i64.const 40000))) (then (call $pause)))
      (br_if $next (i64.lt_u (local.get $i) (i64.const 200000))))
    (call $print (local.get $sum))))
