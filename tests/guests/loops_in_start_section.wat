;; SPDX-License-Identifier: Apache-2.0
;; Computes without end before anyone called it: in the section that runs when an instance is made.
(module
  (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (start $spin)
  (func (export "_start")))
