;; A comparison right before a branch stays in the flags.
(module
  (func (param i32 i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (local.get 1))
      (then (local.get 0))
      (else (local.get 1))))
  (func (param i64) (result i32)
    (block (br_if 0 (i64.eqz (local.get 0))) (return (i32.const 1)))
    (i32.const 2))
  (func (param i32 i32) (result i32)
    (select (local.get 0) (local.get 1) (i32.gt_u (local.get 0) (local.get 1)))))
