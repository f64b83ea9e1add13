//! Scripts of the WebAssembly test suite (`.wast`), run with this crate's public API.
//!
//! Owns every directive of the script language and the comparison of results, NaN patterns included.
//! Refuses nothing silently: each directive passes, fails, or is skipped with a reason, and all three
//! are in the [`Report`].

use std::collections::HashMap;
use std::fmt;

use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::{F32, F64};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

use crate::{
    Engine, Error, Extern, ExternRef, Imports, Instance, LinkError, LoadError, Module, Trap,
    TrapCode, ValType, Value,
};

/// What became of a script's directives.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many directives did what they should.
    pub passed: usize,
    /// Those that did not.
    pub failed: Vec<Note>,
    /// Those that this engine does not run, with the reason.
    pub skipped: Vec<Note>,
}

/// A directive, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line that the directive starts on, counted from 1.
    pub line: usize,
    /// What happened, or why it was skipped.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.message)
    }
}

/// Runs a script from beginning to end.
///
/// The modules are compiled with that engine. The host module `spectest` is there, as the test suite
/// expects it; what it prints goes nowhere.
///
/// ```
/// let script = r#"
///     (module (func (export "one") (result i32) (i32.const 1)))
///     (assert_return (invoke "one") (i32.const 1))
///     (assert_return (invoke "one") (i32.const 2))"#;
/// let report = wasm_mini::wast::run(script, wasm_mini::Engine::shared().unwrap());
/// assert_eq!((report.passed, report.failed.len()), (2, 1));
/// assert_eq!(report.failed[0].to_string(), "4: result 0 is 1, not I32(2)");
/// ```
#[must_use]
pub fn run(script: &str, engine: &Engine) -> Report {
    let mut report = Report::default();
    let mut lexer = Lexer::new(script);
    // Names in the suite hold characters that could mislead a person; nobody reads them here.
    lexer.allow_confusing_unicode(true);
    let buffer = match ParseBuffer::new_with_lexer(lexer) {
        Ok(buffer) => buffer,
        Err(error) => return unparsable(script, &error),
    };
    let directives = match parser::parse::<Wast<'_>>(&buffer) {
        Ok(wast) => wast.directives,
        Err(error) => return unparsable(script, &error),
    };
    let mut runner = match Runner::new(engine) {
        Ok(runner) => runner,
        Err(error) => {
            report.failed.push(Note { line: 1, message: format!("no `spectest`: {error}") });
            return report;
        }
    };
    for directive in directives {
        let line = directive.span().linecol_in(script).0 + 1;
        match runner.run(directive) {
            Ok(()) => report.passed += 1,
            Err(Outcome::Failed(message)) => report.failed.push(Note { line, message }),
            Err(Outcome::Skipped(message)) => report.skipped.push(Note { line, message }),
        }
    }
    report
}

/// The report on a script that is no script.
fn unparsable(script: &str, error: &wast::Error) -> Report {
    let line = error.span().linecol_in(script).0 + 1;
    let message = format!("the script does not parse: {}", error.message());
    Report { failed: vec![Note { line, message }], ..Report::default() }
}

/// Why a directive did not pass.
enum Outcome {
    Failed(String),
    Skipped(String),
}

impl Outcome {
    fn failed(message: impl Into<String>) -> Outcome {
        Outcome::Failed(message.into())
    }
}

/// What an instantiation, a call or a read of a global ends with.
type Executed = Result<Vec<Value>, Error>;

struct Runner<'e> {
    engine: &'e Engine,
    /// What later modules can import.
    imports: Imports,
    /// The last module that was instantiated; `None` after one that failed.
    current: Option<Instance>,
    instances: HashMap<String, Instance>,
    definitions: HashMap<Option<String>, Module>,
}

