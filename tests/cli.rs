//! The command `wasm-mini`, driven as a user would: output, messages and exit codes.
//!
//! Owns the promises of `--help`. No time is asserted, and nothing that depends on which bytes a
//! tier emits, except that there are some.

#![cfg(all(feature = "cli", feature = "baseline", feature = "cranelift"))]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The command's exit codes, as `--help` lists them.
const TRAP: i32 = 1;
const USAGE: i32 = 2;
const FILE: i32 = 3;
const MODULE: i32 = 4;
const LINK: i32 = 5;
const DISAGREEMENT: i32 = 6;

const TIERS: [&str; 2] = ["baseline", "cranelift"];

/// How one run of the command ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// It succeeded, silently, with this output.
    #[track_caller]
    fn prints(&self, stdout: &str) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        assert_eq!(self.stdout, stdout);
    }

    /// It failed with this code and one error, which says all of this; nothing is on stdout.
    #[track_caller]
    fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        self.says(says);
    }

    #[track_caller]
    fn says(&self, says: &[&str]) {
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for part in says {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
    }
}

fn wasm_mini(args: &[&str]) -> Ran {
    with_stdin(args, b"")
}

fn with_stdin(args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasm-mini"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut pipe = child.stdin.take().expect("stdin is a pipe");
    // One that does not read its stdin may be gone already.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes| String::from_utf8(bytes).expect("the command prints text");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    path.to_str().expect("the path is text").to_string()
}

/// Files for one test.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a temporary directory"))
    }

    fn add(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path.to_str().expect("the path is text").to_string()
    }
}

/// Runs a module's text with these arguments behind FILE.
fn run_text(wat: &str, args: &[&str]) -> Ran {
    let all: Vec<&str> = ["run", "-"].iter().chain(args).copied().collect();
    with_stdin(&all, wat.as_bytes())
}

/// A module whose sole function returns its argument.
fn identity(ty: &str) -> String {
    format!("(module (func (export \"id\") (param {ty}) (result {ty}) local.get 0))")
}

#[test]
fn fixtures_compute_what_they_say_on_both_tiers() {
    for (name, args, expected) in [
        ("add4", &["2"][..], "6"),
        ("add4", &["-5"], "-1"),
        ("fib", &["20"], "6765"),
        ("fac", &["20"], "2432902008176640000"),
        ("gcd", &["48", "18"], "6"),
        ("gcd", &["0", "0"], "0"),
        ("collatz", &["27"], "111"),
        ("is_prime", &["2147483647"], "1"),
        ("is_prime", &["0xffffffff"], "0"),
        ("is_prime", &["1"], "0"),
        ("is_prime", &["4"], "0"),
    ] {
        let file = fixture(&format!("{name}.wat"));
        for tier in TIERS {
            let all: Vec<&str> =
                ["run", "--tier", tier, &file].iter().chain(args).copied().collect();
            wasm_mini(&all).prints(&format!("{expected}\n"));
        }
    }
}

#[test]
fn add4_is_four_sections_and_nothing_else() {
    let wasm = wat::parse_file(fixture("add4.wat")).expect("the fixture is a module");
    assert_eq!(wasm.len(), 41);
}

#[test]
fn modules_come_as_text_or_binary_from_a_file_or_stdin() {
    let files = Files::new();
    let text = std::fs::read(fixture("add4.wat")).expect("the fixture is there");
    let binary = wat::parse_bytes(&text).expect("the fixture is a module").into_owned();
    wasm_mini(&["run", &files.add("add4.wasm", &binary), "2"]).prints("6\n");
    with_stdin(&["run", "-", "2"], &text).prints("6\n");
    with_stdin(&["run", "-", "2"], &binary).prints("6\n");
}

#[test]
fn options_may_stand_behind_the_arguments() {
    let add4 = fixture("add4.wat");
    wasm_mini(&["run", &add4, "2", "--tier", "baseline"]).prints("6\n");
    wasm_mini(&["run", &add4, "-2", "--invoke", "add4"]).prints("2\n");
    wasm_mini(&["run", "-i", "add4", &add4, "-2"]).prints("2\n");
    wasm_mini(&["run", &add4, "--", "-2"]).prints("2\n");
    run_text(&identity("f32"), &["-inf", "-i", "id"]).prints("-inf\n");
}

