;; SPDX-License-Identifier: Apache-2.0
;; Calls itself without end.
(module
  (memory (export "memory") 1)
  (func $deeper (export "_start") (call $deeper)))
