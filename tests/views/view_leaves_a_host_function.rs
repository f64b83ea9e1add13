//! A view that a host function takes through its caller ends with the call.

use std::cell::RefCell;
use std::rc::Rc;
use wasm_mini::{Caller, Imports, MemoryCells};

fn main() {
    let kept: Rc<RefCell<Vec<MemoryCells<'static>>>> = Rc::default();
    let mut imports = Imports::none();
    imports.func("h", "keep", move |caller: &mut Caller<'_>| {
        let memory = caller.memory("memory").unwrap();
        kept.borrow_mut().push(memory.cells());
    });
}
