;; Constants are operands, and constant expressions are computed while compiling.
(module
  (func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1000)))
  (func (result i32) (i32.mul (i32.const 6) (i32.const 7)))
  (func (param i64) (result i64) (i64.xor (local.get 0) (i64.const 0x123456789abcdef0))))
