//! The modules that are measured: the fixtures, the kernels, generated ones, and whatever real ones
//! have been fetched.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// A fixture's name and binary.
pub struct Fixture {
    pub name: &'static str,
    pub binary: Vec<u8>,
}

macro_rules! fixtures {
    ($($name:literal)*) => {
        /// All fixtures that are measured.
        pub fn fixtures() -> Vec<Fixture> {
            vec![$(Fixture {
                name: $name,
                binary: binary(include_str!(concat!("../../../fixtures/", $name, ".wat"))),
            }),*]
        }
    };
}

fixtures!("add4" "fac" "fib" "gcd" "collatz" "is_prime");

/// A program of `benches/kernels`: it exports `run: (i32) -> i64`, which does work that grows with its
/// argument and returns a checksum. Each call starts anew.
pub struct Kernel {
    pub name: &'static str,
    /// So that a call takes some milliseconds.
    pub n: i32,
    pub text: &'static str,
}

macro_rules! kernels {
    ($($name:literal $n:literal)*) => {
        pub const KERNELS: &[Kernel] = &[$(Kernel {
            name: $name,
            n: $n,
            text: include_str!(concat!("../../kernels/", $name, ".wat")),
        }),*];
    };
}

kernels! {
    "fib" 30
    "sieve" 1_000_000
    "matmul" 160
    "nbody" 100_000
    "call_indirect" 1_000_000
    "interpreter" 150_000
    "sha256" 12_000
    "copy_loop" 1_200
    "copy_small" 400_000
    "copy_large" 120_000
    "simd_saxpy" 3_000
    "simd_text" 2_000
    "quicksort" 50_000
    "heapsort" 30_000
    "hashmap" 12
    "tree" 30_000
    "lz" 300_000
    "crc32" 1_000_000
    "base64" 900_000
    "search" 900_000
    "levenshtein" 1_200
    "tokenizer" 12_000
    "life" 30
    "queens" 10
    "twister" 500_000
    "xorshift" 1_500_000
    "bigint" 1_200
    "mandelbrot" 200
    "lu" 240
    "fft" 15
    "fft_small" 25
    "blur" 12
}

/// A module of somebody else's, from `benches/modules`.
pub struct Real {
    pub name: String,
    pub path: PathBuf,
    pub binary: Vec<u8>,
}

/// What `benches/fetch-modules.sh` has brought, the smallest first.
pub fn real(crate_dir: &Path) -> io::Result<Vec<Real>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(crate_dir.join("../modules"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Real { name, binary: std::fs::read(&path)?, path });
        }
    }
    found.sort_by_key(|real| real.binary.len());
    Ok(found)
}

/// The fixture of that name.
pub fn fixture(name: &str) -> Vec<u8> {
    let found = fixtures().into_iter().find(|fixture| fixture.name == name);
    found.unwrap_or_else(|| panic!("{name} is a fixture")).binary
}

pub fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is well-formed")
}

/// 100 exported functions of one line, each adding another constant.
pub fn hundred() -> Vec<u8> {
    let mut text = String::from("(module\n");
    for i in 0..100 {
        let _ = writeln!(
            text,
            "(func (export \"add{i}\") (param i32) (result i32) \
             (i32.add (local.get 0) (i32.const {i})))"
        );
    }
    binary(&(text + ")"))
}

/// `functions` functions of integer code: loops, branches, arithmetic on locals, calls of earlier
/// functions. Always the same, from a fixed seed.
pub fn large(functions: u32) -> Vec<u8> {
    let mut text = String::from("(module\n");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for function in 0..functions {
        Generator { text: &mut text, random: &mut random, function }.function();
    }
    binary(&(text + ")"))
}

/// The bytes of a module's code section.
pub fn code_section_len(binary: &[u8]) -> usize {
    wasmparser::Parser::new(0)
        .parse_all(binary)
        .find_map(|payload| match payload {
            Ok(wasmparser::Payload::CodeSectionStart { unchecked_range: range, .. }) => {
                Some((range.end - range.start) as usize)
            }
            _ => None,
        })
        .expect("the module has code")
}

/// How many functions a module imports, and how many it defines.
pub fn function_counts(binary: &[u8]) -> (u32, u32) {
    use wasmparser::{Payload, TypeRef};
    let (mut imported, mut defined) = (0, 0);
    for payload in wasmparser::Parser::new(0).parse_all(binary) {
        match payload.expect("a valid module") {
            Payload::ImportSection(imports) => {
                let imports = imports.into_imports().map(|import| import.expect("valid").ty);
                imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count() as u32;
            }
            Payload::FunctionSection(functions) => defined = functions.count(),
            _ => {}
        }
    }
    (imported, defined)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Writes one function `(param i32 i32 i64) (result i32)` with locals of both widths.
struct Generator<'a> {
    text: &'a mut String,
    random: &'a mut Random,
    function: u32,
}

