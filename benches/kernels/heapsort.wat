;; Sorts n random i64 in a binary heap.
(module
  (memory 32)
  (func $sift (param $i i32) (param $n i32)
    (local $child i32) (local $x i64) (local $y i64) (local $z i64)
    (local.set $x (i64.load (i32.shl (local.get $i) (i32.const 3))))
    (block $done
      (loop $down
        (local.set $child (i32.add (i32.shl (local.get $i) (i32.const 1)) (i32.const 1)))
        (br_if $done (i32.ge_u (local.get $child) (local.get $n)))
        (local.set $y (i64.load (i32.shl (local.get $child) (i32.const 3))))
        (if (i32.lt_u (i32.add (local.get $child) (i32.const 1)) (local.get $n))
          (then
            (local.set $z (i64.load offset=8 (i32.shl (local.get $child) (i32.const 3))))
            (if (i64.lt_s (local.get $y) (local.get $z))
              (then
                (local.set $y (local.get $z))
                (local.set $child (i32.add (local.get $child) (i32.const 1)))))))
        (br_if $done (i64.ge_s (local.get $x) (local.get $y)))
        (i64.store (i32.shl (local.get $i) (i32.const 3)) (local.get $y))
        (local.set $i (local.get $child))
        (br $down)))
    (i64.store (i32.shl (local.get $i) (i32.const 3)) (local.get $x)))
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $x i64) (local $sum i64)
    (local.set $x (i64.const 88172645463325252))
    (loop $fill
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (i64.store (i32.shl (local.get $i) (i32.const 3)) (local.get $x))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.set $i (i32.shr_u (local.get $n) (i32.const 1)))
    (loop $build
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (call $sift (local.get $i) (local.get $n))
      (br_if $build (local.get $i)))
    (local.set $i (i32.sub (local.get $n) (i32.const 1)))
    (loop $take
      (local.set $x (i64.load (i32.const 0)))
      (i64.store (i32.const 0) (i64.load (i32.shl (local.get $i) (i32.const 3))))
      (i64.store (i32.shl (local.get $i) (i32.const 3)) (local.get $x))
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (local.get $x)))
      (call $sift (i32.const 0) (local.get $i))
      (br_if $take (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (local.get $sum)))
