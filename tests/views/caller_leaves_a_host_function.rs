//! The caller itself ends with the call, and so does the borrow of its instance.

use std::cell::RefCell;
use std::rc::Rc;
use wasm_mini::{Caller, Imports, Instance};

fn main() {
    let kept: Rc<RefCell<Vec<&'static Instance>>> = Rc::default();
    let mut imports = Imports::none();
    imports.func("h", "keep", move |caller: &mut Caller<'_>| {
        kept.borrow_mut().push(caller.instance());
    });
}
