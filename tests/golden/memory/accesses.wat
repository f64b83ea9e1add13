;; Each load and store is one instruction: base + index + offset, with the base at home.
(module
  (memory 1)
  (func $integers (param $p i32) (result i64)
    (i32.store (local.get $p) (i32.load offset=4 (local.get $p)))
    (i32.store8 offset=1 (local.get $p) (i32.load8_s (local.get $p)))
    (i32.store16 offset=2 (local.get $p) (i32.load16_u (local.get $p)))
    (i64.store8 offset=3 (local.get $p) (i64.load8_u (local.get $p)))
    (i64.store16 offset=4 (local.get $p) (i64.load16_s (local.get $p)))
    (i64.store32 offset=5 (local.get $p) (i64.load32_s (local.get $p)))
    (i64.load32_u offset=6 (local.get $p)))

  (func $floats (param $p i32) (param $x f64)
    (f32.store (local.get $p) (f32.demote_f64 (local.get $x)))
    (f64.store offset=8 (local.get $p) (f64.promote_f32 (f32.load (local.get $p)))))

  ;; Constants are stored as they are, unless they are too wide.
  (func $constants (param $p i32)
    (i32.store (local.get $p) (i32.const 7))
    (i32.store8 (local.get $p) (i32.const 300))
    (i64.store (local.get $p) (i64.const -1))
    (i64.store (local.get $p) (i64.const 0x123456789))
    (f32.store (local.get $p) (f32.const 1))
    (f64.store (local.get $p) (f64.const 0))
    (f64.store (local.get $p) (f64.const 1)))

  ;; A constant index is a part of the displacement, if that is no more than 31 bits.
  (func $places (param $p i32) (result i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i32.store offset=0x7fffffff (i32.const 0) (i32.const 1))
    (i32.store offset=0x7fffffff (i32.const 1) (i32.const 1))
    (i32.store offset=0x7fffffff (local.get $p) (i32.const 1))
    (i32.store offset=0x80000000 (local.get $p) (i32.const 1))
    (i32.load offset=0xffffffff (i32.const 0xffffffff)))

  ;; For a single access, a home is not worth it.
  (func $once (param $p i32) (result i32) (i32.load (local.get $p)))

  ;; What was loaded for the next operator is loaded by it.
  (func $operands (param $p i32) (param $x i64) (result i64)
    (if (i32.lt_u (local.get $p) (i32.load (local.get $p)))
      (then (local.set $x (i64.add (local.get $x) (i64.load offset=8 (local.get $p))))))
    (if (i64.eqz (i64.load offset=16 (local.get $p)))
      (then (local.set $x (i64.sub (i64.const 1) (i64.load offset=24 (local.get $p))))))
    (local.get $x))

  (func $size (result i32) (memory.size)))
