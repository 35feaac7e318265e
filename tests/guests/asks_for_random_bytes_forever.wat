;; SPDX-License-Identifier: Apache-2.0
;; Asks for 64 MiB of random bytes at a time, without end.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1025)
  (func (export "_start")
    (loop $again
      (if (call $random (i32.const 0) (i32.const 0x4000000)) (then unreachable))
      (br $again))))
