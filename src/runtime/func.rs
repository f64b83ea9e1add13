//! Calls whose signature is known only at run time.

use std::fmt;

use super::instance::{Export, Instance};
use super::trampolines;
use super::value::Value;
use crate::compile::abi::{Location, Signature};
use crate::compile::trampoline::RegisterFile;
use crate::error::{ArgumentError, Error};
use crate::module::FuncType;

/// An exported function that is called with [`Value`]s. Owns its instance.
///
/// For a signature known at compile time, [`Instance::func`] is many times faster.
///
/// ```
/// use wasm_mini::{Imports, Instance, Module, Value};
///
/// let module = Module::new(r#"(module (func (export "sub") (param i64 i64) (result i64)
///     (i64.sub (local.get 0) (local.get 1))))"#)?;
/// let sub = Instance::new(&module, &Imports::none())?.dyn_func("sub")?;
/// assert_eq!(sub.ty().to_string(), "(i64, i64) -> i64");
/// assert_eq!(sub.call(&[Value::I64(44), Value::I64(2)])?, [Value::I64(42)]);
/// assert!(sub.call(&[Value::I32(44), Value::I64(2)]).is_err());
/// # Ok::<(), wasm_mini::Error>(())
/// ```
#[derive(Clone)]
pub struct Func {
    instance: Instance,
    code: *const u8,
    function: u32,
    signature: Signature,
}

impl Func {
    pub(super) fn new(export: Export) -> Func {
        let Export { instance, code, function, .. } = export;
        let signature = Signature::of(instance.0.module.0.info.function_type(function));
        Func { instance, code, function, signature }
    }

    /// The function's signature.
    #[must_use]
    pub fn ty(&self) -> &FuncType {
        self.instance.0.module.0.info.function_type(self.function)
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// [`Error::Arguments`] if number or types of the arguments do not fit the signature,
    /// [`Error::Trap`] if the guest trapped.
    pub fn call(&self, arguments: &[Value]) -> Result<Vec<Value>, Error> {
        self.check(arguments)?;
        let raw = arguments.iter().map(|value| value.to_raw());
        // SAFETY: the arguments have just been seen to fit the signature.
        let results = unsafe { call_raw(&self.instance, self.code, &self.signature, raw) };
        let results = results.ok_or_else(|| self.instance.take_trap())?;
        let types = self.ty().results();
        let values = types.iter().enumerate().map(|(i, ty)| {
            Value::from_raw(*ty, results.get(self.signature.results[i]))
                .ok_or_else(|| misfit(format!("a result of type {ty} cannot be returned yet")))
        });
        values.collect::<Result<Vec<Value>, ArgumentError>>().map_err(Error::Arguments)
    }

    fn check(&self, arguments: &[Value]) -> Result<(), ArgumentError> {
        let params = self.ty().params();
        if arguments.len() != params.len() {
            return Err(misfit(format!(
                "{} arguments were given to a function of signature {}, which takes {}",
                arguments.len(),
                self.ty(),
                params.len()
            )));
        }
        match arguments.iter().zip(params).position(|(value, ty)| value.ty() != *ty) {
            None => Ok(()),
            Some(i) => Err(misfit(format!(
                "argument {} is of type {}, but the parameter is of type {} in {}",
                i + 1,
                arguments[i].ty(),
                params[i],
                self.ty()
            ))),
        }
    }
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").field("index", &self.function).field("ty", self.ty()).finish()
    }
}

fn misfit(message: String) -> ArgumentError {
    ArgumentError { message }
}

/// The results of a call, wherever the convention left them.
pub(super) struct Results {
    file: RegisterFile,
    area: Vec<u64>,
}

impl Results {
    /// The low 64 bits of the result at that location.
    pub fn get(&self, location: Location) -> u64 {
        use crate::compile::abi::{FLOAT_RESULTS, INT_RESULTS};
        match location {
            Location::Gpr(gpr) => {
                let at = INT_RESULTS.iter().position(|result| *result == gpr);
                self.file.int_results[at.expect("a result register")]
            }
            Location::Xmm(xmm) => {
                let at = FLOAT_RESULTS.iter().position(|result| *result == xmm);
                self.file.float_results[at.expect("a result register")] as u64
            }
            Location::Memory(offset) => self.area[offset as usize / 8],
        }
    }
}

/// Calls code with these arguments, as they lie in registers; `None` if it trapped.
///
/// # Safety
///
/// `code` is a function of the instance's module, `signature` is its signature, and there is an
/// argument of the right type for each parameter.
pub(super) unsafe fn call_raw(
    instance: &Instance,
    code: *const u8,
    signature: &Signature,
    arguments: impl Iterator<Item = u64>,
) -> Option<Results> {
    use crate::compile::abi::{FLOAT_PARAMS, INT_PARAMS};
    let mut results = Results {
        file: RegisterFile::default(),
        area: vec![0; signature.return_area_bytes as usize / 8],
    };
    let mut stack = vec![0u64; signature.stack_bytes as usize / 8];
    let file = &mut results.file;
    let area = results.area.as_mut_ptr() as u64;
    let places = signature.params.iter().copied().zip(arguments);
    for (location, raw) in places.chain(signature.return_area.map(|location| (location, area))) {
        match location {
            Location::Gpr(gpr) => {
                let at = INT_PARAMS.iter().position(|param| *param == gpr);
                file.ints[at.expect("a parameter register")] = raw;
            }
            Location::Xmm(xmm) => {
                let at = FLOAT_PARAMS.iter().position(|param| *param == xmm);
                file.floats[at.expect("a parameter register")] = u128::from(raw);
            }
            Location::Memory(offset) => stack[offset as usize / 8] = raw,
        }
    }
    file.stack = stack.as_ptr();
    file.stack_words = stack.len();
    // SAFETY: the caller vouches for code and arguments; the file, the stack words and the return
    // area live until the call is over; the context is the instance's own, and the instance is on
    // its thread, which it cannot leave.
    let status = unsafe { trampolines::indirect()(file, instance.vmctx(), code) };
    (status == 0).then_some(results)
}
