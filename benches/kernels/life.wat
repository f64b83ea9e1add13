;; n generations of Conway's Game of Life on a torus of 128 by 128 cells, one byte each.
(module
  (memory 1)
  (func $cell (param $from i32) (param $x i32) (param $y i32) (result i32)
    (i32.load8_u
      (i32.add (local.get $from)
        (i32.or
          (i32.shl (i32.and (local.get $y) (i32.const 127)) (i32.const 7))
          (i32.and (local.get $x) (i32.const 127))))))
  (func (export "run") (param $n i32) (result i64)
    (local $from i32) (local $to i32) (local $x i32) (local $y i32) (local $r i32)
    (local $around i32) (local $sum i64)
    (local.set $to (i32.const 0x4000))
    (local.set $r (i32.const 5))
    (loop $fill
      (local.set $r
        (i32.add (i32.mul (local.get $r) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 (local.get $x) (i32.shr_u (local.get $r) (i32.const 31)))
      (br_if $fill
        (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 1))) (i32.const 0x4000))))
    (loop $generations
      (local.set $y (i32.const 0))
      (loop $rows
        (local.set $x (i32.const 0))
        (loop $columns
          (local.set $around
            (i32.add
              (i32.add
                (i32.add
                  (call $cell (local.get $from)
                    (i32.sub (local.get $x) (i32.const 1)) (i32.sub (local.get $y) (i32.const 1)))
                  (call $cell (local.get $from)
                    (local.get $x) (i32.sub (local.get $y) (i32.const 1))))
                (i32.add
                  (call $cell (local.get $from)
                    (i32.add (local.get $x) (i32.const 1)) (i32.sub (local.get $y) (i32.const 1)))
                  (call $cell (local.get $from)
                    (i32.sub (local.get $x) (i32.const 1)) (local.get $y))))
              (i32.add
                (i32.add
                  (call $cell (local.get $from)
                    (i32.add (local.get $x) (i32.const 1)) (local.get $y))
                  (call $cell (local.get $from)
                    (i32.sub (local.get $x) (i32.const 1)) (i32.add (local.get $y) (i32.const 1))))
                (i32.add
                  (call $cell (local.get $from)
                    (local.get $x) (i32.add (local.get $y) (i32.const 1)))
                  (call $cell (local.get $from)
                    (i32.add (local.get $x) (i32.const 1))
                    (i32.add (local.get $y) (i32.const 1)))))))
          (i32.store8
            (i32.add (local.get $to)
              (i32.or (i32.shl (local.get $y) (i32.const 7)) (local.get $x)))
            (i32.eq
              (i32.or (local.get $around)
                (call $cell (local.get $from) (local.get $x) (local.get $y)))
              (i32.const 3)))
          (br_if $columns
            (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 1))) (i32.const 128))))
        (br_if $rows
          (i32.lt_u (local.tee $y (i32.add (local.get $y) (i32.const 1))) (i32.const 128))))
      (local.set $from (i32.xor (local.get $from) (i32.const 0x4000)))
      (local.set $to (i32.xor (local.get $to) (i32.const 0x4000)))
      (br_if $generations (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.set $x (i32.const 0))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31))
          (i64.load (i32.add (local.get $from) (local.get $x)))))
      (br_if $check
        (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 8))) (i32.const 0x4000))))
    (local.get $sum)))