#[test]
fn integers_are_read_as_the_text_format_writes_them() {
    for (ty, given, printed) in [
        ("i32", "0xffffffff", "-1"),
        ("i32", "4294967295", "-1"),
        ("i32", "-0x80000000", "-2147483648"),
        ("i32", "+1_000", "1000"),
        ("i64", "-0x10", "-16"),
        ("i64", "18446744073709551615", "-1"),
        ("i64", "0xDEAD_BEEF", "3735928559"),
        ("i64", "-9223372036854775808", "-9223372036854775808"),
    ] {
        run_text(&identity(ty), &[given]).prints(&format!("{printed}\n"));
    }
}

#[test]
fn floats_print_so_that_they_read_back() {
    for (ty, given, printed) in [
        ("f64", "0.1", "0.1"),
        ("f64", "4", "4"),
        ("f64", "-0", "-0"),
        ("f64", "-.5", "-0.5"),
        ("f64", "1e300", "1e300"),
        ("f64", "0x1.8p3", "12"),
        ("f64", "-0x1p-1074", "-5e-324"),
        ("f64", "inf", "inf"),
        ("f64", "-inf", "-inf"),
        ("f64", "nan", "nan"),
        ("f64", "-nan", "-nan"),
        ("f64", "nan:0x8000000000001", "nan:0x8000000000001"),
        ("f32", "0.1", "0.1"),
        ("f32", "16777217", "16777216"),
        ("f32", "-nan:0x400001", "-nan:0x400001"),
    ] {
        for tier in TIERS {
            let ran = run_text(&identity(ty), &["--tier", tier, given]);
            ran.prints(&format!("{printed}\n"));
        }
    }
}

#[test]
fn each_result_has_its_line() {
    let swap = "(module (func (export \"swap\") (param i32 f64) (result f64 i32)
        local.get 1 local.get 0))";
    run_text(swap, &["7", "0.5"]).prints("0.5\n7\n");
    run_text("(module (func (export \"nothing\")))", &[]).prints("");
}

#[test]
fn wrong_arguments_are_named() {
    let add4 = fixture("add4.wat");
    wasm_mini(&["run", &add4]).fails(USAGE, &["`add4`", "(i64) -> i64", "1 argument", "0 were"]);
    wasm_mini(&["run", &add4, "1", "2"]).fails(USAGE, &["takes 1 argument,", "2 were given"]);
    wasm_mini(&["run", &add4, "2.5"]).fails(USAGE, &["argument 1 of `add4`", "i64", "`2.5`"]);
    wasm_mini(&["run", &add4, "-inf"]).fails(USAGE, &["argument 1", "`-inf` is not one"]);
    wasm_mini(&["run", &fixture("gcd.wat"), "1", "0x1_0000_0000_0000_0000"])
        .fails(USAGE, &["argument 2 of `gcd`", "out of its range"]);
    run_text(&identity("f32"), &["1e39"]).fails(USAGE, &["f32", "`1e39` is out of its range"]);
    run_text(&identity("f32"), &["ten"]).fails(USAGE, &["f32", "`ten` is not one"]);
    run_text(&identity("i32"), &["-2147483649"]).fails(USAGE, &["out of its range"]);
    run_text(&identity("i32"), &[""]).fails(USAGE, &["`` is not one"]);
}

#[test]
fn wrong_options_are_usage_errors() {
    let add4 = fixture("add4.wat");
    wasm_mini(&["run", &add4, "2", "--tier", "fast"]).fails(USAGE, &["fast", "`baseline`"]);
    wasm_mini(&["run", &add4, "2", "--fast"]).fails(USAGE, &["--fast"]);
    wasm_mini(&["run"]).fails(USAGE, &["FILE"]);
    wasm_mini(&["walk"]).fails(USAGE, &["walk"]);
    assert_eq!(wasm_mini(&[]).code, Some(USAGE));
}

