//! Calls whose signature is known at compile time: checked once, then as direct as they can be.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::enter::{Arguments, MAX_FLOATS, MAX_INTS, Returned, enter};
use super::func::{nanoseconds, unwatched};
use super::instance::{Inner, Instance};
use super::registers::{FileCall, InMemory};
use super::{interrupt, trap};
use crate::compile::abi::{Slots, VmFuncRef, VmFunction};
use crate::error::Trap;
use crate::module::{FuncType, ValType};

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// A Rust type that is a WebAssembly value: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`. The unsigned
/// types are views of the same bits.
pub trait WasmTy: Copy + Sealed + 'static {
    #[doc(hidden)]
    const TYPE: ValType;
    #[doc(hidden)]
    fn to_raw(self) -> u64;
    #[doc(hidden)]
    fn from_raw(raw: u64) -> Self;
}

macro_rules! wasm_ty {
    ($($ty:ty: $variant:ident, |$value:ident| $to:expr, |$raw:ident| $from:expr;)*) => {
        $(impl Sealed for $ty {}
        impl WasmTy for $ty {
            const TYPE: ValType = ValType::$variant;
            fn to_raw(self) -> u64 {
                let $value = self;
                $to
            }
            fn from_raw($raw: u64) -> Self {
                $from
            }
        })*
    };
}

wasm_ty! {
    i32: I32, |v| u64::from(v as u32), |raw| raw as i32;
    u32: I32, |v| u64::from(v), |raw| raw as u32;
    i64: I64, |v| v as u64, |raw| raw as i64;
    u64: I64, |v| v, |raw| raw;
    f32: F32, |v| u64::from(v.to_bits()), |raw| f32::from_bits(raw as u32);
    f64: F64, |v| v.to_bits(), |raw| f64::from_bits(raw);
}

/// What a function returns: nothing, one [`WasmTy`], or a tuple of two to twelve.
pub trait WasmResults: Sealed + Sized + 'static {
    #[doc(hidden)]
    const TYPES: &'static [ValType];
    /// What travels in a register: a value, or nothing.
    #[doc(hidden)]
    type Direct: Copy;
    #[doc(hidden)]
    fn from_direct(direct: Self::Direct) -> Self;
    #[doc(hidden)]
    fn into_direct(self) -> Self::Direct;
    /// From the bits of each result, which `next` returns in their order.
    #[doc(hidden)]
    fn from_raw(next: impl FnMut(ValType) -> u64) -> Self;
    /// Passes on the bits of each result, in their order.
    #[doc(hidden)]
    fn each_raw(self, place: impl FnMut(ValType, u64));
}

impl Sealed for () {}
impl WasmResults for () {
    const TYPES: &'static [ValType] = &[];
    type Direct = ();
    fn from_direct((): ()) {}
    fn into_direct(self) {}
    fn from_raw(_: impl FnMut(ValType) -> u64) {}
    fn each_raw(self, _: impl FnMut(ValType, u64)) {}
}

impl<T: WasmTy> WasmResults for T {
    const TYPES: &'static [ValType] = &[T::TYPE];
    type Direct = T;
    fn from_direct(direct: T) -> T {
        direct
    }
    fn into_direct(self) -> T {
        self
    }
    fn from_raw(mut next: impl FnMut(ValType) -> u64) -> T {
        <T as WasmTy>::from_raw(next(T::TYPE))
    }
    fn each_raw(self, mut place: impl FnMut(ValType, u64)) {
        place(T::TYPE, self.to_raw());
    }
}

/// A signature: a function type such as `fn(i64, f64) -> i32`, for [`Instance::func`].
pub trait WasmFn: Sealed + Sized + 'static {
    /// The closure that [`Instance::func`] returns: `Box<dyn Fn(i64, f64) -> Result<i32, Trap>>`.
    type Closure: 'static;
    #[doc(hidden)]
    const PARAMS: &'static [ValType];
    #[doc(hidden)]
    const RESULTS: &'static [ValType];
    #[doc(hidden)]
    fn into_closure(func: TypedFunc<Self>) -> Self::Closure;
}

/// An exported function of a known signature. Owns its instance.
///
/// [`TypedFunc::call`] takes the parameters as ordinary arguments.
///
/// ```
/// use wasm_mini::{Imports, Instance, Module, TypedFunc};
///
/// let module = Module::new(r#"(module (func (export "add4") (param i64) (result i64)
///     (i64.add (local.get 0) (i64.const 4))))"#)?;
/// let instance = Instance::new(&module, &Imports::none())?;
/// let add4: TypedFunc<fn(i64) -> i64> = instance.typed_func("add4")?;
/// assert_eq!(add4.call(2)?, 6);
/// # Ok::<(), wasm_mini::Error>(())
/// ```
pub struct TypedFunc<F> {
    way: Way,
    pub(super) function: VmFunction,
    pub(super) instance: Instance,
    signature: PhantomData<F>,
}

/// How a function is called whose arguments and result travel in registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it is: it is plain.
    Plain,
    /// With an entry.
    Entry,
    /// With an entry, and with its engine's deadline.
    Deadline,
}

