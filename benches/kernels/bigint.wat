;; The product of two numbers of n limbs of 32 bits, by the method of school.
(module
  (memory 4)
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $j i32) (local $size i32) (local $at i32)
    (local $a i64) (local $t i64) (local $carry i64) (local $x i64) (local $sum i64)
    ;; The factors at 0 and 0x8000, the product at 0x10000.
    (local.set $size (i32.shl (local.get $n) (i32.const 2)))
    (local.set $x (i64.const 0x123456789abcdef))
    (loop $fill
      (local.set $x
        (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005))
          (i64.const 1442695040888963407)))
      (i64.store32 (local.get $i) (i64.shr_u (local.get $x) (i64.const 32)))
      (i64.store32 offset=0x8000 (local.get $i) (i64.shr_u (local.get $x) (i64.const 20)))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $size))))
    (memory.fill (i32.const 0x10000) (i32.const 0) (i32.shl (local.get $size) (i32.const 1)))
    (local.set $i (i32.const 0))
    (loop $rows
      (local.set $a (i64.load32_u (local.get $i)))
      (local.set $carry (i64.const 0))
      (local.set $j (i32.const 0))
      (local.set $at (local.get $i))
      (loop $row
        (local.set $t
          (i64.add
            (i64.mul (local.get $a) (i64.load32_u offset=0x8000 (local.get $j)))
            (i64.add (i64.load32_u offset=0x10000 (local.get $at)) (local.get $carry))))
        (i64.store32 offset=0x10000 (local.get $at) (local.get $t))
        (local.set $carry (i64.shr_u (local.get $t) (i64.const 32)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br_if $row
          (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 4))) (local.get $size))))
      (i64.store32 offset=0x10000 (local.get $at) (local.get $carry))
      (br_if $rows
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $size))))
    (local.set $i (i32.const 0))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31))
          (i64.load32_u offset=0x10000 (local.get $i))))
      (br_if $check
        (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 4)))
          (i32.shl (local.get $size) (i32.const 1)))))
    (local.get $sum)))
