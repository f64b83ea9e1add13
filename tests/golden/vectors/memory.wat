;; Loads and stores read and write exactly what they name.
(module
  (memory 1)
  (func $copy (param i32 i32)
    (v128.store offset=16 (local.get 0) (v128.load offset=32 (local.get 1))))
  (func $extend (param i32) (result v128) (v128.load16x4_u offset=8 (local.get 0)))
  (func $splats (param i32) (result v128)
    (v128.or
      (v128.or (v128.load8_splat (local.get 0)) (v128.load16_splat (local.get 0)))
      (v128.or (v128.load32_splat (local.get 0)) (v128.load64_splat (local.get 0)))))
  (func $zeros (param i32) (result v128)
    (v128.or (v128.load32_zero (local.get 0)) (v128.load64_zero (local.get 0))))
  (func $lanes (param i32 v128) (result v128)
    (v128.store16_lane 3 (local.get 0) (local.get 1))
    (v128.store32_lane 0 (local.get 0) (local.get 1))
    (v128.load8_lane 5 (local.get 0) (local.get 1))))
