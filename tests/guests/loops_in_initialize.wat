;; SPDX-License-Identifier: Apache-2.0
;; A reactor whose `_initialize` computes without end.
(module
  (memory (export "memory") 1)
  (func (export "_initialize") (loop $again (br $again)))
  (func (export "answer") (result i32) (i32.const 42)))
