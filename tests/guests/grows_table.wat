;; SPDX-License-Identifier: Apache-2.0
;; `grow(n)` asks for n more table entries: the number before, or -1.
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "grow") (param $entries i32) (result i32)
    (table.grow $table (ref.null func) (local.get $entries))))
