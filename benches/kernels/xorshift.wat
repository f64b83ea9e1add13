;; n numbers of an xorshift generator of 64 bits, and what bit counts and rotations make of them.
(module
  (func (export "run") (param $n i32) (result i64)
    (local $x i64) (local $sum i64)
    (local.set $x (i64.const 88172645463325252))
    (loop $next
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (local.set $sum
        (i64.add
          (i64.rotl (local.get $sum) (i64.ctz (local.get $x)))
          (i64.add
            (i64.popcnt (local.get $x))
            (i64.rotr (local.get $x) (i64.clz (local.get $x))))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
