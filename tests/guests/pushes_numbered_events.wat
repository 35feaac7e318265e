;; SPDX-License-Identifier: Apache-2.0
;; Pushes the events "00000" to "11999", then writes "pushed" to stdout.
(module
  (import "liop" "push_event" (func $push (param i32 i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "pushed\n")
  (func $digit (param $at i32) (param $value i32)
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10)))))
  (func (export "_start") (local $number i32)
    (loop $next
      (call $digit (i32.const 64) (i32.div_u (local.get $number) (i32.const 10000)))
      (call $digit (i32.const 65) (i32.div_u (local.get $number) (i32.const 1000)))
      (call $digit (i32.const 66) (i32.div_u (local.get $number) (i32.const 100)))
      (call $digit (i32.const 67) (i32.div_u (local.get $number) (i32.const 10)))
      (call $digit (i32.const 68) (local.get $number))
      (call $push (i32.const 64) (i32.const 5))
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $number) (i32.const 12000))))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 7))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
