;; The edit distance of two strings of n letters, one row of the table at a time.
(module
  (memory 2)
  (func $min (param $a i32) (param $b i32) (result i32)
    (select (local.get $a) (local.get $b) (i32.lt_u (local.get $a) (local.get $b))))
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $j i32) (local $x i32) (local $c i32)
    (local $diagonal i32) (local $above i32) (local $left i32)
    ;; The strings at 0 and 0x4000, the row at 0x8000.
    (local.set $x (i32.const 3))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 (local.get $i) (i32.shr_u (local.get $x) (i32.const 29)))
      (i32.store8 offset=0x4000 (local.get $i)
        (i32.and (i32.shr_u (local.get $x) (i32.const 20)) (i32.const 7)))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.set $i (i32.const 0))
    (loop $first
      (i32.store offset=0x8000 (i32.shl (local.get $i) (i32.const 2)) (local.get $i))
      (br_if $first
        (i32.le_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.set $i (i32.const 0))
    (loop $rows
      (local.set $c (i32.load8_u (local.get $i)))
      (local.set $diagonal (local.get $i))
      (local.set $left (i32.add (local.get $i) (i32.const 1)))
      (i32.store offset=0x8000 (i32.const 0) (local.get $left))
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $above (i32.load offset=0x8004 (i32.shl (local.get $j) (i32.const 2))))
        (local.set $left
          (call $min
            (i32.add
              (local.get $diagonal)
              (i32.ne (local.get $c) (i32.load8_u offset=0x4000 (local.get $j))))
            (i32.add (i32.const 1) (call $min (local.get $left) (local.get $above)))))
        (i32.store offset=0x8004 (i32.shl (local.get $j) (i32.const 2)) (local.get $left))
        (local.set $diagonal (local.get $above))
        (br_if $columns
          (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $rows
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i64.extend_i32_u (local.get $left))))
