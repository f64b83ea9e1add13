;; n calls through a table, of eight functions in an order that is hard to foresee.
(module
  (type $unary (func (param i32) (result i32)))
  (table 8 funcref)
  (elem (i32.const 0) $f0 $f1 $f2 $f3 $f4 $f5 $f6 $f7)
  (func $f0 (type $unary) (i32.add (local.get 0) (i32.const 7)))
  (func $f1 (type $unary) (i32.xor (local.get 0) (i32.const 0x5bd1e995)))
  (func $f2 (type $unary) (i32.rotl (local.get 0) (i32.const 5)))
  (func $f3 (type $unary) (i32.mul (local.get 0) (i32.const 31)))
  (func $f4 (type $unary) (i32.sub (i32.const 0) (local.get 0)))
  (func $f5 (type $unary) (i32.xor (local.get 0) (i32.shr_u (local.get 0) (i32.const 3))))
  (func $f6 (type $unary) (i32.add (local.get 0) (i32.shl (local.get 0) (i32.const 2))))
  (func $f7 (type $unary) (i32.xor (local.get 0) (i32.const -1)))
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $x i32)
    (local.set $x (i32.const 1))
    (loop $next
      (local.set $x
        (call_indirect (type $unary)
          (local.get $x)
          (i32.and (i32.add (local.get $i) (i32.shr_u (local.get $i) (i32.const 5)))
            (i32.const 7))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i64.extend_i32_u (local.get $x))))
