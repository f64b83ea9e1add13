;; Compresses n bytes by references to earlier ones, which a hash of four bytes finds, and unpacks them.
;; A literal is 0 and the byte; a reference is its length, at most 255, and two bytes of distance.
(module
  (memory 32)
  ;; Hash heads at 0, 4096 of 4 bytes; text at 0x10000; packed at 0x90000; unpacked at 0x130000.
  (func $fill (param $n i32)
    (local $p i32) (local $x i32) (local $from i32) (local $left i32)
    (local.set $x (i32.const 1))
    (loop $next
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      ;; Every now and then, something that has been there.
      (if (i32.and
            (i32.eqz (local.get $left))
            (i32.and
              (i32.gt_u (local.get $p) (i32.const 4096))
              (i32.lt_u (local.get $x) (i32.const 0x20000000))))
        (then
          (local.set $left (i32.add (i32.const 4) (i32.and (local.get $x) (i32.const 63))))
          (local.set $from
            (i32.sub (local.get $p)
              (i32.add (i32.const 1)
                (i32.and (i32.shr_u (local.get $x) (i32.const 9)) (i32.const 4095)))))))
      (if (local.get $left)
        (then
          (i32.store8 offset=0x10000 (local.get $p) (i32.load8_u offset=0x10000 (local.get $from)))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1))))
        (else
          (i32.store8 offset=0x10000 (local.get $p) (i32.shr_u (local.get $x) (i32.const 26)))))
      (br_if $next
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 1))) (local.get $n)))))
  (func $pack (param $n i32) (result i32)
    (local $p i32) (local $end i32) (local $out i32) (local $word i32) (local $head i32)
    (local $before i32) (local $len i32)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x4000))
    (local.set $p (i32.const 0x10000))
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $out (i32.const 0x90000))
    (loop $next
      (local.set $word (i32.load (local.get $p)))
      (local.set $head
        (i32.shl
          (i32.shr_u (i32.mul (local.get $word) (i32.const 0x9e3779b1)) (i32.const 20))
          (i32.const 2)))
      (local.set $before (i32.load (local.get $head)))
      (i32.store (local.get $head) (local.get $p))
      (local.set $len (i32.const 0))
      (if (i32.and
            (i32.ne (local.get $before) (i32.const 0))
            (i32.lt_u (i32.sub (local.get $p) (local.get $before)) (i32.const 0x10000)))
        (then
          (block $differs
            (loop $compare
              (br_if $differs (i32.ge_u (local.get $len) (i32.const 255)))
              (br_if $differs
                (i32.ge_u (i32.add (local.get $p) (local.get $len)) (local.get $end)))
              (br_if $differs
                (i32.ne
                  (i32.load8_u (i32.add (local.get $p) (local.get $len)))
                  (i32.load8_u (i32.add (local.get $before) (local.get $len)))))
              (local.set $len (i32.add (local.get $len) (i32.const 1)))
              (br $compare)))))
      (if (i32.ge_u (local.get $len) (i32.const 4))
        (then
          (i32.store8 (local.get $out) (local.get $len))
          (i32.store16 offset=1 (local.get $out) (i32.sub (local.get $p) (local.get $before)))
          (local.set $out (i32.add (local.get $out) (i32.const 3)))
          (local.set $p (i32.add (local.get $p) (local.get $len))))
        (else
          (i32.store8 (local.get $out) (i32.const 0))
          (i32.store8 offset=1 (local.get $out) (local.get $word))
          (local.set $out (i32.add (local.get $out) (i32.const 2)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))
    (local.get $out))
  (func $unpack (param $end i32) (result i32)
    (local $p i32) (local $out i32) (local $len i32) (local $from i32)
    (local.set $p (i32.const 0x90000))
    (local.set $out (i32.const 0x130000))
    (loop $next
      (if (local.tee $len (i32.load8_u (local.get $p)))
        (then
          (local.set $from
            (i32.sub (local.get $out) (i32.load16_u offset=1 (local.get $p))))
          (local.set $p (i32.add (local.get $p) (i32.const 3)))
          (loop $copy
            (i32.store8 (local.get $out) (i32.load8_u (local.get $from)))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br_if $copy (local.tee $len (i32.sub (local.get $len) (i32.const 1))))))
        (else
          (i32.store8 (local.get $out) (i32.load8_u offset=1 (local.get $p)))
          (local.set $out (i32.add (local.get $out) (i32.const 1)))
          (local.set $p (i32.add (local.get $p) (i32.const 2)))))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))
    (local.get $out))
  (func (export "run") (param $n i32) (result i64)
    (local $packed i32) (local $p i32) (local $end i32) (local $sum i64)
    (call $fill (local.get $n))
    (local.set $packed (call $pack (local.get $n)))
    (local.set $end (call $unpack (local.get $packed)))
    (local.set $p (i32.const 0x130000))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load8_u (local.get $p))))
      (br_if $check
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 1))) (local.get $end))))
    (i64.xor (local.get $sum) (i64.extend_i32_u (local.get $packed)))))
