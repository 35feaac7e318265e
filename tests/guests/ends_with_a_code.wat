;; SPDX-License-Identifier: Apache-2.0
;; `exit(n)` ends the guest with that code.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "exit") (param i32) (call $exit (local.get 0))))
