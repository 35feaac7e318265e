;; SPDX-License-Identifier: Apache-2.0
;; Makes the host calls that need most of the host's stack (a lookup, a listing, a poll) at every depth, without end.
(module
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $link (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "inner/../inner/b.txt")
  (func $deeper (export "_start")
    (drop (call $stat (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 20) (i32.const 64)))
    (drop (call $link (i32.const 6) (i32.const 8) (i32.const 3) (i32.const 0) (i32.const 20)))
    (drop (call $list (i32.const 3) (i32.const 1024) (i32.const 4096) (i64.const 0) (i32.const 128)))
    (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 128)))
    (call $deeper)))
