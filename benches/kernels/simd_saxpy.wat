;; n rounds of y += a * x over 4096 f32, four at a time, and their dot product.
(module
  (memory 1)
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $a v128) (local $dot v128)
    (loop $fill
      (f32.store (local.get $p)
        (f32.convert_i32_s (i32.sub (i32.rem_u (local.get $p) (i32.const 31)) (i32.const 15))))
      (f32.store offset=0x4000 (local.get $p)
        (f32.convert_i32_s (i32.sub (i32.rem_u (local.get $p) (i32.const 29)) (i32.const 14))))
      (br_if $fill
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (i32.const 0x4000))))
    (local.set $a (f32x4.splat (f32.const 0.125)))
    (loop $rounds
      (local.set $p (i32.const 0))
      (loop $next
        (v128.store offset=0x4000 (local.get $p)
          (f32x4.add
            (v128.load offset=0x4000 (local.get $p))
            (f32x4.mul (local.get $a) (v128.load (local.get $p)))))
        (br_if $next
          (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (i32.const 0x4000))))
      (local.set $p (i32.const 0))
      (loop $next
        (local.set $dot
          (f32x4.add (local.get $dot)
            (f32x4.mul
              (v128.load (local.get $p))
              (v128.load offset=0x4000 (local.get $p)))))
        (br_if $next
          (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (i32.const 0x4000))))
      (br_if $rounds (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.xor
      (i64x2.extract_lane 0 (local.get $dot))
      (i64x2.extract_lane 1 (local.get $dot)))))