impl<'e> Runner<'e> {
    fn new(engine: &'e Engine) -> Result<Runner<'e>, Error> {
        let mut imports = Imports::none();
        spectest(engine, &mut imports)?;
        Ok(Runner {
            engine,
            imports,
            current: None,
            instances: HashMap::new(),
            definitions: HashMap::new(),
        })
    }

    fn run(&mut self, directive: WastDirective<'_>) -> Result<(), Outcome> {
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name().map(|id| id.name().to_string());
                self.current = None;
                let instance = self.instantiate(&mut module)?;
                if let Some(name) = name {
                    self.instances.insert(name, instance.clone());
                }
                self.current = Some(instance);
                Ok(())
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name().map(|id| id.name().to_string());
                let module = self.load(&mut module).map_err(Outcome::Failed)?;
                self.definitions.insert(None, module.clone());
                self.definitions.insert(name, module);
                Ok(())
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let key = module.map(|id| id.name().to_string());
                let module = self.definitions.get(&key).cloned();
                let module = module.ok_or_else(|| Outcome::failed("no such module definition"))?;
                self.current = None;
                let made = Instance::new(&module, &self.imports)
                    .map_err(|error| Outcome::failed(error.to_string()))?;
                if let Some(id) = instance {
                    self.instances.insert(id.name().to_string(), made.clone());
                }
                self.current = Some(made);
                Ok(())
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                self.imports.instance(name, &instance);
                Ok(())
            }
            WastDirective::Invoke(invoke) => {
                self.invoke(&invoke)?.map_err(|error| Outcome::failed(error.to_string()))?;
                Ok(())
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let values = self.execute(exec)?;
                let values = values.map_err(|error| Outcome::failed(error.to_string()))?;
                check_results(&values, &results)
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                check_trap(self.execute(exec)?, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                check_trap(self.invoke(&call)?, message)
            }
            WastDirective::AssertMalformed { mut module, message, .. }
            | WastDirective::AssertInvalid { mut module, message, .. } => {
                let Ok(bytes) = module.encode() else { return Ok(()) };
                match Module::with_engine(self.engine, bytes) {
                    Err(LoadError::Invalid { .. } | LoadError::NotAModule { .. }) => Ok(()),
                    // Text hides in binary form only where the binary is broken.
                    Err(LoadError::Text { .. }) => Ok(()),
                    Err(other) => Err(Outcome::failed(format!(
                        "the module was refused for another reason than `{message}`: {other}"
                    ))),
                    Ok(_) => Err(Outcome::failed(format!(
                        "a module was accepted in spite of: {message}"
                    ))),
                }
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                let module = self.load(&mut QuoteWat::Wat(module)).map_err(Outcome::Failed)?;
                match Instance::new(&module, &self.imports) {
                    Err(LinkError::MissingImport { .. } | LinkError::IncompatibleImport { .. }) => {
                        Ok(())
                    }
                    Err(other) => Err(Outcome::failed(format!(
                        "linking failed for another reason than `{message}`: {other}"
                    ))),
                    Ok(_) => Err(Outcome::failed(format!("linked in spite of: {message}"))),
                }
            }
            WastDirective::AssertException { .. } => {
                Err(Outcome::Skipped("exceptions are not supported".to_string()))
            }
            WastDirective::AssertSuspension { .. } => {
                Err(Outcome::Skipped("stack switching is not supported".to_string()))
            }
            WastDirective::Thread(_) | WastDirective::Wait { .. } => {
                Err(Outcome::Skipped("threads are not supported".to_string()))
            }
            WastDirective::AssertInvalidCustom { .. }
            | WastDirective::AssertMalformedCustom { .. } => Err(Outcome::Skipped(
                "custom sections are not looked into, except for names".to_string(),
            )),
        }
    }

    fn load(&self, module: &mut QuoteWat<'_>) -> Result<Module, String> {
        let bytes = module.encode().map_err(|error| error.message())?;
        Module::with_engine(self.engine, bytes).map_err(|error| error.to_string())
    }

    fn instantiate(&self, module: &mut QuoteWat<'_>) -> Result<Instance, Outcome> {
        let module = self.load(module).map_err(Outcome::Failed)?;
        Instance::new(&module, &self.imports).map_err(|error| Outcome::failed(error.to_string()))
    }

    fn instance(&self, name: Option<&str>) -> Result<Instance, Outcome> {
        let found = match name {
            Some(name) => self.instances.get(name),
            None => self.current.as_ref(),
        };
        found.cloned().ok_or_else(|| Outcome::failed("there is no such instance"))
    }