const I32_LOCALS: [u32; 5] = [0, 1, 3, 4, 5];
const I64_LOCALS: [u32; 3] = [2, 6, 7];

impl Generator<'_> {
    fn function(&mut self) {
        let function = self.function;
        // One way in is enough: the engines differ in what an exported function costs.
        let export = if function == 0 { "(export \"first\") " } else { "" };
        let _ = writeln!(
            self.text,
            "(func $f{function} {export}(param i32 i32 i64) (result i32)\n\
             (local i32 i32 i32 i64 i64 i32 i32)"
        );
        for _ in 0..3 + self.random.below(4) {
            self.statement(0);
        }
        let result = self.i32(2);
        let _ = writeln!(self.text, "{result})");
    }

    fn statement(&mut self, depth: u32) {
        match self.random.below(10) {
            0 | 1 if depth < 2 => self.counted_loop(depth),
            2 if depth < 3 => {
                let condition = self.i32(1);
                let _ = writeln!(self.text, "(if {condition} (then");
                self.statement(depth + 1);
                self.text.push_str(") (else\n");
                self.statement(depth + 1);
                self.text.push_str("))\n");
            }
            3 | 4 => {
                let (local, value) = (self.random.of(&I64_LOCALS), self.i64(2));
                let _ = writeln!(self.text, "(local.set {local} {value})");
            }
            _ => {
                let (local, value) = (self.random.of(&I32_LOCALS), self.i32(3));
                let _ = writeln!(self.text, "(local.set {local} {value})");
            }
        }
    }

    /// A loop over local 8 or 9 whose body never writes its counter.
    fn counted_loop(&mut self, depth: u32) {
        let (counter, count) = (8 + depth, 1 + self.random.below(20));
        let _ = writeln!(self.text, "(local.set {counter} (i32.const {count})) (loop $l{depth}");
        for _ in 0..1 + self.random.below(3) {
            self.statement(depth + 1);
        }
        let _ = writeln!(
            self.text,
            "(br_if $l{depth} (local.tee {counter} \
             (i32.sub (local.get {counter}) (i32.const 1)))))"
        );
    }

    fn i32(&mut self, depth: u32) -> String {
        if depth == 0 || self.random.below(5) == 0 {
            return match self.random.below(3) {
                0 => format!("(i32.const {})", self.random.below(1 << 12)),
                _ => format!("(local.get {})", self.random.of(&I32_LOCALS)),
            };
        }
        match self.random.below(20) {
            0 if self.function > 0 => {
                let callee = self.random.below(self.function.into());
                let (a, b, c) = (self.i32(depth - 1), self.i32(depth - 1), self.i64(depth - 1));
                format!("(call $f{callee} {a} {b} {c})")
            }
            1 => {
                let operator = self.random.of(&["lt_s", "gt_u", "eq", "ne", "ge_s"]);
                format!("(i64.{operator} {} {})", self.i64(depth - 1), self.i64(depth - 1))
            }
            2 | 3 => {
                let operator = self.random.of(&["lt_s", "gt_u", "eq", "ne", "ge_s"]);
                format!("(i32.{operator} {} {})", self.i32(depth - 1), self.i32(depth - 1))
            }
            4 => format!("(i32.wrap_i64 {})", self.i64(depth - 1)),
            5 => format!("(i32.eqz {})", self.i32(depth - 1)),
            6 => {
                let (a, b, c) = (self.i32(depth - 1), self.i32(depth - 1), self.i32(depth - 1));
                format!("(select {a} {b} {c})")
            }
            _ => {
                let operator = self.random.of(&[
                    "add", "add", "add", "sub", "sub", "mul", "and", "and", "or", "xor", "shl",
                    "shr_u", "shr_s",
                ]);
                format!("(i32.{operator} {} {})", self.i32(depth - 1), self.i32(depth - 1))
            }
        }
    }

    fn i64(&mut self, depth: u32) -> String {
        if depth == 0 || self.random.below(5) == 0 {
            return match self.random.below(3) {
                0 => format!("(i64.const {})", self.random.below(1 << 20)),
                _ => format!("(local.get {})", self.random.of(&I64_LOCALS)),
            };
        }
        match self.random.below(8) {
            0 => format!("(i64.extend_i32_u {})", self.i32(depth - 1)),
            1 => format!("(i64.extend_i32_s {})", self.i32(depth - 1)),
            _ => {
                let operator =
                    self.random.of(&["add", "add", "sub", "mul", "and", "xor", "shl", "shr_u"]);
                format!("(i64.{operator} {} {})", self.i64(depth - 1), self.i64(depth - 1))
            }
        }
    }
}
