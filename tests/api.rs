//! The public interface: typed and dynamic calls of every shape, exports, names, handles.

mod common;

use std::fmt::Debug;
use std::hint::black_box;
use std::panic::AssertUnwindSafe;
use std::thread;

use common::{engine, instance, instantiate, load_error, module, on_each_tier, results, trap};
use wasm_mini::{
    Engine, Error, ExportError, Func, FuncType, Imports, Instance, LinkError, Module, Tier,
    TrapCode, TypedFunc, ValType, Value, WasmTy,
};

/// A type of the interface, with a value for each position that no other position has.
trait Sample: WasmTy + PartialEq + Debug + Into<Value> {
    const WAT: &'static str;
    fn sample(position: u64) -> Self;
    fn bits(self) -> u64;
}

/// Bits that differ in every byte and by position.
fn pattern(position: u64) -> u64 {
    0x8877_6655_4433_2211_u64.wrapping_mul(2 * position + 1)
}

macro_rules! sample_integer {
    ($($ty:ident $unsigned:ident $wat:literal),*) => {
        $(impl Sample for $ty {
            const WAT: &'static str = $wat;
            fn sample(position: u64) -> $ty {
                pattern(position) as $ty
            }
            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
        })*
    };
}

sample_integer!(i32 u32 "i32", u32 u32 "i32", i64 u64 "i64", u64 u64 "i64");

