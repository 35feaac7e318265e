;; SPDX-License-Identifier: Apache-2.0
;; Computes without end and without calling the host.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
