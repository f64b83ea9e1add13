//! The smallest embedding: a module from a file, one exported function, one number in and out.

use std::error::Error;

use wasm_mini::{Imports, Instance, Module};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(x)) = (arguments.next(), arguments.next()) else {
        return Err("minimal FILE.wasm NUMBER".into());
    };
    let module = Module::new(std::fs::read(file)?)?;
    let Some(export) = module.exported_functions().next() else {
        return Err("the module exports no function".into());
    };
    let func = Instance::new(&module, &Imports::none())?.func::<fn(i64) -> i64>(export.name())?;
    println!("{}", func(x.parse()?)?);
    Ok(())
}
