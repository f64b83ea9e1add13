;; n steps of three bodies under gravity, whose positions and velocities are all in locals: more of
;; them than there are registers.
(module
  (func (export "run") (param $n i32) (result i64)
    (local $x0 f64) (local $y0 f64) (local $z0 f64)
    (local $vx0 f64) (local $vy0 f64) (local $vz0 f64)
    (local $x1 f64) (local $y1 f64) (local $z1 f64)
    (local $vx1 f64) (local $vy1 f64) (local $vz1 f64)
    (local $x2 f64) (local $y2 f64) (local $z2 f64)
    (local $vx2 f64) (local $vy2 f64) (local $vz2 f64)
    (local $dx f64) (local $dy f64) (local $dz f64) (local $r2 f64) (local $pull f64)
    (local.set $x1 (f64.const 4.84))
    (local.set $y1 (f64.const -1.16))
    (local.set $z1 (f64.const -0.103))
    (local.set $vx1 (f64.const 0.606))
    (local.set $vy1 (f64.const 2.81))
    (local.set $vz1 (f64.const -0.02))
    (local.set $x2 (f64.const 8.34))
    (local.set $y2 (f64.const 4.12))
    (local.set $z2 (f64.const -0.4))
    (local.set $vx2 (f64.const -1.01))
    (local.set $vy2 (f64.const 1.82))
    (local.set $vz2 (f64.const 0.0084))
    (loop $steps
      ;; Bodies 0 and 1.
      (local.set $dx (f64.sub (local.get $x0) (local.get $x1)))
      (local.set $dy (f64.sub (local.get $y0) (local.get $y1)))
      (local.set $dz (f64.sub (local.get $z0) (local.get $z1)))
      (local.set $r2
        (f64.add (f64.mul (local.get $dx) (local.get $dx))
          (f64.add (f64.mul (local.get $dy) (local.get $dy)) (f64.mul (local.get $dz) (local.get $dz)))))
      (local.set $pull
        (f64.div (f64.const 0.001) (f64.mul (local.get $r2) (f64.sqrt (local.get $r2)))))
      (local.set $vx0
        (f64.sub (local.get $vx0) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      (local.set $vx1
        (f64.add (local.get $vx1) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 39.47)))))
      (local.set $vy0
        (f64.sub (local.get $vy0) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      (local.set $vy1
        (f64.add (local.get $vy1) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 39.47)))))
      (local.set $vz0
        (f64.sub (local.get $vz0) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      (local.set $vz1
        (f64.add (local.get $vz1) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 39.47)))))
      ;; Bodies 0 and 2.
      (local.set $dx (f64.sub (local.get $x0) (local.get $x2)))
      (local.set $dy (f64.sub (local.get $y0) (local.get $y2)))
      (local.set $dz (f64.sub (local.get $z0) (local.get $z2)))
      (local.set $r2
        (f64.add (f64.mul (local.get $dx) (local.get $dx))
          (f64.add (f64.mul (local.get $dy) (local.get $dy)) (f64.mul (local.get $dz) (local.get $dz)))))
      (local.set $pull
        (f64.div (f64.const 0.001) (f64.mul (local.get $r2) (f64.sqrt (local.get $r2)))))
      (local.set $vx0
        (f64.sub (local.get $vx0) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vx2
        (f64.add (local.get $vx2) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 39.47)))))
      (local.set $vy0
        (f64.sub (local.get $vy0) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vy2
        (f64.add (local.get $vy2) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 39.47)))))
      (local.set $vz0
        (f64.sub (local.get $vz0) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vz2
        (f64.add (local.get $vz2) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 39.47)))))
      ;; Bodies 1 and 2.
      (local.set $dx (f64.sub (local.get $x1) (local.get $x2)))
      (local.set $dy (f64.sub (local.get $y1) (local.get $y2)))
      (local.set $dz (f64.sub (local.get $z1) (local.get $z2)))
      (local.set $r2
        (f64.add (f64.mul (local.get $dx) (local.get $dx))
          (f64.add (f64.mul (local.get $dy) (local.get $dy)) (f64.mul (local.get $dz) (local.get $dz)))))
      (local.set $pull
        (f64.div (f64.const 0.001) (f64.mul (local.get $r2) (f64.sqrt (local.get $r2)))))
      (local.set $vx1
        (f64.sub (local.get $vx1) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vx2
        (f64.add (local.get $vx2) (f64.mul (local.get $dx) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      (local.set $vy1
        (f64.sub (local.get $vy1) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vy2
        (f64.add (local.get $vy2) (f64.mul (local.get $dy) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      (local.set $vz1
        (f64.sub (local.get $vz1) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 0.0113)))))
      (local.set $vz2
        (f64.add (local.get $vz2) (f64.mul (local.get $dz) (f64.mul (local.get $pull) (f64.const 0.0377)))))
      ;; Everything moves.
      (local.set $x0 (f64.add (local.get $x0) (f64.mul (f64.const 0.001) (local.get $vx0))))
      (local.set $y0 (f64.add (local.get $y0) (f64.mul (f64.const 0.001) (local.get $vy0))))
      (local.set $z0 (f64.add (local.get $z0) (f64.mul (f64.const 0.001) (local.get $vz0))))
      (local.set $x1 (f64.add (local.get $x1) (f64.mul (f64.const 0.001) (local.get $vx1))))
      (local.set $y1 (f64.add (local.get $y1) (f64.mul (f64.const 0.001) (local.get $vy1))))
      (local.set $z1 (f64.add (local.get $z1) (f64.mul (f64.const 0.001) (local.get $vz1))))
      (local.set $x2 (f64.add (local.get $x2) (f64.mul (f64.const 0.001) (local.get $vx2))))
      (local.set $y2 (f64.add (local.get $y2) (f64.mul (f64.const 0.001) (local.get $vy2))))
      (local.set $z2 (f64.add (local.get $z2) (f64.mul (f64.const 0.001) (local.get $vz2))))
      (br_if $steps (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.xor
      (i64.reinterpret_f64 (f64.add (local.get $x0) (f64.add (local.get $y1) (local.get $z2))))
      (i64.reinterpret_f64 (f64.add (local.get $vx2) (f64.add (local.get $vy0) (local.get $vz1)))))))
