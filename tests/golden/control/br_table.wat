;; Few targets are searched for, many go through a table.
(module
  (func $few (param i32) (result i32)
    (block $a (block $b (br_table $a $b (local.get 0))) (return (i32.const 10)))
    (i32.const 20))
  (func $some (param i32) (result i32)
    (block $a (block $b (block $c
      (br_table $a $a $a $a $a $b $c $c $c $c $a (local.get 0)))
      (return (i32.const 1))) (return (i32.const 2)))
    (i32.const 3))
  (func $many (param i32) (result i32)
    (block $a (block $b (block $c
      (br_table $a $b $c $a $b $c $a $b $c $a $b $c $a (local.get 0)))
      (return (i32.const 1))) (return (i32.const 2)))
    (i32.const 3)))