#[test]
fn help_lists_the_exit_codes() {
    let help = wasm_mini(&["--help"]);
    assert_eq!(help.code, Some(0));
    for code in 0..=7 {
        assert!(help.stdout.contains(&format!("\n  {code}  ")), "{}", help.stdout);
    }
    let help = wasm_mini(&["compare", "--help"]).stdout;
    assert!(help.contains("instruction_count") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let files = Files::new();
    let missing = files.0.path().join("none.wat").to_str().expect("text").to_string();
    wasm_mini(&["run", &missing]).fails(FILE, &["none.wat", "No such file"]);
    wasm_mini(&["run", "/"]).fails(FILE, &["/ cannot be read", "Is a directory"]);
    wasm_mini(&["compare", &missing]).fails(FILE, &["none.wat", "No such file"]);
    wasm_mini(&["compare", &fixture("add4.wat"), "--bytes", &missing])
        .fails(FILE, &["none.wat", "No such file"]);
}

#[test]
fn text_errors_have_file_line_column_and_excerpt() {
    let files = Files::new();
    let file = files.add("bad.wat", "(module\n  (func (export \"f\") i32.plus))\n");
    let place = format!("--> {file}:2:22");
    wasm_mini(&["run", &file]).fails(MODULE, &[&place, "(func (export \"f\") i32.plus))", "^"]);
    run_text("(module", &[]).fails(MODULE, &["<stdin>:1:8"]);
}

#[test]
fn binary_errors_have_their_byte_offset() {
    let truncated = b"\0asm\x01\0\0\0\x01\x05\x01";
    with_stdin(&["run", "-"], truncated).fails(MODULE, &["<stdin>", "byte offset 0x"]);
    with_stdin(&["run", "-"], b"\xff\xfe\xfd").fails(MODULE, &["<stdin>", "not a WebAssembly"]);
    with_stdin(&["run", "-"], b"\0asm").fails(MODULE, &["<stdin>"]);
    let wasm = wat::parse_str("(module (func (result i32) i64.const 1))").expect("it parses");
    let ran = with_stdin(&["run", "-"], &wasm);
    ran.fails(MODULE, &["type mismatch", "byte offset 0x"]);
    assert!(!ran.stderr.contains("binary form"), "{ran:?}");
}

#[test]
fn invalid_text_says_what_its_offset_counts() {
    let ran = run_text("(module (func (export \"f\") (result i32) i64.const 1))", &[]);
    ran.fails(MODULE, &["type mismatch", "byte offset 0x", "in the binary form of this text"]);
}

#[test]
fn the_function_must_be_clear() {
    let two = "(module (func (export \"one\") (param i32)) (func (export \"two\") (result i64)
        i64.const 2))";
    run_text(two, &[]).fails(USAGE, &["--invoke NAME", "one (i32) -> ()", "two () -> i64"]);
    run_text(two, &["--invoke", "two"]).prints("2\n");
    run_text(two, &["-i", "three"]).fails(LINK, &["`three`", "one (i32) -> ()", "two () -> i64"]);
    run_text("(module)", &[]).fails(LINK, &["exports no function"]);
    run_text("(module)", &["-i", "f"]).fails(LINK, &["exports no function"]);
    let ran = with_stdin(&["compare", "-"], two.as_bytes());
    ran.fails(USAGE, &["--function NAME", "two () -> i64"]);
}

#[test]
fn missing_imports_are_link_errors() {
    let imports = "(module (import \"env\" \"log\" (func (param i32))) (func (export \"f\")))";
    run_text(imports, &[]).fails(LINK, &["missing import", "`env` `log`"]);
}

