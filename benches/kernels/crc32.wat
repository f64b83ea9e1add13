;; The CRC-32 of n bytes, by a table of 256 entries.
(module
  (memory 17)
  (func $table
    (local $i i32) (local $c i32) (local $k i32)
    (loop $entries
      (local.set $c (local.get $i))
      (local.set $k (i32.const 8))
      (loop $bits
        (local.set $c
          (i32.xor
            (i32.shr_u (local.get $c) (i32.const 1))
            (i32.and (i32.const 0xedb88320)
              (i32.sub (i32.const 0) (i32.and (local.get $c) (i32.const 1))))))
        (br_if $bits (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $c))
      (br_if $entries
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256)))))
  (func $fill (param $from i32) (param $n i32)
    (local $x i32)
    (local.set $x (i32.const 12345))
    (loop $next
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 (local.get $from) (i32.shr_u (local.get $x) (i32.const 24)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $end i32) (local $crc i32)
    (call $table)
    (call $fill (i32.const 4096) (local.get $n))
    (local.set $p (i32.const 4096))
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $crc (i32.const -1))
    (loop $next
      (local.set $crc
        (i32.xor
          (i32.shr_u (local.get $crc) (i32.const 8))
          (i32.load
            (i32.shl
              (i32.and
                (i32.xor (local.get $crc) (i32.load8_u (local.get $p)))
                (i32.const 255))
              (i32.const 2)))))
      (br_if $next
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 1))) (local.get $end))))
    (i64.extend_i32_u (i32.xor (local.get $crc) (i32.const -1)))))
