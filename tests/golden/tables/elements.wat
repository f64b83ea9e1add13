;; Elements of tables of functions are copies of what the references point to.
(module
  (table $functions 4 funcref)
  (table $fixed 4 4 externref)
  (elem declare func 0)
  (func (param i32) (result funcref) (table.get $functions (local.get 0)))
  (func (param i32) (param externref) (result externref)
    (table.set $fixed (local.get 0) (local.get 1))
    (table.get $fixed (i32.add (local.get 0) (i32.const 1))))
  (func (param i32) (param funcref) (table.set $functions (local.get 0) (local.get 1)))
  (func (param i32) (result i32) (table.set $functions (local.get 0) (ref.func 0))
    (ref.is_null (ref.null extern)))
  (func (param funcref) (result i32) (if (result i32) (ref.is_null (local.get 0))
    (then (table.size $functions)) (else (table.grow $functions (local.get 0) (i32.const 1))))))
