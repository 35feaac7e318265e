;; SPDX-License-Identifier: Apache-2.0
;; Asks for the type and the rights of descriptor 3, its first mount; traps if there is none.
(module
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $fdstat (i32.const 3) (i32.const 64)) (then (unreachable)))))
