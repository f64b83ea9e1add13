;; The LU decomposition of an n by n matrix of f64, without pivoting, in place.
(module
  (memory 16)
  (func $at (param $n i32) (param $i i32) (param $j i32) (result i32)
    (i32.shl
      (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get $j))
      (i32.const 3)))
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $j i32) (local $k i32) (local $p i32) (local $q i32)
    (local $factor f64) (local $pivot f64) (local $sum f64)
    ;; A diagonal that is larger than the rest of its row.
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (f64.store (call $at (local.get $n) (local.get $i) (local.get $j))
          (f64.add
            (f64.div (f64.const 1)
              (f64.convert_i32_u
                (i32.add (i32.add (local.get $i) (local.get $j)) (i32.const 1))))
            (f64.convert_i32_u
              (i32.mul (i32.eq (local.get $i) (local.get $j)) (local.get $n)))))
        (br_if $columns
          (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $rows
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (loop $steps
      (local.set $pivot (f64.load (call $at (local.get $n) (local.get $k) (local.get $k))))
      (local.set $sum (f64.add (local.get $sum) (local.get $pivot)))
      (local.set $i (i32.add (local.get $k) (i32.const 1)))
      (block $last
        (br_if $last (i32.ge_u (local.get $i) (local.get $n)))
        (loop $below
          (local.set $p (call $at (local.get $n) (local.get $i) (local.get $k)))
          (local.set $q (call $at (local.get $n) (local.get $k) (local.get $k)))
          (local.set $factor (f64.div (f64.load (local.get $p)) (local.get $pivot)))
          (f64.store (local.get $p) (local.get $factor))
          (local.set $j (i32.sub (local.get $n) (i32.add (local.get $k) (i32.const 1))))
          (loop $row
            (f64.store offset=8 (local.get $p)
              (f64.sub
                (f64.load offset=8 (local.get $p))
                (f64.mul (local.get $factor) (f64.load offset=8 (local.get $q)))))
            (local.set $p (i32.add (local.get $p) (i32.const 8)))
            (local.set $q (i32.add (local.get $q) (i32.const 8)))
            (br_if $row (local.tee $j (i32.sub (local.get $j) (i32.const 1)))))
          (br_if $below
            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))
      (br_if $steps
        (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
    (i64.reinterpret_f64 (local.get $sum))))
