;; Blurs a grey picture of 256 by 256 bytes n times, in f32, by three weights down and three across.
(module
  (memory 6)
  ;; Bytes at 0, f32 at 0x10000.
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $x i32) (local $p i32) (local $sum i64)
    (local.set $x (i32.const 23))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 (local.get $i) (i32.shr_u (local.get $x) (i32.const 24)))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x10000))))
    (loop $rounds
      (local.set $i (i32.const 0x100))
      (loop $down
        (f32.store offset=0x10000 (i32.shl (local.get $i) (i32.const 2))
          (f32.add
            (f32.mul (f32.const 0.5) (f32.convert_i32_u (i32.load8_u (local.get $i))))
            (f32.mul (f32.const 0.25)
              (f32.add
                (f32.convert_i32_u
                  (i32.load8_u (i32.sub (local.get $i) (i32.const 0x100))))
                (f32.convert_i32_u (i32.load8_u offset=0x100 (local.get $i)))))))
        (br_if $down
          (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0xff00))))
      (local.set $i (i32.const 0x101))
      (loop $across
        (local.set $p (i32.shl (local.get $i) (i32.const 2)))
        (i32.store8 (local.get $i)
          (i32.trunc_sat_f32_u
            (f32.nearest
              (f32.add
                (f32.mul (f32.const 0.5) (f32.load offset=0x10000 (local.get $p)))
                (f32.mul (f32.const 0.25)
                  (f32.add
                    (f32.load offset=0xfffc (local.get $p))
                    (f32.load offset=0x10004 (local.get $p))))))))
        (br_if $across
          (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0xfeff))))
      (br_if $rounds (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.set $i (i32.const 0))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load (local.get $i))))
      (br_if $check
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 0x10000))))
    (local.get $sum)))
