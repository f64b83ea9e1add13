;; The upper half of an i32 is anything where it comes from elsewhere. An index is extended there,
;; and nowhere else.
(module
  (memory 1)
  (func $other (result i32) (i32.const 4))
  (func $callee (result i32)
    (i32.load (call $other)))
  (func $wrapped (param i64) (result i32)
    (i32.load (i32.wrap_i64 (local.get 0))))
  (func $wrapped_sum (param i64 i64) (result i32)
    (i32.load (i32.wrap_i64 (i64.add (local.get 0) (local.get 1)))))
  (func $masked (param i64) (result i32)
    (i32.load (i32.and (i32.wrap_i64 (local.get 0)) (i32.const 0xff))))
  (func $truncated (param f64) (result i32)
    (i32.load (i32.trunc_f64_s (local.get 0))))
  (func $merged (param i32) (result i32)
    (i32.load (if (result i32) (local.get 0)
      (then (call $other))
      (else (i32.const 8)))))
  (func $selected (param i64 i64 i32) (result i32)
    (i32.load (select
      (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 1)) (local.get 2))))
  (func $unchanged (param i64) (result i32)
    (i32.load (i32.shl (i32.wrap_i64 (i64.mul (local.get 0) (local.get 0))) (i32.const 0)))))