    fn execute(&self, exec: WastExecute<'_>) -> Result<Executed, Outcome> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(module) => self.instantiate_to_trap(module),
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                match instance.export(global) {
                    Some(Extern::Global(global)) => Ok(Ok(vec![global.get()])),
                    _ => Err(Outcome::failed(format!("no exported global `{global}`"))),
                }
            }
        }
    }

    /// Instantiation as something that may trap.
    fn instantiate_to_trap(&self, module: Wat<'_>) -> Result<Executed, Outcome> {
        let module = self.load(&mut QuoteWat::Wat(module)).map_err(Outcome::Failed)?;
        match Instance::new(&module, &self.imports) {
            Ok(_) => Ok(Ok(Vec::new())),
            Err(LinkError::Start(trap)) => Ok(Err(trap.into())),
            Err(error) => Err(Outcome::failed(error.to_string())),
        }
    }

    fn invoke(&self, invoke: &WastInvoke<'_>) -> Result<Executed, Outcome> {
        let instance = self.instance(invoke.module.map(|id| id.name()))?;
        let function = match instance.dyn_func(invoke.name) {
            Ok(function) => function,
            Err(error) => return Err(Outcome::failed(error.to_string())),
        };
        let arguments: Result<Vec<Value>, Outcome> = invoke.args.iter().map(argument).collect();
        Ok(function.call(&arguments?))
    }
}

/// The host module that the test suite's scripts import.
fn spectest(engine: &Engine, imports: &mut Imports) -> Result<(), Error> {
    let module = Module::with_engine(engine, SPECTEST)?;
    imports.instance("spectest", &Instance::new(&module, &Imports::none())?);
    imports.func("spectest", "print", || {});
    imports.func("spectest", "print_i32", |_: i32| {});
    imports.func("spectest", "print_i64", |_: i64| {});
    imports.func("spectest", "print_f32", |_: f32| {});
    imports.func("spectest", "print_f64", |_: f64| {});
    imports.func("spectest", "print_i32_f32", |_: i32, _: f32| {});
    imports.func("spectest", "print_f64_f64", |_: f64, _: f64| {});
    Ok(())
}

/// `(module (global (export "global_i32") i32 (i32.const 666)) …)` and so on, in text.
const SPECTEST: &str = r#"(module
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2))"#;

fn argument(argument: &WastArg<'_>) -> Result<Value, Outcome> {
    let unsupported =
        |what: &dyn fmt::Debug| Outcome::Skipped(format!("an argument {what:?} is not supported"));
    let WastArg::Core(core) = argument else { return Err(unsupported(argument)) };
    Ok(match core {
        WastArgCore::I32(value) => Value::I32(*value),
        WastArgCore::I64(value) => Value::I64(*value),
        WastArgCore::F32(value) => Value::F32(f32::from_bits(value.bits)),
        WastArgCore::F64(value) => Value::F64(f64::from_bits(value.bits)),
        WastArgCore::V128(value) => Value::V128(u128::from_le_bytes(value.to_le_bytes())),
        WastArgCore::RefNull(HeapType::Abstract { ty: AbstractHeapType::Func, .. }) => {
            Value::FuncRef(None)
        }
        WastArgCore::RefNull(HeapType::Abstract { ty: AbstractHeapType::Extern, .. }) => {
            Value::ExternRef(None)
        }
        WastArgCore::RefExtern(number) => Value::ExternRef(ExternRef::new(u64::from(*number))),
        other => return Err(unsupported(other)),
    })
}

fn check_trap(executed: Executed, message: &str) -> Result<(), Outcome> {
    match executed {
        Ok(values) => Err(Outcome::failed(format!("no trap `{message}`, but results {values:?}"))),
        Err(Error::Trap(trap)) if is_meant(&trap, message) => Ok(()),
        Err(Error::Trap(trap)) => {
            Err(Outcome::failed(format!("the trap is `{}`, not `{message}`", trap.code())))
        }
        Err(error) => Err(Outcome::failed(format!("no trap `{message}`: {error}"))),
    }
}

