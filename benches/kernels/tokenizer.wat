;; Reads n times a small text in JSON: a br_table over classes of characters tells what a token is.
(module
  (memory 1)
  (data (i32.const 0x1000)
    "{ \"name\": \"wasm\", \"year\": 2017, \"values\": [1, 22, 333, 4444, -55555, 6.5e3],\n"
    "  \"nested\": {\"true\": true, \"false\": false, \"null\": null, \"text\": \"a \\\"b\\\" c\"},\n"
    "  \"empty\": [], \"object\": {}, \"list\": [[1, 2], [3, 4], [5, [6, [7, 8]]]], \"pi\": 3.14159 }")
  ;; Classes at 0: 0 blank, 1 quote, 2 digit or minus, 3 opening, 4 closing, 5 comma or colon, 6 letter,
  ;; 7 the end.
  (func $classes
    (local $i i32)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 256))
    (local.set $i (i32.const 97))
    (loop $letters
      (i32.store8 (local.get $i) (i32.const 6))
      (br_if $letters
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 123))))
    (local.set $i (i32.const 48))
    (loop $digits
      (i32.store8 (local.get $i) (i32.const 2))
      (br_if $digits
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 58))))
    (i32.store8 (i32.const 45) (i32.const 2))
    (i32.store8 (i32.const 46) (i32.const 2))
    (i32.store8 (i32.const 34) (i32.const 1))
    (i32.store8 (i32.const 91) (i32.const 3))
    (i32.store8 (i32.const 123) (i32.const 3))
    (i32.store8 (i32.const 93) (i32.const 4))
    (i32.store8 (i32.const 125) (i32.const 4))
    (i32.store8 (i32.const 44) (i32.const 5))
    (i32.store8 (i32.const 58) (i32.const 5))
    (i32.store8 (i32.const 0) (i32.const 7)))
  (func $read (result i64)
    (local $p i32) (local $c i32) (local $depth i32) (local $number i32) (local $sum i64)
    (local.set $p (i32.const 0x1000))
    (loop $token
      (local.set $c (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (block $end (block $letter (block $mark (block $close
      (block $open (block $digit (block $quote (block $blank
        (br_table $blank $quote $digit $open $close $mark $letter $end
          (i32.load8_u (local.get $c))))
        ;; $blank
        (br $token))
        ;; $quote
        (loop $string
          (local.set $c (i32.load8_u (local.get $p)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (if (i32.eq (local.get $c) (i32.const 92))
            (then
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (br $string)))
          (local.set $sum
            (i64.add (i64.rotl (local.get $sum) (i64.const 3)) (i64.extend_i32_u (local.get $c))))
          (br_if $string (i32.ne (local.get $c) (i32.const 34))))
        (br $token))
        ;; $digit
        (local.set $number (i32.sub (local.get $c) (i32.const 48)))
        (block $over
          (loop $digits
            (local.set $c (i32.load8_u (local.get $p)))
            (br_if $over (i32.ne (i32.load8_u (local.get $c)) (i32.const 2)))
            (local.set $number
              (i32.add
                (i32.mul (local.get $number) (i32.const 10))
                (i32.sub (local.get $c) (i32.const 48))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br $digits)))
        (local.set $sum
          (i64.add (local.get $sum) (i64.extend_i32_s (local.get $number))))
        (br $token))
        ;; $open
        (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
        (br $token))
        ;; $close
        (local.set $sum
          (i64.xor (local.get $sum)
            (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $depth)))))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (br $token))
        ;; $mark
        (local.set $sum (i64.mul (local.get $sum) (i64.const 31)))
        (br $token))
        ;; $letter
        (block $over
          (loop $word
            (local.set $sum
              (i64.add (i64.rotl (local.get $sum) (i64.const 5)) (i64.extend_i32_u (local.get $c))))
            (local.set $c (i32.load8_u (local.get $p)))
            (br_if $over (i32.ne (i32.load8_u (local.get $c)) (i32.const 6)))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br $word)))
        (br $token))
      ;; $end
      (return (local.get $sum)))
    (unreachable))
  (func (export "run") (param $n i32) (result i64)
    (local $sum i64)
    (call $classes)
    (loop $next
      (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) (call $read)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
