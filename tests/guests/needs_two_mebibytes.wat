;; SPDX-License-Identifier: Apache-2.0
;; Grows its memory page by page to 2 MiB and stops with a trap where it gets no more.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $more
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br_if $more (i32.lt_u (memory.size) (i32.const 32))))))
