;; n times: 8,000 insertions into an empty hash map with open addressing, and 16,000 lookups, half of
;; them in vain. The keys are others each time: a branch predictor learns by heart what repeats, for
;; one layout of the code and not for the next.
(module
  (memory 4)
  (func $key (param $seed i64) (param $i i64) (result i64)
    (i64.mul (i64.add (local.get $seed) (local.get $i)) (i64.const 0xff51afd7ed558ccd)))
  (func $hash (param $key i64) (result i32)
    (i32.wrap_i64
      (i64.shr_u
        (i64.mul (local.get $key) (i64.const 0x9e3779b97f4a7c15))
        (i64.const 40))))
  ;; The address of the key's entry, or of the free one where it belongs.
  (func $find (param $key i64) (result i32)
    (local $slot i32) (local $at i32) (local $found i64)
    (local.set $slot (call $hash (local.get $key)))
    (loop $probe
      (local.set $at (i32.shl (i32.and (local.get $slot) (i32.const 0x3fff)) (i32.const 4)))
      (local.set $found (i64.load (local.get $at)))
      (if (i64.eqz (local.get $found)) (then (return (local.get $at))))
      (if (i64.eq (local.get $found) (local.get $key)) (then (return (local.get $at))))
      (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
      (br $probe))
    (unreachable))
  (func $insert (param $key i64) (param $value i64)
    (local $at i32)
    (local.set $at (call $find (local.get $key)))
    (i64.store (local.get $at) (local.get $key))
    (i64.store offset=8 (local.get $at) (local.get $value)))
  (func $get (param $key i64) (result i64)
    (local $at i32)
    (local.set $at (call $find (local.get $key)))
    (select (i64.const 7) (i64.load offset=8 (local.get $at)) (i64.eqz (i64.load (local.get $at)))))
  (func $round (param $sum i64) (result i64)
    (local $i i64) (local $seed i64)
    (local.set $seed (local.get $sum))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x40000))
    (loop $insertions
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (call $insert
        (call $key (local.get $seed) (local.get $i))
        (i64.mul (local.get $i) (local.get $i)))
      (br_if $insertions (i64.lt_u (local.get $i) (i64.const 8000))))
    (local.set $i (i64.const 0))
    (loop $lookups
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (local.set $sum
        (i64.add
          (i64.rotl (local.get $sum) (i64.const 1))
          (call $get (call $key (local.get $seed) (local.get $i)))))
      (br_if $lookups (i64.lt_u (local.get $i) (i64.const 16000))))
    (local.get $sum))
  (func (export "run") (param $n i32) (result i64)
    (local $sum i64)
    (loop $next
      (local.set $sum (call $round (local.get $sum)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
