;; SPDX-License-Identifier: Apache-2.0
;; Fills 64 MiB with one instruction, again and again: nothing can stop it but between two of them.
(module
  (memory (export "memory") 1024)
  (func (export "_start")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000))
      (br $again))))
