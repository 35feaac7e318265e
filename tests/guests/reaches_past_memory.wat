;; SPDX-License-Identifier: Apache-2.0
;; Loads from the highest address there is.
(module
  (memory (export "memory") 1)
  (func (export "_start") (drop (i32.load offset=4294967295 (i32.const -1)))))