// Floats are NaNs, signalling and quiet, each with a payload of its own: any arithmetic on the way,
// even a move through the x87 unit, would change them.
impl Sample for f32 {
    const WAT: &'static str = "f32";
    fn sample(position: u64) -> f32 {
        let position = position as u32;
        let (quiet, sign) = ((position % 3 / 2) << 22, (position % 2) << 31);
        f32::from_bits(0x7f80_0001 + position * 0x1_1111 + quiet + sign)
    }
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Sample for f64 {
    const WAT: &'static str = "f64";
    fn sample(position: u64) -> f64 {
        let (quiet, sign) = ((position % 3 / 2) << 51, (position % 2) << 63);
        f64::from_bits(0x7ff0_0000_0000_0001 + position * 0x1111_1111_1111 + quiet + sign)
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// A module for one list of types: `all` returns its parameters, `relay` has `all` do so, and
/// `pick<k>` returns the parameter at position k; `pick_relay<k>` has `pick<k>` do so.
fn echo_module(types: &[&str]) -> String {
    let list = types.join(" ");
    let gets: String = (0..types.len()).map(|i| format!("local.get {i} ")).collect();
    let mut text = format!(
        "(module (func $all (export \"all\") (param {list}) (result {list}) {gets})\n\
         (func (export \"relay\") (param {list}) (result {list}) {gets} call $all)\n"
    );
    for (k, ty) in types.iter().enumerate() {
        text += &format!(
            "(func $pick{k} (export \"pick{k}\") (param {list}) (result {ty}) local.get {k})\n\
             (func (export \"pick_relay{k}\") (param {list}) (result {ty}) {gets} call $pick{k})\n"
        );
    }
    text + ")"
}

/// For an arity a function that checks it for any types: each argument arrives at its position, and
/// each result comes from its own, through closures, typed functions and dynamic ones.
macro_rules! check_arity {
    ($name:ident: $($ty:ident $var:ident $k:literal),*) => {
        #[allow(unused_parens, non_snake_case, clippy::too_many_arguments)]
        fn $name<$($ty: Sample),*>(tier: Tier) {
            let instance = instance(tier, echo_module(&[$($ty::WAT),*]));
            $(let $var = $ty::sample($k);)*
            let values: Vec<Value> = vec![$($var.into()),*];
            for name in ["all", "relay"] {
                let expected = ($($var.bits()),*);
                let closure = instance.func::<fn($($ty),*) -> ($($ty),*)>(name).expect(name);
                let ($($var),*) = closure($($var),*).expect("no trap");
                assert_eq!(($($var.bits()),*), expected, "closure {name} {values:?}");
                let typed: TypedFunc<fn($($ty),*) -> ($($ty),*)> =
                    instance.typed_func(name).expect(name);
                let ($($var),*) = typed.call($($var),*).expect("no trap");
                assert_eq!(($($var.bits()),*), expected, "typed {name} {values:?}");
                let dynamic = instance.dyn_func(name).expect(name);
                assert_eq!(results(&dynamic, &values), values, "dynamic {name}");
            }
            check_arity!(@picks instance values [$($ty $var)*] $($ty $var $k)*);
        }
    };
    (@picks $instance:ident $values:ident $all:tt $($ty:ident $var:ident $k:literal)*) => {
        $(check_arity!(@pick $instance $values $all $ty $var $k);)*
        let _ = &$values;
    };
    (@pick $instance:ident $values:ident [$($ty:ident $var:ident)*] $result:ident $expected:ident $k:literal) => {
        for name in [concat!("pick", $k), concat!("pick_relay", $k)] {
            let closure = $instance.func::<fn($($ty),*) -> $result>(name).expect(name);
            let got = closure($($var),*).expect("no trap");
            assert_eq!(got.bits(), $expected.bits(), "closure {name} {:?}", $values);
            let typed: TypedFunc<fn($($ty),*) -> $result> = $instance.typed_func(name).expect(name);
            let got = typed.call($($var),*).expect("no trap");
            assert_eq!(got.bits(), $expected.bits(), "typed {name} {:?}", $values);
            let dynamic = $instance.dyn_func(name).expect(name);
            assert_eq!(results(&dynamic, &$values), [$values[$k].clone()], "dynamic {name}");
        }
    };
}

check_arity!(arity0:);
check_arity!(arity1: A a 0);
check_arity!(arity2: A a 0, B b 1);
check_arity!(arity3: A a 0, B b 1, C c 2);
check_arity!(arity4: A a 0, B b 1, C c 2, D d 3);
check_arity!(arity5: A a 0, B b 1, C c 2, D d 3, E e 4);
check_arity!(arity6: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
check_arity!(arity7: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
check_arity!(arity8: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);
check_arity!(arity9: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7, I i 8);
check_arity!(arity10: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7, I i 8, J j 9);
check_arity!(
    arity11: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7, I i 8, J j 9, K k 10
);
check_arity!(
    arity12: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7, I i 8, J j 9, K k 10, L l 11
);

/// Checks every arity from 0 to 12 with the first types of a list of twelve.
macro_rules! check_arities {
    ($tier:ident: $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident $i:ident $j:ident $k:ident $l:ident) => {
        arity0($tier);
        arity1::<$a>($tier);
        arity2::<$a, $b>($tier);
        arity3::<$a, $b, $c>($tier);
        arity4::<$a, $b, $c, $d>($tier);
        arity5::<$a, $b, $c, $d, $e>($tier);
        arity6::<$a, $b, $c, $d, $e, $f>($tier);
        arity7::<$a, $b, $c, $d, $e, $f, $g>($tier);
        arity8::<$a, $b, $c, $d, $e, $f, $g, $h>($tier);
        arity9::<$a, $b, $c, $d, $e, $f, $g, $h, $i>($tier);
        arity10::<$a, $b, $c, $d, $e, $f, $g, $h, $i, $j>($tier);
        arity11::<$a, $b, $c, $d, $e, $f, $g, $h, $i, $j, $k>($tier);
        arity12::<$a, $b, $c, $d, $e, $f, $g, $h, $i, $j, $k, $l>($tier);
    };
}

fn arguments_and_results_of_signed_integers(tier: Tier) {
    check_arities!(tier: i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32);
    check_arities!(tier: i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64);
}

fn arguments_and_results_of_unsigned_integers(tier: Tier) {
    check_arities!(tier: u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32);
    check_arities!(tier: u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64);
}

fn arguments_and_results_of_floats(tier: Tier) {
    check_arities!(tier: f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32);
    check_arities!(tier: f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64);
}

fn arguments_and_results_of_mixed_types(tier: Tier) {
    check_arities!(tier: i32 f64 i64 f32 u32 f64 u64 f32 i32 f64 i64 f32);
    check_arities!(tier: f32 u64 f64 i32 f32 i64 f64 u32 f32 u64 f64 i32);
    check_arities!(tier: i32 i64 u32 u64 i32 i64 u32 u64 f32 f64 f32 f64);
    check_arities!(tier: f32 f64 f32 f64 f32 f64 f32 f64 f64 f32 i32 u64);
    check_arities!(tier: i64 i32 i32 i64 u32 i32 u64 i32 i64 f32 u32 f64);
}

/// Whatever lies above the lower half of an i32 must not be seen: neither in the guest, which
/// extends what it gets, nor in the host.
fn upper_halves_do_not_leak(tier: Tier) {
    const COUNT: usize = 10;
    let i32s = "i32 ".repeat(COUNT);
    let i64s = "i64 ".repeat(COUNT);
    let narrow: String = (0..COUNT).map(|i| format!("local.get {i} i32.wrap_i64 ")).collect();
    let gets: String = (0..COUNT).map(|i| format!("local.get {i} ")).collect();
    let widen = |how: &str| -> String {
        (0..COUNT).map(|i| format!("local.get {i} i64.extend_i32_{how} ")).collect()
    };
    let text = format!(
        "(module
            (func $unsigned (export \"unsigned\") (param {i32s}) (result {i64s}) {u})
            (func $signed (export \"signed\") (param {i32s}) (result {i64s}) {s})
            (func $narrow (export \"narrow\") (param {i64s}) (result {i32s}) {narrow})
            (func (export \"through_unsigned\") (param {i64s}) (result {i64s}) {narrow} call $unsigned)
            (func (export \"through_signed\") (param {i64s}) (result {i64s}) {narrow} call $signed)
            (func (export \"back\") (param {i64s}) (result {i64s}) {gets} call $narrow call $unsigned)
            (func (export \"one\") (param i64) (result i32) local.get 0 i32.wrap_i64)
            (func (export \"is_zero\") (param i32) (result i32) local.get 0 i32.eqz))",
        u = widen("u"),
        s = widen("s"),
    );
    let instance = instance(tier, text);
    let dirty: Vec<u64> = (0..COUNT as u64).map(|i| pattern(i) | 0xdead_0000_0000_0000).collect();
    let arguments: Vec<Value> = dirty.iter().map(|v| Value::from(*v)).collect();
    let unsigned: Vec<Value> = dirty.iter().map(|v| Value::from(u64::from(*v as u32))).collect();
    let signed: Vec<Value> = dirty.iter().map(|v| Value::from(i64::from(*v as i32))).collect();
    let narrow: Vec<Value> = dirty.iter().map(|v| Value::from(*v as u32)).collect();
    let call =
        |name: &str, arguments: &[Value]| results(&instance.dyn_func(name).expect(name), arguments);
    assert_eq!(call("narrow", &arguments), narrow);
    assert_eq!(call("unsigned", &narrow), unsigned);
    assert_eq!(call("signed", &narrow), signed);
    assert_eq!(call("through_unsigned", &arguments), unsigned);
    assert_eq!(call("through_signed", &arguments), signed);
    assert_eq!(call("back", &arguments), unsigned);

    let one = instance.func::<fn(u64) -> u32>("one").expect("one");
    let is_zero = instance.func::<fn(u32) -> u32>("is_zero").expect("is_zero");
    for bits in dirty {
        assert_eq!(u64::from(one(bits).expect("no trap")), bits & 0xffff_ffff);
        // The compiler may leave the upper half of such an argument as it is.
        let narrowed = black_box(bits & 0xffff_ffff_0000_0000) as u32;
        assert_eq!(is_zero(narrowed).expect("no trap"), 1);
    }
}

fn infinite_and_zero_floats_keep_their_bits(tier: Tier) {
    let instance = instance(tier, echo_module(&["f32", "f64"]));
    let all = instance.func::<fn(f32, f64) -> (f32, f64)>("relay").expect("relay");
    let singles = [0.0, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 2.0, f32::NAN, -f32::NAN];
    let doubles = [-0.0, 0.0, f64::NEG_INFINITY, f64::MIN_POSITIVE / 2.0, -f64::NAN, f64::NAN];
    for (single, double) in singles.into_iter().zip(doubles) {
        let (a, b) = all(single, double).expect("no trap");
        assert_eq!((a.to_bits(), b.to_bits()), (single.to_bits(), double.to_bits()));
    }
}

/// More than the typed interface has: only dynamic calls get there.
fn signatures_beyond_twelve(tier: Tier) {
    const COUNT: u64 = 40;
    let types: Vec<_> = (0..COUNT).map(|i| ["i32", "f64", "i64", "f32"][i as usize % 4]).collect();
    let instance = instance(tier, echo_module(&types));
    let sample = |i: u64| match i % 4 {
        0 => i32::sample(i).into(),
        1 => f64::sample(i).into(),
        2 => i64::sample(i).into(),
        _ => Value::from(f32::sample(i)),
    };
    let values: Vec<Value> = (0..COUNT).map(sample).collect();
    for name in ["all", "relay"] {
        assert_eq!(results(&instance.dyn_func(name).expect(name), &values), values);
    }
    for k in 0..COUNT as usize {
        let pick = instance.dyn_func(&format!("pick_relay{k}")).expect("a function");
        assert_eq!(results(&pick, &values), [values[k].clone()]);
    }
}

fn unknown_exports_name_what_there_is(tier: Tier) {
    let one = instance(tier, r#"(module (func (export "here")) (func (export "there")))"#);
    let error = one.func::<fn()>("where").err().expect("no such export");
    let expected = ExportError::Unknown {
        name: "where".to_string(),
        kind: "function",
        known: vec!["here".to_string(), "there".to_string()],
    };
    assert_eq!(error, expected);
    assert_eq!(one.dyn_func("where").err(), Some(expected));
    let text = error.to_string();
    assert!(["`where`", "`here`", "`there`"].iter().all(|part| text.contains(part)), "{text}");

    let none = instance(tier, "(module)");
    let text = none.dyn_func("f").expect_err("no such export").to_string();
    assert_eq!(text, "no export `f`: the module exports no function");

    let many: String = (0..100).map(|i| format!("(func (export \"f{i}\"))")).collect();
    let error = instance(tier, format!("(module {many})")).dyn_func("g").err();
    let text = error.expect("no such export").to_string();
    assert!(text.contains("`f0`") && text.contains("more"), "{text}");
    assert!(text.len() < 400 && !text.contains("`f99`"), "{text}");
}

fn wrong_signatures_name_both(tier: Tier) {
    let instance = instance(
        tier,
        r#"(module (func (export "f") (param i32 f64) (result i64)
        i64.const 0))"#,
    );
    fn message(error: Option<ExportError>, asked: &str) {
        let expected = ExportError::Signature {
            name: "f".to_string(),
            expected: asked.to_string(),
            actual: "(i32, f64) -> i64".to_string(),
        };
        let error = error.expect("the signature is another");
        assert_eq!(error, expected);
        assert_eq!(
            error.to_string(),
            format!("export `f` has the signature (i32, f64) -> i64, not {asked}")
        );
    }
    message(instance.func::<fn(i32) -> i64>("f").err(), "(i32) -> i64");
    message(instance.func::<fn(i32, f64, i32) -> i64>("f").err(), "(i32, f64, i32) -> i64");
    message(instance.func::<fn(f64, i32) -> i64>("f").err(), "(f64, i32) -> i64");
    message(instance.func::<fn(i32, f32) -> i64>("f").err(), "(i32, f32) -> i64");
    message(instance.func::<fn(i32, f64)>("f").err(), "(i32, f64) -> ()");
    message(instance.func::<fn(i32, f64) -> i32>("f").err(), "(i32, f64) -> i32");
    message(instance.func::<fn(i32, f64) -> (i64, i64)>("f").err(), "(i32, f64) -> (i64, i64)");
    message(instance.typed_func::<fn()>("f").err(), "() -> ()");
    let unsigned = instance.func::<fn(u32, f64) -> u64>("f").expect("the same types");
    assert_eq!(unsigned(1, 1.0).expect("no trap"), 0);
}

fn arguments_that_do_not_fit_are_refused(tier: Tier) {
    let instance = instance(
        tier,
        r#"(module (func (export "f") (param i32 f64) (result i64)
        i64.const 7))"#,
    );
    let f = instance.dyn_func("f").expect("f");
    let message = |arguments: &[Value]| match f.call(arguments) {
        Err(Error::Arguments(error)) => error.to_string(),
        other => panic!("{arguments:?} should be refused, and gave {other:?}"),
    };
    let text = message(&[]);
    assert!(text.contains('0') && text.contains('2') && text.contains("(i32, f64)"), "{text}");
    let text = message(&[Value::I32(1), Value::F64(1.0), Value::I32(1)]);
    assert!(text.contains('3') && text.contains('2'), "{text}");
    let text = message(&[Value::I32(1), Value::F32(1.0)]);
    assert!(text.contains("argument 2") && text.contains("f32") && text.contains("f64"), "{text}");
    let text = message(&[Value::I64(1), Value::F64(1.0)]);
    assert!(text.contains("argument 1") && text.contains("i64") && text.contains("i32"), "{text}");
    assert_eq!(results(&f, &[Value::I32(1), Value::F64(1.0)]), [Value::I64(7)]);
}

fn imports_are_missing(tier: Tier) {
    let text = r#"(module (import "env" "log" (func (param i32 i64) (result f32))))"#;
    let module = module(tier, text);
    let error = Instance::new(&module, &Imports::none()).expect_err("an import is missing");
    let LinkError::MissingImport { module, name, expected } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((module.as_str(), name.as_str()), ("env", "log"));
    assert!(expected.contains("(i32, i64) -> f32"), "{expected}");
    let text = error.to_string();
    assert!(text.contains("`env`") && text.contains("`log`"), "{text}");
}

/// The only effect that a guest can have so far is to trap.
fn start_functions_run(tier: Tier) {
    let text = r#"(module (start $main)
        (func $main (call $deeper (i32.const 7)))
        (func $deeper (param i32) (drop (i32.div_u (local.get 0) (i32.const 0))))
        (func (export "f")))"#;
    let module = module(tier, text);
    for _ in 0..3 {
        let error = Instance::new(&module, &Imports::none()).expect_err("the start function traps");
        let LinkError::Start(trap) = &error else { panic!("{error:?}") };
        assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
        let names: Vec<_> = trap.backtrace().iter().map(|frame| frame.name()).collect();
        assert_eq!(names, [Some("deeper"), Some("main")]);
        assert!(error.to_string().contains("integer divide by zero"), "{error}");
        let source = std::error::Error::source(&error).expect("the trap is the source");
        assert_eq!(source.to_string(), trap.to_string());
    }
    let quiet = common::module(tier, "(module (start 0) (func) (func (export \"f\")))");
    instantiate(&quiet).func::<fn()>("f").expect("f")().expect("no trap");
}

fn names_come_from_the_name_section_or_the_exports(tier: Tier) {
    let text = r#"(module
        (func $named (export "exported") unreachable)
        (func (export "first") (export "second") unreachable)
        (func unreachable)
        (func (export "caller") call 2))"#;
    let instance = instance(tier, text);
    let name_and_index = |export: &str| {
        let trap = trap(&instance.dyn_func(export).expect(export), &[]);
        let frame = &trap.backtrace()[0];
        (frame.name().map(str::to_string), frame.function(), trap.to_string())
    };
    let (name, index, text) = name_and_index("exported");
    assert_eq!((name.as_deref(), index), (Some("named"), 0));
    assert!(text.contains("named (function 0)") && text.contains("unreachable"), "{text}");
    let (name, index, _) = name_and_index("second");
    assert_eq!((name.as_deref(), index), (Some("first"), 1));
    let (name, index, text) = name_and_index("caller");
    assert_eq!((name, index), (None, 2));
    assert!(text.contains("in function 2"), "{text}");
}

fn names_may_be_any_text(tier: Tier) {
    let names = ["", " ", "\u{0}", "naïve", "日本語", "a\"b", "💥", "memcpy", "malloc"];
    let escape = |name: &str| -> String { name.bytes().map(|b| format!("\\{b:02x}")).collect() };
    let functions: String = names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("(func (export \"{}\") (result i32) i32.const {i})", escape(name)))
        .collect();
    let module = module(tier, format!("(module {functions})"));
    let found: Vec<_> = module.exported_functions().map(|export| export.name()).collect();
    assert_eq!(found, names);
    let instance = instantiate(&module);
    for (i, name) in names.iter().enumerate() {
        let f = instance.func::<fn() -> u32>(name).expect(name);
        assert_eq!(f().expect("no trap"), i as u32);
    }
}

fn exports_are_listed_in_order_with_their_types(tier: Tier) {
    let text = r#"(module
        (type $unused (func (param f32)))
        (func $b (param i32) (result i32) local.get 0)
        (func $a (param i64 f32) (result f64 i32) f64.const 1 i32.const 2)
        (export "z" (func $a)) (export "y" (func $b)) (export "x" (func $a)))"#;
    let module = module(tier, text);
    let listed: Vec<_> = module
        .exported_functions()
        .map(|export| (export.name(), export.index(), export.ty().to_string()))
        .collect();
    let (a, b) = ("(i64, f32) -> (f64, i32)".to_string(), "(i32) -> i32".to_string());
    assert_eq!(listed, [("z", 1, a.clone()), ("y", 0, b), ("x", 1, a)]);
    let ty = instantiate(&module).dyn_func("z").expect("z").ty().clone();
    assert_eq!(ty, FuncType::new([ValType::I64, ValType::F32], [ValType::F64, ValType::I32]));
    assert!(module.code(0).is_some_and(|code| !code.is_empty()));
    assert!(module.code(1).is_some() && module.code(2).is_none());
}

fn modules_without_functions(tier: Tier) {
    for text in ["(module)", "(module (type (func (param i32))))"] {
        let module = module(tier, text);
        assert_eq!(module.exported_functions().count(), 0);
        assert!(module.code(0).is_none());
        let instance = instantiate(&module);
        assert!(matches!(instance.dyn_func(""), Err(ExportError::Unknown { .. })));
    }
    assert!(Module::with_engine(engine(tier), b"\0asm\x01\0\0\0").is_ok());
}

fn several_types_in_one_module(tier: Tier) {
    let text = r#"(module
        (func $sub (param i32 i64) (result i64) (i64.sub (i64.extend_i32_s (local.get 0)) (local.get 1)))
        (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
        (func (export "f") (param i64 i32) (result i64)
            (local $x i64)
            (call $swap (local.get 1) (local.get 0))
            (drop) (local.set $x)
            (call $sub (local.get 1) (local.get $x)))
        (func (export "nothing") (param i32)))"#;
    let instance = instance(tier, text);
    let f = instance.func::<fn(i64, i32) -> i64>("f").expect("f");
    assert_eq!(f(100, -7).expect("no trap"), -107);
    instance.func::<fn(i32)>("nothing").expect("nothing")(1).expect("no trap");
}

fn handles_outlive_what_they_came_from(tier: Tier) {
    let engine = Engine::new(tier).expect("an engine");
    let text = r#"(module (func $f (export "f") (param i32) (result i32)
        (i32.div_s (i32.const 100) (local.get 0))))"#;
    let module = Module::with_engine(&engine, text).expect("a module");
    let instance = instantiate(&module);
    let closure = instance.func::<fn(i32) -> i32>("f").expect("f");
    let typed = instance.typed_func::<fn(i32) -> i32>("f").expect("f");
    let dynamic = instance.dyn_func("f").expect("f");
    drop((instance, module, engine));
    // What was freed too early would be overwritten by these.
    for i in 0..50 {
        common::instance(tier, format!("(module (func (result i32) i32.const {i}))"));
    }
    assert_eq!(closure(7).expect("no trap"), 14);
    assert_eq!(typed.clone().call(-3).expect("no trap"), -33);
    drop((closure, typed));
    assert_eq!(results(&dynamic.clone(), &[Value::I32(50)]), [Value::I32(2)]);
    assert_eq!(trap(&dynamic, &[Value::I32(0)]).backtrace()[0].name(), Some("f"));
}

fn clones_are_the_same_thing(tier: Tier) {
    let text = r#"(module (func (export "f") (result i32) i32.const 3))"#;
    let module = module(tier, text);
    let code = module.code(0).expect("code").as_ptr();
    let clone = module.clone();
    assert_eq!(clone.code(0).expect("code").as_ptr(), code);
    drop(module);
    let instance = instantiate(&clone).clone();
    assert_eq!(instance.module().code(0).expect("code").as_ptr(), code);
    assert_eq!(instance.module().engine().tier(), tier);
    drop(clone);
    assert_eq!(instance.func::<fn() -> i32>("f").expect("f")().expect("no trap"), 3);
}

/// Closures are ordinary values: in collections, behind references, called from generic code.
fn closures_are_ordinary_values(tier: Tier) {
    fn sum(f: impl Fn(i64) -> i64, up_to: i64) -> i64 {
        (0..up_to).map(f).sum()
    }
    let instance = instance(tier, common::fixture("add4"));
    let mut closures = Vec::new();
    for _ in 0..3 {
        closures.push(instance.func::<fn(i64) -> i64>("add4").expect("add4"));
    }
    drop(instance);
    for add4 in &closures {
        assert_eq!(sum(|x| add4(x).expect("no trap"), 10), 45 + 40);
    }
    let add4 = closures.swap_remove(1);
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| add4(1).expect("no trap")));
    assert_eq!(caught.expect("no panic"), 5);
}

fn debug_forms_say_what_it_is(tier: Tier) {
    let instance = instance(tier, common::fixture("add4"));
    let typed = instance.typed_func::<fn(i64) -> i64>("add4").expect("add4");
    let dynamic: Func = instance.dyn_func("add4").expect("add4");
    assert_eq!(format!("{typed:?}"), "TypedFunc((i64) -> i64)");
    assert!(format!("{dynamic:?}").contains("Func"));
    assert!(format!("{instance:?}").contains("Instance"));
    assert!(format!("{:?}", instance.module()).contains("functions: 1"));
    assert!(format!("{:?}", engine(tier)).to_lowercase().contains(&tier.to_string()));
}

fn engines_know_their_tier_and_timings(tier: Tier) {
    assert_eq!(engine(tier).tier(), tier);
    assert_eq!(tier.to_string().parse(), Ok(tier));
    let text = common::fixture("fib");
    assert!(module(tier, text).timings().is_none());
    let timed = Engine::builder().tier(tier).timings(true).build().expect("an engine");
    let module = Module::with_engine(&timed, text).expect("a module");
    let timings = module.timings().expect("timings were asked for");
    assert!(!timings.parse.is_zero() && !timings.compile.is_zero(), "{timings:?}");
}

/// What is compiled for the least processor gives the same results.
fn portable_code_counts_bits_as_well(tier: Tier) {
    let text = r#"(module (func (export "f") (param i64) (result i64 i64 i64)
        (i64.popcnt (local.get 0)) (i64.clz (local.get 0)) (i64.ctz (local.get 0))))"#;
    let portable = Engine::builder().tier(tier).portable_code().build().expect("an engine");
    for engine in [&portable, engine(tier)] {
        let module = Module::with_engine(engine, text).expect("a module");
        let f = instantiate(&module).func::<fn(u64) -> (u64, u64, u64)>("f").expect("f");
        for x in [0, 1, u64::MAX, 1 << 63, 0x00f0_0000_0001_0000] {
            let [ones, leading, trailing] = [x.count_ones(), x.leading_zeros(), x.trailing_zeros()];
            let expected = (u64::from(ones), u64::from(leading), u64::from(trailing));
            assert_eq!(f(x).expect("no trap"), expected, "{x:#x}");
        }
    }
}

fn errors_convert_into_one(tier: Tier) {
    fn run(tier: Tier, text: &str, name: &str) -> Result<i32, Error> {
        let module = Module::with_engine(engine(tier), text)?;
        let instance = Instance::new(&module, &Imports::none())?;
        Ok(instance.func::<fn() -> i32>(name)?()?)
    }
    let good = r#"(module (func (export "f") (result i32) i32.const 9))"#;
    assert_eq!(run(tier, good, "f").expect("no error"), 9);
    assert!(matches!(run(tier, "(nonsense)", "f"), Err(Error::Load(_))));
    assert!(matches!(run(tier, good, "g"), Err(Error::Export(_))));
    let traps = r#"(module (func (export "f") (result i32) unreachable))"#;
    assert!(matches!(run(tier, traps, "f"), Err(Error::Trap(_))));
    let start = r#"(module (start 0) (func unreachable))"#;
    assert!(matches!(run(tier, start, "f"), Err(Error::Link(LinkError::Start(_)))));
    assert!(load_error(tier, "(nonsense)").to_string().contains("nonsense"));
}

on_each_tier!(
    arguments_and_results_of_signed_integers,
    arguments_and_results_of_unsigned_integers,
    arguments_and_results_of_floats,
    arguments_and_results_of_mixed_types,
    upper_halves_do_not_leak,
    infinite_and_zero_floats_keep_their_bits,
    signatures_beyond_twelve,
    unknown_exports_name_what_there_is,
    wrong_signatures_name_both,
    arguments_that_do_not_fit_are_refused,
    imports_are_missing,
    start_functions_run,
    names_come_from_the_name_section_or_the_exports,
    names_may_be_any_text,
    exports_are_listed_in_order_with_their_types,
    modules_without_functions,
    several_types_in_one_module,
    handles_outlive_what_they_came_from,
    clones_are_the_same_thing,
    closures_are_ordinary_values,
    debug_forms_say_what_it_is,
    engines_know_their_tier_and_timings,
    portable_code_counts_bits_as_well,
    errors_convert_into_one,
);

/// Which traits the handles have, decided by the compiler: a type that lacks the trait makes one
/// call possible, a type that has it makes two, which is ambiguous.
mod traits {
    use super::*;

    const fn shared<T: Send + Sync + Clone + 'static>() {}
    const _: () = shared::<Module>();
    const _: () = shared::<Engine>();
    const fn sent<T: Send + Sync + std::error::Error + 'static>() {}
    const _: () = sent::<Error>();
    const _: () = sent::<wasm_mini::Trap>();

    trait Ambiguous<A> {
        const CHECKED: () = ();
    }
    impl<T: ?Sized> Ambiguous<()> for T {}

    struct IsSend;
    impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
    struct IsSync;
    impl<T: ?Sized + Sync> Ambiguous<IsSync> for T {}

    /// Does not compile if the type is `Send` or `Sync`.
    macro_rules! stays_on_its_thread {
        ($($ty:ty),*) => { $(const _: () = <$ty as Ambiguous<_>>::CHECKED;)* };
    }
    stays_on_its_thread!(
        Instance,
        Func,
        TypedFunc<fn(i64) -> i64>,
        <fn(i64) -> i64 as wasm_mini::WasmFn>::Closure
    );
}

#[test]
fn the_shared_engine_is_shared() {
    let shared = Engine::shared().expect("an engine");
    assert_eq!(shared.tier(), Tier::default());
    assert!(std::ptr::eq(shared, Engine::shared().expect("an engine")));
    let module = Module::new(common::fixture("add4")).expect("a module");
    assert_eq!(module.engine().tier(), Tier::default());
    let sum = thread::spawn(move || {
        let add4 = instantiate(&module).func::<fn(i64) -> i64>("add4").expect("add4");
        add4(2).expect("no trap")
    });
    assert_eq!(sum.join().expect("no panic"), 6);
}

#[test]
fn tiers_that_do_not_exist_are_refused() {
    for name in ["", "Baseline", "llvm"] {
        let error = name.parse::<Tier>().expect_err(name);
        assert!(error.contains("`baseline`") && error.contains("`cranelift`"), "{error}");
    }
    for tier in [Tier::Baseline, Tier::Cranelift] {
        let built = Engine::new(tier);
        assert_eq!(built.is_ok(), Tier::available().contains(&tier));
        if let Err(error) = built {
            assert!(error.to_string().contains(&format!("feature `{tier}`")), "{error}");
        }
    }
}
