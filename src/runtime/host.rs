//! Functions of the host, as guests call them.
//!
//! A guest reaches a host function through a crossing (`compile::trampoline`), behind which is the
//! *shim* that is made here for the closure's type. No unwinding crosses compiled code: the shim
//! catches panics, notes them like errors in the thread's state, and returns not to the guest but to
//! what ends it; the host's side of the entry then takes the failure up again.

use std::any::Any;
use std::error::Error;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use super::externs::Extern;
use super::group::Handle;
use super::instance::{Inner, Instance};
use super::registers::{HostCall, InMemory};
use super::thread::Failure;
use super::typed::{WasmResults, WasmTy, count_ints, each_arity, is_direct};
use super::value::Value;
use super::{trampolines, trap};
use crate::compile::abi::HostContext;
use crate::compile::trampoline::RegisterFile;
use crate::module::FuncType;

/// The instance that called a host function.
#[derive(Debug)]
pub struct Caller<'c> {
    instance: &'c Instance,
}

impl Caller<'_> {
    /// The calling instance: for its exports, and to call it back.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        self.instance
    }

    /// An export of the calling instance.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<Extern> {
        self.instance.export(name)
    }

    /// The calling instance's memory of that name: what pointers among the arguments point into.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a memory.
    pub fn memory(&self, name: &str) -> Result<super::externs::Memory, crate::error::ExportError> {
        self.instance.memory(name)
    }
}

/// A function of the host, ready to be bound.
pub struct HostFunc {
    pub(super) ty: FuncType,
    /// What the crossing calls.
    pub(super) shim: usize,
    /// Whether the shim takes its arguments in registers.
    direct: bool,
    /// What the shim gets: the closure, or what is known of one of dynamic signature.
    closure: Box<dyn Any>,
}

impl HostFunc {
    /// What wasm code calls. Only instances ask, so that the trampolines are there.
    pub(super) fn crossing(&self) -> *const u8 {
        if self.direct {
            trampolines::host_direct(count_ints(self.ty.params()))
        } else {
            trampolines::host_indirect()
        }
    }

    /// What [`HostContext::function`] points to: stays where it is as long as this lives.
    pub(super) fn function(&self) -> *const () {
        std::ptr::from_ref::<dyn Any>(&*self.closure).cast()
    }

    /// A function whose signature is known only at run time.
    pub(super) fn dynamic(ty: FuncType, function: impl DynFn) -> HostFunc {
        let memory = InMemory::of(ty.params(), ty.results());
        let dynamic = Dynamic { memory, ty: ty.clone(), function: Box::new(function) };
        let shim = dynamic_shim as *const () as usize;
        HostFunc { ty, shim, direct: false, closure: Box::new(dynamic) }
    }
}

/// How far below the guests' stack limit a function of the host may begin. One that a guest calls is
/// nearer: the guest's own frame was checked. But where a guest makes a host function call itself, in a
/// table for instance, there is no guest between its activations that would check.
const CALL_MARGIN: usize = 16 << 10;

/// The stack limit of a [`HostContext`], where the guests have this one.
pub(super) fn stack_limit(guests: usize) -> usize {
    guests.saturating_sub(CALL_MARGIN)
}

type HostError = Box<dyn Error + Send + Sync>;

