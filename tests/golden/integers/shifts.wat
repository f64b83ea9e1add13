;; Shifts and rotates by a constant, and by a variable amount in cl.
(module
  (func (param i32) (result i32) (i32.shl (local.get 0) (i32.const 3)))
  (func (param i64 i64) (result i64) (i64.shr_u (local.get 0) (local.get 1)))
  (func (param i32 i32) (result i32) (i32.rotl (local.get 0) (local.get 1))))
