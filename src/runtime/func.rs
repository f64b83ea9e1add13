//! Functions whose signature is known only at run time, and calls of them.

use std::fmt;
use std::io;
use std::time::Duration;

use super::enter::{Arguments, MAX_INTS, Returned, enter};
use super::instance::{Inner, Instance};
use super::registers::{FileCall, InMemory};
use super::value::Value;
use super::{group::Handle, interrupt, trap, type_ids};
use crate::compile::abi::{Slot, Slots, VmFuncRef, VmFunction};
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
    /// In the context of the instance, or of one that it is linked with.
    func_ref: *const VmFuncRef,
    ty: FuncType,
}

// A `Value` may be one: it stays small.
const _: () = assert!(size_of::<Value>() == 32);

/// Signatures whose arguments and results in memory take no more 8-byte words are called without an
/// allocation.
const FEW_WORDS: usize = 64;

impl Func {
    /// A function of an instance, or of one that the instance is linked with.
    pub(super) fn new(instance: Instance, func_ref: *const VmFuncRef, ty: FuncType) -> Func {
        Func { instance, func_ref, ty }
    }

    /// The code and its context.
    pub(super) fn function(&self) -> VmFunction {
        // SAFETY: the instance keeps the context alive in which the reference lies.
        unsafe { (*self.func_ref).function }
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
            Some(Func::new(instance, func_ref, type_ids::type_of(type_id)?))
        }
    }

    /// The reference in compiled code's form.
    pub(super) fn to_raw(&self) -> u64 {
        self.func_ref as u64
    }

    /// Whether both are the same function of the same instance, through whatever import they came.
    pub(super) fn is_same(&self, other: &Func) -> bool {
        let (one, other) = (self.function(), other.function());
        std::ptr::eq(one.code, other.code) && std::ptr::eq(one.vmctx, other.vmctx)
    }

    /// The function's signature.
    #[must_use]
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Calls the function. [`Func::call_into`] does the same without allocating.
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
        let count = self.ty.results().len();
        let mut results = Vec::with_capacity(count);
        self.run(arguments, count, |value| results.push(value))?;
        Ok(results)
    }

    /// Calls the function and writes its results over what is in `results`, which is as long as they
    /// are many. Nothing is allocated unless more than 512 bytes of arguments and results travel in
    /// memory, which takes dozens of them, or a result is a function.
    ///
    /// # Errors
    ///
    /// As for [`Func::call`], and [`Error::Arguments`] if `results` has another length. `results` is
    /// unchanged then.
    ///
    /// # Panics
    ///
    /// As for [`Func::call`].
    ///
    /// ```
    /// use wasm_mini::{Imports, Instance, Module, Value};
    ///
    /// let module = Module::new(r#"(module (func (export "sub") (param i64 i64) (result i64)
    ///     (i64.sub (local.get 0) (local.get 1))))"#)?;
    /// let sub = Instance::new(&module, &Imports::none())?.dyn_func("sub")?;
    /// let mut results = [Value::I64(0)];
    /// sub.call_into(&[Value::I64(44), Value::I64(2)], &mut results)?;
    /// assert_eq!(results, [Value::I64(42)]);
    /// # Ok::<(), wasm_mini::Error>(())
    /// ```
    pub fn call_into(&self, arguments: &[Value], results: &mut [Value]) -> Result<(), Error> {
        let count = results.len();
        let mut places = results.iter_mut();
        self.run(arguments, count, |value| {
            if let Some(place) = places.next() {
                *place = value;
            }
        })
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
            let vmctx = self.function().vmctx;
            interrupt::call_with_deadline(vmctx, nanoseconds(deadline), || self.call(arguments))
        };
        called.unwrap_or_else(|error| Err(Error::Trap(unwatched(error))))
    }

    /// Calls the function, with room for so many results, and passes them on in their order.
    #[inline]
    fn run(
        &self,
        arguments: &[Value],
        room: usize,
        mut place: impl FnMut(Value),
    ) -> Result<(), Error> {
        let returned = self.ty.results();
        if room == returned.len()
            && is_direct_result(returned)
            && let Some(arguments) = self.few_ints(arguments)
        {
            // SAFETY: the arguments have been seen to fit the signature, and to travel in registers as
            // the one result does.
            return self.finish(unsafe { self.enter(arguments) }, place);
        }
        self.run_any(arguments, room, &mut place)
    }

    /// Makes a call that goes through registers; `None` after a trap.
    ///
    /// # Safety
    ///
    /// The arguments are of the signature, which has at most one result and no vector.
    #[inline(always)]
    unsafe fn enter(&self, arguments: Arguments) -> Option<Returned> {
        let function = self.function();
        // SAFETY: the caller vouches for the arguments; `self` keeps the instance alive, which is on
        // its thread.
        unsafe {
            interrupt::call_with_default(function.vmctx, || enter(function, arguments)).flatten()
        }
    }

    /// The arguments, if they are as most often: a few integers. They fit the signature then.
    #[inline]
    fn few_ints(&self, arguments: &[Value]) -> Option<Arguments> {
        let params = self.ty.params();
        if arguments.len() != params.len() || arguments.len() > MAX_INTS {
            return None;
        }
        let mut ints = Arguments::new();
        for (i, (argument, ty)) in arguments.iter().zip(params).enumerate() {
            let raw = match (argument, ty) {
                (Value::I32(value), ValType::I32) => u64::from(*value as u32),
                (Value::I64(value), ValType::I64) => *value as u64,
                _ => return None,
            };
            ints.set(Slot::Int(i), raw);
        }
        Some(ints)
    }

    /// The call for whatever arguments, also those that do not fit.
    #[inline(never)]
    fn run_any(
        &self,
        arguments: &[Value],
        room: usize,
        place: &mut dyn FnMut(Value),
    ) -> Result<(), Error> {
        let (params, returned) = (self.ty.params(), self.ty.results());
        if arguments.len() != params.len() || room != returned.len() {
            return Err(self.misfit(arguments, Some(room)));
        }
        let mut registers = Arguments::new();
        let mut slots = Slots::params();
        let mut direct = is_direct_result(returned);
        for (argument, ty) in arguments.iter().zip(params) {
            if argument.ty() != *ty {
                return Err(self.misfit(arguments, None));
            }
            if let Value::FuncRef(Some(func)) = argument {
                self.instance.0.link(&func.instance.0);
            }
            let raw = argument.to_raw();
            match slots.next(*ty) {
                Slot::Memory(_) => direct = false,
                slot => registers.set(slot, raw as u64),
            }
            direct &= *ty != ValType::V128;
        }
        if !direct {
            return self.call_file(arguments, place);
        }
        // SAFETY: as in `run`; references among the arguments are to functions of the instance's
        // group.
        self.finish(unsafe { self.enter(registers) }, place)
    }

    /// Passes on the one result that there may be, or the trap.
    #[inline]
    fn finish(&self, done: Option<Returned>, mut place: impl FnMut(Value)) -> Result<(), Error> {
        let Some(Returned { int, float }) = done else { return Err(Error::Trap(self.take_trap())) };
        match self.ty.results() {
            [] => {}
            // Each written where it goes: a value that is made elsewhere and copied waits for itself.
            [ValType::I32] => place(Value::I32(int as i32)),
            [ValType::I64] => place(Value::I64(int as i64)),
            [ty, ..] => {
                let raw = if ty.is_vector_class() { float } else { int };
                // SAFETY: references that come out of a guest are to functions of its group.
                place(unsafe { Value::from_raw(*ty, u128::from(raw)) });
            }
        }
        Ok(())
    }

    /// The call for signatures with values in memory, with vectors, or with several results.
    ///
    /// The arguments have been seen to fit.
    #[inline(never)]
    fn call_file(&self, arguments: &[Value], place: &mut dyn FnMut(Value)) -> Result<(), Error> {
        let memory = InMemory::of(self.ty.params(), self.ty.results());
        let (mut few, mut many) = ([0; FEW_WORDS], Vec::new());
        let words = match few.get_mut(..memory.words()) {
            Some(words) => words,
            None => {
                many.resize(memory.words(), 0);
                &mut many
            }
        };
        let raw = arguments.iter().map(|value| (value.ty(), value.to_raw()));
        let mut call = FileCall::new(words, memory, raw);
        // SAFETY: the arguments fit the signature, and references among them are to functions of the
        // instance's group; `self` keeps that alive.
        if !unsafe { call.enter(self.function()) } {
            return Err(Error::Trap(self.take_trap()));
        }
        let mut raw = call.results();
        for ty in self.ty.results() {
            // SAFETY: references that come out of a guest are to functions of its group.
            place(unsafe { Value::from_raw(*ty, raw(*ty)) });
        }
        Ok(())
    }

    #[cold]
    fn take_trap(&self) -> Trap {
        trap::take(&self.instance.0.thread, &self.instance.0)
    }

    /// Why a call does not fit the signature. `room` is how many results there is room for.
    #[cold]
    fn misfit(&self, arguments: &[Value], room: Option<usize>) -> Error {
        let (params, results) = (self.ty.params(), self.ty.results());
        let wrong = arguments.iter().zip(params).position(|(value, ty)| value.ty() != *ty);
        let message = if arguments.len() != params.len() {
            format!(
                "{} arguments were given to a function of signature {}, which takes {}",
                arguments.len(),
                self.ty,
                params.len()
            )
        } else if let Some(i) = wrong {
            format!(
                "argument {} is of type {}, but the parameter is of type {} in {}",
                i + 1,
                arguments[i].ty(),
                params[i],
                self.ty
            )
        } else {
            format!(
                "there is room for {} results of a function of signature {}, which returns {}",
                room.unwrap_or(0),
                self.ty,
                results.len()
            )
        };
        Error::Arguments(ArgumentError { message })
    }
}

/// Whether there is at most one result, in a register, and no vector.
fn is_direct_result(results: &[ValType]) -> bool {
    !matches!(results, [ValType::V128] | [_, _, ..])
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
