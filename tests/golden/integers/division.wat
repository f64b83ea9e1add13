;; Division checks for zero and for overflow, unless the divisor is a harmless constant.
(module
  (func $signed (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func $unsigned (param i64 i64) (result i64) (i64.div_u (local.get 0) (local.get 1)))
  (func $remainder (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
  (func $by_seven (param i32) (result i32) (i32.div_s (local.get 0) (i32.const 7)))
  (func $by_eight (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 8))))
