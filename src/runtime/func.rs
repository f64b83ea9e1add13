//! Functions whose signature is known only at run time, and calls of them.

use std::fmt;
use std::io;
use std::time::Duration;

use super::instance::{Inner, Instance};
use super::value::Value;
use super::{group::Handle, interrupt, trampolines, trap, type_ids};
use crate::compile::abi::{Location, Signature, VmFuncRef, VmFunction};
use crate::compile::trampoline::RegisterFile;
use crate::error::{ArgumentError, Error, Trap};
use crate::module::{FuncType, ValType};

use std::ptr::NonNull;

/// A function that is called with [`Value`]s: an export, or what a function reference refers to.
/// Owns its instance.
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
    pub(super) instance: Instance,
    pub(super) function: VmFunction,
    func_ref: *const VmFuncRef,
    ty: FuncType,
    signature: Signature,
}

impl Func {
    /// A function of an instance, or of one that the instance is linked with.
    pub(super) fn new(
        instance: Instance,
        function: VmFunction,
        func_ref: *const VmFuncRef,
        ty: FuncType,
    ) -> Func {
        let signature = Signature::of(&ty);
        Func { instance, function, func_ref, ty, signature }
    }

    /// The function that a reference in compiled code's form refers to.
    ///
    /// # Safety
    ///
    /// It is 0, or refers to a function of a live instance of this thread.
    pub(super) unsafe fn from_raw(raw: u64) -> Option<Func> {
        let func_ref = raw as *const VmFuncRef;
        // SAFETY: the caller vouches for it; a context's instance is the one that it belongs to, or
        // that imports the host function that it is for.
        unsafe {
            let VmFuncRef { function, type_id } = *func_ref.as_ref()?;
            let inner = NonNull::new((*function.vmctx).instance.cast::<Inner>().cast_mut())?;
            let instance = Instance(Handle::from_member(inner));
            Some(Func::new(instance, function, func_ref, type_ids::type_of(type_id)?))
        }
    }

    /// The reference in compiled code's form.
    pub(super) fn to_raw(&self) -> u64 {
        self.func_ref as u64
    }

    /// Whether both are the same function of the same instance, through whatever import they came.
    pub(super) fn is_same(&self, other: &Func) -> bool {
        let (one, other) = (self.function, other.function);
        std::ptr::eq(one.code, other.code) && std::ptr::eq(one.vmctx, other.vmctx)
    }

    /// The function's signature.
    #[must_use]
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// [`Error::Arguments`] if number or types of the arguments do not fit the signature,
    /// [`Error::Trap`] if the guest trapped.
    ///
    /// # Panics
    ///
    /// If a function of the host that the guest calls panics, with its payload.
    pub fn call(&self, arguments: &[Value]) -> Result<Vec<Value>, Error> {
        self.check(arguments)?;
        for argument in arguments {
            if let Value::FuncRef(Some(func)) = argument {
                self.instance.0.link(&func.instance.0);
            }
        }
        let raw = arguments.iter().map(|value| (value.ty(), value.to_raw()));
        let mut results = Results::new(&self.signature);
        let Func { instance, function, signature, .. } = self;
        // SAFETY: the arguments have just been seen to fit the signature, and references among them
        // are to functions of the instance's group.
        if !unsafe { call_raw(instance, *function, signature, raw, &mut results) } {
            return Err(Error::Trap(trap::take(&instance.0.thread, &instance.0)));
        }
        let mut values = Vec::with_capacity(signature.results.len());
        for (ty, location) in self.ty.results().iter().zip(&signature.results) {
            // SAFETY: references that come out of a guest are to functions of its group.
            values.push(unsafe { Value::from_raw(*ty, results.get(*ty, *location)) });
        }
        Ok(values)
    }

