;; 3n copies of structures of 12, 24 and 40 bytes, by memory.copy with constant lengths.
(module
  (memory 1)
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $p i32)
    (memory.fill (i32.const 0) (i32.const 0x11) (i32.const 0x8000))
    (loop $next
      (local.set $p (i32.and (i32.mul (local.get $i) (i32.const 40)) (i32.const 0x3ff8)))
      (i32.store (local.get $p) (local.get $i))
      (memory.copy (i32.add (local.get $p) (i32.const 0x4000)) (local.get $p) (i32.const 12))
      (memory.copy (i32.add (local.get $p) (i32.const 0x8000)) (local.get $p) (i32.const 24))
      (memory.copy (i32.add (local.get $p) (i32.const 0xb000))
        (i32.add (local.get $p) (i32.const 0x7ff0)) (i32.const 40))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i64.add (i64.load (i32.const 0x4008)) (i64.load (i32.const 0xb010)))))
