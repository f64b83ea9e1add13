;; An interpreter of a bytecode with an accumulator and four registers, which counts n down: its
;; loop is a br_table.
(module
  (memory 1)
  ;; 0 end, 1 load r, 2 store r, 3 add r, 4 xor r, 5 constant k, 6 shift left k, 7 back by k unless
  ;; zero, 8 shift right k, 9 subtract r. Two bytes each.
  (data (i32.const 1024)
    "\01\01" "\03\00" "\02\01" ;; r1 += r0
    "\06\05" "\04\01" "\02\01" ;; r1 ^= r1 << 5
    "\08\07" "\04\01" "\02\01" ;; r1 ^= r1 >> 7
    "\05\01" "\02\03" "\01\00" "\09\03" "\02\00" ;; r0 -= 1
    "\07\1c" ;; again unless it is zero
    "\00\00")
  (func (export "run") (param $n i32) (result i64)
    (local $pc i32) (local $a i32) (local $operand i32)
    (i32.store (i32.const 0) (local.get $n))
    (i32.store (i32.const 4) (i32.const 1))
    (local.set $pc (i32.const 1024))
    (loop $next
      (local.set $operand (i32.load8_u offset=1 (local.get $pc)))
      (block $9 (block $8 (block $7 (block $6 (block $5
      (block $4 (block $3 (block $2 (block $1 (block $0
        (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9
          (i32.load8_u (local.get $pc))))
        ;; $0
        (return (i64.extend_i32_u (i32.load (i32.const 4)))))
        ;; $1
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a (i32.load (i32.shl (local.get $operand) (i32.const 2))))
        (br $next))
        ;; $2
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (i32.store (i32.shl (local.get $operand) (i32.const 2)) (local.get $a))
        (br $next))
        ;; $3
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a
          (i32.add (local.get $a) (i32.load (i32.shl (local.get $operand) (i32.const 2)))))
        (br $next))
        ;; $4
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a
          (i32.xor (local.get $a) (i32.load (i32.shl (local.get $operand) (i32.const 2)))))
        (br $next))
        ;; $5
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a (local.get $operand))
        (br $next))
        ;; $6
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a (i32.shl (local.get $a) (local.get $operand)))
        (br $next))
        ;; $7
        (local.set $pc
          (select
            (i32.sub (local.get $pc) (local.get $operand))
            (i32.add (local.get $pc) (i32.const 2))
            (local.get $a)))
        (br $next))
        ;; $8
        (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
        (local.set $a (i32.shr_u (local.get $a) (local.get $operand)))
        (br $next))
      ;; $9
      (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
      (local.set $a
        (i32.sub (local.get $a) (i32.load (i32.shl (local.get $operand) (i32.const 2)))))
      (br $next))
    (unreachable)))