impl<F> Clone for TypedFunc<F> {
    fn clone(&self) -> Self {
        TypedFunc { instance: self.instance.clone(), ..*self }
    }
}

impl<F: WasmFn> fmt::Debug for TypedFunc<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ty = FuncType::new(F::PARAMS.iter().copied(), F::RESULTS.iter().copied());
        write!(f, "TypedFunc({ty})")
    }
}

/// How many of the types travel in integer registers.
pub(super) const fn count_ints(types: &[ValType]) -> usize {
    let (mut ints, mut i) = (0, 0);
    while i < types.len() {
        ints += !types[i].is_vector_class() as usize;
        i += 1;
    }
    ints
}

/// Whether everything travels in registers: the parameters, and at most one result.
pub(super) const fn is_direct(params: &[ValType], results: &[ValType]) -> bool {
    let ints = count_ints(params);
    ints <= MAX_INTS && params.len() - ints <= MAX_FLOATS && results.len() <= 1
}

impl<F: WasmFn> TypedFunc<F> {
    /// The function that `func_ref`, one of the instance's own, refers to. `plain` says that it can
    /// be called as it is.
    pub(super) fn new(instance: Instance, func_ref: *const VmFuncRef, plain: bool) -> TypedFunc<F> {
        // SAFETY: the reference lies in the instance's context.
        let function = unsafe { (*func_ref).function };
        let way = if plain {
            Way::Plain
        } else {
            // SAFETY: as above; its context names the instance that it belongs to.
            let callee = unsafe { &*(*function.vmctx).instance.cast::<Inner>() };
            if callee.module.engine().deadline() == 0 { Way::Entry } else { Way::Deadline }
        };
        TypedFunc { way, function, instance, signature: PhantomData }
    }

    /// The call for signatures of which not everything travels in registers.
    fn call_indirect<R: WasmResults>(&self, arguments: &[u64]) -> Result<R, Trap> {
        /// The stack arguments of twelve integers and a return area's address, and the return area
        /// of twelve results of one class.
        const MOST: usize = 8 + 4;
        let memory = const { InMemory::of(F::PARAMS, F::RESULTS) };
        let mut words = [0; MOST];
        let arguments = F::PARAMS.iter().zip(arguments).map(|(ty, raw)| (*ty, u128::from(*raw)));
        let mut call = FileCall::new(&mut words[..memory.words()], memory, arguments);
        // SAFETY: the function's signature is `F`, and the caller passes an argument for each of
        // its parameters; `self` keeps the instance alive.
        if unsafe { call.enter(self.function) } {
            let mut results = call.results();
            Ok(R::from_raw(|ty| results(ty) as u64))
        } else {
            Err(self.take_trap())
        }
    }

    /// What a call that went through registers comes to.
    #[inline(always)]
    fn finish<R: WasmResults>(&self, returned: Option<Returned>) -> Result<R, Trap> {
        match returned {
            Some(Returned { int, float }) => {
                Ok(R::from_raw(|ty| if ty.is_vector_class() { float } else { int }))
            }
            None => Err(self.take_trap()),
        }
    }

    #[cold]
    pub(super) fn take_trap(&self) -> Trap {
        trap::take(&self.instance.0.thread, &self.instance.0)
    }
}

/// Arguments in their registers.
macro_rules! registers {
    ($($param:ident)*) => {{
        #[allow(unused_mut)]
        let (mut arguments, mut slots) = (Arguments::new(), Slots::params());
        $(arguments.set(slots.next($param::TYPE), $param.to_raw());)*
        let _ = &mut slots;
        arguments
    }};
}

