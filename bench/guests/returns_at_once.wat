;; SPDX-License-Identifier: Apache-2.0
;; A program of one page that does nothing.
(module
  (memory (export "memory") 1)
  (func (export "_start"))
  (func (export "answer") (result i32) (i32.const 42)))
