//! A view borrows from the handle, which keeps the memory alive.

use std::cell::Cell;
use wasm_mini::Instance;

fn view(instance: &Instance) -> &[Cell<u8>] {
    let memory = instance.memory("memory").unwrap();
    memory.cells()
}

fn main() {
    let _ = view;
}
