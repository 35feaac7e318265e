;; SPDX-License-Identifier: Apache-2.0
;; `poll(in, out, n)` polls n subscriptions at `in` with events to `out`: the errno. Subscriptions are zero but for the
;; first, which sleeps for 1 ms. `tagged(tag)` and `clocked(clock, flags, timeout)` poll one with these.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "poll") (param $in i32) (param $out i32) (param $n i32) (result i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 1000000))
    (call $poll (local.get $in) (local.get $out) (local.get $n) (i32.const 262136)))
  (func (export "tagged") (param $tag i32) (param $fd i32) (result i32)
    (i32.store8 (i32.const 8) (local.get $tag))
    (i32.store (i32.const 16) (local.get $fd))
    (call $poll (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 2048)))
  ;; The error of the event.
  (func (export "clocked") (param $clock i32) (param $flags i32) (param $timeout i64) (result i32)
    (i32.store (i32.const 16) (local.get $clock))
    (i64.store (i32.const 24) (local.get $timeout))
    (i32.store16 (i32.const 40) (local.get $flags))
    (if (call $poll (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 2048)) (then unreachable))
    (i32.load16_u (i32.const 1032))))