pub(super) trait DynFn:
    Fn(&mut Caller<'_>, &[Value]) -> Result<Vec<Value>, HostError> + 'static
{
}

impl<F> DynFn for F where F: Fn(&mut Caller<'_>, &[Value]) -> Result<Vec<Value>, HostError> + 'static
{}

/// What the shim of a function of dynamic signature gets.
struct Dynamic {
    memory: InMemory,
    ty: FuncType,
    function: Box<dyn DynFn>,
}

/// Runs a host function's body with its caller. `stack` is an address on the stack, where it began.
///
/// # Safety
///
/// `context` is the one that the crossing has passed on, of an instance of this thread.
#[inline(always)]
unsafe fn guard<R>(
    context: *mut HostContext,
    stack: usize,
    body: impl FnOnce(&mut Caller<'_>) -> Result<R, HostError>,
) -> Result<R, Failure> {
    // SAFETY: the context lives in the importing instance. That runs, so that whoever entered its
    // group holds a handle until this returns.
    let (instance, thread, limit) = unsafe {
        let vm = &raw const (*context).vm;
        let inner = (*vm).instance.cast::<Inner>().cast_mut();
        let instance = Handle::uncounted(NonNull::new_unchecked(inner));
        (ManuallyDrop::new(Instance(instance)), trap::thread_of(vm), (*vm).stack_limit)
    };
    if stack < limit {
        return Err(Failure::StackOverflow);
    }
    let done = catch_unwind(AssertUnwindSafe(|| body(&mut Caller { instance: &instance })));
    match done {
        Ok(Ok(_)) if thread.is_told_to_stop() && thread.sees_stop() => Err(Failure::Interrupted),
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(Failure::Error(error)),
        Err(payload) => Err(Failure::Panic(payload)),
    }
}

/// Notes a failure for whoever made the entry, and makes the shim return to what ends the guest.
///
/// # Safety
///
/// `context` and `place` are what the crossing has passed to the shim, which returns next.
#[cold]
#[inline(never)]
unsafe fn fail(context: *mut HostContext, place: *mut usize, failure: Failure) {
    // SAFETY: as in `guard`; the place is that of a return address to compiled code, which the
    // crossing lends to the shim.
    unsafe {
        let thread = trap::thread_of(&raw const (*context).vm);
        thread.failure.set(Some(failure));
        (*thread.state()).host_return.store(*place, Relaxed);
        *place = trampolines::host_failed();
    }
}

unsafe extern "sysv64" fn dynamic_shim(file: *mut RegisterFile, context: *mut HostContext) -> u64 {
    // SAFETY: the crossing passes a register file of its own and the context, whose function is the
    // one that this shim was made for.
    unsafe {
        let dynamic = &*(*context).function.cast::<Dynamic>();
        let done = guard(context, file as usize, |caller| {
            let mut call = HostCall::new(file);
            let params = dynamic.ty.params().iter();
            let arguments: Vec<Value> =
                params.map(|ty| Value::from_raw(*ty, call.next(*ty))).collect();
            let results = (dynamic.function)(caller, &arguments)?;
            if !results.iter().map(Value::ty).eq(dynamic.ty.results().iter().copied()) {
                let types: Vec<_> = results.iter().map(Value::ty).collect();
                let message =
                    format!("a host function of signature {} returned {types:?}", dynamic.ty);
                return Err(message.into());
            }
            for result in &results {
                if let Value::FuncRef(Some(func)) = result {
                    caller.instance.0.link(&func.instance.0);
                }
            }
            let mut place = call.results(dynamic.memory);
            results.iter().for_each(|result| place(result.ty(), result.to_raw()));
            Ok(())
        });
        status(context, done)
    }
}

/// What the indirect crossing's shims return.
///
/// # Safety
///
/// `context` is the one that the crossing has passed on.
unsafe fn status(context: *mut HostContext, done: Result<(), Failure>) -> u64 {
    match done {
        Ok(()) => 0,
        Err(failure) => {
            // SAFETY: the caller vouches for the context, whose instance runs.
            let thread = unsafe { trap::thread_of(&raw const (*context).vm) };
            thread.failure.set(Some(failure));
            1
        }
    }
}

/// What a host function returns: what [`WasmResults`] knows, or a `Result` of that.
pub trait IntoHostResult {
    #[doc(hidden)]
    type Results: WasmResults;
    #[doc(hidden)]
    fn into_host_result(self) -> Result<Self::Results, HostError>;
}

impl<R: WasmResults> IntoHostResult for R {
    type Results = R;
    fn into_host_result(self) -> Result<R, HostError> {
        Ok(self)
    }
}

impl<R: WasmResults, E: Into<HostError>> IntoHostResult for Result<R, E> {
    type Results = R;
    fn into_host_result(self) -> Result<R, HostError> {
        self.map_err(Into::into)
    }
}

/// A closure that can be a host function: up to twelve parameters of the types that
/// [`WasmTy`] lists, after an optional `&mut Caller`.
pub trait IntoHostFunc<Kind> {
    #[doc(hidden)]
    fn into_host_func(self) -> HostFunc;
}

/// Tells closures that take a [`Caller`] from those that do not.
#[doc(hidden)]
#[derive(Debug)]
pub struct WithCaller;

macro_rules! host_func {
    ($($param:ident)*) => {
        host_func!(@impl (fn($($param),*)), [] $($param)*);
        host_func!(@impl (WithCaller, fn($($param),*)), [&mut Caller<'_>] $($param)*);
    };
    (@impl ($($kind:tt)*), [$($caller:ty)?] $($param:ident)*) => {
        impl<Closure, $($param: WasmTy,)* Output> IntoHostFunc<($($kind)*,)> for Closure
        where
            Closure: Fn($($caller,)? $($param),*) -> Output + 'static,
            Output: IntoHostResult,
        {
            #[allow(non_snake_case, unused_variables, unused_mut)]
            fn into_host_func(self) -> HostFunc {
                /// The shim for the direct crossing.
                unsafe extern "sysv64" fn direct<Closure, $($param: WasmTy,)* Output>(
                    $($param: $param,)*
                    context: *mut HostContext,
                    place: *mut usize,
                ) -> MaybeUninit<<Output::Results as WasmResults>::Direct>
                where
                    Closure: Fn($($caller,)? $($param),*) -> Output + 'static,
                    Output: IntoHostResult,
                {
                    // SAFETY: the crossing passes the context whose function this shim is for, and
                    // the place of its return address.
                    unsafe {
                        let function = &*(*context).function.cast::<Closure>();
                        let done = guard(context, place as usize, |caller| {
                            host_func!(@call function, caller, [$($caller)?] $($param)*)
                                .into_host_result()
                        });
                        match done {
                            Ok(results) => MaybeUninit::new(results.into_direct()),
                            Err(failure) => {
                                fail(context, place, failure);
                                MaybeUninit::uninit()
                            }
                        }
                    }
                }

                /// The shim for the indirect crossing.
                unsafe extern "sysv64" fn indirect<Closure, $($param: WasmTy,)* Output>(
                    file: *mut RegisterFile,
                    context: *mut HostContext,
                ) -> u64
                where
                    Closure: Fn($($caller,)? $($param),*) -> Output + 'static,
                    Output: IntoHostResult,
                {
                    // SAFETY: as for `direct`; the file is the crossing's, on its stack.
                    unsafe {
                        let function = &*(*context).function.cast::<Closure>();
                        let mut call = HostCall::new(file);
                        $(let $param = $param::from_raw(call.next($param::TYPE) as u64);)*
                        let done = guard(context, file as usize, |caller| {
                            host_func!(@call function, caller, [$($caller)?] $($param)*)
                                .into_host_result()
                        });
                        let done = done.map(|results| {
                            let memory = const {
                                InMemory::of(&[$($param::TYPE),*], Output::Results::TYPES)
                            };
                            let mut place = call.results(memory);
                            results.each_raw(|ty, raw| place(ty, u128::from(raw)));
                        });
                        status(context, done)
                    }
                }

                let ty = FuncType::new([$($param::TYPE),*], Output::Results::TYPES.iter().copied());
                let in_registers = is_direct(ty.params(), ty.results());
                let shim = if in_registers {
                    direct::<Closure, $($param,)* Output> as *const () as usize
                } else {
                    indirect::<Closure, $($param,)* Output> as *const () as usize
                };
                HostFunc { ty, shim, direct: in_registers, closure: Box::new(self) }
            }
        }
    };
    (@call $function:expr, $caller:ident, [] $($param:ident)*) => { ($function)($($param),*) };
    (@call $function:expr, $caller:ident, [$ty:ty] $($param:ident)*) => {
        ($function)($caller, $($param),*)
    };
}

each_arity!(host_func: A B C D E F G H I J K L);
