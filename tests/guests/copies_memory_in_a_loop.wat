;; SPDX-License-Identifier: Apache-2.0
;; Copies 32 MiB with one instruction, again and again.
(module
  (memory (export "memory") 1024)
  (func (export "_start")
    (loop $again
      (memory.copy (i32.const 0x2000000) (i32.const 0) (i32.const 0x2000000))
      (br $again))))
