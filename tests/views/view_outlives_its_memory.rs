//! A view borrows from the handle, which keeps the memory alive.

use wasm_mini::{Instance, MemoryCells};

fn view(instance: &Instance) -> MemoryCells<'_> {
    let memory = instance.memory("memory").unwrap();
    memory.cells()
}

fn main() {
    let _ = view;
}
