;; Parameters with slots stay where they come in up to the first loop or call, or what is like one.
(module
  (memory 1)
  ;; The first is looked at where it came, and returns.
  (func $guard (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
    (call $guard (local.get 1) (i32.const 3)))
  ;; One arm calls, behind both they are in their slots.
  (func (param i32 f64) (result f64)
    (if (local.get 0) (then (drop (call $guard (i32.const 0) (i32.const 0)))))
    (local.get 1))
  ;; What waits on the stack is read from the slot behind the call.
  (func (param i32 i64) (result i64)
    (i64.add (local.get 1) (i64.extend_i32_s (memory.grow (local.get 0)))))
  ;; A division insists on the register of the third.
  (func (param i32 i32 i32) (result i32)
    (call $guard (i32.div_u (local.get 2) (local.get 1)) (local.get 0))))
