;; n copies by memory.copy, of lengths that are known at run time only: 64 bytes to 16 KiB.
(module
  (memory 4)
  (func (export "run") (param $n i32) (result i64)
    (local $i i32)
    (memory.fill (i32.const 0) (i32.const 0x22) (i32.const 0x8000))
    (loop $next
      (i32.store (i32.and (i32.mul (local.get $i) (i32.const 52)) (i32.const 0x3ffc)) (local.get $i))
      (memory.copy
        (i32.const 0x10000)
        (i32.and (local.get $i) (i32.const 0xff))
        (i32.shl (i32.const 64) (i32.and (local.get $i) (i32.const 7))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i64.add (i64.load (i32.const 0x10010)) (i64.load (i32.const 0x11ff0)))))
