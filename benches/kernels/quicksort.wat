;; Sorts n random i32, recursively, with insertion sort for the small pieces.
(module
  (memory 32)
  (func $sort (param $low i32) (param $high i32) ;; addresses of the first and of the last
    (local $i i32) (local $j i32) (local $pivot i32) (local $a i32) (local $b i32)
    (loop $again
      (if (i32.lt_s (i32.sub (local.get $high) (local.get $low)) (i32.const 48))
        (then (call $insert (local.get $low) (local.get $high)) (return)))
      (local.set $pivot
        (i32.load
          (i32.and
            (i32.shr_u (i32.add (local.get $low) (local.get $high)) (i32.const 1))
            (i32.const -4))))
      (local.set $i (local.get $low))
      (local.set $j (local.get $high))
      (loop $part
        (loop $left
          (local.set $a (i32.load (local.get $i)))
          (if (i32.lt_s (local.get $a) (local.get $pivot))
            (then
              (local.set $i (i32.add (local.get $i) (i32.const 4)))
              (br $left))))
        (loop $right
          (local.set $b (i32.load (local.get $j)))
          (if (i32.gt_s (local.get $b) (local.get $pivot))
            (then
              (local.set $j (i32.sub (local.get $j) (i32.const 4)))
              (br $right))))
        (if (i32.le_s (local.get $i) (local.get $j))
          (then
            (i32.store (local.get $i) (local.get $b))
            (i32.store (local.get $j) (local.get $a))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (local.set $j (i32.sub (local.get $j) (i32.const 4)))
            (br_if $part (i32.le_s (local.get $i) (local.get $j))))))
      (call $sort (local.get $low) (local.get $j))
      (local.set $low (local.get $i))
      (br $again)))
  (func $insert (param $low i32) (param $high i32)
    (local $i i32) (local $j i32) (local $x i32) (local $y i32)
    (local.set $i (i32.add (local.get $low) (i32.const 4)))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $i) (local.get $high)))
        (local.set $x (i32.load (local.get $i)))
        (local.set $j (local.get $i))
        (block $there
          (loop $move
            (br_if $there (i32.le_s (local.get $j) (local.get $low)))
            (local.set $y (i32.load (i32.sub (local.get $j) (i32.const 4))))
            (br_if $there (i32.le_s (local.get $y) (local.get $x)))
            (i32.store (local.get $j) (local.get $y))
            (local.set $j (i32.sub (local.get $j) (i32.const 4)))
            (br $move)))
        (i32.store (local.get $j) (local.get $x))
        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (br $next))))
  (func (export "run") (param $n i32) (result i64)
    (local $p i32) (local $end i32) (local $x i32) (local $sum i64)
    (local.set $end (i32.shl (local.get $n) (i32.const 2)))
    (local.set $x (i32.const 42))
    (loop $fill
      (local.set $x
        (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store (local.get $p) (local.get $x))
      (br_if $fill
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
    (call $sort (i32.const 0) (i32.sub (local.get $end) (i32.const 4)))
    (local.set $p (i32.const 0))
    (loop $check
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load32_s (local.get $p))))
      (br_if $check
        (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
    (local.get $sum)))
