;; SPDX-License-Identifier: Apache-2.0
;; A reactor: `_initialize` sets the sum to 7, `add` adds to it and returns it, `fail` traps.
(module
  (memory (export "memory") 1)
  (global $sum (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $sum (i32.add (global.get $sum) (i32.const 7))))
  (func (export "add") (param $more i32) (result i32)
    (global.set $sum (i32.add (global.get $sum) (local.get $more)))
    (global.get $sum))
  (func $fail (export "fail") (param i32) (result i32) unreachable))
