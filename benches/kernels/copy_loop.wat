;; Copies 64 KiB n times, eight bytes at a time, and changes them a little.
(module
  (memory 3)
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $sum i64)
    (memory.fill (i32.const 0) (i32.const 0x5a) (i32.const 0x10000))
    (loop $rounds
      (local.set $p (i32.const 0))
      (loop $next
        (i64.store offset=0x10000 (local.get $p)
          (i64.add (i64.load (local.get $p)) (i64.extend_i32_u (local.get $p))))
        (br_if $next
          (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 8))) (i32.const 0x10000))))
      (local.set $sum (i64.add (local.get $sum) (i64.load (i32.const 0x18000))))
      (br_if $rounds (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
