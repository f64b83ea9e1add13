;; A binary search tree of n random keys: inserted one by one, summed recursively, and looked up.
(module
  (memory 32)
  (global $top (mut i32) (i32.const 0))
  (func $node (param $key i32) (result i32) ;; key, left, right, depth
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (i32.const 16)))
    (i32.store (local.get $at) (local.get $key))
    (i64.store offset=4 align=4 (local.get $at) (i64.const 0))
    (local.get $at))
  (func $insert (param $key i32)
    (local $at i32) (local $link i32) (local $depth i32)
    (local.set $link (i32.const 4)) ;; the root's
    (block $free
      (loop $down
        (br_if $free (i32.eqz (local.tee $at (i32.load (local.get $link)))))
        (if (i32.eq (i32.load (local.get $at)) (local.get $key)) (then (return)))
        (local.set $link
          (i32.add
            (i32.add (local.get $at) (i32.const 4))
            (i32.shl
              (i32.gt_u (local.get $key) (i32.load (local.get $at)))
              (i32.const 2))))
        (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
        (br $down)))
    (local.set $at (call $node (local.get $key)))
    (i32.store offset=12 (local.get $at) (local.get $depth))
    (i32.store (local.get $link) (local.get $at)))
  (func $sum (param $at i32) (result i64)
    (if (result i64) (i32.eqz (local.get $at))
      (then (i64.const 1))
      (else
        (i64.add
          (i64.mul
            (i64.add
              (call $sum (i32.load offset=4 (local.get $at)))
              (i64.extend_i32_u (i32.load offset=12 (local.get $at))))
            (i64.const 31))
          (i64.add
            (call $sum (i32.load offset=8 (local.get $at)))
            (i64.extend_i32_u (i32.load (local.get $at))))))))
  (func (export "run") (param $n i32) (result i64)
    (local $x i32)
    (global.set $top (i32.const 16))
    (i32.store (i32.const 4) (i32.const 0))
    (local.set $x (i32.const 77))
    (loop $next
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (call $insert (i32.shr_u (local.get $x) (i32.const 8)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $sum (i32.load (i32.const 4)))))
