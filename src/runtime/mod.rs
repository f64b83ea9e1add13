//! What runs: memory for code, instances, calls from the host, and traps.
//!
//! All `unsafe` of the library is here, in the files that ARCHITECTURE.md names.

mod bare;
mod batch;
mod bodies;
mod builtins;
mod code;
mod code_map;
mod engine;
mod enter;
mod exports;
mod externs;
mod fuel;
mod func;
mod group;
mod growth;
mod host;
mod image;
mod imports;
mod instance;
mod interrupt;
#[cfg(feature = "cranelift")]
mod jit;
mod memory;
mod memory_file;
#[cfg(miri)]
mod miri;
mod module;
mod places;
mod polls;
mod pool;
mod regions;
mod registers;
mod signals;
mod state;
// It runs guests, which Miri does not.
#[cfg(all(test, not(miri)))]
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod thread;
mod trampolines;
mod trap;
mod type_ids;
mod typed;
mod value;
mod watcher;

pub use batch::BatchFunc;
pub use engine::{Engine, EngineBuilder, Interruption};
pub use externs::{AccessError, Extern, Global, Memory, MemoryCells, Table};
pub use fuel::Fuel;
pub use func::Func;
pub use growth::{Growth, Resource};
pub use host::{Caller, HostFunc, IntoHostFunc, IntoHostResult, WithCaller};
pub use imports::Imports;
pub use instance::Instance;
pub use interrupt::InterruptHandle;
pub use module::{ExportedFunction, Module, Timings, validate};
pub use typed::{TypedFunc, WasmFn, WasmResults, WasmTy};
pub use value::{ExternRef, Value};
