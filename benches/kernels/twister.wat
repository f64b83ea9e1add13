;; n numbers of the Mersenne Twister MT19937.
(module
  (memory 1)
  (global $index (mut i32) (i32.const 0))
  (func $seed (param $x i32)
    (local $i i32)
    (i32.store (i32.const 0) (local.get $x))
    (loop $next
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $x
        (i32.add
          (i32.mul
            (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 30)))
            (i32.const 1812433253))
          (local.get $i)))
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $x))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 623))))
    (global.set $index (i32.const 624)))
  (func $twist
    (local $i i32) (local $y i32)
    (loop $next
      (local.set $y
        (i32.or
          (i32.and
            (i32.load (i32.shl (local.get $i) (i32.const 2)))
            (i32.const 0x80000000))
          (i32.and
            (i32.load
              (i32.shl (i32.rem_u (i32.add (local.get $i) (i32.const 1)) (i32.const 624))
                (i32.const 2)))
            (i32.const 0x7fffffff))))
      (i32.store (i32.shl (local.get $i) (i32.const 2))
        (i32.xor
          (i32.xor
            (i32.load
              (i32.shl (i32.rem_u (i32.add (local.get $i) (i32.const 397)) (i32.const 624))
                (i32.const 2)))
            (i32.shr_u (local.get $y) (i32.const 1)))
          (select (i32.const 0x9908b0df) (i32.const 0) (i32.and (local.get $y) (i32.const 1)))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 624))))
    (global.set $index (i32.const 0)))
  (func $random (result i32)
    (local $y i32)
    (if (i32.ge_u (global.get $index) (i32.const 624)) (then (call $twist)))
    (local.set $y (i32.load (i32.shl (global.get $index) (i32.const 2))))
    (global.set $index (i32.add (global.get $index) (i32.const 1)))
    (local.set $y (i32.xor (local.get $y) (i32.shr_u (local.get $y) (i32.const 11))))
    (local.set $y
      (i32.xor (local.get $y)
        (i32.and (i32.shl (local.get $y) (i32.const 7)) (i32.const 0x9d2c5680))))
    (local.set $y
      (i32.xor (local.get $y)
        (i32.and (i32.shl (local.get $y) (i32.const 15)) (i32.const 0xefc60000))))
    (i32.xor (local.get $y) (i32.shr_u (local.get $y) (i32.const 18))))
  (func (export "run") (param $n i32) (result i64)
    (local $sum i64)
    (call $seed (i32.const 5489))
    (loop $next
      (local.set $sum
        (i64.add (i64.rotl (local.get $sum) (i64.const 1)) (i64.extend_i32_u (call $random))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