/// Whether the script means this trap. Some scripts add details to the message, such as an index.
fn is_meant(trap: &Trap, message: &str) -> bool {
    let actual = trap.code().message();
    message.starts_with(actual)
        || actual.starts_with(message)
        // The older suites' words.
        || trap.code() == TrapCode::UninitializedElement && message.starts_with("uninitialized")
        || trap.code() == TrapCode::UndefinedElement && message.starts_with("undefined")
}

fn check_results(values: &[Value], expected: &[WastRet<'_>]) -> Result<(), Outcome> {
    if values.len() != expected.len() {
        let (actual, expected) = (values.len(), expected.len());
        return Err(Outcome::failed(format!("{actual} results, not {expected}")));
    }
    for (i, (value, expected)) in values.iter().zip(expected).enumerate() {
        let WastRet::Core(expected) = expected else {
            return Err(Outcome::Skipped("results of components are not supported".to_string()));
        };
        if !matches(value, expected)? {
            return Err(Outcome::failed(format!("result {i} is {value}, not {expected:?}")));
        }
    }
    Ok(())
}

fn matches(value: &Value, expected: &WastRetCore<'_>) -> Result<bool, Outcome> {
    Ok(match (value, expected) {
        (Value::I32(actual), WastRetCore::I32(expected)) => actual == expected,
        (Value::I64(actual), WastRetCore::I64(expected)) => actual == expected,
        (Value::F32(actual), WastRetCore::F32(expected)) => matches_f32(actual.to_bits(), expected),
        (Value::F64(actual), WastRetCore::F64(expected)) => matches_f64(actual.to_bits(), expected),
        (Value::V128(actual), WastRetCore::V128(expected)) => matches_v128(*actual, expected),
        (Value::FuncRef(actual), WastRetCore::RefNull(_)) => actual.is_none(),
        (Value::ExternRef(actual), WastRetCore::RefNull(_)) => actual.is_none(),
        (Value::FuncRef(actual), WastRetCore::RefFunc(_)) => actual.is_some(),
        (Value::ExternRef(actual), WastRetCore::RefExtern(expected)) => match (actual, expected) {
            (Some(actual), Some(expected)) => actual.number() == u64::from(*expected),
            (actual, None) => actual.is_some(),
            (None, Some(_)) => false,
        },
        (value, WastRetCore::Either(choices)) => {
            for choice in choices {
                if matches(value, choice)? {
                    return Ok(true);
                }
            }
            false
        }
        (value, WastRetCore::RefHost(_)) if value.ty() != ValType::ExternRef => {
            return Err(Outcome::Skipped("host references are not supported".to_string()));
        }
        _ => false,
    })
}

fn matches_f32(bits: u32, expected: &NanPattern<F32>) -> bool {
    /// The quiet NaN of the least payload, without its sign.
    const CANONICAL: u32 = 0x7fc0_0000;
    match expected {
        NanPattern::Value(expected) => bits == expected.bits,
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == CANONICAL,
        NanPattern::ArithmeticNan => bits & CANONICAL == CANONICAL,
    }
}

fn matches_f64(bits: u64, expected: &NanPattern<F64>) -> bool {
    const CANONICAL: u64 = 0x7ff8_0000_0000_0000;
    match expected {
        NanPattern::Value(expected) => bits == expected.bits,
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == CANONICAL,
        NanPattern::ArithmeticNan => bits & CANONICAL == CANONICAL,
    }
}

fn matches_v128(bits: u128, expected: &V128Pattern) -> bool {
    let lane = |i: usize, width: usize| (bits >> (i * width)) as u64;
    match expected {
        V128Pattern::I8x16(e) => (0..16).all(|i| lane(i, 8) as i8 == e[i]),
        V128Pattern::I16x8(e) => (0..8).all(|i| lane(i, 16) as i16 == e[i]),
        V128Pattern::I32x4(e) => (0..4).all(|i| lane(i, 32) as i32 == e[i]),
        V128Pattern::I64x2(e) => (0..2).all(|i| lane(i, 64) as i64 == e[i]),
        V128Pattern::F32x4(e) => (0..4).all(|i| matches_f32(lane(i, 32) as u32, &e[i])),
        V128Pattern::F64x2(e) => (0..2).all(|i| matches_f64(lane(i, 64), &e[i])),
    }
}
