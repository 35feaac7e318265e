;; SPDX-License-Identifier: Apache-2.0
;; Asks for 65535 more pages, 100,000 times, which a limit below 4 GiB must refuse each time; then for one.
(module
  (memory (export "memory") 1)
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const 100000))
    (loop $again
      (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then unreachable))))
