;; In how many ways n queens can stand on a board of n by n: recursion over bit masks, with the row's
;; choice on a stack in memory, below a pointer in a global, as compilers of C do it.
(module
  (memory 1)
  (global $stack (mut i32) (i32.const 0x10000))
  (func $place (param $full i32) (param $columns i32) (param $left i32) (param $right i32)
    (result i32)
    (local $frame i32) (local $free i32) (local $bit i32) (local $count i32)
    (if (i32.eq (local.get $columns) (local.get $full)) (then (return (i32.const 1))))
    (global.set $stack
      (local.tee $frame (i32.sub (global.get $stack) (i32.const 16))))
    (i32.store offset=8 (local.get $frame)
      (i32.and (local.get $full)
        (i32.xor (i32.const -1)
          (i32.or (local.get $columns) (i32.or (local.get $left) (local.get $right))))))
    (block $done
      (loop $next
        (br_if $done
          (i32.eqz (local.tee $free (i32.load offset=8 (local.get $frame)))))
        (local.set $bit
          (i32.and (local.get $free) (i32.sub (i32.const 0) (local.get $free))))
        (i32.store offset=8 (local.get $frame) (i32.xor (local.get $free) (local.get $bit)))
        (local.set $count
          (i32.add (local.get $count)
            (call $place
              (local.get $full)
              (i32.or (local.get $columns) (local.get $bit))
              (i32.shl (i32.or (local.get $left) (local.get $bit)) (i32.const 1))
              (i32.shr_u (i32.or (local.get $right) (local.get $bit)) (i32.const 1)))))
        (br $next)))
    (global.set $stack (i32.add (local.get $frame) (i32.const 16)))
    (local.get $count))
  (func (export "run") (param $n i32) (result i64)
    (i64.extend_i32_u
      (call $place
        (i32.sub (i32.shl (i32.const 1) (local.get $n)) (i32.const 1))
        (i32.const 0) (i32.const 0) (i32.const 0)))))
