;; SPDX-License-Identifier: Apache-2.0
;; Reads "visible" of its first mount to stdout, sees neither "secret.key" nor where "out" leads, grows its memory, lists
;; the directory; then pushes the event "waiting" and waits for a change of the directory, for ever. When there was one
;; it pushes "changed" and ends. The exit code says which step went wrong.
(module
  (import "liop" "push_event" (func $push (param i32 i32)))
  (import "berth" "wait_for_change" (func $wait_for_change (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "visible")
  (data (i32.const 110) "secret.key")
  (data (i32.const 130) "out")
  (data (i32.const 140) "waiting")
  (data (i32.const 150) "changed")
  (func $expect (param $step i32) (param $found i32) (param $expected i32)
    (if (i32.ne (local.get $found) (local.get $expected)) (then (call $exit (local.get $step)))))
  (func $open (param $name i32) (param $length i32) (result i32)
    (call $path_open (i32.const 3) (i32.const 1) (local.get $name) (local.get $length) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
  (func (export "_start") (local $file i32)
    (call $expect (i32.const 1) (call $open (i32.const 100) (i32.const 7)) (i32.const 0))
    (local.set $file (i32.load (i32.const 0)))
    (i32.store (i32.const 16) (i32.const 1024))
    (i32.store (i32.const 20) (i32.const 1024))
    (call $expect (i32.const 2) (call $fd_read (local.get $file) (i32.const 16) (i32.const 1) (i32.const 20))
      (i32.const 0))
    (call $expect (i32.const 3) (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8))
      (i32.const 0))
    (call $expect (i32.const 4) (call $open (i32.const 110) (i32.const 10)) (i32.const 44)) ;; ERRNO_NOENT
    (call $expect (i32.const 5) (call $open (i32.const 130) (i32.const 3)) (i32.const 76)) ;; ERRNO_NOTCAPABLE
    (call $expect (i32.const 6) (memory.grow (i32.const 10)) (i32.const 1))
    (call $expect (i32.const 7)
      (call $fd_readdir (i32.const 3) (i32.const 2048) (i32.const 4096) (i64.const 0) (i32.const 8))
      (i32.const 0))
    (call $expect (i32.const 8) (call $wait_for_change (local.get $file) (i64.const 0))
      (i32.const 73)) ;; ERRNO_TIMEDOUT
    (call $expect (i32.const 9) (call $wait_for_change (i32.const 3) (i64.const 0)) (i32.const 73))
    (call $push (i32.const 140) (i32.const 7))
    (call $expect (i32.const 10) (call $wait_for_change (i32.const 3) (i64.const -1)) (i32.const 0))
    (call $push (i32.const 150) (i32.const 7))))
