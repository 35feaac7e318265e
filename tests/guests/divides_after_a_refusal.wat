;; SPDX-License-Identifier: Apache-2.0
;; `divide(n)` asks for more memory than any contract gives, goes on without it, and divides 100 by n.
(module
  (memory (export "memory") 1)
  (func (export "divide") (param $by i32) (result i32)
    (drop (memory.grow (i32.const 65000)))
    (i32.div_u (i32.const 100) (local.get $by))))
