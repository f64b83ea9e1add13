;; How many steps an n by n picture of the Mandelbrot set takes, at most 100 for each point.
(module
  (func (export "run") (param $n i32) (result i64)
    (local $x i32) (local $y i32) (local $steps i32) (local $total i64)
    (local $cr f64) (local $ci f64) (local $zr f64) (local $zi f64) (local $r2 f64) (local $i2 f64)
    (local $scale f64)
    (local.set $scale (f64.div (f64.const 2.5) (f64.convert_i32_u (local.get $n))))
    (loop $rows
      (local.set $ci
        (f64.sub (f64.mul (f64.convert_i32_u (local.get $y)) (local.get $scale)) (f64.const 1.25)))
      (local.set $x (i32.const 0))
      (loop $columns
        (local.set $cr
          (f64.sub (f64.mul (f64.convert_i32_u (local.get $x)) (local.get $scale)) (f64.const 2)))
        (local.set $zr (f64.const 0))
        (local.set $zi (f64.const 0))
        (local.set $r2 (f64.const 0))
        (local.set $i2 (f64.const 0))
        (local.set $steps (i32.const 0))
        (block $out
          (loop $step
            (local.set $zi
              (f64.add
                (f64.mul (f64.mul (f64.const 2) (local.get $zr)) (local.get $zi))
                (local.get $ci)))
            (local.set $zr
              (f64.add (f64.sub (local.get $r2) (local.get $i2)) (local.get $cr)))
            (local.set $r2 (f64.mul (local.get $zr) (local.get $zr)))
            (local.set $i2 (f64.mul (local.get $zi) (local.get $zi)))
            (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
            (br_if $out (f64.gt (f64.add (local.get $r2) (local.get $i2)) (f64.const 4)))
            (br_if $step (i32.lt_u (local.get $steps) (i32.const 100)))))
        (local.set $total (i64.add (local.get $total) (i64.extend_i32_u (local.get $steps))))
        (br_if $columns
          (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 1))) (local.get $n))))
      (br_if $rows
        (i32.lt_u (local.tee $y (i32.add (local.get $y) (i32.const 1))) (local.get $n))))
    (local.get $total)))
