;; SPDX-License-Identifier: Apache-2.0
;; Recursion without end: direct, mutual, through a table, and with an out-of-bounds access at the end of a deep one.
(module
  (type $deeper (func))
  (memory (export "memory") 1)
  (table funcref (elem $through_table))
  (func $direct (export "direct") (call $direct))
  (func $even (export "mutual") (call $odd))
  (func $odd (call $even))
  (func $through_table (export "through_table") (call_indirect (type $deeper) (i32.const 0)))
  (func $wide (export "wide") (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
    (i64.add (local.get 0) (call $wide
      (i64.add (local.get 1) (i64.const 1)) (local.get 2) (local.get 3) (local.get 4)
      (local.get 5) (local.get 6) (local.get 7) (local.get 0))))
  (func $sink (export "sink") (param $depth i32) (result i32)
    (if (result i32) (local.get $depth)
      (then (i32.add (i32.const 1) (call $sink (i32.sub (local.get $depth) (i32.const 1)))))
      (else (i32.const 0))))
  (func $fault_below (export "fault_below") (param $depth i32) (result i32)
    (if (result i32) (local.get $depth)
      (then (i32.add (i32.const 1) (call $fault_below (i32.sub (local.get $depth) (i32.const 1)))))
      (else (i32.load offset=4294967295 (i32.const -1))))))