#[test]
fn traps_have_a_code_and_a_backtrace() {
    let divide = "(module
        (func $inner (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
        (func $outer (export \"divide\") (param i32) (result i32)
            (i32.add (call $inner (local.get 0)) (i32.const 1))))";
    for tier in TIERS {
        run_text(divide, &["--tier", tier, "1"]).prints("2\n");
        let ran = run_text(divide, &["--tier", tier, "0"]);
        ran.fails(TRAP, &["wasm trap: integer divide by zero (IntegerDivideByZero)"]);
        ran.says(&["0: inner (function 0) at 0x", "1: outer (function 1) at 0x"]);
    }
    run_text("(module (func (export \"f\") unreachable))", &[]).fails(TRAP, &["unreachable"]);
}

#[test]
fn endless_recursion_is_a_trap() {
    let forever = "(module (func $f (export \"f\") (result i32) (i32.add (call $f) (call $f))))";
    for tier in TIERS {
        run_text(forever, &["--tier", tier]).fails(TRAP, &["call stack exhausted"]);
    }
}

#[test]
fn a_start_function_that_traps_is_a_trap() {
    let start = "(module (func $s unreachable) (start $s) (func (export \"f\")))";
    run_text(start, &[]).fails(TRAP, &["start function", "unreachable"]);
}

#[test]
fn times_go_to_stderr() {
    let ran = wasm_mini(&["run", &fixture("add4.wat"), "2", "--time", "--tier", "baseline"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "6\n"));
    for phase in ["baseline", "parse", "validate", "compile", "link", "publish", "call"] {
        assert!(ran.stderr.contains(phase), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for args in [&["run", &fixture("add4.wat"), "2"][..], &["compare", &fixture("add4.wat")]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasm-mini"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the command ends");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_wasm-mini"))
        .args(["run", &fixture("add4.wat"), "2"])
        .stdout(full)
        .output()
        .expect("the command starts");
    assert_eq!(output.status.code(), Some(FILE));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: the output cannot be"));
}

#[test]
fn compare_shows_three_columns() {
    let ran = wasm_mini(&["compare", &fixture("add4.wat"), "--inputs", "100"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for part in [
        "add4 (i64) -> i64",
        "hand-written",
        "baseline",
        "cranelift",
        "48 83 c0 04  add rax, 4",
        "all columns agree on 191 of 191 edge values and 100 of 100 random inputs",
        "timed: add4(10), through the typed call",
    ] {
        assert!(ran.stdout.contains(part), "`{part}` is not in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\x1b'), "styles are for terminals:\n{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.len() <= 120), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line == line.trim_end()), "{}", ran.stdout);
}

#[test]
fn compare_as_json_has_its_keys() {
    let ran = wasm_mini(&["compare", &fixture("add4.wat"), "--inputs=9", "--seed=3", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert_eq!(json["function"], "add4");
    assert_eq!(json["signature"], "(i64) -> i64");
    assert_eq!(json["agreement"]["random"], 9);
    assert_eq!(json["agreement"]["seed"], 3);
    assert_eq!(json["agreement"]["complete"], true);
    assert!(json["disagreement"].is_null());
    assert_eq!(json["call"]["input"], serde_json::json!(["10"]));
    assert_eq!(json["call"]["via"], "typed");
    let columns = json["columns"].as_array().expect("columns are an array");
    let names: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(names, ["hand-written", "baseline", "cranelift"]);
    assert_eq!(columns[0]["bytes"], "4889f84883c004c3");
    assert_eq!(columns[0]["byte_count"], 8);
    assert_eq!(columns[0]["instruction_count"], 3);
    let second = serde_json::json!({ "offset": 3, "bytes": "4883c004", "text": "add rax, 4" });
    assert_eq!(columns[0]["instructions"][1], second);
    assert!(columns[0]["compile_ns"].is_null());
    for column in &columns[1..] {
        assert!(column["compile_ns"]["median"].is_u64(), "{column}");
        for phase in ["parse", "validate", "compile", "link", "publish", "call"] {
            assert!(column["phases_ns"][phase].is_number(), "{phase}: {column}");
        }
    }
    assert!(columns.iter().all(|column| column["call_ns"].is_f64()), "{columns:?}");
}

#[test]
fn compare_without_hand_written_bytes_has_two_columns() {
    let ran = wasm_mini(&["compare", &fixture("gcd.wat"), "--inputs", "50", "48", "18"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.contains("timed: gcd(48, 18)"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hand-written"), "{}", ran.stdout);
    let text = std::fs::read(fixture("add4.wat")).expect("the fixture is there");
    let ran = with_stdin(&["compare", "-", "--inputs", "5"], &text);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(!ran.stdout.contains("hand-written"), "{}", ran.stdout);
}

#[test]
fn compare_takes_every_kind_of_signature() {
    for (name, signature, body) in [
        ("mixed", "(param i32 f64) (result f64)", "local.get 1"),
        ("three", "(param f32 f32 f32) (result f32)", "(f32.add (local.get 0) (local.get 2))"),
        ("none", "(result i32)", "i32.const 7"),
        ("two", "(param i64) (result i64 i64)", "local.get 0 local.get 0"),
        ("nothing", "", ""),
        ("traps", "(param i32) (result i32)", "unreachable"),
        ("divides", "(param i32 i32) (result i32)", "(i32.div_s (local.get 0) (local.get 1))"),
    ] {
        let wat = format!("(module (func (export \"{name}\") {signature} {body}))");
        let ran = with_stdin(&["compare", "-", "--inputs", "50"], wat.as_bytes());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
        let timed = ran.stdout.contains("\ntimed: ");
        assert_eq!(timed, name != "traps", "{name}:\n{}", ran.stdout);
        let dynamic = ran.stdout.contains("dynamic call");
        assert_eq!(dynamic, ["mixed", "two", "nothing"].contains(&name), "{}", ran.stdout);
    }
}

#[test]
fn compare_gives_up_calls_that_do_not_return() {
    let wat = "(module (func (export \"f\") (param i32) (result i32)
        (loop $l (br_if $l (i32.ge_u (local.get 0) (i32.const 100))))
        (local.get 0)))";
    let ran = with_stdin(&["compare", "-", "--inputs", "10"], wat.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.contains("given up"), "{}", ran.stdout);
    assert!(ran.stdout.contains("timed: f(10)"), "{}", ran.stdout);
}

#[test]
fn compare_names_the_input_that_hand_written_bytes_get_wrong() {
    let files = Files::new();
    let five = files.add("five.hex", "48 8d 47 05 c3");
    let add4 = fixture("add4.wat");
    let ran = wasm_mini(&["compare", &add4, "--bytes", &five]);
    assert_eq!(ran.code, Some(DISAGREEMENT));
    assert!(ran.stdout.contains("lea rax, [rdi+5]"), "{}", ran.stdout);
    ran.says(&["do not agree on add4(10)", "hand-written  15", "cranelift     14"]);

    // 32 bits are enough for the first inputs, and not for all.
    let narrow = files.add("narrow.hex", "8d 47 04 c3 ; lea eax, [rdi+4]");
    let ran = wasm_mini(&["compare", &add4, "--bytes", &narrow, "--json"]);
    assert_eq!(ran.code, Some(DISAGREEMENT));
    ran.says(&["do not agree on add4("]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert!(json["agreement"].is_null() && json["call"].is_null());
    let disagreement = &json["disagreement"];
    assert_eq!(disagreement["said"][0]["column"], "hand-written");
    assert_ne!(disagreement["said"][0]["outcome"], disagreement["said"][1]["outcome"]);
}

#[test]
fn compare_survives_hand_written_bytes_that_crash_or_hang() {
    let files = Files::new();
    let add4 = fixture("add4.wat");
    // A fault in the bytes themselves is caught by the library; one behind a wild jump is not.
    for (name, bytes, end) in [
        ("fault.hex", "31 c0  ; xor eax, eax\n8b 00  ; mov eax, [rax]\nc3", "trap: fault"),
        ("jump.hex", "31 c0  ; xor eax, eax\nff e0  ; jmp rax", "crashed with SIGSEGV"),
    ] {
        let ran = wasm_mini(&["compare", &add4, "--bytes", &files.add(name, bytes)]);
        assert_eq!(ran.code, Some(DISAGREEMENT));
        ran.says(&["add4(10)", &format!("hand-written  {end}")]);
    }
    let hang = files.add("hang.hex", "eb fe  ; here: jmp here");
    wasm_mini(&["compare", &add4, "--bytes", &hang])
        .fails(DISAGREEMENT, &["add4(10) did not return", "hand-written"]);
}

#[test]
fn wrong_hex_files_say_where() {
    let files = Files::new();
    let add4 = fixture("add4.wat");
    for (content, says) in [
        ("48 89 f8\n48 8", "wrong.hex:2:4: half a byte"),
        ("48 89 f8\n  mov", "wrong.hex:2:3: `m` is no hexadecimal digit"),
        ("; nothing\n", "wrong.hex: there are no bytes"),
        ("48 89 f8", "wrong.hex: no instruction ends the function"),
    ] {
        let file = files.add("wrong.hex", content);
        wasm_mini(&["compare", &add4, "--bytes", &file]).fails(MODULE, &[says]);
    }
    let file = files.add("wrong.hex", b"\xff\xff");
    wasm_mini(&["compare", &add4, "--bytes", &file]).fails(MODULE, &["not text"]);
    let file = files.add("wrong.hex", "90 ".repeat(70_000) + "c3");
    wasm_mini(&["compare", &add4, "--bytes", &file]).fails(MODULE, &["70001 bytes"]);
    // A neighbour of the module's name counts, without being named.
    let module = files.add("wrong.wat", std::fs::read(add4).expect("the fixture is there"));
    files.add("wrong.hex", "zz");
    wasm_mini(&["compare", &module]).fails(MODULE, &["wrong.hex:1:1"]);
}

/// Runs the command in a shell, behind something that sets a limit.
fn limited(limit: &str, tier: &str, wat: &str) -> Ran {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(wat.as_bytes()).unwrap();
    let binary = env!("CARGO_BIN_EXE_wasm-mini");
    let command = format!("{limit} && exec {binary} run {} --tier {tier}", file.path().display());
    let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_none_on_code() {
    for tier in TIERS {
        let wat = r#"(module (func (export "f") (result i32) (i32.const 6)))"#;
        limited("ulimit -f 1000", tier, wat).prints("6\n");
    }
}

#[test]
fn endless_recursion_ends_on_a_stack_without_end() {
    for tier in TIERS {
        let wat = r#"(module (func $f (export "f") (result i32)
            (i32.add (call $f) (i32.const 1))))"#;
        let ran = limited("(ulimit -s unlimited || true) && ulimit -s unlimited", tier, wat);
        // Where the hard limit forbids it, the shell says so.
        if !ran.stderr.contains("ulimit") {
            ran.fails(TRAP, &["call stack exhausted"]);
        }
    }
}

#[test]
fn fuel_bounds_what_a_program_executes() {
    let text = "(module (func (export \"f\") (param i32) (result i32)
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 0)))";
    for tier in ["baseline", "cranelift"] {
        // One for the call, five for each iteration, one for the result.
        run_text(text, &["--tier", tier, "--fuel", "502", "100"]).prints("0\n");
        run_text(text, &["--tier", tier, "--fuel", "501", "100"]).fails(1, &["out of fuel"]);
        run_text(text, &["--tier", tier, "--fuel", "x", "100"])
            .fails(2, &["--fuel", "whole number"]);
    }
}

#[test]
fn a_timeout_ends_a_program() {
    let endless = "(module (func (export \"f\") (loop (br 0))))";
    let start = "(module (func $s (loop (br 0))) (start $s) (func (export \"f\")))";
    for tier in ["baseline", "cranelift"] {
        run_text(endless, &["--tier", tier, "--timeout", "20ms"]).fails(1, &["interrupted"]);
        run_text(start, &["--tier", tier, "--timeout", "20ms"]).fails(1, &["interrupted"]);
        run_text("(module (func (export \"f\")))", &["--tier", tier, "--timeout", "1m"])
            .fails(2, &["--timeout", "1.5s"]);
    }
}
