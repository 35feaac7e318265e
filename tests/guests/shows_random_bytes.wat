;; SPDX-License-Identifier: Apache-2.0
;; Writes 16 random bytes to stdout, as letters from a to p.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $i i32)
    (if (call $random (i32.const 16) (i32.const 16)) (then unreachable))
    (loop $next
      (i32.store8 offset=16 (local.get $i)
        (i32.add (i32.const 97) (i32.and (i32.load8_u offset=16 (local.get $i)) (i32.const 15))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 16))))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 16))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