    /// Calls the function, and ends it with [`TrapCode::Interrupted`](crate::TrapCode::Interrupted) if
    /// it has not returned when so much time has passed. The engine's own deadline does not hold then.
    ///
    /// # Errors
    ///
    /// As for [`Func::call`]; also if the system has no thread to watch the deadline, which is then
    /// the trap's [`host_error`](crate::Trap::host_error).
    ///
    /// # Panics
    ///
    /// As for [`Func::call`].
    pub fn call_with_deadline(
        &self,
        deadline: Duration,
        arguments: &[Value],
    ) -> Result<Vec<Value>, Error> {
        // SAFETY: the context is that of a function which the instance keeps alive.
        let called = unsafe {
            interrupt::call_with_deadline(self.function.vmctx, nanoseconds(deadline), || {
                self.call(arguments)
            })
        };
        called.unwrap_or_else(|error| Err(Error::Trap(unwatched(error))))
    }

    fn check(&self, arguments: &[Value]) -> Result<(), ArgumentError> {
        let params = self.ty.params();
        if arguments.len() != params.len() {
            return Err(misfit(format!(
                "{} arguments were given to a function of signature {}, which takes {}",
                arguments.len(),
                self.ty,
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
                self.ty
            ))),
        }
    }
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Func({})", self.ty)
    }
}

/// In nanoseconds, or the longest time that can be expressed so, which is centuries.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a call with a deadline was not made.
#[cold]
pub(super) fn unwatched(error: io::Error) -> Trap {
    Trap::from_host(Box::new(error), Vec::new(), false)
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
    /// The result at that location.
    pub fn get(&self, ty: ValType, location: Location) -> u128 {
        match location {
            Location::Gpr(gpr) => u128::from(self.file.int_result(gpr)),
            Location::Xmm(xmm) => self.file.float_result(xmm),
            Location::Memory(offset) => {
                let at = offset as usize / 8;
                let high = if ty == ValType::V128 { self.area[at + 1] } else { 0 };
                u128::from(self.area[at]) | u128::from(high) << 64
            }
        }
    }
}

impl Results {
    /// Room for the results of one call.
    pub fn new(signature: &Signature) -> Results {
        let area = vec![0; signature.return_area_bytes as usize / 8];
        Results { file: RegisterFile::default(), area }
    }
}

/// Calls code with these arguments, as they lie in registers; returns whether it came to its end.
///
/// # Safety
///
/// `function` belongs to the instance or to one that it is linked with, `signature` is its
/// signature, which `results` is for, and there is an argument of the right type for each parameter.
pub(super) unsafe fn call_raw(
    instance: &Instance,
    function: VmFunction,
    signature: &Signature,
    arguments: impl Iterator<Item = (ValType, u128)>,
    results: &mut Results,
) -> bool {
    let mut stack = vec![0u64; signature.stack_bytes as usize / 8];
    let file = &mut results.file;
    let mut place = |location: Location, ty: ValType, raw: u128| match location {
        Location::Gpr(gpr) => file.set_int_argument(gpr, raw as u64),
        Location::Xmm(xmm) => file.set_float_argument(xmm, raw),
        Location::Memory(offset) => {
            let at = offset as usize / 8;
            stack[at] = raw as u64;
            if ty == ValType::V128 {
                stack[at + 1] = (raw >> 64) as u64;
            }
        }
    };
    for (location, (ty, raw)) in signature.params.iter().zip(arguments) {
        place(*location, ty, raw);
    }
    if let Some(location) = signature.return_area {
        place(location, ValType::I64, results.area.as_mut_ptr() as u128);
    }
    file.stack = stack.as_ptr();
    file.stack_words = stack.len();
    // The instance is the callee's or linked with it: either way it stays alive during the call.
    let _alive = instance;
    // SAFETY: the caller vouches for function and arguments; the file, the stack words and the
    // return area live until the call is over; the context is on its thread, which it cannot leave.
    let status = unsafe {
        interrupt::call_with_default(function.vmctx, || {
            trampolines::indirect()(file, function.vmctx, function.code)
        })
    };
    status == Some(0)
}
