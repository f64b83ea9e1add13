//! A WebAssembly-to-native mini JIT: load a module, get its functions as Rust closures.
//!
//! ```
//! use wasm_mini::{Imports, Instance, Module};
//!
//! const ADD4_WAT: &str = r#"
//!     (module (func (export "add4") (param i64) (result i64)
//!         (i64.add (local.get 0) (i64.const 4))))"#;
//!
//! let module = Module::new(ADD4_WAT)?; // text or binary; validated; compiled
//! let instance = Instance::new(&module, &Imports::none())?;
//! let add4 = instance.func::<fn(i64) -> i64>("add4")?; // a Rust closure, 'static, owns its instance
//! assert_eq!(add4(2)?, 6);
//! # Ok::<(), wasm_mini::Error>(())
//! ```
//!
//! - A [`Module`] is validated and compiled code: `Send + Sync`, cheap to clone, shared by threads.
//! - An [`Instance`] is a module that can be called. It belongs to one thread, and the types say
//!   so: no call takes a lock, a store parameter or a lifetime.
//! - [`Instance::func`] checks a signature once and returns a closure; [`Instance::typed_func`]
//!   returns a [`TypedFunc`], free of the closure's indirect call; [`Instance::dyn_func`] is for
//!   signatures that are known only at run time; [`Instance::batch_func`] returns a [`BatchFunc`],
//!   which calls a function for each row of some columns.
//! - A guest can do nothing to its host but return a value or a [`Trap`].
//! - An [`Engine`] holds policy: above all the [`Tier`], which is the compiler. Most programs use the
//!   shared one without noticing.
//!
//! # Features
//!
//! `baseline` and `cranelift` are the two tiers; a program that wants one pays for one. `wat` adds
//! the text format, `listing` the module of that name, `cli` what the `wasm-mini` command needs.
//!
//! # Platform
//!
//! x86-64 Linux. The crate installs handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE when the first
//! instance is made, and passes on every signal that is not a guest's. A library that installs its
//! own later must do the same.
//!
//! Guests run on the stack of the thread that calls them, and know its bounds. A program that switches
//! stacks must let each call into a guest end on the stack, and in the order, that it began.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("wasm-mini makes and runs x86-64 code on Linux, and knows no other machine yet");
#[cfg(not(any(feature = "baseline", feature = "cranelift")))]
compile_error!("wasm-mini needs a tier: the feature `baseline`, `cranelift`, or both");

// The assembler has the instructions that are still to be used, and tests for all of them.
#[allow(dead_code, unused_imports)]
mod asm;
mod compile;
mod error;
mod module;
mod runtime;
#[cfg(feature = "wast")]
pub mod wast;

pub use compile::Tier;
#[cfg(feature = "listing")]
pub use compile::listing;
pub use error::{
    ArgumentError, BatchError, Error, ExportError, Frame, LinkError, LoadError, NotPlain, Trap,
    TrapCode,
};
pub use module::{FuncType, GlobalType, Limits, MemoryType, TableType, ValType};
pub use runtime::{
    AccessError, BatchFunc, Caller, Engine, EngineBuilder, ExportedFunction, Extern, ExternRef,
    Fuel, Func, Global, Growth, Imports, Instance, InterruptHandle, Interruption, IntoHostFunc,
    IntoHostResult, Memory, MemoryCells, Module, Resource, Table, Timings, TypedFunc, Value,
    WasmFn, WasmResults, WasmTy, validate,
};
#[doc(hidden)]
pub use runtime::{HostFunc, WithCaller};
