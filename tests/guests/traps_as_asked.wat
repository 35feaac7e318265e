;; SPDX-License-Identifier: Apache-2.0
;; Each export does one thing that WebAssembly forbids for some of its arguments, and is right for the others.
(module
  (type $number (func (result i32)))
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $seven)
  (func $seven (result i32) (i32.const 7))
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "divide_long") (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
  (func (export "remainder") (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
  (func (export "truncate") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "load_far") (param i32) (result i64) (i64.load offset=4294967295 (local.get 0)))
  (func (export "store") (param i32) (i64.store (local.get 0) (i64.const -1)))
  (func (export "store_far") (param i32) (i32.store8 offset=4294967295 (local.get 0) (i32.const 1)))
  (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 1) (local.get 1)))
  (func (export "call_entry") (param i32) (result i32) (call_indirect (type $number) (local.get 0)))
  (func (export "reach") (param i32) (if (i32.eqz (local.get 0)) (then unreachable))))
