;; SPDX-License-Identifier: Apache-2.0
;; Traps if any byte of its fresh memory, table or global is not what the module says; then leaves canaries in all.
(module
  (memory (export "memory") 4)
  (table $table 16 funcref)
  (elem declare func $check)
  (global $global (mut i64) (i64.const 0))
  (func $check (local $at i32)
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 262144))))
    (local.set $at (i32.const 0))
    (loop $entry
      (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then unreachable))
      (table.set $table (local.get $at) (ref.func $check))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $entry (i32.lt_u (local.get $at) (i32.const 16))))
    (if (i64.ne (global.get $global) (i64.const 0)) (then unreachable)))
  (func (export "_start")
    (call $check)
    (global.set $global (i64.const 0x5ec2e75ec2e75ec2))
    (memory.fill (i32.const 0) (i32.const 0x5e) (i32.const 262144))))