macro_rules! wasm_fn {
    ($($param:ident)*) => {
        impl<$($param: WasmTy,)* R: WasmResults> Sealed for fn($($param),*) -> R {}

        impl<$($param: WasmTy,)* R: WasmResults> WasmFn for fn($($param),*) -> R {
            type Closure = Box<dyn Fn($($param),*) -> Result<R, Trap>>;
            const PARAMS: &'static [ValType] = &[$($param::TYPE),*];
            const RESULTS: &'static [ValType] = R::TYPES;

            #[allow(non_snake_case)]
            fn into_closure(func: TypedFunc<Self>) -> Self::Closure {
                // What `call` looks up each time is decided here once.
                if const { !is_direct(&[$($param::TYPE),*], R::TYPES) } {
                    return Box::new(move |$($param),*| func.call($($param),*));
                }
                match func.way {
                    // SAFETY: as in `call`.
                    Way::Plain => Box::new(move |$($param),*| Ok(unsafe { func.call_plain($($param),*) })),
                    // SAFETY: as in `call`.
                    Way::Entry => Box::new(move |$($param),*| unsafe { func.call_entered($($param),*) }),
                    Way::Deadline => Box::new(move |$($param),*| func.call_until($($param),*)),
                }
            }
        }

        impl<$($param: WasmTy,)* R: WasmResults> TypedFunc<fn($($param),*) -> R> {
            /// Calls the function, and ends it with
            /// [`TrapCode::Interrupted`](crate::TrapCode::Interrupted) if it has not returned when so
            /// much time has passed. The engine's own deadline does not hold then.
            ///
            /// # Errors
            ///
            /// As for `call`; also if the system has no thread to watch the deadline, which is then
            /// the trap's [`host_error`](Trap::host_error).
            ///
            /// # Panics
            ///
            /// As for `call`.
            #[allow(non_snake_case, clippy::too_many_arguments)]
            pub fn call_with_deadline(&self, deadline: Duration, $($param: $param),*) -> Result<R, Trap> {
                // SAFETY: the context is that of a function which the instance keeps alive.
                let called = unsafe {
                    let vmctx = self.function.vmctx;
                    interrupt::call_with_deadline(vmctx, nanoseconds(deadline), || self.call($($param),*))
                };
                called.unwrap_or_else(|error| Err(unwatched(error)))
            }

            /// Calls the function.
            ///
            /// # Errors
            ///
            /// The guest trapped. It can be called again.
            ///
            /// # Panics
            ///
            /// If a function of the host that the guest calls panics, with its payload.
            // Always: as a function of its own it would take longer than the guest's that it calls.
            #[inline(always)]
            #[allow(non_snake_case, clippy::too_many_arguments)]
            pub fn call(&self, $($param: $param),*) -> Result<R, Trap> {
                if const { !is_direct(&[$($param::TYPE),*], R::TYPES) } {
                    return self.call_indirect(&[$($param.to_raw()),*]);
                }
                match self.way {
                    // SAFETY: it can be called as it is.
                    Way::Plain => Ok(unsafe { self.call_plain($($param),*) }),
                    // SAFETY: everything travels in registers.
                    Way::Entry => unsafe { self.call_entered($($param),*) },
                    Way::Deadline => self.call_until($($param),*),
                }
            }

            /// # Safety
            ///
            /// The function can be called as it is.
            #[inline(always)]
            #[allow(non_snake_case, clippy::too_many_arguments)]
            unsafe fn call_plain(&self, $($param: $param),*) -> R {
                type Plain<$($param,)* Direct> = unsafe extern "sysv64" fn($($param),*) -> Direct;
                // SAFETY: the function cannot trap, calls nobody and reads no context; without stack
                // arguments and with one result at most, its convention is that of the type given
                // here. `self` keeps its code alive.
                R::from_direct(unsafe {
                    let code = self.function.code;
                    let plain = std::mem::transmute::<*const u8, Plain<$($param,)* R::Direct>>(code);
                    plain($($param),*)
                })
            }

            /// # Safety
            ///
            /// Everything travels in registers.
            #[inline(always)]
            #[allow(non_snake_case, clippy::too_many_arguments)]
            unsafe fn call_entered(&self, $($param: $param),*) -> Result<R, Trap> {
                let arguments = registers!($($param)*);
                // SAFETY: the arguments are of the function's signature, which `typed_func` compared
                // with this one; all of it travels in registers. The instance, which `self` keeps
                // alive, owns the context and the code, and is on its thread.
                self.finish(unsafe { enter(self.function, arguments) })
            }

            #[cold]
            #[inline(never)]
            #[allow(non_snake_case, clippy::too_many_arguments)]
            fn call_until(&self, $($param: $param),*) -> Result<R, Trap> {
                let arguments = registers!($($param)*);
                // SAFETY: as in `call_entered`.
                self.finish(unsafe {
                    let VmFunction { vmctx, .. } = self.function;
                    interrupt::call_with_default(vmctx, || enter(self.function, arguments)).flatten()
                })
            }
        }
    };
}

macro_rules! wasm_results {
    ($($result:ident)*) => {
        impl<$($result: WasmTy),*> Sealed for ($($result,)*) {}

        impl<$($result: WasmTy),*> WasmResults for ($($result,)*) {
            const TYPES: &'static [ValType] = &[$($result::TYPE),*];
            type Direct = ();
            fn from_direct((): ()) -> Self {
                unreachable!("several results never travel in a register")
            }
            fn into_direct(self) {
                unreachable!("several results never travel in a register")
            }
            fn from_raw(mut next: impl FnMut(ValType) -> u64) -> Self {
                ($(<$result as WasmTy>::from_raw(next($result::TYPE)),)*)
            }
            #[allow(non_snake_case)]
            fn each_raw(self, mut place: impl FnMut(ValType, u64)) {
                let ($($result,)*) = self;
                $(place($result::TYPE, $result.to_raw());)*
            }
        }
    };
}

/// Calls the macro with no names, with one, and so on; those of `@` only from two on.
macro_rules! each_arity {
    ($macro:ident: $($name:ident)*) => { each_arity!(@ $macro [] $($name)*); };
    (@ $macro:ident [$($done:ident)*]) => { $macro!($($done)*); };
    (@ $macro:ident [$($done:ident)*] $next:ident $($rest:ident)*) => {
        $macro!($($done)*);
        each_arity!(@ $macro [$($done)* $next] $($rest)*);
    };
}

pub(super) use each_arity;

each_arity!(wasm_fn: A B C D E F G H I J K L);
each_arity!(@ wasm_results [A B] C D E F G H I J K L);
