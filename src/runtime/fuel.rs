//! Fuel, seen from the host: what an instance has left.
//!
//! What is charged and where is decided in `module/fuel.rs`; compiled code does it.

use std::fmt;

use super::instance::Instance;

/// The fuel of an instance whose engine was built with [fuel](crate::EngineBuilder::fuel).
///
/// # What a unit is
///
/// Every operator that is executed costs one unit, except `nop`, `drop`, `block`, `loop`, `else`,
/// `end`, `return` and `unreachable`, which cost nothing. Entering a function costs one. The bulk
/// operators cost by their length besides: one for each whole 64 bytes of `memory.fill`, `memory.copy`
/// and `memory.init`, and one for each two elements of `table.fill`, `table.copy`, `table.init` and
/// `table.grow`. So what a run consumes depends on the program and its input alone, and not on the
/// tier, the machine or the time.
///
/// # When it is charged
///
/// In advance, for a whole stretch of operators that are executed together, across calls too. When not
/// enough is left for the next stretch, nothing of it is charged and the guest traps with
/// [`OutOfFuel`](crate::TrapCode::OutOfFuel) before it executes any of it. A guest that ends in
/// another trap has paid for the rest of the stretches that it was in. What is left after that is
/// the same on every tier as well, except after a
/// [`StackOverflow`](crate::TrapCode::StackOverflow): how deep a recursion gets depends on how large
/// frames are. A backtrace that ends out of fuel may begin with the caller of a small function instead of
/// that function, where the Cranelift tier has put it in the place of the call.
///
/// # Whose it is
///
/// Each instance has its own. When instances are linked, every function is paid for by the instance
/// that defines it, whoever calls it. Functions of the host cost nothing, and may read and change what
/// is left: compiled code sees it when they return.
///
/// ```
/// use wasm_mini::{Engine, Imports, Instance, Module, TrapCode};
///
/// let engine = Engine::builder().fuel(0).build()?;
/// let module = Module::with_engine(
///     &engine,
///     r#"(module (func (export "count") (param i32)
///          (loop
///            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
///            (br_if 0 (local.get 0)))))"#,
/// )?;
/// let instance = Instance::new(&module, &Imports::none())?;
/// let fuel = instance.fuel().expect("an engine with fuel");
/// let count = instance.typed_func::<fn(i32)>("count")?;
///
/// // One for the call and six for each iteration.
/// fuel.set(1_000);
/// count.call(100)?;
/// assert_eq!(fuel.left(), 399);
///
/// assert_eq!(count.call(100).unwrap_err().code(), TrapCode::OutOfFuel);
/// fuel.add(1_000);
/// count.call(100)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fuel {
    instance: Instance,
}

impl Fuel {
    /// For an instance that has fuel.
    pub(super) fn new(instance: Instance) -> Fuel {
        Fuel { instance }
    }

    /// Where it is kept, inverted.
    fn place(&self) -> *mut u64 {
        self.instance.0.fuel().expect("a `Fuel` is of an instance that has fuel")
    }

    /// How many units are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        // SAFETY: the place lies in the instance's context, which the handle keeps alive; the only
        // other one who uses it is compiled code on this thread, which does not run now.
        unsafe { !*self.place() }
    }

    /// Sets how many units are left.
    pub fn set(&self, units: u64) {
        // SAFETY: as for `left`.
        unsafe { *self.place() = !units };
    }

    /// Adds units to what is left, up to [`u64::MAX`].
    pub fn add(&self, units: u64) {
        self.set(self.left().saturating_add(units));
    }
}

impl fmt::Debug for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fuel").field("left", &self.left()).finish()
    }
}
