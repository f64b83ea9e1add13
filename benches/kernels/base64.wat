;; Encodes n bytes, a multiple of three, by a table of the alphabet.
(module
  (memory 48)
  (data (i32.const 0) "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $end i32) (local $q i32) (local $w i32) (local $x i32) (local $sum i64)
    (local.set $end (i32.add (i32.const 1024) (local.get $n)))
    (local.set $p (i32.const 1024))
    (local.set $x (i32.const 99))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store (local.get $p) (local.get $x))
      (br_if $fill
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
    (local.set $p (i32.const 1024))
    (local.set $q (i32.const 0x100000))
    (loop $next
      (local.set $w
        (i32.or
          (i32.or
            (i32.shl (i32.load8_u (local.get $p)) (i32.const 16))
            (i32.shl (i32.load8_u offset=1 (local.get $p)) (i32.const 8)))
          (i32.load8_u offset=2 (local.get $p))))
      (i32.store8 (local.get $q) (i32.load8_u (i32.shr_u (local.get $w) (i32.const 18))))
      (i32.store8 offset=1 (local.get $q)
        (i32.load8_u (i32.and (i32.shr_u (local.get $w) (i32.const 12)) (i32.const 63))))
      (i32.store8 offset=2 (local.get $q)
        (i32.load8_u (i32.and (i32.shr_u (local.get $w) (i32.const 6)) (i32.const 63))))
      (i32.store8 offset=3 (local.get $q)
        (i32.load8_u (i32.and (local.get $w) (i32.const 63))))
      (local.set $q (i32.add (local.get $q) (i32.const 4)))
      (br_if $next
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 3))) (local.get $end))))
    (local.set $p (i32.const 0x100000))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load32_u (local.get $p))))
      (br_if $check
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $q))))
    (local.get $sum)))
