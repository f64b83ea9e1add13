;; Globals lie in the context, imported ones behind a pointer there.
(module
  (import "m" "g" (global $imported (mut i64)))
  (global $stack (mut i32) (i32.const 4096))
  (global $float (mut f64) (f64.const 0))
  (func (param $size i32) (result i32) (local $old i32)
    (local.set $old (global.get $stack))
    (global.set $stack (i32.sub (global.get $stack) (local.get $size)))
    (global.set $float (f64.add (global.get $float) (f64.const 1)))
    (global.set $imported (i64.add (global.get $imported) (i64.const 1)))
    (global.set $imported (i64.const 0x123456789))
    (global.set $stack (i32.const 7))
    (local.get $old)))
