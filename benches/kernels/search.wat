;; How often a pattern of eight letters occurs in n letters, by Horspool's algorithm.
(module
  (memory 20)
  (data (i32.const 1024) "abacabad")
  (func (export "run") (param $n i32) (result i64)
    (local $i i32) (local $x i32) (local $at i32) (local $last i32) (local $k i32) (local $c i32)
    (local $count i64)
    ;; The text, of four letters, at 4096.
    (local.set $x (i32.const 7))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store8 offset=4096 (local.get $i)
        (i32.add (i32.const 97) (i32.shr_u (local.get $x) (i32.const 30))))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    ;; How far each letter lets the pattern move.
    (memory.fill (i32.const 0) (i32.const 8) (i32.const 256))
    (local.set $i (i32.const 0))
    (loop $skips
      (i32.store8
        (i32.load8_u offset=1024 (local.get $i))
        (i32.sub (i32.const 7) (local.get $i)))
      (br_if $skips
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 7))))
    (local.set $at (i32.const 4096))
    (local.set $last (i32.sub (i32.add (i32.const 4096) (local.get $n)) (i32.const 8)))
    (loop $next
      (local.set $k (i32.const 7))
      (block $differs
        (loop $compare
          (br_if $differs
            (i32.ne
              (i32.load8_u (i32.add (local.get $at) (local.get $k)))
              (i32.load8_u offset=1024 (local.get $k))))
          (br_if $compare
            (i32.ge_s (local.tee $k (i32.sub (local.get $k) (i32.const 1))) (i32.const 0))))
        (local.set $count
          (i64.add (local.get $count) (i64.extend_i32_u (local.get $at)))))
      (local.set $at
        (i32.add (local.get $at) (i32.load8_u (i32.load8_u offset=7 (local.get $at)))))
      (br_if $next (i32.le_u (local.get $at) (local.get $last))))
    (local.get $count)))
