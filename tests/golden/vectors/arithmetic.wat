;; Operators that are one instruction: SSE overwrites the left operand, and takes constants from
;; behind the function.
(module
  (func $one (param v128 v128) (result v128)
    (i32x4.add (local.get 0) (local.get 1)))

  ;; The result goes where the next operator wants it.
  (func $into_a_local (param v128 v128)
    (local.set 0 (f32x4.sub (local.get 0) (local.get 1)))
    (local.set 1 (i16x8.mul (local.get 0) (local.get 1))))

  (func $swapped (param v128 v128) (result v128)
    (f32x4.pmin (v128.andnot (local.get 0) (local.get 1)) (i8x16.lt_s (local.get 0) (local.get 1))))

  (func $constants (param v128) (result v128)
    (v128.xor
      (i32x4.add (local.get 0) (v128.const i32x4 1 2 3 4))
      (i32x4.sub (v128.const i32x4 0 0 0 0) (v128.const i32x4 -1 -1 -1 -1))))

  (func $signs (param v128) (result v128)
    (f64x2.neg (f32x4.abs (i16x8.neg (local.get 0)))))

  (func $unsigned (param v128 v128) (result v128)
    (v128.or
      (i8x16.ge_u (local.get 0) (local.get 1))
      (i16x8.lt_u (local.get 0) (local.get 1))))

  (func $bitselect (param v128 v128 v128) (result v128)
    (v128.bitselect (local.get 0) (local.get 1) (local.get 2))))
