;; Results are computed into the local that they are for, and copies of a local that is about to
;; change are made in time.
(module
  (func (param $a i32) (param $b i32) (result i32)
    (local.set $a (i32.add (local.get $a) (local.get $b)))
    (i32.mul (local.tee $b (i32.sub (local.get $a) (i32.const 3))) (local.get $b)))
  (func $swap (param $a i32) (param $b i32) (result i32)
    (local.get $a)
    (local.get $b)
    (local.set $a)
    (local.set $b)
    (i32.sub (local.get $a) (local.get $b))))
