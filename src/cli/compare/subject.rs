//! One column: a module, compiled or with hand-written bytes, ready to be called.

use wasm_mini::{Engine, Func, Imports, Instance, Module, Tier};

use crate::cli::exit::Failure;
use crate::cli::hand_written;
use crate::cli::input::{self, Target};

/// The module of one column, instantiated.
pub struct Subject {
    pub name: String,
    /// What compiles it; `None` for hand-written bytes.
    pub engine: Option<Engine>,
    pub module: Module,
    pub instance: Instance,
    pub function: Func,
}

/// The first column's name, where there are bytes for it.
pub const HAND_WRITTEN: &str = "hand-written";

/// All columns that this build and these bytes give, from left to right.
pub fn all(wasm: &[u8], target: &Target, code: Option<&[u8]>) -> Result<Vec<Subject>, Failure> {
    let mut subjects = Vec::new();
    let mut add = |name: String, engine: Option<Engine>, module: Module| {
        let instance = Instance::new(&module, &Imports::none())?;
        let function = instance.dyn_func(&target.name)?;
        subjects.push(Subject { name, engine, module, instance, function });
        Ok::<(), Failure>(())
    };
    for (i, tier) in Tier::available().iter().enumerate() {
        let engine = input::engine(Engine::builder().tier(*tier).timings(true).build())?;
        if let (0, Some(code)) = (i, code) {
            // The functions that are not hand-written are the first tier's here.
            let module = hand_written::load(&engine, wasm, target, code)?;
            add(HAND_WRITTEN.to_string(), None, module)?;
        }
        let module = Module::with_engine(&engine, wasm)?;
        add(tier.to_string(), Some(engine), module)?;
    }
    Ok(subjects)
}
