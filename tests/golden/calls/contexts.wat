;; A callee that may belong to another instance gets its own context in r15.
(module
  (import "m" "f" (func $imported (param i32) (result i32)))
  (type $unary (func (param i32) (result i32)))
  (table $fixed 2 2 funcref)
  (table $growing 2 funcref)
  (func $import (param i32) (result i32)
    (i32.add (local.get 0) (call $imported (local.get 0))))
  (func $indirect (param $f i32) (param $x i32) (result i32)
    (call_indirect $fixed (type $unary) (local.get $x) (local.get $f)))
  (func $loop (param $n i32) (result i32) (local $x i32)
    (loop $next
      (local.set $x (call_indirect $growing (type $unary)
        (local.get $x) (i32.and (local.get $n) (i32.const 1))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x)))
