//! What runs: memory for code, instances, calls from the host, and traps.
//!
//! All `unsafe` of the library is here, in the files that ARCHITECTURE.md names.

mod code;
mod code_map;
mod engine;
mod func;
mod instance;
#[cfg(feature = "cranelift")]
mod jit;
mod module;
mod regions;
mod signals;
mod thread;
mod trampolines;
mod trap;
mod typed;
mod value;

pub use engine::{Engine, EngineBuilder};
pub use func::Func;
pub use instance::{Imports, Instance};
pub use module::{ExportedFunction, Module, Timings, validate};
pub use typed::{TypedFunc, WasmFn, WasmResults, WasmTy};
pub use value::Value;
