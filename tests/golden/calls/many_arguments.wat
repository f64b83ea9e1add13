;; The seventh integer travels on the stack, and the callee pops it.
(module
  (func $callee (param i64 i64 i64 i64 i64 i64 i64) (result i64)
    (i64.sub (local.get 6) (local.get 0)))
  (func (param i64) (result i64)
    (call $callee (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6))))
