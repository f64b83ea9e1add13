;; n passes over 32 KiB of text, sixteen bytes at a time: letters change their case, lines are
;; counted, and a shuffle turns each group of bytes around.
(module
  (memory 1)
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $x i32) (local $v v128) (local $letters v128) (local $lines i32)
    (local.set $x (i32.const 17))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 (local.get $p) (i32.shr_u (local.get $x) (i32.const 25)))
      (br_if $fill
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 1))) (i32.const 0x8000))))
    (loop $rounds
      (local.set $p (i32.const 0))
      (loop $next
        (local.set $v (v128.load (local.get $p)))
        (local.set $lines
          (i32.add (local.get $lines)
            (i32.popcnt
              (i8x16.bitmask (i8x16.eq (local.get $v) (i8x16.splat (i32.const 10)))))))
        (local.set $letters
          (i8x16.lt_u
            (i8x16.sub
              (v128.or (local.get $v) (i8x16.splat (i32.const 0x20)))
              (i8x16.splat (i32.const 97)))
            (i8x16.splat (i32.const 26))))
        (local.set $v
          (v128.xor (local.get $v)
            (v128.and (local.get $letters) (i8x16.splat (i32.const 0x20)))))
        (v128.store (local.get $p)
          (i8x16.shuffle 3 2 1 0 7 6 5 4 11 10 9 8 15 14 13 12
            (local.get $v) (local.get $v)))
        (br_if $next
          (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (i32.const 0x8000))))
      (br_if $rounds (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.add (i64.load (i32.const 0x1230)) (i64.extend_i32_u (local.get $lines)))))
