;; A fast Fourier transform of 2^n complex f64, forth and back, in place.
;;
;; Its strides are powers of two. From n = 12 on they reach the 4 KiB at which all lines of $pairs fall
;; into one set of the first-level cache: stores then find that the line which they wait for has been
;; displaced by loads that run ahead. On a Zen 5 a pair takes 20 ns there, where it takes 1 at odd
;; strides, and 7 if 32 stores to the stack stand between: code that spills does better.
(module
  (memory 64)
  ;; `sign` is 1 or -1; `sine` and `cosine` are of the smallest angle, doubled from stage to stage
  ;; the other way round, so that no table is needed.
  (func $transform (param $log i32) (param $sign f64)
    (local $n i32) (local $i i32) (local $j i32) (local $bit i32) (local $half i32) (local $step i32)
    (local $p i32) (local $q i32)
    (local $wr f64) (local $wi f64) (local $cr f64) (local $ci f64) (local $t f64)
    (local $ar f64) (local $ai f64) (local $br f64) (local $bi f64)
    (local.set $n (i32.shl (i32.const 1) (local.get $log)))
    ;; Bit reversal.
    (local.set $i (i32.const 1))
    (loop $swap
      (local.set $bit (i32.shr_u (local.get $n) (i32.const 1)))
      (block $zero
        (loop $carry
          (br_if $zero (i32.eqz (i32.and (local.get $j) (local.get $bit))))
          (local.set $j (i32.xor (local.get $j) (local.get $bit)))
          (local.set $bit (i32.shr_u (local.get $bit) (i32.const 1)))
          (br $carry)))
      (local.set $j (i32.or (local.get $j) (local.get $bit)))
      (if (i32.lt_u (local.get $i) (local.get $j))
        (then
          (local.set $p (i32.shl (local.get $i) (i32.const 4)))
          (local.set $q (i32.shl (local.get $j) (i32.const 4)))
          (local.set $ar (f64.load (local.get $p)))
          (local.set $ai (f64.load offset=8 (local.get $p)))
          (f64.store (local.get $p) (f64.load (local.get $q)))
          (f64.store offset=8 (local.get $p) (f64.load offset=8 (local.get $q)))
          (f64.store (local.get $q) (local.get $ar))
          (f64.store offset=8 (local.get $q) (local.get $ai))))
      (br_if $swap
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    ;; Butterflies. The root of stage s is the square root of that of stage s - 1: -1, i, ...
    (local.set $half (i32.const 1))
    (local.set $cr (f64.const -1))
    (local.set $ci (f64.const 0))
    (loop $stages
      (local.set $step (i32.shl (local.get $half) (i32.const 1)))
      (local.set $wr (f64.const 1))
      (local.set $wi (f64.const 0))
      (local.set $j (i32.const 0))
      (loop $roots
        (local.set $i (local.get $j))
        (loop $pairs
          (local.set $p (i32.shl (local.get $i) (i32.const 4)))
          (local.set $q
            (i32.add (local.get $p) (i32.shl (local.get $half) (i32.const 4))))
          (local.set $ar (f64.load (local.get $p)))
          (local.set $ai (f64.load offset=8 (local.get $p)))
          (local.set $br
            (f64.sub
              (f64.mul (f64.load (local.get $q)) (local.get $wr))
              (f64.mul (f64.load offset=8 (local.get $q)) (local.get $wi))))
          (local.set $bi
            (f64.add
              (f64.mul (f64.load (local.get $q)) (local.get $wi))
              (f64.mul (f64.load offset=8 (local.get $q)) (local.get $wr))))
          (f64.store (local.get $p) (f64.add (local.get $ar) (local.get $br)))
          (f64.store offset=8 (local.get $p) (f64.add (local.get $ai) (local.get $bi)))
          (f64.store (local.get $q) (f64.sub (local.get $ar) (local.get $br)))
          (f64.store offset=8 (local.get $q) (f64.sub (local.get $ai) (local.get $bi)))
          (br_if $pairs
            (i32.lt_u
              (local.tee $i (i32.add (local.get $i) (local.get $step)))
              (local.get $n))))
        (local.set $t
          (f64.sub (f64.mul (local.get $wr) (local.get $cr)) (f64.mul (local.get $wi) (local.get $ci))))
        (local.set $wi
          (f64.add (f64.mul (local.get $wr) (local.get $ci)) (f64.mul (local.get $wi) (local.get $cr))))
        (local.set $wr (local.get $t))
        (br_if $roots
          (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $half))))
      ;; cos(a/2) = sqrt((1 + cos a) / 2), sin(a/2) = sqrt((1 - cos a) / 2).
      (local.set $ci
        (f64.mul (local.get $sign)
          (f64.sqrt (f64.mul (f64.sub (f64.const 1) (local.get $cr)) (f64.const 0.5)))))
      (local.set $cr
        (f64.sqrt (f64.mul (f64.add (f64.const 1) (local.get $cr)) (f64.const 0.5))))
      (local.set $half (local.get $step))
      (br_if $stages (i32.lt_u (local.get $half) (local.get $n)))))
  (func (export "run") (param $log i32) (result i64)
    (local $p i32) (local $end i32) (local $sum f64)
    (local.set $end (i32.shl (i32.const 16) (local.get $log)))
    (loop $fill
      (f64.store (local.get $p)
        (f64.convert_i32_s (i32.sub (i32.rem_u (local.get $p) (i32.const 1009)) (i32.const 500))))
      (f64.store offset=8 (local.get $p)
        (f64.convert_i32_s (i32.sub (i32.rem_u (local.get $p) (i32.const 97)) (i32.const 48))))
      (br_if $fill
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (local.get $end))))
    (call $transform (local.get $log) (f64.const 1))
    (call $transform (local.get $log) (f64.const -1))
    (local.set $p (i32.const 0))
    (loop $check
      (local.set $sum
        (f64.add (f64.mul (local.get $sum) (f64.const 0.75)) (f64.load (local.get $p))))
      (br_if $check
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (local.get $end))))
    (i64.reinterpret_f64 (local.get $sum))))
